# SPDX-License-Identifier: ZPL-2.1
"""Schedules that fail, on every storage: told of once, skipped, back when they are mended; all else
goes on."""
import sys
import time
import types

import pytest

from p01.remote import events, instants
from p01.remote.engine.loop import Loop
from p01.remote.engine.ticker import LEFTTOOTHERS, LOOKAGAIN
from p01.remote.job import Job
from p01.remote.scheduler import Cron, Delay, SchedulerItem
from p01.remote.storage.places import traverse
from p01.remote.views import listing
from tests.conftest import NAME


class Raises(SchedulerItem):
    """Its next raises from the second time on."""

    kind = ZeroDivisionError

    def next(self, after):
        if self.due is None:
            return after + 1
        raise self.kind('no next')


class Back(Raises):
    """Its next gives the same instant again and again."""

    def next(self, after):
        return after + 1 if self.due is None else after


class Odd(Raises):
    """Its next is no instant."""

    def next(self, after):
        return after + 1 if self.due is None else 'soon'


class Unstorable(Delay):
    """Cannot be pickled when it has a due time other than the first."""

    def __getstate__(self):
        state = super().__getstate__()
        if getattr(sys.modules[__name__], 'strict', False):
            raise SystemExit('no state')
        return state


class Refuses(Job):
    """Refuses its input when it is told to."""

    kind = None

    def prepare(self, input):
        if Refuses.kind is not None:
            raise Refuses.kind('no such input')
        return input

    def __call__(self, remoteProcessor):
        return self.input


@pytest.fixture
def poll(place, processor, told):
    """Poll once as a worker does, with one loop for the whole test; returns the failures that were
    told."""
    loops = []

    def poll(now):
        if not loops:
            processor._p_jar.transaction_manager.commit()
            loops.append(Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one'))
            loops[0].ready()
        told.clear()
        for _ in range(20):
            if loops[0].poll(now):
                break
        else:
            raise AssertionError('it is never idle')
        processor._p_jar.transaction_manager.begin()
        return [event for event in told if isinstance(event, events.ScheduleFailed)]

    yield poll
    for loop in loops:
        loop.close()


def names(processor):
    """The jobs that ran, by their names."""
    return [processor.store.view(jobid).record.name
            for jobid, _ in sorted(listing.finished(processor.store))]


@pytest.mark.parametrize('make, reason', [
    (lambda: Raises('echo'),
     'ZeroDivisionError: no next'), (lambda: Back('echo'), 'must give a later instant'),
    (lambda: Odd('echo'), 'POSIX seconds')], ids=['raises', 'back', 'odd'])
def test_an_item_that_cannot_be_advanced(place, processor, poll, make, reason):
    now = time.time()
    key = processor.addScheduler(make(), now)
    processor.addScheduler(Delay('echo', delay=10, startTime=now - 5, input='other'), now)
    processor.processJob('echo', 'job')
    [event] = poll(now + 6)
    assert (event.key, event.jobName) == (key, 'echo') and reason in event.reason
    # the other item's, and the job
    assert len(names(processor)) == 2
    # told once
    assert [poll(now + 6 + each) for each in (0, 1, LOOKAGAIN, 3 * LOOKAGAIN)] == [[]] * 4
    item = processor.scheduler[key]
    assert item.active and reason in processor.scheduler.failures[key].reason


@pytest.mark.parametrize('kind', [ZeroDivisionError, SystemExit, GeneratorExit, MemoryError])
def test_an_item_comes_back_when_it_is_mended(place, processor, poll, monkeypatch, kind):
    now = time.time()
    monkeypatch.setattr(Raises, 'kind', kind)
    key = processor.addScheduler(Raises('echo', input='mended'), now)
    if kind is MemoryError:
        with pytest.raises(MemoryError):        # that is the worker's
            poll(now + 2)
        return
    [event] = poll(now + 2)
    assert kind.__name__ in event.reason
    monkeypatch.setattr(Raises, 'next', lambda self, after: after + 1000)
    assert poll(now + 3 + LOOKAGAIN) == []
    assert (names(processor), dict(processor.scheduler.failures)) == (['echo'], {})
    monkeypatch.undo()
    assert len(poll(now + 2000)) == 1           # it is news again
    assert key in processor.scheduler.failures


def test_a_host_without_time_zones_is_no_fact_of_the_database(place, processor, poll, monkeypatch):
    now = time.time()
    key = processor.addScheduler(Cron.parse('echo', '* * * * *', tz='Europe/Zurich'), now)

    def missing(name):
        raise LookupError(name)

    monkeypatch.setattr(instants, 'ZoneInfo', missing)
    [event] = poll(now + 61 + LEFTTOOTHERS)         # others had their time
    assert 'Europe/Zurich' in event.reason
    assert processor.scheduler[key].active
    monkeypatch.undo()
    assert poll(now + 62 + LEFTTOOTHERS + LOOKAGAIN) == []
    assert names(processor) == ['echo']


def test_a_host_without_time_zones_leaves_the_item_to_others(place, processor, poll, monkeypatch):
    now = time.time()
    key = processor.addScheduler(Cron.parse('echo', '* * * * *', tz='Europe/Zurich'), now)
    due = processor.scheduler[key].due

    def missing(name):
        raise LookupError(name)

    monkeypatch.setattr(instants, 'ZoneInfo', missing)
    assert poll(due + 1) == []
    assert dict(processor.scheduler.failures) == {} and names(processor) == []
    monkeypatch.undo()
    other = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'two')
    other.ready()
    while not other.poll(due + 2):
        pass
    other.close()
    processor._p_jar.transaction_manager.begin()
    assert names(processor) == ['echo']
    monkeypatch.setattr(instants, 'ZoneInfo', missing)
    assert poll(due + 3) == [] and names(processor) == ['echo']


