# SPDX-License-Identifier: ZPL-2.1
"""SIGKILL at each system call that writes or syncs: nothing is lost, nothing happens twice, nothing appears.

And at any time to whole trees of workers. Here at every few calls and a few times; tests/long does it at all of them.
"""
import os
import shutil
import signal
import subprocess

import pytest

from tests.acceptance import tasks, zygote
from tests.acceptance.storm import storm
from tests.acceptance.trees import ROOT, environment
from tests.race.stage import Stage

JOBS = 4                        # in the database before the step
EVERY = 3                       # calls
SCENARIOS = [('sqlite:', step) for step in ('enqueue', 'claim', 'complete', 'retry', 'rescue')] \
    + [('file:', 'enqueue'), ('file:', 'complete')]


@pytest.fixture(scope='module')
def victim(tmp_path_factory):
    """Does things under strace, and is killed."""
    works = shutil.which('strace') and subprocess.run(
        ['strace', '-qq', '-o', os.devnull, '-e', 'inject=write:signal=KILL', 'echo'], capture_output=True,
        check=False).returncode == -signal.SIGKILL
    if not works:
        reason = 'strace is missing, or may not trace here; apt-get install strace'
        if os.environ.get('CI') == 'true':
            pytest.fail(reason)
        pytest.skip(reason)
    made = zygote.Zygote({**environment('memory:'), 'P01_TEST_ROOT': str(ROOT)}, tmp_path_factory.mktemp('zygote'))
    yield made
    made.close()


def prepared(kind, step, folder, victim):
    """A database as it is before the step; its folder holds nothing else."""
    folder.mkdir()
    address = f'{kind}{folder / "jobs"}'
    stage = Stage(address)
    if step != 'enqueue':
        stage.enqueue('stumble' if step == 'retry' else 'effect', *range(JOBS))
    stage.close()
    if step == 'rescue':
        status = victim.run('die', address, folder / 'acks')
        assert os.waitstatus_to_exitcode(status) == zygote.SURVIVED
    return folder


def verify(stage, step, acks):
    """TQ: lost, duplicated and unexpected are empty; what was killed before it was acknowledged may be there or not."""
    stage.check()
    if step == 'enqueue':
        orders = stage.do(lambda processor: tasks.orders(processor._p_jar.root()))
        jobs = stage.do(lambda processor: sorted(processor.getJob(jobid).input[0][0] for jobid in processor.store.ids()))
        assert jobs == sorted(orders)           # both or neither
        assert acks <= orders <= set(range(3))
        assert stage.effects == {}
    else:
        orders = set(range(JOBS))
        assert all(stage.effects.get(key) == 1 for key in acks)
    stage.drain()
    assert stage.effects == dict.fromkeys(orders, 1)
    jobids = stage.do(lambda processor: list(processor.store.ids()))
    assert len(jobids) == len(orders)
    assert set(stage.stati(jobids)) <= {'completed'}
    runs = [stage.view(jobid).runs for jobid in jobids]
    match step:
        case 'enqueue' | 'claim':               # claimed only: that counts nothing
            assert runs == [1] * len(jobids)
        case 'rescue':                          # the second one ran when its worker died: that counts once
            assert runs == [1, 2, 1, 1]
        case 'complete':                        # at most one ran when it was killed
            assert sorted(runs) in ([1] * JOBS, [1] * (JOBS - 1) + [2])
        case 'retry':
            assert sorted(runs) in ([3] * JOBS, [3] * (JOBS - 1) + [4])
    stage.check()


@pytest.mark.parametrize('kind, step', SCENARIOS, ids=lambda each: each.strip(':'))
def test_a_kill_at_some_writes_and_syncs(kind, step, victim, tmp_path):
    killAll(kind, step, victim, tmp_path, EVERY)


def killAll(kind, step, victim, folder, every):
    """Kill a step at calls of all kinds."""
    template = prepared(kind, step, folder / 'template', victim)
    kills = {call: killed(kind, step, call, template, victim, every) for call in zygote.CALLS}
    print(f'{kind} {step}: killed at {sum(kills.values())} calls ({kills}), 0 lost, 0 doubled')
    assert kills['write' if kind == 'file:' else 'pwrite64']
    assert kills['fsync'] or kills['fdatasync']


def killed(kind, step, call, template, victim, every):
    """Do the step again and again, killed at call 1, 1 + every and so on, until it survives; returns how often."""
    kills, number = 0, 1
    while True:
        folder = template.parent / 'copy'
        shutil.copytree(template, folder)
        address, log = f'{kind}{folder / "jobs"}', folder / 'acks.log'
        code = os.waitstatus_to_exitcode(victim.run(step, address, log, call, number))
        assert code in (-signal.SIGKILL, zygote.SURVIVED), f'{call} {number}: {victim.log.read_text()[-2000:]}'
        stage = Stage(address, new=False)
        try:
            verify(stage, step, zygote.acked(log))
        except AssertionError as error:
            raise AssertionError(f'after a kill at {call} {number}: {error}') from error
        finally:
            stage.close()
        shutil.rmtree(folder)
        if code == zygote.SURVIVED:
            return kills
        kills += 1
        number += every
        assert number < zygote.LIMIT


def test_kills_of_whole_trees(tmp_path):
    storm(tmp_path, 8)
