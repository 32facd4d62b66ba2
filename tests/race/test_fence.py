# SPDX-License-Identifier: ZPL-2.1
"""The fence: whoever comes too late is refused, and whatever he changed vanishes. Each test is one
interleaving."""
import time

import pytest
from ZODB.POSException import ConflictError

from p01.remote import verbs
from p01.remote.engine import rescuing
from p01.remote.options import DEATHS
from p01.remote.store.slips import SLIPROOM
from tests.acceptance import tasks
from tests.race.stage import session

# -- rescued between a job and its commit

def test_a_late_commit_is_refused_and_its_effects_vanish(stage):
    [jobid] = stage.enqueue('effect', 7)
    late = stage.loop('late')
    [task] = stage.claim(late)
    tasks.interlude.append(lambda: (stage.rescue(late, {jobid}), stage.drain()))
    late.act(task)
    assert stage.effects == {7: 1}
    view = stage.view(jobid)
    assert (view.status, view.runs) == ('completed', 2)
    assert view.outcome.worker.startswith('drain')
    stage.claim(late)
    stage.leave(late)
    assert stage.view(jobid).outcome == view.outcome
    stage.check()


def test_a_late_commit_is_refused_while_the_job_waits_again(stage):
    [jobid] = stage.enqueue('effect', 7)
    late = stage.loop('late')
    [task] = stage.claim(late)
    tasks.interlude.append(lambda: stage.rescue(late, {jobid}))
    late.act(task)
    assert stage.effects == {}
    assert stage.stati([jobid]) == ['queued']
    stage.drain()
    assert stage.effects == {7: 1}


def test_a_late_commit_is_refused_whatever_is_on_the_slip(stage):
    """It may be one that the late finisher has written before, or one that it has just begun."""
    jobids = stage.enqueue('effect', *range(SLIPROOM + 2))
    late = stage.loop('late')
    work = stage.claim(late, SLIPROOM + 2)
    tasks.interlude.extend([lambda: None] * SLIPROOM)
    tasks.interlude.append(lambda: (stage.rescue(late, {jobids[SLIPROOM]}), stage.drain()))
    for task in work:
        late.act(task)
    assert stage.effects == dict.fromkeys(range(SLIPROOM + 2), 1)
    assert set(stage.stati(jobids)) == {'completed'}
    stage.check()


@pytest.mark.parametrize('before', [SLIPROOM, SLIPROOM - 1], ids=['a new slip', 'an old slip'])
def test_a_late_commit_meets_the_eviction(stage, before):
    """Nobody has fenced a slip that is not there yet; the shelf is where the two meet."""
    stage.enqueue('effect', *range(before + 1))
    late = stage.loop('late')
    work = stage.claim(late, before + 1)
    for task in work[:before]:
        late.act(task)
    tasks.interlude.append(lambda: stage.do(lambda processor: verbs.evict(processor.store,
                                                                          processor.store.seats[
                                                                              late.name])))
    late.act(work[before])
    assert stage.effects == dict.fromkeys(range(before), 1)


def test_a_late_commit_is_refused_when_its_job_was_put_aside(stage):
    jobids = stage.enqueue('effect', *range(SLIPROOM + 1))
    for number in range(DEATHS - 1):
        dead = stage.loop(f'dead{number}')
        stage.claim(dead, 1)
        stage.rescue(dead, {jobids[0]})
    late = stage.loop('late')
    work = {task.id: task for task in stage.claim(late, SLIPROOM + 1)}
    tasks.interlude.extend([lambda: None] * SLIPROOM)
    tasks.interlude.append(lambda: stage.rescue(late, {jobids[0]}))
    for jobid in [*jobids[1:], jobids[0]]:
        late.act(work[jobid])
    assert stage.effects == dict.fromkeys(range(1, SLIPROOM + 1), 1)
    assert stage.view(jobids[0]).status == 'error'
    stage.check()


def test_a_late_commit_is_refused_with_a_snapshot_from_after_the_rescue(stage):
    [jobid] = stage.enqueue('effect', 7)
    late = stage.loop('late')
    [task] = stage.claim(late)
    stage.rescue(late, {jobid})
    late.act(task)
    assert stage.effects == {}
    stage.drain()
    assert stage.effects == {7: 1}


def test_a_refused_worker_leaves_the_rest_of_its_batch(stage):
    jobids = stage.enqueue('effect', *range(5))
    late = stage.loop('late')
    late.batch.average = 0.001
    tasks.interlude.append(lambda: (stage.rescue(late, {jobids[0]}), stage.drain()))
    late.poll(time.time())
    assert stage.effects == dict.fromkeys(range(5), 1)
    assert {stage.view(jobid).outcome.worker.split(':')[0] for jobid in jobids} == {'drain'}
    stage.check()


def test_a_late_failure_counts_nothing(stage):
    [jobid] = stage.enqueue('stumble', 7)
    late = stage.loop('late')
    [task] = stage.claim(late)
    tasks.interlude.append(lambda: stage.rescue(late, {jobid}))
    late.act(task)
    view = stage.view(jobid)
    assert (view.status, view.runs) == ('queued', 1)
    assert [attempt.reason.split(':')[0] for attempt in view.attempts] == ['WorkerDied']
    stage.drain()
    assert stage.effects == {7: 1}
    stage.check()


# -- rescued between a job's commit and the bookkeeping

