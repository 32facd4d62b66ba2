# SPDX-License-Identifier: ZPL-2.1
"""Jobs that commit or abort in the middle, as old code does with long work: each part stays, the
fence holds in each."""
import time

import pytest
import transaction
import zope.event
from BTrees.OOBTree import OOBTree

from p01.remote import current, events
from p01.remote.engine import rescuing, runner
from p01.remote.engine.loop import Loop
from p01.remote.engine.outage import pauseAfter
from p01.remote.job import Job
from p01.remote.options import Policy
from p01.remote.storage.places import traverse
from tests.conftest import NAME

COMMITS = {
    'thread': transaction.commit,
    'transaction': lambda: transaction.get().commit(),
    'connection': lambda: current.root._p_jar.transaction_manager.commit(),
}


class Parts(Job):
    """Writes its input into the root, each for itself: 'commit' and 'abort' end a part, an
    exception ends the job."""

    policy = Policy(retries=0)
    commit = staticmethod(transaction.commit)

    def __call__(self, remoteProcessor):
        place = current.root['place']
        for step in self.input:
            if step == 'commit':
                type(self).commit()
            elif step == 'abort':
                transaction.abort()
            elif step == 'begin':
                transaction.begin()
            elif isinstance(step, BaseException):
                raise step
            elif callable(step):
                step()
            else:
                place[step] = place.get(step, 0) + 1
        return len(self.input)


class Writes(Job):
    def __call__(self, remoteProcessor):
        current.root['place']['next'] = 1


@pytest.fixture
def loop(place, processor):
    root = processor._p_jar.root()
    root['place'] = OOBTree()
    processor.addJob('parts', Parts())
    processor.addJob('writes', Writes())
    processor._p_jar.transaction_manager.commit()
    found = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one')
    found.ready()
    yield found
    found.close()


def work(loop, processor):
    """Run what is due, and let the loop go on as workers do."""
    while not loop.poll(time.time()):
        pass
    processor._p_jar.transaction_manager.begin()
    return dict(processor._p_jar.root()['place'])


@pytest.mark.parametrize('way', COMMITS)
@pytest.mark.parametrize('steps, written, status', [
    (['a', 'commit', 'b'], {'a': 1, 'b': 1}, 'completed'), (['a', 'commit'], {'a': 1}, 'completed'),
    (['commit'], {}, 'completed'),
    (['a', 'commit', 'b', 'commit', 'c', ValueError('x')], {'a': 1, 'b': 1}, 'error'),
    (['a', 'abort', 'b'], {'b': 1}, 'completed'), (['a', 'commit', 'b', 'abort'], {'a': 1},
                                                   'completed'),
    (['begin', 'a'], {'a': 1},
     'completed'), (['a', 'commit', 'begin', 'b', ValueError('x')], {'a': 1}, 'error'),
    (['a', 'begin'], {}, 'error'), (['commit'] * 20 + ['a'] + ['commit'] * 20, {'a': 1},
                                    'completed')])
def test_each_part_is_committed_and_nothing_else(loop, processor, monkeypatch, way, steps, written,
                                                 status):
    monkeypatch.setattr(Parts, 'commit', staticmethod(COMMITS[way]))
    jobid = processor.processJob('parts', steps)
    after = processor.processJob('writes')
    processor._p_jar.transaction_manager.commit()
    found = work(loop, processor)
    assert found == {**written, 'next': 1}
    job = processor.getJob(jobid)
    assert (job.status, job.runCounter) == (status, 1)
    assert job.output == (len(steps) if status == 'completed' else None)
    assert processor.getJobStatus(after) == 'completed'


@pytest.mark.parametrize('last', ['commit', 'b'])
def test_a_part_after_a_rescue_is_refused(loop, processor, monkeypatch, last):
    """Somebody else has the job since its first part: whatever the late worker still writes
    vanishes."""
    def rescue():
        connection = processor._p_jar.db().open(
            manager := transaction.TransactionManager(explicit=True))
        manager.begin()
        store = traverse(connection, [NAME]).store
        for seat in list(store.seats.values()):
            rescuing.rescue(store, seat, time.time(), ())
        manager.commit()
        connection.close()

    rescues = [rescue]

    def call(self, remoteProcessor):
        place = current.root['place']
        place['a'] = place.get('a', 0) + 1
        transaction.commit()
        if rescues:
            rescues.pop()()
        place['b'] = place.get('b', 0) + 1
        if last == 'commit':
            transaction.commit()
        return 'done'

    monkeypatch.setattr(Parts, '__call__', call)
    jobid = processor.processJob('parts', [])
    processor._p_jar.transaction_manager.commit()
    found = work(loop, processor)
    # its first run's first part, and the second run's
    assert found == {'a': 2, 'b': 1}
    assert processor.getJob(jobid).output == 'done'


def test_a_conflict_in_a_part_repeats_the_job(loop, processor, monkeypatch):
    meets = [1]

    def meet():
        if meets:
            meets.pop()
            connection = processor._p_jar.db().open(
                manager := transaction.TransactionManager(explicit=True))
            manager.begin()
            connection.root()['place']['b'] = 10
            manager.commit()
            connection.close()

    monkeypatch.setattr(Parts, 'meet', staticmethod(meet), raising=False)

    def call(self, remoteProcessor):
        place = current.root['place']
        place['a'] = place.get('a', 0) + 1
        transaction.commit()
        place['b'] = place.get('b', 0) + 1
        self.meet()
        transaction.commit()

    monkeypatch.setattr(Parts, '__call__', call)
    jobid = processor.processJob('parts', [])
    processor._p_jar.transaction_manager.commit()
    assert work(loop, processor) == {'a': 2, 'b': 11}
    job = processor.getJob(jobid)
    assert (job.status, job.runCounter, job.attempts, job.conflicts[0]) == ('completed', 1, (), 1)
    assert 'OOBTree' in job.conflicts[1] or 'OOBucket' in job.conflicts[1]


def test_many_conflicts_are_a_failed_run(loop, processor, monkeypatch):
    """They are told of from the third on, with the object."""
    told, pauses = [], []
    monkeypatch.setattr(zope.event, 'subscribers', [*zope.event.subscribers, told.append])
    monkeypatch.setattr(runner,
                        'pauseAfter', lambda *given: pauses.append(pauseAfter(*given)) or 0.0)
    monkeypatch.setattr(Parts, 'policy', Policy(retries=0, conflicts=5))

    def call(self, remoteProcessor):
        place = current.root['place']
        place['b'] = place.get('b', 0) + 1
        connection = processor._p_jar.db().open(
            manager := transaction.TransactionManager(explicit=True))
        manager.begin()
        connection.root()['place']['b'] = place['b'] + 10
        manager.commit()
        connection.close()

    monkeypatch.setattr(Parts, '__call__', call)
    jobid = processor.processJob('parts', [])
    processor._p_jar.transaction_manager.commit()
    work(loop, processor)
    job = processor.getJob(jobid)
    assert (job.status, job.runCounter, len(job.attempts), job.conflicts[0]) == ('error', 1, 1, 5)
    found = [event for event in told if isinstance(event, events.JobConflicted)]
    assert [event.conflicts for event in found] == [3, 4, 5]
    assert all('OOBTree' in event.object or 'OOBucket' in event.object for event in found)
    assert len([event for event in told if isinstance(event, events.JobErred)]) == 1
    assert pauses[0] < pauses[2] < pauses[4] <= 1.0
