# SPDX-License-Identifier: ZPL-2.1
"""The verbs on every storage: order, delay, expiry, pause, cancel; with the counts at every
step."""
import time
from datetime import UTC, datetime, timedelta

import pytest

from p01.remote import exceptions, verbs
from p01.remote.engine.loop import Loop
from tests.conftest import START, abort, commit, counted, inside, runAll


def worked(loop, now=None, count=20):
    """The ids a loop runs, claimed so many at a time."""
    order = []
    while tasks := loop.book(time.time() if now is None else now, count)[0]:
        order += [task.id for task in tasks]
        for task in tasks:
            loop.act(task)
    return order


@pytest.fixture
def loop(place, processor):
    loop = Loop(place.db, inside, 'loop')
    yield loop
    loop.close()


# -- order

def test_priority_goes_first_then_age(processor):
    ids = {priority: [processor.processJob('echo', priority=priority) for _ in range(3)]
           for priority in (0, -100, 100, 5, -5)}
    commit(processor)
    assert runAll(processor) == ids[100] + ids[5] + ids[0] + ids[-5] + ids[-100]


def test_equal_priority_keeps_the_order_of_enqueuing(processor, loop):
    ids = []
    for size in (1, 3, 70, 600):
        ids += [processor.processJob('echo', number) for number in range(size)]
        commit(processor)
    assert worked(loop) == ids == sorted(ids)


def test_two_connections_that_take_turns_keep_the_order(place, processor, loop):
    hands = [processor, inside(place.connect(place.openAgain()))]
    ids = []
    for number in range(40):
        for hand in hands:
            ids.append(hand.processJob('echo', number))
            commit(hand)
    assert len(set(ids)) == 80
    assert worked(loop, count=7) == ids


def test_a_pulled_job_does_not_disturb_the_order(processor, loop):
    processor.pullNextJob()
    commit(processor)
    ids = [processor.processJob('echo', number) for number in range(300)]
    commit(processor)
    assert worked(loop, count=7) == ids


def test_claims_are_not_hoarded_when_jobs_turn_out_long(processor, loop):
    ids = [processor.processJob('echo', number) for number in range(50)]
    commit(processor)
    assert [task.id for task in loop.book(time.time(), 40)[0]] == ids[:40]
    assert [task.id for task in loop.book(time.time(), 2)[0]] == ids[:2]
    abort(processor)
    assert [len(seat.claims) for seat in processor.store.seats.values()] == [2]
    assert counted(processor) == {'queued': 50}         # a claimed job that has not begun, too
    assert worked(loop) == ids


# -- delay

