# SPDX-License-Identifier: ZPL-2.1
"""What a worker has claimed and not begun: it goes back from behind a long job, is queued, and can
be cancelled."""
import time

import pytest

from p01.remote.engine import heartbeat, runner, seating
from p01.remote.ground import blackbox
from p01.remote.store.outcomes import success
from p01.remote.store.payload import Payload
from tests.acceptance import tasks
from tests.race.stage import session


def behind(stage, loop, name, count, meanwhile):
    """Let a worker begin the first of so many jobs, do something meanwhile, and go on with what is
    left of its claim."""
    loop.batch.average = 0.001
    jobids = stage.enqueue(name, *range(count))
    tasks.interlude.append(lambda: meanwhile(jobids))
    loop.poll(time.time())
    assert not tasks.interlude
    return jobids


def spare(loop):
    """What the heartbeat does once the running job has been long enough."""
    heart = heartbeat.Heartbeat()           # ours is never started: it does what it is told to
    heart.loops.add(loop)
    heart.poll(loop.post.began + heartbeat.LONGJOB + 0.01)


def test_what_waits_behind_a_long_job_goes_to_the_others(stage):
    loop, other = stage.loop(), stage.loop('other')

    def meanwhile(jobids):
        assert stage.stati(jobids) == ['processing'] + ['queued'] * 9
        spare(loop)
        assert [task.id for task in stage.claim(other, 500)] == jobids[1:]
    jobids = behind(stage, loop, 'effect', 10, meanwhile)
    assert stage.effects == {0: 1}
    for task in stage.claim(other, 500):
        other.act(task)
    stage.claim(other)
    stage.claim(loop)
    assert stage.effects == dict.fromkeys(range(10), 1)
    assert set(stage.stati(jobids)) == {'completed'}
    stage.check()


def test_what_has_ended_before_a_long_job_is_known_at_once(stage):
    """Its outcome rides with the next bookkeeping, which the long job would keep waiting."""
    loop, seen = stage.loop(), []
    loop.batch.average = 0.001
    short = stage.enqueue('pure', 1, 2)
    [long] = stage.enqueue('effect', 1)

    def meanwhile():
        seen.append(stage.stati(short))
        spare(loop)
        seen.append(stage.stati([*short, long]))
        spare(loop)             # there is nothing more to write
    tasks.interlude.extend([int, int, meanwhile])
    loop.poll(time.time())
    assert seen == [['processing'] * 2, ['completed'] * 2 + ['processing']]
    stage.claim(loop)
    assert set(stage.stati([*short, long])) == {'completed'} and stage.effects == {1: 1}
    stage.check()


def test_what_has_ended_before_a_job_that_kills_its_worker_does_not_run_again(stage):
    loop, other = stage.loop(), stage.loop('other')
    loop.batch.average = 0.001
    short = stage.enqueue('pure', 1, 2)
    [long] = stage.enqueue('effect', 1)
    killed = []

    def meanwhile():
        spare(loop)
        stage.rescue(loop, {long})
        killed.append(stage.stati(short))
    tasks.interlude.extend([int, int, meanwhile])
    loop.poll(time.time())
    assert killed == [['completed'] * 2]
    assert [task.id for task in stage.claim(other, 5)] == [long]


def test_what_may_be_of_a_later_round_stays_with_its_worker(stage):
    """The heartbeat has looked before the worker booked anew, and writes behind that."""
    loop, seen = stage.loop(), []
    loop.batch.average = 0.001
    short = stage.enqueue('pure', 1, 2)
    stage.enqueue('effect', 1)

    def meanwhile():
        loop.post.round -= 1
        heartbeat.settle(loop)
        loop.post.round += 1
        seen.append((stage.stati(short), sorted(loop.known)))
        new = loop.booking.ledger.outcomes[short[0]] = (1.0, 2.0)
        loop.forget({short[0]: (1.0, 2.0, None), short[1]: loop.known[short[1]]})
        seen.append(loop.known)
        assert loop.known[short[0]] is new
    tasks.interlude.extend([int, int, meanwhile])
    loop.poll(time.time())
    assert seen == [(['processing'] * 2, short), {short[0]: (1.0, 2.0)}]


def test_an_outcome_in_an_object_of_its_own_is_left_to_its_worker(stage):
    """It is of the worker's connection, and stored by its own commit."""
    loop = stage.loop()
    loop.booking.ledger.outcomes.update({
        1: success(b'small', 1, 1.0, 2.0, ()), 2: success(Payload(b'much', True), 1, 1.0, 2.0, ())})
    assert list(loop.known) == [1]


def test_what_cannot_be_given_back_is_kept(stage, monkeypatch):
    """The storage is away: nothing is lost, and the worker goes on with it itself."""
    loop = stage.loop()

    def refuse(db, work):
        raise OSError('away')

    def meanwhile(jobids):
        with monkeypatch.context() as patch:
            patch.setattr(seating, 'transact', refuse)
            spare(loop)
        assert len(loop.post.hand[1]) == 4
    jobids = behind(stage, loop, 'effect', 5, meanwhile)
    stage.claim(loop)
    assert stage.effects == dict.fromkeys(range(5), 1)
    assert set(stage.stati(jobids)) == {'completed'}
    stage.check()


