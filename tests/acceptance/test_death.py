# SPDX-License-Identifier: ZPL-2.1
"""Real processes that die, hang, are stopped and go on: their jobs run again, once; those that kill
are put aside."""
import os
import signal
from pathlib import Path

import pytest

from p01.remote.testing import waitFor
from tests.acceptance.trees import DEADLINE, Tree
from tests.race.stage import Stage

FINISHED = {'completed', 'error', 'cancelled'}


class House:
    """A database with worker trees on it."""

    def __init__(self, folder):
        self.folder = folder
        self.address = f'sqlite:{folder / "jobs"}'
        self.stage = Stage(self.address)
        self.trees = []
        self.marks = folder / 'marks'
        self.marks.mkdir()

    def tree(self, **options):
        self.trees.append(Tree(self.address, self.folder, **options))
        return self.trees[-1]

    def pidOf(self, key, jobid, run=1):
        """The process in which this run of a job happens, once it does."""
        path = self.marks / f'{key}.{jobid}.{run}'
        return int(waitFor(lambda: path.exists() and path.read_text(), DEADLINE,
                           f'{path.name} does not begin'))

    def go(self, key):
        """Let a waiting job go on."""
        (self.marks / f'{key}.go').touch()

    def finish(self, jobids):
        """Wait until all have finished; returns their views."""
        waitFor(lambda: set(self.stage.stati(jobids)) <= FINISHED, DEADLINE,
                f'{jobids} do not finish')
        return [self.stage.view(jobid) for jobid in jobids]

    def close(self):
        for tree in self.trees:
            tree.kill()
            for line in tree.said.splitlines():
                print(line)
        self.stage.check()
        self.stage.close()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


def ended(pid):
    """Whether a process is gone, or only waits to be noticed by its parent."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_worker_is_noticed_at_once(house):
    """Within DEADLINE, which is the length of a lease; without the kernel's word nobody would look
    that early."""
    house.tree(lease=600)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    others = house.stage.enqueue('effect', *range(2, 22))
    os.kill(house.pidOf(1, jobid), signal.SIGKILL)
    [view, *rest] = house.finish([jobid, *others])
    assert (view.status, view.runs) == ('completed', 2)
    assert [attempt.reason
            for attempt in view.attempts] == ['WorkerDied: was killed by signal SIGKILL']
    assert {(each.status, each.runs) for each in rest} == {('completed', 1)}
    assert house.stage.effects == dict.fromkeys(range(1, 22), 1)


def test_a_killed_worker_is_noticed_when_its_supervisor_was_killed_too(house):
    """By the workers of another tree, from its box."""
    first = house.tree(lease=600)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    first.kill()
    house.tree(lease=600)
    [view] = house.finish([jobid])
    assert (view.status, view.runs, house.stage.effects) == ('completed', 2, {1: 1})


def test_a_tree_that_is_killed_is_noticed_at_once_by_another(house):
    """The kernel tells it: nobody's round comes by."""
    trees = [house.tree(target='tests.acceptance.quiet:app', processes=1, lease=600)
             for _ in range(2)]
    for tree in trees:
        tree.ready(1)
    waitFor(lambda: house.stage.do(lambda processor: len(processor.store.seats)) == 2, DEADLINE,
            'they do not sit')
    for key in range(1, 5):         # each kills the one that works; the other has its job
        [jobid] = house.stage.enqueue('wait', (key, str(house.marks)))
        pid = house.pidOf(key, jobid)
        [victim] = [tree for tree in trees if pid in tree.workers()]
        victim.kill()
        trees.remove(victim)
        house.pidOf(key, jobid, 2)
        house.go(key)
        [view] = house.finish([jobid])
        assert (view.status, view.runs) == ('completed', 2)
        assert [attempt.reason
                for attempt in view.attempts] == ['WorkerDied: it was killed with its supervisor']
        trees.append(house.tree(target='tests.acceptance.quiet:app', processes=1, lease=600))
        trees[-1].ready(1)
    assert house.stage.effects == dict.fromkeys(range(1, 5), 1)
    assert {int(box.name.partition('-')[0]) for box in trees[0].boxes.glob('*.box')} \
        == {pid for tree in trees for pid in tree.workers()}


def test_workers_end_when_their_supervisor_is_killed(house):
    tree = house.tree()
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    tree.ready()
    pids = tree.workers()
    os.kill(tree.process.pid, signal.SIGKILL)
    tree.process.wait()
    house.go(1)
    waitFor(lambda: all(ended(pid) for pid in pids), DEADLINE, f'{pids} go on')
    assert (house.stage.stati([jobid]), house.stage.effects) == (['completed'], {1: 1})
    assert house.stage.do(lambda processor: len(processor.store.seats)) == 0


