# SPDX-License-Identifier: ZPL-2.1
"""Real workers that are told to stop, in every way: they say what they wait for, nobody is blamed,
and nothing is lost."""
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from p01.remote import verbs
from p01.remote.ground import blackbox
from p01.remote.testing import waitFor
from tests.acceptance.test_death import house  # noqa: F401 - a fixture
from tests.acceptance.trees import CODE, DEADLINE, ROOT, environment

STOPS = 4           # one more than the deaths that put a job aside


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize('group', [False, True], ids=['the supervisor', 'all of them'])
def test_a_running_job_may_end(house, number, group):     # noqa: F811
    tree = house.tree()
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    tree.ready()
    (os.killpg if group else os.kill)(tree.process.pid, number)
    waitFor(lambda: f'job {jobid} tests.acceptance.tasks.wait, which runs for ' in tree.said,
            DEADLINE, 'it does not say why')
    assert 'at most 30 s' in tree.said
    house.go(1)
    assert tree.wait() == 0
    view = house.stage.view(jobid)
    assert (view.status, view.runs, view.attempts,
            house.stage.effects) == ('completed', 1, (), {1: 1})
    assert list(tree.boxes.glob('*.box')) == []


@pytest.mark.parametrize('drain', [False, True])
def test_a_process_that_is_told_alone_is_replaced(house, drain):     # noqa: F811
    """The command says so, and a drain goes on until nothing is due."""
    jobids = house.stage.enqueue('wait', *((key, str(house.marks)) for key in range(3)))
    tree = house.tree(processes=1, drain=drain)
    pid = house.pidOf(0, jobids[0])
    os.kill(pid, signal.SIGTERM)
    waitFor(lambda: blackbox.isTold(next(tree.boxes.glob(f'{pid}-*.box'))), DEADLINE)
    for key in range(3):
        house.go(key)
    assert {view.status for view in house.finish(jobids)} == {'completed'}
    waitFor(lambda: 'and not the command; another one takes its place' in tree.said, DEADLINE)
    assert (tree.wait() if drain else tree.terminate()) == 0


@pytest.mark.parametrize('way', ['grace', 'twice', 'killed after'])
def test_stops_count_nothing_however_many(house, way):    # noqa: F811
    """After the grace; at a second signal; and when all are killed amidst it, as by systemd or
    Docker."""
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    for _ in range(STOPS):
        tree = house.tree(grace=0.2 if way == 'grace' else 30.0)
        house.pidOf(1, jobid)
        (house.marks / f'1.{jobid}.1').unlink()
        os.kill(tree.process.pid, signal.SIGTERM)
        if way != 'grace':
            waitFor(
                lambda tree=tree: tree.said.count('Stopping: workers wait') >= len(house.trees),
                DEADLINE)
        if way == 'twice':
            os.kill(tree.process.pid, signal.SIGTERM)
        if way == 'killed after':
            tree.kill()
        else:
            assert tree.wait() == 0
            view = house.stage.view(jobid)
            assert (view.status, view.runs, view.attempts) == ('queued', 0, ())
    house.go(1)
    house.tree(drain=True).wait()
    view = house.stage.view(jobid)
    assert (view.status, view.runs, view.attempts,
            house.stage.effects) == ('completed', 1, (), {1: 1})


def test_a_terminal_that_is_closed_takes_nothing_with_it(house):      # noqa: F811
    """A real one: its kernel tells the whole group."""
    leader, follower = pty.openpty()
    code = ('import os, sys; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, '
            '0)\n' + CODE)
    process = subprocess.Popen([sys.executable, '-c', code, repr({'processes': 2, 'waitTime': 0.2}),
                                'tests.acceptance.tasks:app'], cwd=ROOT,
                               env=environment(house.address), stdin=follower,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    os.close(follower)
    try:
        [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
        house.pidOf(1, jobid)
        os.close(leader)
        time.sleep(0.1)
        house.go(1)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    view = house.stage.view(jobid)
    assert (view.status, view.runs, view.attempts,
            house.stage.effects) == ('completed', 1, (), {1: 1})


def test_a_drain_says_what_it_leaves(house):      # noqa: F811
    later = house.stage.enqueue('effect', 1, delay=3600)
    house.stage.enqueue('effect', 2, 3, queue='held')
    house.stage.do(lambda processor: verbs.pause(processor.store, 'held'))
    house.stage.enqueue('effect', 4)
    assert house.tree(drain=True).wait() == 1       # what is paused is due all the same
    house.stage.do(lambda processor: verbs.resume(processor.store, 'held'))
    assert house.tree(drain=True).wait() == 0
    assert house.stage.stati(later) == ['delayed']
    assert house.stage.effects == {2: 1, 3: 1, 4: 1}


def test_a_drain_that_is_stopped_with_due_jobs_left_says_so(house):       # noqa: F811
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    tree = house.tree(drain=True, processes=1)
    house.pidOf(1, jobid)
    house.stage.enqueue('effect', 2)
    os.kill(tree.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    house.go(1)
    assert tree.wait() == 1


def test_a_job_behind_a_long_one_runs_in_the_other_process(house):        # noqa: F811
    """And only the job that runs is blamed when its process is killed."""
    house.tree(processes=1, lease=600)
    # the worker is used to short jobs
    house.finish(house.stage.enqueue('pure', *range(500)))
    long, *others = house.stage.enqueue('wait', (1,
                                                 str(house.marks))) + house.stage.enqueue('effect',
                                                                                          *range(2,
                                                                                                 12))
    pid = house.pidOf(1, long)
    house.tree(processes=1, lease=600)
    assert {view.status for view in house.finish(others)} == {'completed'}
    os.kill(pid, signal.SIGKILL)
    [view] = house.finish([long])
    assert (view.status, view.runs, len(view.attempts)) == ('completed', 2, 1)
    assert house.stage.effects == dict.fromkeys(range(1, 12), 1)
