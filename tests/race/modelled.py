# SPDX-License-Identifier: ZPL-2.1
"""A simple model of the store, and a machine that keeps it beside the real one."""
from collections import Counter

import transaction
from BTrees.check import check
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from p01.remote import storage, verbs
from p01.remote.exceptions import JobNotFound
from p01.remote.options import DEATHS
from p01.remote.processor import RemoteProcessor
from p01.remote.store.keys import shardOf
from p01.remote.store.records import Record
from p01.remote.store.seats import Seat
from p01.remote.views import figures, listing
from tests.conftest import inLines, leave, standing

BEGIN = 1_700_000_000.0
QUEUES = ('one', 'two')
FINISHED = ('completed', 'error', 'cancelled')


class Known:
    """What the model knows of a job."""

    def __init__(self, record):
        self.record = record
        self.status = 'queued' if record.due is None else 'delayed'
        self.since = record.created if record.due is None else record.due
        self.due = record.due
        self.runs = 0
        self.seat = None
        self.settled = False
        self.unique = (record.extras or {}).get('unique')

    def place(self, jobid):
        return -self.record.priority, round(self.since * 1e6), jobid


class Within:
    """The store in a short transaction that commits."""

    def __init__(self, connection):
        self.connection = connection

    def __enter__(self):
        self.connection.transaction_manager.begin()
        return self.connection.root()['p'].store

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.connection.transaction_manager.commit()
        else:
            self.connection.transaction_manager.abort()


class Modelled(RuleBasedStateMachine):
    """The machine without its rules: connections, the model, and what always holds."""

    def __init__(self):
        super().__init__()
        self.db = storage.openDatabase('memory:')
        self.hands = [self.connect() for _ in range(3)]     # two enqueuers, and people
        self.people = self.hands[2]
        self.people.transaction_manager.begin()
        self.people.root()['p'] = RemoteProcessor()
        self.people.transaction_manager.commit()
        self.now = BEGIN
        self.jobs = {}                  # id → Known, of committed jobs
        self.pending = [{}, {}]         # the same, of the enqueuers' open transactions
        self.opened = [False, False]
        self.given = set()              # all ids that were ever given out
        self.paused = set()
        self.seats = {}
        self.number = 0

    def connect(self):
        return self.db.open(transaction.TransactionManager(explicit=True))

    @initialize(count=some.integers(0, 20))
    def sit(self, count):
        for name in ('left', 'right'):
            self.seats[name] = self.connect()
            self.replace(name)
        with self.within(self.people) as store:
            for number in range(count):
                record = Record('echo', None, self.tick(), QUEUES[number % 2])
                jobid = verbs.add(store, record)
                self.given.add(jobid)
                self.jobs[jobid] = Known(record)

    def replace(self, name):
        with self.within(self.seats[name]) as store:
            verbs.sit(store, Seat(name, 'host', 1, 'process', 'box', 60.0, self.now))

    def within(self, connection):
        return Within(connection)

    def tick(self):
        self.now += 0.001
        return self.now

    def choose(self, data, wanted):
        found = sorted(jobid for jobid, known in self.jobs.items() if wanted(known))
        return data.draw(some.sampled_from(found)) if found else None

    # -- what always holds

    def observe(self):
        """Which duplicates were dropped is the store's choice; that each has a partner is not."""
        with self.within(self.people) as store:
            for jobid, known in self.jobs.items():
                if known.unique and known.status in ('queued', 'delayed'):
                    view = store.view(jobid)
                    if view.status == 'cancelled':
                        assert 'uplicate of job' in view.outcome.error
                        holder = int(view.outcome.error.split('uplicate of job ')[1].split(',')[0])
                        assert holder in self.given and holder != jobid
                        known.status, known.settled = 'cancelled', True

    @invariant()
    def all_is_as_in_the_model(self):
        self.observe()
        with self.within(self.people) as store:
            assert list(listing.ids(store)) == sorted(self.jobs)
            totals = {}
            for jobid, known in self.jobs.items():
                view = store.view(jobid)
                assert view.status == known.status or (
                    known.status == 'delayed' and known.due <= self.now
                    and view.status == 'queued'), jobid
                if known.status not in ('cancelled',):
                    assert view.runs == known.runs + (known.status in ('processing', *FINISHED)
                                                      and not getattr(known, 'deaths',
                                                                      0) >= DEATHS)
                totals.setdefault(known.record.queue, Counter())[view.status] += 1
            for key in ('a', 'b'):
                keep = [jobid for jobid, known in self.jobs.items() if known.unique
                        and known.unique[0] == key
                        and known.status in ('queued', 'delayed', 'processing')
                        and store.shards[shardOf(store.floor(jobid))].taken(store.floor(jobid),
                                                                            jobid)]
                assert len(keep) < 2 or key == 'b'
            assert figures.exact(store) == {queue: dict(counts) for queue, counts in totals.items()}
            for jobid in sorted(self.given - self.jobs.keys())[-5:]:
                try:
                    raise AssertionError(store.view(jobid))
                except JobNotFound:
                    pass

    @invariant()
    def every_job_is_in_one_place(self):
        with self.within(self.people) as store:
            trees = [store.segments, store.seats]
            places = [jobid for seat in store.seats.values()
                      for jobid in seat.claims] + list(inLines(store))
            for shard in store.shards:
                trees += [shard.fates, shard.uniques,
                          *(tree for lines in shard.lanes for tree in standing(lines))]
                for key, (jobid, _) in shard.uniques.items():
                    assert self.jobs[jobid].unique[0] == key
            assert len(places) == len(set(places)) and set(places) <= self.jobs.keys()
            for tree in trees:
                check(tree)
                tree._check()

    def teardown(self):
        for name in self.seats:
            with self.within(self.seats[name]) as store:
                verbs.rise(store, store.seats[name], {})
        for connection in (*self.hands, *self.seats.values()):
            leave(connection)
        self.db.close()