def test_a_worker_stopped_for_longer_than_its_lease_is_refused(house):
    tree = house.tree(lease=1)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    pid = house.pidOf(1, jobid)
    os.kill(pid, signal.SIGSTOP)
    try:
        [view] = house.finish([jobid])
        house.go(1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (view.status, view.runs, house.stage.effects) == ('completed', 2, {1: 1})
    waitFor(lambda: f'Job {jobid} tests.acceptance.tasks.wait:' in tree.said
            and 'finished too late' in tree.said, DEADLINE)
    assert house.stage.view(jobid) == view
    assert house.stage.effects == {1: 1}
    others = house.stage.enqueue('effect', *range(2, 22))
    house.finish(others)        # and it works on
    assert house.stage.effects == dict.fromkeys(range(1, 22), 1)
    assert tree.terminate() == 0


def test_a_long_job_outlives_its_lease(house):
    """Its worker sends heartbeats, so that nobody takes it over, though there is somebody who
    would."""
    house.tree(lease=1)
    jobids = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobids[0])

    def beat():
        return house.stage.do(lambda processor: next(seat.beat
                                                     for seat in processor.store.seats.values()
                                                     if seat.claims))
    first = beat()
    # a round of the other's janitor
    waitFor(lambda: beat() > first + 6, DEADLINE, 'there is no heartbeat')
    house.go(1)
    [view] = house.finish(jobids)
    assert (view.status, view.runs, house.stage.effects) == ('completed', 1, {1: 1})


def test_jobs_that_kill_are_put_aside(house):
    house.tree()
    pills = house.stage.enqueue('leave', (100, 3), (101, 0)) + house.stage.enqueue('crash', 102) \
        + house.stage.enqueue('devour', 103)
    others = house.stage.enqueue('effect', *range(20))
    views = house.finish([*pills, *others])
    for view in views[:len(pills)]:
        assert view.outcome.error.startswith('Put aside: 3 workers died while they ran this job (')
        assert (view.status, view.runs) == ('error', 3)
        assert {attempt.reason.partition(':')[0] for attempt in view.attempts} == {'WorkerDied'}
    assert {(view.status, view.runs) for view in views[len(pills):]} == {('completed', 1)}
    assert house.stage.effects == dict.fromkeys(range(20), 1)


def test_a_job_that_closes_the_files_of_its_process_is_put_aside(house):
    """Nothing that its process holds open is there any more, the database neither; it ends at
    once, and the job is blamed, not the disk."""
    house.tree()
    [pill] = house.stage.enqueue('closes', 100)
    others = house.stage.enqueue('effect', *range(20))
    [view, *rest] = house.finish([pill, *others])
    assert view.outcome.error.startswith('Put aside: 3 workers died while they ran this job (')
    assert {each.status for each in rest} == {'completed'}
    assert house.stage.effects == dict.fromkeys(range(20), 1)


def test_a_job_that_takes_all_memory_blocks_nobody(house):
    """It leaves its worker without memory to write down what happened."""
    house.tree()
    [jobid] = house.stage.enqueue('greedy', 100)
    others = house.stage.enqueue('effect', *range(20))
    [view, *_] = house.finish([jobid, *others])
    assert view.status == 'error'
    assert 'Memory' in view.outcome.error or 'Put aside' in view.outcome.error
    assert house.stage.effects == dict.fromkeys(range(20), 1)


def test_a_job_that_kills_ends_no_drain(house):
    """One that says that all went well, at that."""
    [pill,
     *others] = house.stage.enqueue('leave', (100, 0)) + house.stage.enqueue('effect', *range(5))
    assert house.tree(processes=1, drain=True).wait() == 0
    assert house.stage.stati([pill, *others]) == ['error'] + ['completed'] * 5
    assert house.stage.effects == dict.fromkeys(range(5), 1)


def test_a_job_beyond_its_timeout_is_killed_and_runs_again(house):
    house.tree()
    [jobid] = house.stage.enqueue('overrun', (1, str(house.marks)))
    others = house.stage.enqueue('effect', *range(2, 12))
    [view, *_] = house.finish([jobid, *others])
    assert (view.status, view.runs) == ('completed', 2)
    [attempt] = view.attempts
    assert attempt.reason.startswith('TimedOut: it ran longer than its timeout of 1 s, and stood '
                                     'in overrun (')
    assert attempt.trace.splitlines()[-1].endswith(', in overrun')
    assert house.stage.effects == dict.fromkeys(range(1, 12), 1)


def test_term_lets_running_jobs_end_and_starts_no_others(house):
    tree = house.tree(processes=1)
    [jobid,
     *others] = house.stage.enqueue('wait', (1,
                                             str(house.marks))) + house.stage.enqueue('effect',
                                                                                      *range(2, 12))
    house.pidOf(1, jobid)
    tree.process.terminate()
    waitFor(lambda: 'Stopping: workers wait for' in tree.said, DEADLINE, 'nobody stops the loop')
    house.go(1)
    assert tree.wait() == 0
    assert house.stage.stati([jobid, *others]) == ['completed'] + ['queued'] * 10
    assert house.stage.effects == {1: 1}
    assert house.stage.do(lambda processor: len(processor.store.seats)) == 0
    assert list(tree.boxes.glob('*.box')) == []
    assert house.tree(drain=True).wait() == 0
    assert set(house.stage.stati([jobid, *others])) == {'completed'}
    assert house.stage.effects == dict.fromkeys(range(1, 12), 1)