@pytest.mark.parametrize('kind', [ValueError, SystemExit])
def test_an_item_whose_job_refuses_its_input(place, processor, poll, monkeypatch, kind):
    now = time.time()
    processor.addJob('refuses', Refuses())
    key = processor.addScheduler(Delay('refuses', delay=10), now)
    other = processor.addScheduler(Delay('echo', delay=10), now)
    monkeypatch.setattr(Refuses, 'kind', kind)
    [event] = poll(now + 11)
    assert (event.key, 'no such input' in event.reason) == (key, True)
    assert names(processor) == ['echo']
    assert processor.scheduler[key].due > now + 11 and processor.scheduler[other].due > now + 11
    assert poll(now + 22) == []
    monkeypatch.undo()
    assert poll(now + 33) == []
    assert sorted(names(processor)) == ['echo', 'echo', 'echo', 'refuses']
    assert dict(processor.scheduler.failures) == {}


def test_an_item_whose_job_is_gone(place, processor, poll):
    now = time.time()
    processor.addJob('gone', Job())
    key = processor.addScheduler(Delay('gone', delay=10), now)
    processor.addScheduler(Delay('echo', delay=10), now)
    processor.removeJob('gone')
    [event] = poll(now + 11)
    assert (event.key, event.jobName, "'gone'" in event.reason) == (key, 'gone', True)
    assert poll(now + 22) == []
    processor.addJob('gone', Job())
    processor._p_jar.transaction_manager.commit()
    poll(now + 33)
    assert dict(processor.scheduler.failures) == {}


def test_an_item_that_cannot_be_stored(place, processor, poll, monkeypatch):
    now = time.time()
    key = processor.addScheduler(Unstorable('echo', delay=10), now)
    processor.addScheduler(Delay('echo', delay=10, input='other'), now)
    processor._p_jar.transaction_manager.commit()
    monkeypatch.setattr(sys.modules[__name__], 'strict', True, raising=False)
    [event] = poll(now + 11)
    assert (event.key, 'no state' in event.reason) == (key, True)
    assert names(processor) == ['echo']
    monkeypatch.undo()
    assert poll(now + 12 + LOOKAGAIN) == []
    assert len(names(processor)) >= 2


@pytest.fixture
def module():
    found = sys.modules['vanishing'] = types.ModuleType('vanishing')
    found.SchedulerItem = SchedulerItem
    exec('class Moved(SchedulerItem):\n    def next(self, after):\n        return after + 1\n',
         found.__dict__)
    yield found
    sys.modules.pop('vanishing', None)


def test_an_item_whose_class_is_gone(place, processor, poll, module):
    now = time.time()
    key = processor.addScheduler(module.Moved('echo'), now)
    processor.addScheduler(Delay('echo', delay=10), now)
    processor._p_jar.transaction_manager.commit()
    processor._p_jar.cacheMinimize()
    del sys.modules['vanishing']
    [event] = poll(now + 11)
    assert (event.key, 'vanishing.Moved' in event.reason) == (key, True)
    assert names(processor) == ['echo']
    assert poll(now + 12) == []


def test_by_hand_they_are_told_of_after_the_commit(place, processor, told):
    now = time.time()
    manager = processor._p_jar.transaction_manager
    processor.addScheduler(Raises('echo'), now)
    processor.addScheduler(Delay('echo', delay=10, input='other'), now)
    manager.commit()
    told.clear()
    assert processor.processJobs(now + 11) == 1
    assert not [event for event in told if isinstance(event, events.ScheduleFailed)]
    manager.abort()
    assert processor.processJobs(now + 11) == 1
    assert not [event for event in told if isinstance(event, events.ScheduleFailed)]
    manager.commit()
    assert len([event for event in told if isinstance(event, events.ScheduleFailed)]) == 1
    processor.processJobs(now + 25)
    manager.commit()
    assert len([event for event in told if isinstance(event, events.ScheduleFailed)]) == 1


def test_what_is_broken_can_be_removed(place, processor, module):
    key = processor.addScheduler(module.Moved('echo'))
    processor._p_jar.transaction_manager.commit()
    del sys.modules['vanishing']
    connection = place.connect()
    other = traverse(connection, [NAME])
    other.scheduler.remove(key)
    connection.transaction_manager.commit()
    assert list(other.scheduler) == []


def test_rescheduling_all_reaches_all(place, processor):
    now = time.time()
    first = processor.addScheduler(Raises('echo'), now)
    second = processor.addScheduler(Delay('echo', delay=10), now)
    with pytest.raises(ZeroDivisionError):
        processor.reScheduleItems(now + 100)
    assert (first < second, processor.scheduler[second].due) == (True, now + 110)
