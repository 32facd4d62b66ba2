# SPDX-License-Identifier: ZPL-2.1
"""People ask of real workers what they do: a job is to end."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from p01.remote.ground import blackbox
from tests.acceptance.test_death import house  # noqa: F401 - a fixture
from tests.acceptance.trees import DEADLINE, ROOT, environment

APP = 'tests.acceptance.tasks:app'


def command(house, *words):     # noqa: F811
    """What the command prints as JSON, from another process."""
    done = subprocess.run([sys.executable, '-m', 'p01.remote', *map(str, words), '--json'],
                          cwd=ROOT,
                          env=environment(house.address), capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def cancelled(house, jobid):     # noqa: F811
    """The view of a job that was cancelled while it ran; nothing of it is left, and its workers go
    on."""
    [view] = house.finish([jobid])
    assert (view.status, house.stage.effects, view.outcome.asked.who) == ('cancelled', {}, 'roy')
    others = house.stage.enqueue('effect', *range(10, 20))
    assert {each.status for each in house.finish(others)} == {'completed'}
    assert 'put aside' not in house.trees[-1].said
    return view


@pytest.mark.parametrize('elsewhere', [False, True], ids=['this host', 'another host'])
def test_a_job_that_looks_ends_at_once(house, elsewhere, monkeypatch):      # noqa: F811
    house.tree()
    handle = house.stage.app.handle(house.stage.enqueue('heed', (1, str(house.marks)))[0])
    pid = house.pidOf(1, handle.id)
    if elsewhere:
        monkeypatch.setattr(blackbox, 'HOST', 'elsewhere/1234')
        time.sleep(0.1)
    assert handle.cancel(running=True, grace=DEADLINE, who='roy')
    view = cancelled(house, handle.id)
    assert (view.runs, view.attempts, house.trees[0].process.poll()) == (1, (), None)
    assert pid in house.trees[0].workers()
    assert handle.cancel(running=True) is False


@pytest.mark.parametrize('elsewhere', [False, True], ids=['this host', 'another host'])
@pytest.mark.parametrize('way', ['blind', 'hold'])
def test_the_process_of_one_that_does_not_is_killed_and_replaced(
        house, way, elsewhere, monkeypatch):    # noqa: F811
    house.tree()
    handle = house.stage.app.handle(house.stage.enqueue('heed', (1, str(house.marks), way))[0])
    pid = house.pidOf(1, handle.id)
    if elsewhere:
        monkeypatch.setattr(blackbox, 'HOST', 'elsewhere/1234')
    assert handle.cancel(running=True, grace='200ms', who='roy')
    view = cancelled(house, handle.id)
    assert pid not in house.trees[0].workers()
    [attempt] = view.attempts
    assert attempt.reason.startswith('Cancelled: it did not end within 0.2 s, and stood in heed (')
    house.trees[0].ready()


@pytest.mark.parametrize('who', ['the worker', 'its supervisor as well'])
def test_workers_that_die_amidst_it_have_it_cancelled(house, who):      # noqa: F811
    tree = house.tree()
    handle = house.stage.app.handle(house.stage.enqueue('heed', (1, str(house.marks), 'blind'))[0])
    pid = house.pidOf(1, handle.id)
    assert handle.cancel(running=True, grace=DEADLINE, who='roy')
    if who == 'the worker':
        os.kill(pid, signal.SIGKILL)
    else:
        tree.kill()
        house.tree()
    view = cancelled(house, handle.id)
    assert (view.runs, view.attempts[0].reason.partition(' ')[0]) == (1, 'Cancelled:')


def test_workers_that_end_meanwhile_do_not_give_it_back(house):      # noqa: F811
    """Stopped, the job ends at the end of the workers' grace, and does not run again."""
    tree = house.tree(grace=0.5)
    handle = house.stage.app.handle(house.stage.enqueue('heed', (1, str(house.marks), 'blind'))[0])
    house.pidOf(1, handle.id)
    assert handle.cancel(running=True, grace=DEADLINE, who='roy')
    assert tree.terminate() == 0
    house.tree()
    cancelled(house, handle.id)


def test_the_command_waits_for_the_end_and_says_what_came_of_it(house):     # noqa: F811
    house.tree()
    jobids = house.stage.enqueue('heed', (1, str(house.marks)), (2, str(house.marks), 'blind'))
    for key, jobid in enumerate(jobids, 1):
        house.pidOf(key, jobid)
    assert command(house, 'jobs', 'cancel', APP,
                   *jobids)['left'] == dict.fromkeys(map(str, jobids), 'processing')
    assert command(house, 'jobs', 'cancel', APP, '--name', 'heed', '--running', '--grace',
                   '1')['cancelled'] == jobids[::-1]
    assert house.stage.stati(jobids) == ['cancelled'] * 2
    shown = command(house, 'jobs', 'show', APP, jobids[0])
    assert (shown['asked']['grace'], '@' in shown['asked']['who']) == (1.0, True)
