# SPDX-License-Identifier: ZPL-2.1
"""The store against a simple model: enqueuers with long transactions, two seats that crash, people
who intervene."""
from hypothesis import strategies as some
from hypothesis.stateful import precondition, rule
from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.engine import rescuing
from p01.remote.options import DEATHS
from p01.remote.store.records import Attempt, Outcome, Record
from p01.remote.verbs.editing import NUDGE
from tests.race.modelled import FINISHED, QUEUES, Known, Modelled

SEATS = some.sampled_from(['left', 'right'])


class TheStore(Modelled):

    # -- enqueuers, whose transactions stay open while others work

    @rule(who=some.sampled_from([0, 1]), count=some.sampled_from([1, 1, 2, 5, 40]),
          priority=some.integers(-2, 2),
          queue=some.sampled_from(QUEUES), delay=some.sampled_from([None, None, 0.0, 5.0, 50.0]),
          unique=some.sampled_from([None, None, ('a', 'finish', None), ('b', 'start', None)]),
          undo=some.sampled_from([False, False, False, True]))
    def enqueue(self, who, count, priority, queue, delay, unique, undo):
        connection = self.hands[who]
        manager = connection.transaction_manager
        now = not self.opened[who]      # else its snapshot may be older than what the model knows
        if now:
            manager.begin()
            self.opened[who] = True
        store = connection.root()['p'].store
        savepoint = manager.savepoint() if undo else None
        for _ in range(1 if unique else count):
            created = self.tick()
            record = Record('echo', None, created, queue, priority,
                            None if delay is None else created + delay,
                            {'unique': unique} if unique else None)
            jobid = verbs.add(store, record)
            if unique and jobid in self.given:
                known = self.pending[who].get(jobid) or self.jobs.get(jobid)
                if not known:
                    # removed meanwhile, which this snapshot does not show
                    assert not now
                    continue
                assert known.unique == unique
                waits = known.status in ('queued', 'delayed')
                assert not now or waits or unique[1] == 'finish' and known.status == 'processing'
                continue
            assert jobid not in self.given, 'an id was given out twice'
            self.given.add(jobid)
            if not undo:
                self.pending[who][jobid] = Known(record)
                assert store.view(jobid).status == self.pending[who][jobid].status
        if undo:
            savepoint.rollback()

    @precondition(lambda self: any(self.opened))
    @rule(who=some.sampled_from([0, 1]), commit=some.sampled_from([True, True, True, False]))
    def finish(self, who, commit):
        if not self.opened[who]:
            return
        manager = self.hands[who].transaction_manager
        if commit:
            manager.commit()            # must meet nobody
            self.jobs.update(self.pending[who])
        else:
            manager.abort()
        self.pending[who], self.opened[who] = {}, False

    # -- seats

    @rule(name=SEATS)
    def fail(self, name):
        """Claim, fail, settle in one go: what people revive."""
        self.claim(name, 1, None)
        for jobid in self.held(name)[:1]:
            with self.within(self.seats[name]) as store:
                outcome = Outcome('error', None, 'no', self.jobs[jobid].runs + 1, self.now,
                                  self.tick(), name)
                verbs.settle(store, store.seats[name], {jobid: outcome})
            self.jobs[jobid].status = 'error'
            self.settled(name)

    def held(self, name):
        return [jobid for jobid, known in self.jobs.items() if known.seat == name
                and known.status == 'processing']

    @rule(name=SEATS, workers=some.sampled_from([9, 16, 40, 64]))
    def crowd(self, name, workers):
        """As one of many workers takes in; jobs that wait are dealt to their lanes, and stay there
        when there are few again."""
        with self.within(self.seats[name]) as store:
            for shard in store.shards:
                verbs.takeIn(store, shard, store.seats[name], self.tick(), workers)
        self.observe()

    @rule(name=SEATS, count=some.integers(1, 8), queues=some.sampled_from([None, ('one',)]))
    def claim(self, name, count, queues):
        with self.within(self.seats[name]) as store:
            claimed = verbs.claim(store, store.seats[name], count, self.tick(), queues)
        self.observe()
        ready = sorted(known.place(jobid) for jobid, known in self.jobs.items()
                       if known.status == 'queued' or known.status == 'delayed'
                       and known.due <= self.now
                       if known.record.queue not in self.paused
                       and (queues is None or known.record.queue in queues))
        assert claimed == [place[2] for place in ready[:count]]
        for jobid in claimed:
            known = self.jobs[jobid]
            assert known.seat is None, 'a job is in two hands'
            known.status, known.seat, known.due = 'processing', name, None

    @precondition(lambda self: any(known.seat for known in self.jobs.values()))
    @rule(data=some.data(), name=SEATS, effect=some.booleans(),
          status=some.sampled_from(['completed', 'error']))
    def end(self, data, name, effect, status):
        """A job with effects writes its outcome first and is settled later; one without is settled
        only."""
        jobid = self.choose(data, lambda known: known.seat == name and known.status == 'processing')
        if jobid is None:
            return
        known = self.jobs[jobid]
        outcome = Outcome(status, None, '', known.runs + 1, self.now, self.tick(), name)
        with self.within(self.seats[name]) as store:
            if effect:
                verbs.complete(store, store.seats[name], {jobid: outcome})
            else:
                verbs.settle(store, store.seats[name], {jobid: outcome})
        known.status = status
        if not effect:
            self.settled(name)

    @precondition(lambda self: any(known.seat for known in self.jobs.values()))
    @rule(name=SEATS)
    def settle(self, name):
        for _ in range(2):              # twice is as good as once
            with self.within(self.seats[name]) as store:
                verbs.settle(store, store.seats[name], {})
        self.settled(name)

    def settled(self, name):
        for known in self.jobs.values():
            if known.seat == name and known.status in FINISHED:
                known.seat, known.settled = None, True

    @precondition(lambda self: any(known.seat for known in self.jobs.values()))
    @rule(data=some.data(), name=SEATS, delay=some.sampled_from([None, 0.0, 5.0, 50.0]),
          failed=some.booleans())
    def retry(self, data, name, delay, failed):
        jobid = self.choose(data, lambda known: known.seat == name and known.status == 'processing')
        if jobid is None:
            return
        known, now = self.jobs[jobid], self.tick()
        attempt = Attempt(known.runs + 1, now, now, name, 'reason') if failed else None
        due = None if delay is None else now + delay
        with self.within(self.seats[name]) as store:
            verbs.retry(store, store.seats[name], jobid, due, attempt)
        self.back(known, due, failed)

    def back(self, known, due, failed):
        known.seat, known.due = None, due
        known.status = 'queued' if due is None else 'delayed'
        known.runs += failed
        if due is not None:
            known.since = due

    @precondition(lambda self: any(known.seat for known in self.jobs.values()))
    @rule(name=SEATS)
    def release(self, name):
        ids = [jobid for jobid, known in self.jobs.items() if known.seat == name
               and known.status == 'processing']
        with self.within(self.seats[name]) as store:
            verbs.settle(store, store.seats[name], {})
            verbs.release(store, store.seats[name], ids)
        self.settled(name)
        for jobid in ids:
            self.back(self.jobs[jobid], None, False)

    @precondition(lambda self: any(known.seat for known in self.jobs.values()))
    @rule(data=some.data(), name=SEATS)
    def crash(self, data, name):
        """The seat's worker dies on one of its jobs, and people's connection rescues; the late
        finisher is refused."""
        ran = self.choose(data, lambda known: known.seat == name and known.status == 'processing')
        late = self.seats[name]
        late.transaction_manager.begin()
        if ran is not None:
            outcome = Outcome('completed', None, '', 1, self.now, self.now, name)
            store = late.root()['p'].store
            verbs.complete(store, store.seats[name], {ran: outcome})
        with self.within(self.people) as store:
            rescuing.rescue(store, store.seats[name], self.tick(), () if ran is None else (ran,))
        if ran is not None:
            try:
                late.transaction_manager.commit()
                raise AssertionError('a late finisher was let in')
            except TransientError:
                pass
        late.transaction_manager.abort()
        self.settled(name)
        for jobid, known in self.jobs.items():
            if known.seat == name:
                self.back(known, None, jobid == ran)
                if jobid == ran:
                    known.deaths = getattr(known, 'deaths', 0) + 1
                    if known.deaths >= DEATHS:
                        known.status = 'error'
        self.replace(name)

    # -- people

    @precondition(lambda self: self.jobs)
    @rule(data=some.data())
    def cancel(self, data):
        jobid = self.choose(data, lambda known: True)
        if jobid is not None:
            with self.within(self.people) as store:
                done = verbs.cancel(store, jobid, self.tick())
            known = self.jobs[jobid]
            if done:
                assert known.status in ('queued', 'delayed')
                known.status, known.settled = 'cancelled', True
            self.observe()
            # it may have been dropped as a duplicate just now
            assert known.status not in ('queued', 'delayed')

    @precondition(lambda self: self.jobs)
    @rule(data=some.data(), queue=some.sampled_from([None, *QUEUES]),
          priority=some.sampled_from([None, -3, 0, 3]),
          delay=some.sampled_from(['', '', None, 0.0, 5.0, 50.0]))
    def edit(self, data, queue, priority, delay):
        jobid = self.choose(data, lambda known: True)
        if jobid is None:
            return
        known, now, changes = self.jobs[jobid], self.tick(), {}
        if queue is not None:
            changes['queue'] = queue
        if priority is not None:
            changes['priority'] = priority
        if delay != '':
            changes['due'] = None if delay is None else now + delay
        with self.within(self.people) as store:
            done = verbs.edit(store, jobid, changes, now)
        self.observe()
        assert done == (known.status in ('queued', 'delayed'))
        if done:
            self.edited(known, changes, now)

    def edited(self, known, changes, now):
        record = known.record
        known.record = record._replace(queue=changes.get('queue', record.queue),
                                       priority=changes.get('priority', record.priority))
        delayed = known.status == 'delayed' and known.due > now
        due = changes.get('due', known.due if delayed else None)
        if due is not None and due > now:
            due += NUDGE if delayed and due == known.due else 0.0
            known.status, known.due, known.since = 'delayed', due, due
        else:
            known.since = now if delayed else known.since + NUDGE
            known.status, known.due = 'queued', None

    @precondition(lambda self: self.jobs)
    @rule(data=some.data())
    def revive(self, data):
        jobid = self.choose(data, lambda known: known.status in ('error', 'cancelled')
                            and known.seat is None
                            and not known.unique)
        if jobid is not None:
            known = self.jobs[jobid]
            with self.within(self.people) as store:
                assert verbs.revive(store, jobid, self.tick()) is True
                known.status, known.due, known.since = 'queued', None, self.now
                known.runs, known.settled = 0, False
                known.deaths = 0

    @precondition(lambda self: self.jobs)
    @rule(data=some.data())
    def remove(self, data):
        jobid = self.choose(data, lambda known: True)
        if jobid is not None:
            known = self.jobs[jobid]
            with self.within(self.people) as store:
                gone = verbs.remove(store, jobid)
            expected = known.status if known.status in FINISHED and known.seat is None else None
            assert gone == expected
            if gone:
                del self.jobs[jobid]

    @rule(queue=some.sampled_from(QUEUES), rest=some.booleans())
    def pause(self, queue, rest):
        with self.within(self.people) as store:
            if rest:
                verbs.pause(store, queue)
                self.paused.add(queue)
            else:
                assert verbs.resume(store, queue) is (queue in self.paused)
                self.paused.discard(queue)

    @rule(seconds=some.sampled_from([1.0, 6.0, 60.0]))
    def advance(self, seconds):
        self.now += seconds


TestTheStore = TheStore.TestCase
