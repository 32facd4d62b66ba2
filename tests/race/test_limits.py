# SPDX-License-Identifier: ZPL-2.1
"""Time limits in threads that nobody can end: the run has failed when its time is over, and what it
still does is refused."""
import threading
import time

import pytest
import zope.event
from transaction.interfaces import TransientError

from p01.remote import events
from p01.remote.engine import heartbeat, limit
from p01.remote.job import Job
from p01.remote.options import Policy
from p01.remote.testing import waitFor
from tests.acceptance import tasks

stands = threading.Event()
going = threading.Event()


class Slow(Job):
    """Changes something, and takes longer than it may, until it is let go."""

    policy = Policy(retries=0, timeout=0.2)
    changes = True

    def __call__(self, remoteProcessor):
        if self.changes:
            tasks.count(remoteProcessor._p_jar.root(), 1)
        stands.set()
        going.wait(30)
        return 'late'


class Pure(Slow):
    changes = False


@pytest.fixture
def heard():
    """What was told, as classes."""
    told = []
    zope.event.subscribers.append(told.append)
    yield lambda *kinds: [type(event) for event in told if isinstance(event, kinds)]
    zope.event.subscribers.remove(told.append)


@pytest.fixture(autouse=True)
def gates():
    stands.clear()
    going.clear()
    yield
    going.set()


def slow(stage, kind=Slow, policy=None):
    """A job that is slow; its id."""
    def work(processor):
        job = kind()
        if policy is not None:
            job.policy = policy
        processor.addJob('slow', job)
        return processor.processJob('slow')
    return stage.do(work)


@pytest.mark.parametrize('kind', [Slow, Pure])
def test_a_thread_that_runs_too_long_has_failed_at_once(stage, kind, heard):
    """While it still runs: it cannot be ended, and need not be waited for."""
    jobid, loop = slow(stage, kind), stage.loop()
    thread = threading.Thread(target=loop.poll, args=(time.time(),))
    thread.start()
    assert stands.wait(30)
    view = waitFor(lambda: (view := stage.view(jobid)).status == 'error' and view, 30)
    assert view.outcome.error.startswith('TimedOut: it ran longer than its timeout of 0.2 s, and '
                                         'stood in ')
    assert view.attempts[0].trace.splitlines()[-1].endswith(', in wait') \
        or 'in __call__' in view.attempts[0].trace
    going.set()
    thread.join(30)
    stage.claim(loop)
    assert stage.view(jobid) == view
    assert stage.effects == {}
    # told behind the commit
    waitFor(lambda: heard(events.JobErred, events.JobCompleted) == [events.JobErred], 30)
    stage.check()


def test_it_runs_again_elsewhere_by_its_policy(stage):
    jobid, loop, other = slow(stage,
                              policy=Policy(retries=1,
                                            timeout=0.2)), stage.loop(), stage.loop('other')
    thread = threading.Thread(target=loop.poll, args=(time.time(),))
    thread.start()
    waitFor(lambda: stage.view(jobid).runs == 1 and stage.view(jobid).status == 'queued', 30)
    going.set()
    [task] = stage.claim(other)
    other.act(task)
    stage.claim(other)
    thread.join(30)
    stage.claim(loop)
    view = stage.view(jobid)
    assert (view.status, view.runs, stage.effects,
            len(view.attempts)) == ('completed', 2, {1: 1}, 1)
    stage.check()


def test_all_ways_to_run_in_ones_own_process_keep_the_limit(stage):
    """Those that end late, if nobody looks meanwhile: drain, processJobs, a worker's
    processNextJob."""
    stage.do(lambda processor: processor.addJob('slow', Slow()))

    def late():
        time.sleep(0.25)                # the job itself takes so long: more than its limit
        return True
    going.wait = lambda seconds: late()
    try:
        ids = []
        for way in (stage.app.drain, lambda: stage.do(lambda processor: processor.processJobs())):
            ids.append(stage.do(lambda processor: processor.processJob('slow')))
            way()
    finally:
        del going.wait
    for jobid in ids:
        view = stage.view(jobid)
        assert (view.status,
                view.attempts[0].reason.partition(':')[0]) == ('error', 'TimedOut'), view
    assert stage.effects == {}
    stage.check()


def test_conflicts_give_a_job_no_more_time(stage):
    """E12: one deadline for all repetitions of a run."""
    loop, deadlines = stage.loop(), []
    jobid = stage.do(lambda processor: (processor.addJob('slow', Quick()),
                                        processor.processJob('slow'))[1])
    write = loop.post.write

    def noted(jobid, began, deadline):
        if jobid > 0:
            deadlines.append(deadline)
        write(jobid, began, deadline)
    loop.post.write = noted
    loop.poll(time.time())
    loop.post.write = write
    stage.claim(loop)
    assert stage.view(jobid).status == 'completed'
    assert len({deadline for deadline in deadlines if deadline}) == 1


class Quick(Job):
    """Meets three conflicts."""

    policy = Policy(timeout=30)
    met = 0

    def __call__(self, remoteProcessor):
        Quick.met += 1
        if Quick.met % 4:
            raise TransientError('three times')


def test_supervised_processes_are_left_to_their_supervisor(stage):
    loop = stage.loop()
    loop.post.supervised = True
    loop.post.began, loop.post.deadline = 100.0, 101.0
    heart = heartbeat.Heartbeat()
    assert heartbeat.overrun not in heart.due(loop, 101.5)
    assert heartbeat.overrun in heart.due(loop, 101.5 + limit.SLACK)
    loop.post.began = loop.post.deadline = 0.0
