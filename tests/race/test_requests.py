# SPDX-License-Identifier: ZPL-2.1
"""A job that runs is asked to end: it, its worker's bookkeeping and death, and the request, in
every order."""
import threading
import time

import pytest
import zope.event

from p01.remote import current, events, verbs
from p01.remote.engine import heartbeat, requests
from p01.remote.exceptions import Cancelled
from p01.remote.job import Job
from p01.remote.options import Policy
from p01.remote.store.records import Asked
from p01.remote.testing import waitFor
from tests.acceptance import tasks
from tests.race.stage import session

WHO = 'roy@here'
between = []        # what happens amidst the job, once each
said = []           # what the job saw


class Busy(Job):
    """Changes something, has something happen, and ends as its input says."""

    policy = Policy(retries=1)

    def __call__(self, remoteProcessor):
        tasks.count(remoteProcessor._p_jar.root(), 1)
        if between:
            between.pop(0)()
        said.append(current.cancelled)
        match self.input:
            case 'check':
                current.check()
            case 'swallow':
                try:
                    current.progress(1)
                except Exception:
                    said.append('swallowed')
            case 'fail':
                raise ValueError('broken')
            case 'detour':
                try:
                    current.check()
                except Cancelled as error:
                    raise ValueError('broken') from error
        return 'done'


@pytest.fixture(autouse=True)
def clean():
    between.clear()
    said.clear()
    yield
    between.clear()


@pytest.fixture
def heard():
    """What was told of the ends of jobs, as classes."""
    told = []
    zope.event.subscribers.append(told.append)
    yield lambda: [type(event) for event in told
                   if isinstance(event,
                                 events.JobErred | events.JobCompleted | events.JobRetried
                                 | events.JobStopped)]
    zope.event.subscribers.remove(told.append)


def busy(stage, how='check'):
    """A job that runs; its id."""
    return stage.do(lambda processor: (processor.addJob('busy', Busy()),
                                       processor.processJob('busy', how))[1])


def ask(stage, jobid, grace=60.0):
    """Ask for its end, from elsewhere; whether it was asked."""
    return stage.do(lambda processor: processor.cancelJob(jobid, running=True, grace=grace,
                                                          who=WHO))


def anew(manager):
    """Another transaction."""
    manager.abort()
    manager.begin()


def request(stage, jobid):
    """Ask as if it ran, though it has not begun: so it looks from other hosts."""
    stage.do(lambda processor: verbs.interrupt(processor.store, jobid,
                                               Asked(WHO, time.time(), 60.0)) and None)


def asked(stage):
    """All that is asked."""
    return stage.do(lambda processor: {jobid for seat in processor.store.seats.values()
                                       for jobid in seat.asked
                                       if jobid in seat.claims})


def cancelled(stage, jobid):
    """Its view, which says who asked."""
    view = stage.view(jobid)
    assert (view.status, view.outcome.error) == ('cancelled', f'Cancelled by {WHO}.')
    assert (view.outcome.asked.who,
            view.outcome.asked.when <= view.outcome.completed) == (WHO, True)
    assert asked(stage) == set()
    return view


@pytest.mark.parametrize('how', ['check', 'swallow', 'detour', 'fail'])
def test_one_that_sees_it_ends_cancelled_with_nothing_changed(stage, heard, how):
    jobid, loop = busy(stage, how), stage.loop()
    between.append(lambda: said.append(ask(stage, jobid)))
    loop.poll(time.time())
    stage.claim(loop)
    assert said == [True, True]
    view = cancelled(stage, jobid)
    assert (view.runs, stage.effects, heard()) == (1, {}, [events.JobStopped])
    assert len(view.attempts) == (how in ('detour', 'fail'))
    stage.check()


def test_one_that_does_not_look_completes_and_nothing_is_left_of_the_request(stage, heard):
    jobid, loop = busy(stage, 'blind'), stage.loop()
    between.append(lambda: ask(stage, jobid))
    loop.poll(time.time())
    assert stage.view(jobid).status == 'completed'
    assert ask(stage, jobid) is False                   # its outcome is in a slip
    stage.claim(loop)
    assert (stage.view(jobid).status, stage.effects, asked(stage)) == ('completed', {1: 1}, set())
    assert heard() == [events.JobCompleted]
    assert ask(stage, jobid) is False                   # in a journal
    stage.check()


def test_a_request_that_comes_while_the_worker_settles_is_refused_and_then_too_late(stage):
    jobid, loop = busy(stage, 'blind'), stage.loop()
    with session(stage) as (processor, manager):
        [task] = stage.claim(loop)
        anew(manager)
        between.append(lambda: said.append(processor.cancelJob(jobid, running=True)))
        loop.act(task)
        assert said[0] is True
        stage.claim(loop)
        with pytest.raises(Exception, match='conflict'):
            manager.commit()
    assert ask(stage, jobid) is False
    assert (stage.view(jobid).status, stage.effects, asked(stage)) == ('completed', {1: 1}, set())


def test_a_request_that_comes_while_a_failed_run_goes_back_is_refused(stage):
    """Else it would stand without a claim, and the job would run again."""
    jobid, loop = busy(stage, 'fail'), stage.loop()
    [task] = stage.claim(loop)
    with session(stage) as (processor, manager):
        between.append(lambda: said.append(processor.cancelJob(jobid, running=True)))
        loop.act(task)                                  # fails, and is queued again
        assert said[0] is True
        with pytest.raises(Exception, match='conflict'):
            manager.commit()
    assert stage.view(jobid).status == 'queued'
    assert ask(stage, jobid) is True                    # it waits: cancelled at once
    assert stage.view(jobid).status == 'cancelled'
    stage.check()