def test_a_delayed_job_waits_until_it_is_due(processor):
    late = processor.processJob('echo', delay=timedelta(hours=1))
    early = processor.processJob('echo', delay=60)
    soon = processor.processJob('echo')
    commit(processor)
    assert counted(processor) == {'queued': 1, 'delayed': 2}
    due = processor.getJob(late).due
    assert due.utcoffset() == timedelta(0)
    assert abs(due - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
    assert runAll(processor) == [soon]
    assert runAll(processor, due - timedelta(seconds=1)) == [early]
    assert processor.getJobStatus(late) == 'delayed'
    assert runAll(processor, due) == [late]
    assert counted(processor) == {'completed': 3}


@pytest.mark.parametrize('at', [START, datetime.fromtimestamp(START, UTC), 0, 0.0, -5.0])
def test_at_an_instant(processor, at):
    jobid = processor.processJob('echo', at=at)
    commit(processor)
    if at not in (0, 0.0, -5.0):
        assert runAll(processor, START - 1) == []
    counted(processor)
    assert runAll(processor, START) == [jobid]


@pytest.mark.parametrize('at', [START, 0, -5.0])
def test_a_job_at_an_instant_can_be_cancelled_once_a_worker_knows_it(processor, at):
    verbs.pause(processor.store, 'default')
    jobid = processor.processJob('echo', at=at)
    commit(processor)
    assert runAll(processor) == []
    assert processor.cancelJob(jobid) is True
    assert counted(processor) == {'cancelled': 1}


# -- expiry

@pytest.mark.parametrize('expires', [60, timedelta(minutes=1),
                                     datetime.fromtimestamp(START - 60, UTC)])
def test_a_job_that_comes_too_late_does_not_start(processor, expires):
    late = [processor.processJob('echo', 1, expires=expires) for _ in range(3)]
    good = processor.processJob('echo', 2, expires=datetime.fromtimestamp(START + 60, UTC))
    plain = processor.processJob('echo', 3)
    commit(processor)
    assert set(runAll(processor, START)) == {*late, good, plain}
    assert [processor.getJobStatus(jobid)
            for jobid in (*late, good, plain)] == ['cancelled'] * 3 + ['completed'] * 2
    assert 'expired' in processor.getJobError(late[0])


def test_expired_jobs_hide_no_others_from_workers(place, processor, loop):
    late = [processor.processJob('echo', 1, unique='key', expires=60),
            processor.processJob('echo', 1, expires=60)]
    good = [processor.processJob('echo', 2), processor.processJob('echo', 3)]
    commit(processor)
    assert [task.id for task in loop.book(START, 1)[0]] == good[:1]
    abort(processor)
    assert [processor.getJobStatus(jobid) for jobid in late] == ['cancelled'] * 2
    assert processor.processJob('echo', 1, unique='key') not in late


# -- pause

def test_a_paused_queue_rests(processor):
    mail = processor.processJob('echo', 1, queue='mail')
    other = processor.processJob('echo', 2)
    verbs.pause(processor.store, 'mail')
    commit(processor)
    assert runAll(processor) == [other]
    assert processor.getJobStatus(mail) == 'queued'
    assert (verbs.resume(processor.store, 'mail'),
            verbs.resume(processor.store, 'mail')) == (True, False)
    assert runAll(processor) == [mail]


def test_a_pause_may_end_by_itself(processor):
    jobid = processor.processJob('echo')
    verbs.pause(processor.store, 'default', START)
    assert runAll(processor, START - 1) == []
    assert runAll(processor, START) == [jobid]


# -- cancel

def test_cancel_ends_what_waits(processor):
    ids = [processor.processJob('echo'), processor.processJob('echo', delay=60),
           processor.processJob('echo')]
    assert processor.cancelJob(ids[0]) is True       # before its transaction has committed
    assert processor.getJobStatus(ids[0]) == 'cancelled'
    commit(processor)
    assert [processor.cancelJob(jobid) for jobid in ids] == [False, True, True]
    assert counted(processor) == {'cancelled': 3}
    commit(processor)
    assert runAll(processor, START) == []
    assert counted(processor) == {'cancelled': 3}


def test_cancel_leaves_what_runs_or_has_ended(processor):
    done = processor.processJob('echo')
    commit(processor)
    runAll(processor)
    held = processor.processJob('echo')
    waits = processor.processJob('echo')
    commit(processor)
    assert processor.pullNextJob().id == held
    assert [processor.cancelJob(done), processor.cancelJob(held)] == [False, False]
    assert counted(processor) == {'completed': 1, 'processing': 1, 'queued': 1}
    assert processor.getJobStatus(waits) == 'queued'
    with pytest.raises(exceptions.JobNotFound):
        processor.cancelJob(999_999)


def test_a_refused_cancel_keeps_the_counts_of_jobs_it_meets(processor):
    done = processor.processJob('echo')
    commit(processor)
    runAll(processor)
    for _ in range(3):
        processor.processJob('echo')
    commit(processor)
    assert processor.cancelJob(done) is False
    assert counted(processor) == {'completed': 1, 'queued': 3}


def test_pulled_jobs_are_completed_by_hand(processor):
    jobid = processor.processJob('echo', 'x')
    commit(processor)
    pulled = processor.pullNextJob()
    assert (pulled.id, pulled.input, pulled.status,
            pulled.runCounter) == (jobid, 'x', 'processing', 1)
    assert processor.pullNextJob() is None
    commit(processor)
    assert counted(processor) == {'processing': 1}
    processor.completeJob(jobid, 'done')
    assert (processor.getJobStatus(jobid), processor.getJobResult(jobid)) == ('completed', 'done')
    with pytest.raises(exceptions.ClaimLost):
        processor.completeJob(jobid)
    assert counted(processor) == {'completed': 1}


def test_a_pulled_job_keeps_the_attempts_before(processor):
    jobid = processor.processJob('fatal')
    processor.processNextJob()
    before = processor.getJob(jobid)
    assert before.runCounter == 1 == len(before.attempts)
    processor.pullNextJob(START)
    processor.completeJob(jobid)
    after = processor.getJob(jobid)
    assert (after.status, after.runCounter, after.attempts) == ('completed', 2, before.attempts)


def test_pull_minds_the_time(processor):
    jobid = processor.processJob('echo', delay=60)
    assert processor.pullNextJob() is None
    assert processor.pullNextJob(START).id == jobid
