# SPDX-License-Identifier: ZPL-2.1
"""Jobs that run in their caller's own transaction: their ends are told after its commit, and it
stays the caller's."""
import time

import pytest
import transaction

from p01.remote import events
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import RunLater
from p01.remote.job import Job
from p01.remote.options import Policy, WorkerOptions
from p01.remote.storage.places import traverse
from tests.conftest import NAME


class Raises(Job):
    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['raised'] = 1
        raise self.input


class Ends(Job):
    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['part'] = 1
        of, way = self.input
        manager = remoteProcessor._p_jar.transaction_manager if of != 'thread' else transaction
        getattr(manager.get() if of == 'transaction' and way != 'begin' else manager, way)()


class Later(Job):
    """Asks to run again at once, for ever."""

    def __call__(self, remoteProcessor):
        raise RunLater(0)


class Odd(Job):
    """Cannot say how it is retried."""

    @property
    def policy(self):
        raise ValueError('no policy')

    def __call__(self, remoteProcessor):
        raise ValueError('no success')


@pytest.fixture
def jobs(processor):
    for kind in (Raises, Ends, Later, Odd):
        processor.addJob(kind.__name__.lower(), kind())
    processor._p_jar.transaction_manager.commit()
    return processor


def erred(told):
    return [(event.id, event.attempt, event.cause) for event in told
            if isinstance(event, events.JobErred)]


@pytest.mark.parametrize('kind', [ValueError, SystemExit, GeneratorExit])
def test_a_failure_is_told_after_the_commit(jobs, told, kind):
    manager = jobs._p_jar.transaction_manager
    jobid = jobs.processJob('raises', kind('x'))
    manager.commit()
    assert jobs.processJobs() == 1
    manager.abort()
    assert jobs.processJobs() == 1
    assert erred(told) == []
    manager.commit()
    assert erred(told) == [(jobid, 1, 'error')]
    assert 'raised' not in jobs._p_jar.root()


@pytest.mark.parametrize('way', ['commit', 'abort', 'begin'])
@pytest.mark.parametrize('of', ['thread', 'connection', 'transaction'])
def test_a_job_that_ends_its_callers_transaction_is_refused(jobs, told, of, way):
    manager = jobs._p_jar.transaction_manager
    jobid = jobs.processJob('ends', (of, way))
    manager.commit()
    jobs._p_jar.root()['caller'] = 1
    after = jobs.processJob('echo', 2)
    assert jobs.processJobs() == 2
    manager.commit()
    assert jobs.getJobResult(after) == 2
    assert jobs.getJobStatus(jobid) == 'error'
    assert 'transaction of its caller' in jobs.getJobError(jobid)
    assert ('part' in jobs._p_jar.root(), jobs._p_jar.root()['caller']) == (False, 1)


def test_what_always_asks_to_run_later_ends(jobs):
    manager = jobs._p_jar.transaction_manager
    jobid, other = jobs.processJob('later'), jobs.processJob('echo', 1)
    manager.commit()
    assert jobs.processJobs() == 2
    manager.commit()
    assert (jobs.getJobStatus(jobid) in ('queued', 'delayed'),
            jobs.getJobResult(other)) == (True, 1)
    assert jobs.processJobs() == 1
    manager.commit()


def test_what_always_asks_to_run_later_ends_a_drain(place, jobs):
    jobid, others = jobs.processJob('later'), [jobs.processJob('echo', number)
                                               for number in range(5)]
    jobs._p_jar.transaction_manager.commit()
    loop = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'drain',
                WorkerOptions(drain=True))
    try:
        loop.work()
    finally:
        loop.close()
    jobs._p_jar.transaction_manager.begin()
    assert [jobs.getJobResult(other) for other in others] == list(range(5))
    assert jobs.getJobStatus(jobid) in ('queued', 'delayed')
    assert loop.done == 6


@pytest.mark.parametrize('way', ['hand', 'pulled', 'loop'])
def test_a_job_that_expired_is_told(place, jobs, told, way):
    manager = jobs._p_jar.transaction_manager
    jobid = jobs.processJob('echo', 1, expires=0.001)
    manager.commit()
    now = time.time() + 60
    if way == 'loop':
        loop = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'one')
        loop.poll(now)
        loop.close()
    else:
        assert not (jobs.processJobs(now) if way == 'hand' else jobs.pullNextJob(now))
        assert erred(told) == []
        manager.commit()
    manager.begin()
    assert erred(told) == [(jobid, 0, 'expired')]
    assert jobs.getJobStatus(jobid) == 'cancelled'


@pytest.mark.parametrize('way', ['by hand', 'by a worker'])
def test_a_job_that_cannot_say_how_it_is_retried_has_the_default(place, jobs, way):
    jobid = jobs.processJob('odd')
    if way == 'by hand':
        assert jobs.processJobs() > 1
    else:
        jobs._p_jar.transaction_manager.commit()
        loop = Loop(place.db, lambda connection: traverse(connection, [NAME]), 'drain',
                    WorkerOptions(drain=True))
        loop.work()
        loop.close()
        jobs._p_jar.transaction_manager.begin()
    assert len(jobs.getJob(jobid).attempts) == 1 + Policy().retries
