# SPDX-License-Identifier: ZPL-2.1
"""Jobs that share a commit, and what comes between them and it. Each test is one interleaving, but
the last."""
import random
import time
from functools import partial

import pytest
import transaction
from persistent.mapping import PersistentMapping

from p01.remote.engine import death, heartbeat
from p01.remote.engine.loop import Loop
from p01.remote.job import Job
from p01.remote.options import Policy, WorkerOptions
from p01.remote.views import listing
from tests.acceptance import tasks
from tests.conftest import commit, counted, stored, unhurry
from tests.race.test_failure import Away, AwayForNow, trouble  # noqa: F401 - a fixture
from tests.race.test_threads import Threads

KEYS = range(6)
WHERE = [0, 2, 5]           # the job of the group in which something happens


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """However slow this machine is, what is to share a commit does."""
    unhurry(monkeypatch)


def worker(stage, name='late'):
    """One whose jobs share commits."""
    loop = stage.loop(name, together=True)
    loop.batch.average = 1e-4         # it claims them all at once
    return loop


def step(loop):
    """Run what it claims."""
    loop.poll(time.time())


def at(number, happens):
    """Have that happen when so many jobs have run, at the end of the next one."""
    tasks.interlude.extend([lambda: None] * number)
    tasks.interlude.append(happens)


def done(stage, jobids):
    """AssertionError when a job's effect or outcome is not there, or there twice."""
    stage.drain(later=3600)
    assert stage.effects == dict.fromkeys(KEYS, 1)
    assert set(stage.stati(jobids)) == {'completed'}
    stage.check()


@pytest.mark.parametrize('number', WHERE)
@pytest.mark.parametrize('finished', [True, False], ids=['others have finished them', 'they wait'])
def test_one_that_was_thought_dead_commits_nothing(stage, number, finished):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)
    at(number, lambda: (stage.rescue(late, {jobids[number]}), finished and stage.drain()))
    step(late)
    assert stage.effects == (dict.fromkeys(KEYS, 1) if finished else {})
    outcomes = [stage.view(jobid).outcome for jobid in jobids]
    step(late) if finished else stage.leave(late)
    done(stage, jobids)
    if finished:
        assert [stage.view(jobid).outcome for jobid in jobids] == outcomes
    assert [stage.view(jobid).runs for jobid in jobids] == [1 + (jobid == jobids[number])
                                                            for jobid in jobids]


@pytest.mark.parametrize('number', WHERE)
def test_one_whose_time_is_over_is_nobody_elses_trouble(stage, number):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)
    at(number, lambda: heartbeat.overrun(late))
    step(late)
    assert stage.effects == {key: 1 for key in KEYS if key != number}
    step(late)
    done(stage, jobids)
    assert [stage.view(jobid).runs for jobid in jobids] == [1 + (jobid == jobids[number])
                                                            for jobid in jobids]


def test_a_job_that_is_cancelled_before_it_has_begun(stage):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)
    cancelled = []
    at(2, lambda: cancelled.extend(stage.do(lambda processor: [*map(processor.cancelJob,
                                                                    jobids[3:5])])))
    step(late)
    step(late)
    assert cancelled == [True, True]
    assert stage.effects == {0: 1, 1: 1, 2: 1, 5: 1}
    assert stage.stati(jobids) == ['completed'] * 3 + ['cancelled'] * 2 + ['completed']
    stage.check()


def test_one_that_has_run_and_waits_for_the_commit_cannot_be_cancelled(stage):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)
    cancelled = []
    at(3, lambda: cancelled.append(stage.do(lambda processor: processor.cancelJob(jobids[1]))))
    step(late)
    assert cancelled == [False]
    done(stage, jobids)


@pytest.mark.parametrize('number', WHERE)
def test_a_conflict_costs_no_attempt_and_makes_groups_smaller(stage, number):
    jobids = stage.enqueue('add', *[(key,) for key in KEYS])
    late = worker(stage)
    at(number, lambda: stage.do(lambda processor: tasks.addTo(processor._p_jar.root(), 100)))
    step(late)
    assert late.group.sizes.limits.keys() == {'tests.acceptance.tasks.add'}
    assert late.group.sizes.most(late.group.sizes.limits) < len(KEYS)
    step(late)
    done(stage, jobids)
    assert stage.do(lambda processor: processor._p_jar.root()['sum']['value']) == 100 + len(KEYS)
    views = [stage.view(jobid) for jobid in jobids]
    assert [(view.runs, view.attempts) for view in views] == [(1, ())] * len(KEYS)