def test_what_was_taken_to_be_given_back_by_one_who_then_dies_stays_claimed(stage):
    """Until the commit it is only out of the deque; the next bookkeeping hands it out anew."""
    loop = stage.loop()

    def meanwhile(jobids):
        loop.post.hand[1].clear()
    behind(stage, loop, 'effect', 5, meanwhile)
    assert stage.effects == {0: 1}
    loop.poll(time.time())
    stage.claim(loop)
    assert stage.effects == dict.fromkeys(range(5), 1)


def test_a_late_giving_back_does_not_touch_the_next_round(stage):
    """The worker was quicker: its next bookkeeping has handed the same jobs out again, and one of
    them runs."""
    loop = stage.loop()
    jobids = stage.enqueue('effect', *range(3))
    work = stage.claim(loop, 3)
    number, left = loop.post.round, loop.post.hold(work)
    left.popleft()
    assert [task.id for task in stage.claim(loop, 3)] == jobids
    assert loop.post.round == number + 1
    loop.post.hand = number, left
    heartbeat.spare(loop)
    assert stage.do(lambda processor: list(processor.store.seats[loop.name].claims)) == jobids


@pytest.mark.parametrize('name', ['effect', 'pure'])
def test_a_claimed_job_that_has_not_begun_can_be_cancelled(stage, name, monkeypatch):
    loop = stage.loop()
    # jobs share no snapshot: the next one sees what was cancelled meanwhile
    monkeypatch.setattr(runner, 'SNAPSHOT', -1.0)

    def meanwhile(jobids):
        assert stage.do(lambda processor: [processor.cancelJob(jobid)
                                           for jobid in jobids]) == [False, True, True, True]
        assert stage.stati(jobids) == ['processing'] + ['cancelled'] * 3
        stage.check()
    jobids = behind(stage, loop, name, 4, meanwhile)
    loop.poll(time.time())
    stage.claim(loop)
    assert stage.stati(jobids) == ['completed'] + ['cancelled'] * 3
    assert stage.effects == ({0: 1} if name == 'effect' else {})
    # one ran, perhaps again for the fence, and one was found to be gone
    assert loop.done <= 3
    stage.check()


def test_one_that_begins_while_it_is_cancelled_is_refused(stage):
    """Its snapshot is older than the cancelling: what its own commit writes meets the fence,
    however both come to commit."""
    loop = stage.loop()
    jobids = stage.enqueue('effect', 1, 2)
    work = stage.claim(loop, 2)
    loop.post.hold(work)
    with session(stage) as (processor, manager):
        assert processor.cancelJob(jobids[1])
        tasks.interlude.append(manager.commit)
        loop.act(work[1])
    assert (stage.effects, stage.stati(jobids)[1]) == ({}, 'cancelled')
    loop.act(work[0])
    stage.claim(loop)
    assert (stage.effects, stage.stati(jobids)) == ({1: 1}, ['completed', 'cancelled'])
    stage.check()


def test_a_cancelling_meets_the_worker_that_settles(stage):
    """Of the two one is refused, and sees what the other did."""
    loop = stage.loop()
    jobids = stage.enqueue('effect', 1, 2)
    work = stage.claim(loop, 2)
    with session(stage) as (processor, manager):
        assert processor.cancelJob(jobids[1])
        for task in work:
            loop.act(task)
        stage.claim(loop)
        with pytest.raises(Exception, match='conflict'):
            manager.commit()
    assert not stage.do(lambda processor: processor.cancelJob(jobids[1]))
    assert (stage.effects, stage.stati(jobids)) == ({1: 1, 2: 1}, ['completed'] * 2)
    stage.check()


def test_elsewhere_the_first_claim_without_an_outcome_has_begun(shared):
    """The boxes of other hosts cannot be read."""
    loop = shared.loop()
    jobids = shared.enqueue('pure', *range(3))
    shared.claim(loop, 3)

    def move(processor):
        processor.store.seats[loop.name].host = 'elsewhere/1'
    shared.do(move)
    assert shared.stati(jobids) == ['processing', 'queued', 'queued']
    assert shared.do(lambda processor: [processor.cancelJob(jobid)
                                        for jobid in jobids]) == [False, True, True]
    shared.check()


def test_a_name_says_nothing_of_queues_and_ranks(stage):
    """E13: an @ in it, or a colon."""
    loops = [stage.loop('me@home'), stage.loop('me@home:1'), stage.loop('you', queues=('mail',))]
    for loop in loops:
        stage.claim(loop, 0)
    ranks = stage.do(lambda processor: [loop.post.rank(processor.store) for loop in loops])
    assert sorted(ranks[:2]) == [(0, 2), (1, 2)] and ranks[2] == (0, 1)


def test_each_thread_of_a_process_has_a_slot_of_its_own(stage):
    loops = [stage.loop(str(number)) for number in range(150)]
    assert len({loop.post.slot for loop in loops}) == 150
    loops[149].post.mark(7, None)
    assert [slot.jobid for slot in blackbox.read(loops[0].post.box.path).slots].count(7) == 1
    stage.loops.clear()
    for loop in loops:
        loop.free()