def test_what_is_committed_stays_when_its_worker_is_rescued_before_it_settles(stage):
    jobids = stage.enqueue('effect', 1, 2, 3)
    late = stage.loop('late')
    work = stage.claim(late, 3)
    late.act(work[0])
    late.act(work[1])
    assert stage.stati(jobids) == ['completed', 'completed', 'processing']
    stage.rescue(late, {jobids[2]})
    assert stage.stati(jobids) == ['completed', 'completed', 'queued']
    stage.claim(late, 0)
    assert stage.stati(jobids) == ['completed', 'completed', 'queued']
    stage.drain()
    assert stage.effects == {1: 1, 2: 1, 3: 1}
    assert [stage.view(jobid).runs for jobid in jobids] == [1, 1, 2]
    stage.check()


def test_outcomes_only_in_memory_are_dropped_when_others_have_the_jobs(stage):
    jobids = stage.enqueue('pure', 1, 2)
    late = stage.loop('late')
    for task in stage.claim(late, 2):
        late.act(task)
    stage.rescue(late, set())
    assert stage.stati(jobids) == ['queued', 'queued']
    stage.drain()
    before = [stage.view(jobid).outcome for jobid in jobids]
    assert {outcome.worker.split(':')[0] for outcome in before} == {'drain'}
    stage.claim(late)
    assert [stage.view(jobid).outcome for jobid in jobids] == before
    stage.check()


def test_outcomes_only_in_memory_are_dropped_while_others_run_the_jobs(stage):
    [jobid] = stage.enqueue('pure', 1)
    late, other = stage.loop('late'), stage.loop('other')
    late.act(*stage.claim(late))
    stage.rescue(late, set())
    [task] = stage.claim(other)
    stage.claim(late, 0)
    assert stage.view(jobid).worker == other.name
    other.act(task)
    stage.claim(other)
    assert stage.view(jobid).outcome.worker == other.name
    stage.check()


# -- rescue against bookkeeping, each first

def rescued(processor, loop):
    seat = processor.store.seats[loop.name]
    rescuing.rescue(processor.store, seat, time.time(), set())


def test_rescue_overtakes_settle(stage):
    jobids = stage.enqueue('effect', 1, 2)
    late = stage.loop('late')
    for task in stage.claim(late, 2):
        late.act(task)
    with session(stage) as (processor, manager):
        verbs.settle(processor.store, processor.store.seats[late.name], {})
        stage.rescue(late, set())
        with pytest.raises(ConflictError):
            manager.commit()
    stage.claim(late)
    stage.drain()
    assert stage.effects == {1: 1, 2: 1}
    assert [stage.view(jobid).runs for jobid in jobids] == [1, 1]
    stage.check()


def test_settle_overtakes_rescue(stage):
    jobids = stage.enqueue('effect', 1, 2)
    late = stage.loop('late')
    for task in stage.claim(late, 2):
        late.act(task)
    with session(stage) as (processor, manager):
        rescued(processor, late)
        stage.claim(late, 0)
        with pytest.raises(ConflictError):
            manager.commit()
    assert stage.stati(jobids) == ['completed', 'completed']
    stage.check()


@pytest.mark.parametrize('claims', [0, 1])
def test_rescue_overtakes_claim(stage, claims):
    jobids = stage.enqueue('effect', *range(3))
    late = stage.loop('late')
    stage.claim(late, claims)
    with session(stage) as (processor, manager):
        assert verbs.claim(processor.store, processor.store.seats[late.name], 2, time.time())
        stage.rescue(late, set())
        with pytest.raises(ConflictError):
            manager.commit()
    stage.drain()
    assert set(stage.stati(jobids)) == {'completed'}
    stage.check()


@pytest.mark.parametrize('claims', [0, 1])
def test_claim_overtakes_rescue(stage, claims):
    """Also when the worker had nothing, and its seat was only cleared away: what it claims
    meanwhile must not go with it."""
    late = stage.loop('late')
    jobids = stage.enqueue('effect', *range(4))
    for task in stage.claim(late, claims + 1):
        late.act(task)
    stage.claim(late, claims)
    with session(stage) as (processor, manager):
        rescued(processor, late)
        stage.claim(late, claims + 1)
        with pytest.raises(ConflictError):
            manager.commit()
    for task in stage.claim(late, 4):
        late.act(task)
    stage.claim(late, 4)
    stage.drain()
    assert set(stage.stati(jobids)) == {'completed'}
    assert stage.effects == dict.fromkeys(range(4), 1)
    stage.check()


def test_the_end_of_a_worker_overtakes_its_rescue(stage):
    jobids = stage.enqueue('effect', 1, 2)
    late = stage.loop('late')
    late.act(stage.claim(late, 2)[0])
    with session(stage) as (processor, manager):
        rescued(processor, late)
        stage.leave(late)
        with pytest.raises(ConflictError):
            manager.commit()
    stage.drain()
    assert set(stage.stati(jobids)) == {'completed'}
    assert stage.effects == {1: 1, 2: 1}
    stage.check()


def test_rescue_overtakes_the_end_of_a_worker(stage):
    jobids = stage.enqueue('effect', 1, 2)
    late = stage.loop('late')
    late.act(stage.claim(late, 2)[0])
    stage.rescue(late, set())
    stage.leave(late)
    stage.drain()
    assert set(stage.stati(jobids)) == {'completed'}
    assert stage.effects == {1: 1, 2: 1}
    stage.check()