def test_no_conflict_makes_no_group_smaller(stage):
    stage.enqueue('add', *[(key,) for key in KEYS])
    late = worker(stage)
    step(late)
    assert late.group.sizes.limits == {}
    assert stage.do(lambda processor: processor._p_jar.root()['sum']['value']) == len(KEYS)


@pytest.mark.parametrize('error', [Away, AwayForNow])
@pytest.mark.parametrize('times', [1, 3])
@pytest.mark.parametrize('after', [True, False], ids=['committed', 'not committed'])
def test_a_commit_that_raises_is_settled_by_reading_back(stage, trouble, error, times,      # noqa: F811
                                                         after):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)
    at(5, lambda: trouble(late, error, after, times))
    for _ in range(times):
        try:
            step(late)
        except Away as raised:      # in a bookkeeping
            late.endure(raised)
    step(late)
    if after:
        assert [(view.status, view.runs)
                for view in map(stage.view, jobids)] == [('completed', 1)] * len(KEYS)
    done(stage, jobids)


def committed(loop, monkeypatch):
    """The ids of the jobs of each commit of this worker, as they come."""
    found, complete = [], loop.post.complete
    monkeypatch.setattr(loop.post,
                        'complete', lambda store, outcomes: (found.append([*outcomes]),
                                                             complete(store, outcomes)))
    return found


def test_a_job_that_took_its_worker_down_runs_by_itself(stage, monkeypatch):
    jobids = stage.enqueue('effect', *KEYS)
    dead = stage.loop('dead')
    stage.claim(dead, 10)
    stage.rescue(dead, {jobids[0], jobids[3]})
    late = worker(stage)
    commits = committed(late, monkeypatch)
    for _ in range(3):
        step(late)
    done(stage, jobids)
    assert sorted(map(len, commits)) == [1, 1, 4] or sorted(map(len, commits)) == [1, 1, 2, 2]
    assert [jobids[0]] in commits
    assert [jobids[3]] in commits


def blamed(stage, loop, found):
    """Note on which jobs it would be laid if this worker's process died now."""
    def look(processor):
        seat = processor.store.seats[loop.name]
        found.append(death.ran(seat, death.boxOf(seat)))

    stage.do(look)


def test_where_a_worker_dies_says_on_whom_it_is_laid(shared):
    """On the job that runs; within the commit of several nobody knows on which."""
    jobids = shared.enqueue('effect', *KEYS)
    late = worker(shared)
    found = []
    look = partial(blamed, shared, late, found)
    at(2, lambda: (look(), transaction.get().addBeforeCommitHook(look)))
    step(late)
    assert found == [{jobids[2]}, None]
    done(shared, jobids)


def test_one_that_runs_by_itself_behind_others_is_known_to_run(shared):
    """It was tried along with them, and is what ran last when they are committed."""
    jobids = shared.enqueue('effect', *KEYS)
    late = worker(shared)
    found = []
    look = partial(blamed, shared, late, found)
    at(3, lambda: (look(), tasks.interlude.append(look), transaction.abort()))
    step(late)
    assert found == [{jobids[3]}] * 2
    done(shared, jobids)


def test_whoever_interrupts_takes_all_of_it_back(stage):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)

    def interrupt():
        raise KeyboardInterrupt

    at(3, interrupt)
    with pytest.raises(KeyboardInterrupt):
        step(late)
    stage.leave(late)
    assert stage.effects == {}
    assert set(stage.stati(jobids)) == {'queued'}
    done(stage, jobids)
    assert [stage.view(jobid).runs for jobid in jobids] == [1] * len(jobids)


