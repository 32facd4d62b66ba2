# SPDX-License-Identifier: ZPL-2.1
"""Executors of real worker processes: pools whose processes are killed, alone and with their
worker; a Dask cluster whose workers and scheduler are killed."""
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter

import pytest

from p01.remote.testing import waitFor
from tests.acceptance.test_death import house  # noqa: F401 - a fixture
from tests.acceptance.test_requests import APP, command
from tests.acceptance.test_watching import lines
from tests.acceptance.trees import DEADLINE, ROOT, environment


def runs(house):     # noqa: F811
    """The runs that have begun: (key, number of the attempt) → process."""
    found = {}
    for path in house.marks.iterdir():
        if path.name != 'go' and path.read_text():
            key, _, number = path.name.split('.')
            found[int(key), int(number)] = int(path.read_text())
    return found


def begun(house, count):     # noqa: F811
    """Wait until so many runs have begun; returns them."""
    waitFor(lambda: len(runs(house)) >= count, DEADLINE, f'{count} do not begin')
    return runs(house)


def go(house):     # noqa: F811
    (house.marks / 'go').touch()


def gone(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return True


def enqueue(house, count):     # noqa: F811
    return house.stage.enqueue('errand', *((key, str(house.marks)) for key in range(count)))


def test_a_killed_process_of_a_pool_is_laid_to_its_job(house):     # noqa: F811
    tree = house.tree(processes=1, executor='processes', slots=2)
    jobids = enqueue(house, 10)
    first = begun(house, 2)
    [worker] = tree.workers()
    (victim, _), pid = min(first.items())
    os.kill(pid, signal.SIGKILL)
    waitFor(lambda: (victim, 2) in runs(house), DEADLINE, 'it does not run again')
    assert tree.workers() == [worker]
    go(house)
    views = house.finish(jobids)
    assert {view.status for view in views} == {'completed'}
    assert {key: view.runs for key, view in enumerate(views)} \
        == {key: 1 + (key == victim) for key in range(10)}
    assert [each.reason for each in views[victim].attempts] \
        == ['WorkerDied: was killed by signal SIGKILL']
    assert Counter(key for key, _ in runs(house)) == {key: 1 + (key == victim)
                                                      for key in range(10)}
    assert tree.terminate() == 0


@pytest.mark.parametrize('whole', [False, True], ids=['the worker', 'with its supervisor'])
def test_a_killed_worker_takes_its_pool_along(house, whole):     # noqa: F811
    """Each of its jobs runs again, and completes once."""
    tree = house.tree(processes=1, executor='processes', slots=3)
    jobids = enqueue(house, 6)
    pool = set(begun(house, 3).values())
    os.kill(tree.workers()[0], signal.SIGKILL)
    if whole:
        tree.process.kill()
        house.tree(processes=1, executor='processes', slots=3)
    waitFor(lambda: all(map(gone, pool)), DEADLINE, 'the pool lives')
    waitFor(lambda: len(set(runs(house).values()) - pool) == 3, DEADLINE, 'nobody runs again')
    go(house)
    views = house.finish(jobids)
    assert {(view.status, view.outcome.runs <= 2) for view in views} == {('completed', True)}
    assert all(count <= 2 for count in Counter(key for key, _ in runs(house)).values())


def test_a_worker_that_is_told_to_stop_ends_its_pool(house):     # noqa: F811
    tree = house.tree(processes=1, executor='processes', slots=2, grace=1.0)
    jobids = enqueue(house, 2)
    pool = set(begun(house, 2).values())
    assert tree.terminate() == 0
    waitFor(lambda: all(map(gone, pool)), DEADLINE, 'the pool lives')
    assert house.stage.stati(jobids) == ['queued'] * 2
    assert [house.stage.view(jobid).attempts for jobid in jobids] == [()] * 2


def shown(text, jobid, whose):
    """Whether a text says where an errand stands, and what runs it."""
    return re.search(rf'{whose}, which runs job {jobid} for [0-9.]+ s:\n(  .*\n)*'
                     r'  File ".*tasks.py", line \d+,? in errand\n', text)


@pytest.mark.parametrize('executor', ['threads', 'processes'])
def test_stacks_show_jobs_of_executors(house, executor):     # noqa: F811
    tree = house.tree(processes=1, executor=executor, slots=2)
    jobids = enqueue(house, 2)
    pids = begun(house, 2)
    whose = [f'of process {pids[key, 1]}' if executor == 'processes' else r'Thread [\w.]+'
             for key in range(2)]
    [found] = command(house, 'workers', 'stacks', APP)['stacks']
    assert all(map(shown, [found['stacks']] * 2, jobids, whose)), found['stacks']
    os.kill(tree.process.pid, signal.SIGQUIT)
    waitFor(lambda: all(map(shown, [tree.said] * 2, jobids, whose)), DEADLINE)
    go(house)
    assert [(view.status, view.runs) for view in house.finish(jobids)] == [('completed', 1)] * 2


# -- Dask

SCHEDULER = '''
import runpy, sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'p01', 'tests', 'ZODB'}:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Lacking())
runpy.run_module('distributed.cli.dask_scheduler', run_name='__main__')
'''


class Dask:
    """A scheduler that has nothing of ours, and workers with a thread each."""

    def __init__(self, house):     # noqa: F811
        self.environ = {**environment(house.address), 'DASK_DISTRIBUTED__WORKER__DAEMON': 'False'}
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        self.address = f'tcp://127.0.0.1:{self.port}'
        self.begin()
        self.workers = [self.worker() for _ in range(2)]

    def start(self, *words):
        return subprocess.Popen([sys.executable, *words, '--no-dashboard', '--host', '127.0.0.1'],
                                cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def begin(self):
        self.scheduler = self.start('-c', SCHEDULER, '--port', str(self.port), '--no-jupyter')

    def worker(self):
        return self.start('-m', 'distributed.cli.dask_worker', self.address, '--nthreads', '1',
                          '--no-nanny')

    def close(self):
        for process in (self.scheduler, *self.workers):     # it sees none of them die
            process.kill()
            process.wait()


@pytest.fixture
def dask(house):     # noqa: F811
    pytest.importorskip('distributed', reason='it comes with p01.remote[dask]')
    dask = Dask(house)
    yield dask
    dask.close()


def test_jobs_run_on_a_cluster(house, dask):     # noqa: F811
    go(house)
    tree = house.tree(processes=1, dask=dask.address)
    views = house.finish([*enqueue(house, 10), *house.stage.enqueue('effect', *range(5))])
    assert {(view.status, view.outcome.runs) for view in views} == {('completed', 1)}
    assert set(runs(house).values()) <= {process.pid for process in dask.workers}
    assert house.stage.effects == dict.fromkeys(range(5), 1)
    assert tree.terminate() == 0


def test_stacks_show_jobs_on_a_cluster(house, dask):     # noqa: F811
    """And of a Dask worker that does not answer that it does not."""
    tree = house.tree(processes=1, dask=dask.address)
    jobids = enqueue(house, 2)
    pids = begun(house, 2)
    whose = [rf'Dask worker tcp://[\d.:]+, process {pids[key, 1]}' for key in range(2)]
    [found] = command(house, 'workers', 'stacks', APP)['stacks']
    assert all(map(shown, [found['stacks']] * 2, jobids, whose)), found['stacks']
    os.kill(tree.process.pid, signal.SIGQUIT)
    waitFor(lambda: all(map(shown, [tree.said] * 2, jobids, whose)), DEADLINE)
    os.kill(pids[0, 1], signal.SIGSTOP)
    try:
        [found] = command(house, 'workers', 'stacks', APP)['stacks']
    finally:
        os.kill(pids[0, 1], signal.SIGCONT)
    assert shown(found['stacks'], jobids[1], whose[1])
    assert re.search(rf'{whose[0]}, which runs job {jobids[0]} for [0-9.]+ s:\n  It does not',
                     found['stacks'])
    go(house)
    assert [(view.status, view.runs) for view in house.finish(jobids)] == [('completed', 1)] * 2
    assert tree.terminate() == 0


def test_a_killed_dask_worker_has_its_job_run_again_once(house, dask):     # noqa: F811
    """By our rules, not by Dask's."""
    tree = house.tree(processes=1, dask=dask.address)
    jobids = enqueue(house, 5)
    first = begun(house, 2)
    assert set(first.values()) == {process.pid for process in dask.workers}
    (victim, _), pid = min(first.items())
    os.kill(pid, signal.SIGKILL)
    # the other Dask worker is busy, and may not have it twice
    dask.workers.append(dask.worker())
    waitFor(lambda: (victim, 2) in runs(house), DEADLINE, 'it does not run again')
    go(house)
    views = house.finish(jobids)
    assert {view.status for view in views} == {'completed'}
    assert [view.outcome.runs for view in views] == [1 + (key == victim) for key in range(5)]
    assert [each.reason for each in views[victim].attempts] == ['WorkerDied: its Dask worker died']
    assert Counter(key for key, _ in runs(house)) == {key: 1 + (key == victim) for key in range(5)}
    assert tree.terminate() == 0


def test_a_scheduler_that_dies_is_waited_for(house, dask):     # noqa: F811
    """What ran goes back, and that is no failed run."""
    house.tree(processes=1, dask=dask.address)
    jobids = enqueue(house, 4)
    begun(house, 2)
    dask.close()
    waitFor(lambda: set(house.stage.stati(jobids)) == {'queued'}, DEADLINE, 'they do not go back')
    assert 'it waits for the Dask cluster' in house.trees[0].said
    assert [house.stage.view(jobid).attempts for jobid in jobids] == [()] * 4
    go(house)
    dask.begin()
    dask.workers = [dask.worker() for _ in range(2)]
    assert {view.status for view in house.finish(jobids)} == {'completed'}
    # also what jobs say there
    handle = house.stage.app.handle(*house.stage.enqueue('reports', (4, str(house.marks), False)))
    waitFor(lambda: handle.progress == (1, 4, 'row 1'), DEADLINE, 'it is not heard')


def test_a_job_on_a_cluster_is_heard_and_hears(house, dask):     # noqa: F811
    """It sees that it runs long, and that it is to end; what it says is seen meanwhile."""
    tree = house.tree(processes=1, dask=dask.address)
    [jobid] = house.stage.enqueue('reports', (1, str(house.marks), True))
    handle = house.stage.app.handle(jobid)
    waitFor(lambda: handle.progress == (2, 4, 'long'), DEADLINE, 'it is not heard')
    assert lines(handle.log) == ['INFO logged', 'printed']
    assert handle.cancel(running=True, grace=DEADLINE)
    [view] = house.finish([jobid])
    assert view.status == 'cancelled' and handle.progress == (2, 4, 'long')
    assert lines(handle.log) == ['INFO logged', 'printed', 'INFO tidied up']
    assert tree.terminate() == 0
    assert all(process.poll() is None for process in dask.workers)


def test_what_a_job_on_a_cluster_said_is_kept_when_it_dies(house, dask):     # noqa: F811
    house.tree(processes=1, dask=dask.address)
    [jobid] = house.stage.enqueue('reports', (1, str(house.marks), False))
    handle = house.stage.app.handle(jobid)
    waitFor(lambda: handle.progress == (1, 4, 'row 1'), DEADLINE, 'it is not heard')
    os.kill(next(iter(runs(house).values())), signal.SIGKILL)
    [attempt] = house.finish([jobid])[0].outcome.attempts
    assert attempt.reason == 'WorkerDied: its Dask worker died'
    assert (attempt.said.progress, lines(attempt.said.log)) == ((1, 4, 'row 1'),
                                                                ['INFO logged', 'printed'])