@pytest.mark.parametrize('ran', [None, (), 'it'], ids=['unknown', 'other', 'it'])
def test_a_worker_that_dies_takes_the_job_with_it(stage, ran):
    jobid, loop = busy(stage), stage.loop()
    stage.claim(loop)
    request(stage, jobid)
    stage.rescue(loop, {jobid} if ran == 'it' else ran)
    view = cancelled(stage, jobid)
    assert view.runs == (ran == 'it')
    assert stage.drain() == 0
    stage.check()


def test_what_its_worker_still_does_when_it_was_taken_is_refused(stage):
    jobid, loop = busy(stage, 'blind'), stage.loop()
    between.append(lambda: (ask(stage, jobid), stage.rescue(loop, ())))
    loop.poll(time.time())
    stage.claim(loop)
    cancelled(stage, jobid)
    assert stage.effects == {}
    stage.check()


def test_one_that_has_not_begun_never_does(stage, heard):
    """Its worker is of another host, which nobody sees into: the first of its claims counts as
    running."""
    jobid, loop = busy(stage), stage.loop()
    stage.claim(loop)
    request(stage, jobid)
    assert stage.claim(loop) == []
    assert cancelled(stage, jobid).runs == 0
    assert (heard(), stage.effects) == ([events.JobStopped], {})
    stage.check()


def test_one_that_a_caller_pulled_ends_at_once_and_the_caller_learns_of_it(stage):
    jobid = busy(stage)
    with session(stage) as (processor, manager):
        processor.pullNextJob()
        manager.commit()
        manager.begin()
        assert ask(stage, jobid) is True
        cancelled(stage, jobid)
    with pytest.raises(Exception, match='no longer holds'):
        stage.do(lambda processor: processor.completeJob(jobid))
    stage.check()


@pytest.mark.parametrize('beyond', [False, True], ids=['within', 'beyond'])
def test_one_that_does_not_end_in_time_is_taken_from_a_thread(stage, beyond):
    """Nobody can end a thread: its job has ended, and what it still does is refused."""
    jobid, loop, stands, going = busy(stage,
                                      'blind'), stage.loop(), threading.Event(), threading.Event()
    between.append(lambda: (stands.set(), going.wait(30)))
    thread = threading.Thread(target=loop.poll, args=(time.time(),))
    thread.start()
    assert stands.wait(30)
    assert ask(stage, jobid, grace=0.05 if beyond else 60.0)
    if beyond:
        waitFor(lambda: stage.view(jobid).status == 'cancelled', 30)
        view = cancelled(stage, jobid)
        assert ', and stood in ' in view.attempts[-1].reason
        assert view.attempts[-1].reason.startswith('Cancelled: it did not end within 0.05 s')
    going.set()
    thread.join(30)
    stage.claim(loop)
    assert (stage.view(jobid).status,
            stage.effects) == (('cancelled', {}) if beyond else ('completed', {1: 1}))
    stage.check()


def test_a_request_is_about_one_run(stage):
    """Revived, the job runs in the same slot: the note there is of the run before."""
    jobid, loop = busy(stage, 'check'), stage.loop()
    between.append(lambda: ask(stage, jobid))
    loop.poll(time.time())
    stage.claim(loop)
    cancelled(stage, jobid)
    assert stage.do(lambda processor: processor.retryJob(jobid))
    loop.poll(time.time())
    stage.claim(loop)
    assert (said, stage.view(jobid).status, stage.effects) == ([True, False], 'completed', {1: 1})
    stage.check()


def test_who_asks_first_is_kept_and_the_earlier_end_counts(stage):
    jobid, loop = busy(stage), stage.loop()
    stage.claim(loop)

    def work(processor):
        for who, when, grace in (('one', 100.0, 50.0), ('two', 110.0,
                                                        10.0), ('three', 111.0, 60.0)):
            verbs.interrupt(processor.store, jobid, Asked(who, when, grace))
        return processor.store.seats[loop.name].asked[jobid]
    assert stage.do(work) == Asked('one', 100.0, 20.0)


def test_a_request_that_is_not_committed_is_none(stage):
    jobid, loop = busy(stage, 'check'), stage.loop()

    def abandon():
        with session(stage) as (processor, manager):
            assert processor.cancelJob(jobid, running=True)
            manager.abort()
    between.append(abandon)
    loop.poll(time.time())
    stage.claim(loop)
    assert (stage.view(jobid).status, stage.effects, said) == ('completed', {1: 1}, [False])


def test_a_worker_of_another_host_looks_every_second_while_its_job_runs(stage, monkeypatch):
    """Nobody there can note it in the box; see hear."""
    jobid, loop = busy(stage, 'check'), stage.loop()
    heart = heartbeat.Heartbeat()
    monkeypatch.setattr(heartbeat, 'LONGJOB', 0.0)
    monkeypatch.setattr(requests, 'note', lambda *args: None)

    def look():
        request(stage, jobid)
        monkeypatch.undo()
        heart.hear([loop], loop.post.began + heartbeat.LONGJOB + 0.01)
        waitFor(lambda: loop.post.asked(jobid), 30)
        heart.listening.clear()
        heart.hear([], time.monotonic())
    between.append(look)
    loop.poll(time.time())
    stage.claim(loop)
    cancelled(stage, jobid)
    stage.check()