def test_one_that_was_cancelled_before_the_first_began_disturbs_nobody(stage, monkeypatch):
    jobids = stage.enqueue('effect', *KEYS)
    late = worker(stage)
    commits, hold = committed(late, monkeypatch), late.post.hold
    monkeypatch.setattr(late.post, 'hold', lambda given: (
        stage.do(lambda processor: processor.cancelJob(jobids[3])), hold(given))[1] if given[3:]
                        else hold(given))
    step(late)
    step(late)
    assert commits == [jobids[:3], jobids[4:]]
    assert stage.stati(jobids) == ['completed'] * 3 + ['cancelled'] + ['completed'] * 2


@pytest.mark.parametrize('count', [1, len(KEYS)])
@pytest.mark.parametrize('after', [True, False], ids=['committed', 'not committed'])
def test_a_storage_that_goes_away_under_them(stage, trouble, told, after, count,      # noqa: F811
                                             monkeypatch):
    """Nobody can look how the commit ended, until it is there again."""
    jobids = stage.enqueue('effect', *KEYS[:count])
    late = worker(stage)

    def away(*args):
        raise Away('the storage is away')

    def goes():
        trouble(late, Away, after)
        monkeypatch.setattr(late.session, 'begin', away)

    at(count // 2, goes)
    with pytest.raises(Away):
        step(late)
    assert [task.id for task in late.group.unsure] == jobids
    monkeypatch.undo()
    unhurry(monkeypatch)
    late.endure(Away())
    step(late)
    assert late.group.unsure == []
    jobids += stage.enqueue('effect', *KEYS[count:])
    done(stage, jobids)
    assert not [event for event in told if type(event).__name__ == 'ClaimRefused']


def test_what_the_next_ones_enqueue_is_there_whatever_those_between_do(stage):
    """A segment that a failed job began to fill is gone back to, with all that the connection knows
    of it."""
    jobids = stage.enqueue('chain', *[(key, key % 2) for key in KEYS])
    late = worker(stage)
    step(late)
    while not late.idle:
        step(late)
    even = [key for key in KEYS if not key % 2]
    assert stage.effects == dict.fromkeys(even, 1) | dict.fromkeys((key + 100 for key in even), 1)
    assert stage.stati(jobids) == ['error' if key % 2 else 'completed' for key in KEYS]
    assert stage.do(lambda processor: len(list(listing.ids(processor.store)))) == len(KEYS) + len(
        even)
    stage.check()


def test_a_unique_key_of_a_job_that_failed_is_free(stage):
    stage.enqueue('chain', (0, 1, 'key'), (1, 0, 'key'), (2, 0, 'key'))
    late = worker(stage)
    step(late)
    while not late.idle:
        step(late)
    assert stage.effects == {1: 1, 2: 1, 101: 1}
    stage.check()


# -- two at once

class Adds(Job):
    """Adds to one of a few sums, and now and then fails or enqueues one more."""

    policy = Policy(retries=9)
    together = True

    def __call__(self, remoteProcessor):
        key, more = self.input
        root = remoteProcessor._p_jar.root()
        root['sums'][key % 3]['value'] += 1
        if more:
            remoteProcessor.processJob('adds', (key, 0))
        if key % 5 == 0 and self.runCounter == 1:
            raise ValueError(key)
        return key


@pytest.mark.slow
def test_two_that_meet_at_the_same_objects(place):
    processor = stored(place)
    processor.addJob('adds', Adds())
    processor._p_jar.root()['sums'] = {number: PersistentMapping(value=0) for number in range(3)}
    commit(processor)
    count = 60 if place.kind in ('memory', 'file', 'sqlite') else 20
    for key in range(count):
        processor.processJob('adds', (key, key % 4 == 0))
    commit(processor)
    threads, loops = Threads(), []
    for db, name in ((place.db, 'one'), (place.openAgain(), 'two')):
        loops.append(Loop(db, partial(lambda connection: connection.root()['processor']), name,
                          WorkerOptions(drain=True)))
        loops[-1].ready()
        loops[-1].batch.average = 60 / random.randint(2, count)
        threads.start(loops[-1].work)
    threads.join()
    for loop in loops:
        loop.close()
    commit(processor)
    more = len(range(0, count, 4))
    assert counted(processor) == {'completed': count + more}
    sums = processor._p_jar.root()['sums']
    assert [sums[each]['value'] for each in range(3)] == [
        sum(1 + (key % 4 == 0) for key in range(count) if key % 3 == each) for each in range(3)]
