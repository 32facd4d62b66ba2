# SPDX-License-Identifier: ZPL-2.1
"""SIGKILL at each system call that writes or syncs: nothing is lost, nothing happens twice, nothing
appears.

And at any time to whole trees of workers. Here at every few calls and a few times; tests/long does
it at all of them.
"""
import os
import random
import shutil
import signal
import subprocess
from collections import Counter

import pytest
from ZODB.serialize import referencesf

from p01.remote.engine.sizes import GROUPLASTS
from p01.remote.storage import packing
from p01.remote.testing import waitFor
from p01.remote.views import listing
from tests.acceptance import tasks, zygote
from tests.acceptance.storm import storm
from tests.acceptance.trees import DEADLINE, ROOT, Tree, environment
from tests.race.stage import Stage

JOBS = 4                        # in the database before the step
EVERY = 3                       # calls
# of a worker; jobs, and how many seconds each takes at least
KILLS, MANY, TAKES = 6, 900, 0.002
SCENARIOS = [('sqlite:', step)
             for step in ('enqueue', 'claim', 'complete', 'together', 'retry', 'rescue', 'pack')] \
    + [('file:', step) for step in ('enqueue', 'complete', 'together', 'pack')]


@pytest.fixture(scope='module')
def victim(tmp_path_factory):
    """Does things under strace, and is killed."""
    works = shutil.which('strace') and subprocess.run(
        ['strace', '-qq', '-o', os.devnull, '-e', 'inject=write:signal=KILL', 'echo'],
        capture_output=True,
        check=False).returncode == -signal.SIGKILL
    if not works:
        reason = 'strace is missing, or may not trace here; apt-get install strace'
        if os.environ.get('CI') == 'true':
            pytest.fail(reason)
        pytest.skip(reason)
    made = zygote.Zygote({**environment('memory:'), 'P01_TEST_ROOT': str(ROOT)},
                         tmp_path_factory.mktemp('zygote'))
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
    """TQ: lost, duplicated and unexpected are empty; what was killed before it was acknowledged may
    be there or not."""
    stage.check()
    if step == 'enqueue':
        orders = stage.do(lambda processor: tasks.orders(processor._p_jar.root()))
        jobs = stage.do(lambda processor: sorted(processor.getJob(jobid).input[0][0]
                                                 for jobid in listing.ids(processor.store)))
        assert jobs == sorted(orders)           # both or neither
        assert acks <= orders <= set(range(3))
        assert stage.effects == {}
    else:
        orders = set(range(JOBS))
        assert all(stage.effects.get(key) == 1 for key in acks)
    stage.drain()
    assert stage.effects == dict.fromkeys(orders, 1)
    if step == 'pack':
        verifyPacked(stage)
    jobids = stage.do(lambda processor: list(listing.ids(processor.store)))
    assert len(jobids) == len(orders)
    assert set(stage.stati(jobids)) <= {'completed'}
    runs = [stage.view(jobid).runs for jobid in jobids]
    match step:
        case 'enqueue' | 'claim' | 'pack':      # claimed only: that counts nothing
            assert runs == [1] * len(jobids)
        case 'rescue':
            # the second one ran when its worker died: that counts once
            assert runs == [1, 2, 1, 1]
        case 'complete' | 'together':                        # at most one ran when it was killed
            assert sorted(runs) in ([1] * JOBS, [1] * (JOBS - 1) + [2])
        case 'retry':
            assert sorted(runs) in ([3] * JOBS, [3] * (JOBS - 1) + [4])
    stage.check()


def verifyPacked(stage):
    """What the root reaches is there, before and after another pack, which leaves nothing else."""
    for _ in range(2):
        reached = stage.do(lambda processor: reachable(processor._p_jar))
        packing.pack(stage.app.db)
    assert recordsOf(stage.app.db.storage) == reached


def recordsOf(storage):
    """The ids of all objects in a storage."""
    found, ahead = set(), None
    while True:
        oid, _, _, ahead = storage.record_iternext(ahead)
        found.add(oid)
        if ahead is None:
            return found


def reachable(connection):
    """The ids of all objects that the root reaches; KeyError when one is gone."""
    found, ahead = set(), [connection.root()._p_oid]
    while ahead:
        if (oid := ahead.pop()) not in found:
            found.add(oid)
            data, _ = connection._storage.load(oid)
            ahead += referencesf(data)
    return found


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
    """Do the step again and again, killed at call 1, 1 + every and so on, until it survives;
    returns how often."""
    kills, number = 0, 1
    while True:
        folder = template.parent / 'copy'
        shutil.copytree(template, folder)
        address, log = f'{kind}{folder / "jobs"}', folder / 'acks.log'
        code = os.waitstatus_to_exitcode(victim.run(step, address, log, call, number))
        assert code in (-signal.SIGKILL,
                        zygote.SURVIVED), f'{call} {number}: {victim.log.read_text()[-2000:]}'
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


@pytest.mark.parametrize('together', [False, True], ids=['one by one', 'together'])
def test_kills_of_whole_trees(tmp_path, together):
    storm(tmp_path, 8, together=together)


def test_a_kill_repeats_no_more_than_what_shared_a_commit(tmp_path):
    """What jobs do outside is all that shows it: in the database each has run once."""
    seed = random.randrange(1 << 32)
    chance, log, address = random.Random(seed), tmp_path / 'runs', f'sqlite:{tmp_path / "jobs"}'
    stage, tree = Stage(address), None
    jobids = stage.enqueue('labour', *[(key, str(log), TAKES) for key in range(1, MANY + 1)])
    try:
        for _ in range(KILLS):
            goal = min(MANY, runs(log) + chance.randrange(1, MANY // KILLS))
            tree = Tree(address, tmp_path, processes=1)
            waitFor(lambda goal=goal: runs(log) >= goal, DEADLINE,
                    f'{goal} jobs have run (seed {seed})')
            tree.kill()
        tree = Tree(address, tmp_path, processes=1, drain=True)
        assert tree.wait() == 0, tree.said[-5000:]
        ran = runs(log)
        assert MANY < ran <= MANY + KILLS * (GROUPLASTS / TAKES + 2), f'{ran} runs (seed {seed})'
        print(f'{KILLS} kills: {MANY} jobs ran {ran} times, 0 lost, 0 doubled (seed {seed})')
        assert set(stage.stati(jobids)) == {'completed'}
        assert stage.do(lambda processor: [processor.getJobResult(jobid)
                                           for jobid in jobids]) == [*range(1, MANY + 1)]
        assert stage.do(lambda processor: len(list(listing.ids(processor.store)))) == 2 * MANY
        assert stage.do(lambda processor: marks(processor._p_jar.root())) == {key: 1
                                                                              for key
                                                                              in range(-MANY,
                                                                                       MANY + 1)
                                                                              if key}
        stage.check()
    finally:
        if tree is not None:
            tree.kill()
        stage.close()


def runs(log):
    """How many runs there were so far."""
    return log.read_bytes().count(b'\n') if log.exists() else 0


def marks(root):
    """How often each key was counted, below 0 too."""
    return Counter(key for key, _ in root['effects'] if (key, _) != (-1, ''))
