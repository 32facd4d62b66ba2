# SPDX-License-Identifier: ZPL-2.1
"""Lists and counts on every storage: right for every filter, whatever has happened, and at the same
cost however many jobs there are that nobody asked for."""
import random
from itertools import product

import pytest

from p01.remote import verbs
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.store.records import Outcome
from p01.remote.store.segments import Segment
from p01.remote.views import figures, listing
from p01.remote.views.filters import EVERYJOB, STATI, Filter, Part
from p01.remote.views.listing import SEGMENTCOST, Search, find
from tests.conftest import START, abort, commit, inside, leave, recount, stored
from tests.race.party import Party

NAMES, QUEUES = ('echo', 'fatal'), ('default', chr(0x10FFFF) + 'mail', 'rare')


def every(store):
    """All jobs, one by one."""
    return [store.view(jobid) for jobid in reversed(list(listing.ids(store)))]


def inPieces(store, which):
    """The jobs of a filter, found by looks that each end soon."""
    found, below = [], None
    while True:
        search = Search(3 * SEGMENTCOST)
        found += [view.id for view in search.find(store, which._replace(below=below))]
        if not search.over:
            return found
        # also where it was over in segments that have none of the filter
        assert 0 < search.last < (below or search.last + 1)
        below = search.last


def prove(store):
    """Each filter finds what fits, in order."""
    views = every(store)
    instants = sorted(view.outcome.completed if view.outcome else view.record.created
                      for view in views) or [START]
    middle = instants[len(instants) // 2]
    for stati, queue, name in product([STATI, *((status,) for status in STATI), ('error', 'queued'),
                                       ('queued',
                                        'delayed')], (None, *QUEUES,
                                                      'none'), (None, *NAMES, 'none')):
        half = {'below': views[len(views) // 2].id} if views else {}
        for limits in ({}, {'limit': 3}, {'since': middle}, {'before': middle}, half):
            which = Filter(stati, Part(queue and (queue,) or ()), Part(name and (name,) or ()),
                           **limits)
            expected = [view.id for view in views if which.fits(view)
                        and view.id < (which.below or view.id + 1)][:which.limit]
            assert [view.id for view in find(store, which)] == expected, which
        if not name:
            which = Filter(stati, Part(queue and (queue,) or ()))
            assert inPieces(store, which) == [view.id for view in views if which.fits(view)]
    assert figures.exact(store) == figures.reckoned(store).queues == recount(store)


def test_every_filter_whatever_has_happened(place, monkeypatch):
    chance = random.Random(7)
    enqueuers = [stored(place)]
    enqueuers += [inside(place.connect(place.openAgain())) for _ in range(2)]
    people = Party(place, 'people')
    worker = Party(place, 'worker').sit()
    known = []
    for turn in range(12):
        processor = chance.choice(enqueuers)
        abort(processor)
        known += [processor.processJob(chance.choice(NAMES), turn,
                                       queue=chance.choice(QUEUES[:2] if turn % 3 else QUEUES),
                                       priority=chance.randrange(3),
                                       delay=1e6 if chance.random() < 0.2 else None)
                  for _ in range(chance.choice((1, 5, 40)))]
        commit(processor)
        if turn % 4 != 3:
            worker.do(lambda store: verbs.claim(store, worker.seat(store), chance.randrange(40),
                                                START))
            claimed = sorted(worker.do(lambda store: list(worker.seat(store).claims)))
            ended = {jobid: Outcome(chance.choice(('completed', 'error')), None, 'no', 1, START,
                                    START + turn)
                     for jobid in claimed if chance.random() < 0.7}
            worker.do(lambda store, ended=ended: verbs.settle(store, worker.seat(store), ended))
            for verb in (verbs.cancel, verbs.revive, verbs.remove):
                for jobid in chance.choices(known, k=3):
                    if people.do(lambda store, jobid=jobid: jobid in set(listing.ids(store))):
                        people.do(lambda store, verb=verb, jobid=jobid, now=START
                                  + turn: verb(store, jobid, now))
        # as with more jobs in line than it looks at one by one
        for few in (listing.FEWINLINE, 0):
            monkeypatch.setattr(listing, 'FEWINLINE', few)
            people.do(prove)
    monkeypatch.setattr(listing, 'SETS', 0)
    people.do(prove)


@pytest.fixture
def loaded(monkeypatch):
    """The segments that are loaded: what a look costs."""
    found = []
    load = Segment.__setstate__

    def counted(self, state):
        found.append(self)
        load(self, state)
    monkeypatch.setattr(Segment, '__setstate__', counted)
    return found


@pytest.fixture
def crowd(place, loaded):
    """Some 60 segments of jobs that completed, and as many that wait, few others among them; gives
    a look with a cold cache."""
    processor = stored(place)
    for number in range(3000):
        if number % 1000 == 10:
            processor.processJob('fatal', number, queue='mail', priority=9)
        processor.processJob('echo', number, priority=5)
        if number % 32 == 0:
            commit(processor)
    commit(processor)
    loop = Loop(place.db, inside, 'worker', WorkerOptions(drain=True))
    loop.work()
    abort(processor)
    for number in range(2000):
        processor.processJob('echo', number)
        if number % 32 == 0:
            commit(processor)
        if number == 700:
            processor.processJob('fatal', 1)
            processor.processJob('echo', 2, queue='rare')
    commit(processor)
    verbs.pause(processor.store, 'default')
    verbs.pause(processor.store, 'rare')
    commit(processor)
    loop.book(START, 1)
    loop.book(START, 1)
    loop.close()

    def look(work):
        connection = place.connect(explicit=True)
        connection.transaction_manager.begin()
        connection.cacheMinimize()
        loaded.clear()
        result = work(inside(connection).store)
        leave(connection)
        return result, len(set(loaded))
    return look


@pytest.mark.parametrize('which, number, most', [
    (Filter(('error',)), 3, 3), (Filter(('error',), Part(('mail',))), 3,
                                 3), (Filter(('error',), name=Part(('fatal',))), 3, 3),
    (Filter(('error',), Part(('default',))), 0, 0), (Filter(('error', 'cancelled'), limit=1), 1, 1),
    (Filter(('queued',), Part(('rare',))), 1, 1), (Filter(queue=Part(('rare',))), 1,
                                                   1), (Filter(limit=50), 50, 4),
    (Filter(('completed',), limit=50), 50, 4), (Filter(('completed',), Part(('rare',))), 0,
                                                1), (Filter(('delayed',)), 0, 0),
    (Filter(('processing',)), 0, 0), (Filter(('error',), since=START), 0,
                                      0), (Filter(name=Part(('fatal',))), 4, 4)])
def test_a_list_costs_what_it_shows(crowd, which, number, most):
    _, open = crowd(lambda store: list(store.untaken()))        # segments that may have more
    found, segments = crowd(lambda store: list(find(store, which)))
    assert len(found) == number and segments <= most + open


def test_of_many_in_line_the_few_of_a_name_cost_what_they_are(crowd, monkeypatch):
    monkeypatch.setattr(listing, 'FEWINLINE', 100)
    found, segments = crowd(lambda store: list(find(store,
                                                    Filter(('queued',), name=Part(('fatal',))))))
    assert len(found) == 1 and segments <= 4 + 8


def test_counts_and_the_oldest_look_at_no_job(crowd):
    counts, segments = crowd(figures.reckoned)
    assert not counts.reckoned and counts.queues['default'] == {'completed': 3000, 'queued': 2001}
    assert segments <= 8            # open ones, that may have more
    oldest, segments = crowd(lambda store: figures.oldest(store))
    assert oldest is not None and segments <= 8


def test_few_failed_jobs_are_removed_at_the_cost_of_few(crowd):
    removed, segments = crowd(lambda store: [verbs.remove(store, jobid)
                                             for jobid
                                             in list(listing.ended(store, EVERYJOB, 'error'))])
    assert removed == ['error'] * 3 and segments <= 6


def test_what_nobody_has_taken_in_is_reckoned_when_it_is_much(place, loaded, monkeypatch):
    processor = stored(place)
    for number in range(3000):
        processor.processJob('echo', number, queue=('default', 'mail')[number % 4 == 0])
        if number % 32 == 0:
            commit(processor)
    commit(processor)
    exact = figures.exact(processor.store)
    assert figures.reckoned(processor.store) == (exact, False)
    monkeypatch.setattr(figures, 'OPENEDSEGMENTS', 10)
    monkeypatch.setattr(figures, 'RECKONEDFROM', 10)
    monkeypatch.setattr('p01.remote.views.figures.OPENEDSEGMENTS', 10)
    processor._p_jar.cacheMinimize()
    loaded.clear()
    found = figures.reckoned(processor.store)
    assert found.reckoned and len(set(loaded)) <= 10
    for queue, counts in exact.items():
        assert abs(found.queues[queue]['queued'] / counts['queued'] - 1) < 0.3
    loaded.clear()
    assert figures.oldest(processor.store) == processor.store.entry(1)[1].created
    assert len(set(loaded)) <= 12
    loaded.clear()
    processor._p_jar.cacheMinimize()
    assert len(list(find(processor.store, Filter(('queued',), limit=50)))) == 50 \
        and len(set(loaded)) <= 12
