# SPDX-License-Identifier: ZPL-2.1
"""Worker processes that are replaced: after so many jobs, above so much memory, when their source
changes. Nothing is lost or done twice."""
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from p01.remote import App
from p01.remote.engine import crew
from p01.remote.testing import waitFor
from tests.acceptance.test_death import house  # noqa: F401 - a fixture
from tests.acceptance.trees import DEADLINE, Tree

COMMAND = str(Path(sys.executable).with_name('p01-remote'))


@pytest.mark.parametrize('threads', [1, 3])
def test_a_process_that_has_run_so_many_jobs_is_replaced(house, threads):     # noqa: F811
    jobids = house.stage.enqueue('whose', *range(100))
    tree = house.tree(processes=1, threads=threads, maxJobs=25, logLevel='info')
    views = house.finish(jobids)
    assert {(view.status, view.runs) for view in views} == {('completed', 1)}
    assert house.stage.effects == dict.fromkeys(range(100), 1)
    counts = Counter(view.outcome.output for view in views)
    assert max(counts.values()) <= 25 + 2 * (threads - 1) and len(counts) >= 4
    assert tree.said.count('is replaced: it has begun') >= len(counts) - 1
    assert tree.terminate() == 0


def test_what_waits_for_an_event_loop_counts(house):     # noqa: F811
    """One that has claimed as many as it may does not claim more before they begin."""
    jobids = house.stage.enqueue('flight', *((key, str(house.marks)) for key in range(200)))
    tree = house.tree(processes=1, concurrency=100, maxJobs=50)
    counts = Counter(view.outcome.output for view in house.finish(jobids))
    assert house.stage.effects == dict.fromkeys(range(200), 1)
    assert max(counts.values()) <= 50 and sum(counts.values()) == 200
    assert tree.terminate() == 0


def test_nobody_waits_for_the_long_job_of_one_that_is_replaced(house):     # noqa: F811
    """Another process begins at once; the running job ends in its own time."""
    tree = house.tree(processes=1, threads=2, maxJobs=5, grace=0.5)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    others = house.stage.enqueue('whose', *range(10, 40))
    assert len({view.outcome.output for view in house.finish(others)}) > 3
    assert house.stage.stati([jobid]) == ['processing']
    house.go(1)
    [view] = house.finish([jobid])
    assert (view.status, view.runs, view.attempts) == ('completed', 1, ())
    assert tree.terminate() == 0


def test_a_drain_goes_on_until_nothing_is_due(house):     # noqa: F811
    jobids = house.stage.enqueue('whose', *range(60))
    assert house.tree(processes=2, maxJobs=10, drain=True).wait() == 0
    assert house.stage.effects == dict.fromkeys(range(60), 1)
    assert {view.status for view in house.finish(jobids)} == {'completed'}


def test_one_that_leaks_is_replaced(house):     # noqa: F811
    """Each job leaks 20 MB, and a process takes some 45 before its first one."""
    jobids = house.stage.enqueue('leak', *((key, 20) for key in range(16)))
    tree = house.tree(processes=1, maxMemory='140MB', logLevel='info')
    views = house.finish(jobids)
    assert {(view.status, view.runs) for view in views} == {('completed', 1)}
    assert house.stage.effects == dict.fromkeys(range(16), 1)
    assert 2 <= len({view.outcome.output for view in views}) <= 8
    assert re.search(r'is replaced: it takes 1[3-9]\d(.\d)? MiB of memory, after \d jobs',
                     tree.said)


def test_a_limit_below_what_a_process_takes_is_told(house):     # noqa: F811
    done = subprocess.run([COMMAND, 'worker', house.address, '--max-memory', '10MB'],
                          capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert '--max-memory is 9.5 MiB, and a worker process takes' in done.stderr


def test_starts_are_staggered(house, monkeypatch):     # noqa: F811
    """As many begin at once as there are cores."""
    from p01.remote.engine.supervisor import Supervisor
    from p01.remote.options import WorkerOptions
    monkeypatch.setattr(crew, 'CORES', 1)
    supervisor = Supervisor(house.address, WorkerOptions(processes=4, waitTime=0.2))
    begun = []
    spawn = crew.Crew.spawn

    def noted(self, number):
        begun.append(sum(not child.works for child, _ in self.children.values()))
        spawn(self, number)

    monkeypatch.setattr(crew.Crew, 'spawn', noted)
    try:
        supervisor.start()
        waitFor(lambda: supervisor.poll(0) and len(supervisor.starts.works) == 4, DEADLINE)
        assert begun == [0] * 4
    finally:
        supervisor.stop()
        supervisor.join(10.0)


# -- reload

TEXT = """
import os
from p01.remote import App
app = App(os.environ['P01_TEST_DATABASE'])
import reloaded_part

@app.job
def version(key):
    return [VERSION, reloaded_part.VERSION, os.getpid()]

VERSION = {version}
"""


class Source:
    """An application whose source changes while its workers run."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.write('reloaded_part', 'VERSION = 1')
        self.write('reloaded', TEXT.format(version=1))
        monkeypatch.syspath_prepend(str(folder))
        self.app = App(f'sqlite:{folder / "jobs"}')
        self.tree = Tree(f'sqlite:{folder / "jobs"}', folder, 'reloaded:app', processes=2,
                         reload=True)

    def write(self, name, text):
        (self.folder / f'{name}.py').write_text(text)

    def ask(self):
        """What a worker answers."""
        jobid = self.app.processor.store and self.enqueue()
        return waitFor(lambda: self.outcome(jobid), DEADLINE, self.tree.said)

    def enqueue(self):
        with self.app.transaction():
            return self.app.processor.processJob('reloaded.version', (1,))

    def outcome(self, jobid):
        with self.app.reading() as processor:
            return processor.getJobResult(jobid) \
                if processor.getJobStatus(jobid) == 'completed' else None

    def until(self, *versions):
        """Wait until workers answer with these versions; returns the answer."""
        return waitFor(lambda: (found := self.ask())[:2] == list(versions) and found, DEADLINE,
                       self.tree.said)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv('P01_TEST_DATABASE', f'sqlite:{tmp_path / "jobs"}')
    source = Source(tmp_path, monkeypatch)
    yield source
    source.tree.kill()
    print(source.tree.said)
    source.app.close()


def test_workers_have_the_new_source(source):
    source.tree.ready(2)
    old = set(source.tree.workers())
    source.until(1, 1)
    source.write('reloaded_part', 'VERSION = 2')        # what the application's module imports
    source.until(1, 2)
    waitFor(lambda: len(now := source.tree.workers()) == 2 and not old & set(now), DEADLINE)
    source.write('reloaded', TEXT.format(version=2))
    source.until(2, 2)
    assert 'reloaded.py has changed: worker processes are replaced' in source.tree.said
    assert source.tree.terminate() == 0
    assert 'Traceback' not in source.tree.said


def test_what_does_not_load_is_told_in_a_line_and_the_old_ones_go_on(source):
    source.tree.ready(2)
    source.until(1, 1)
    old = set(source.tree.workers())
    source.write('reloaded', TEXT.format(version='2 +'))
    waitFor(lambda: 'SyntaxError' in source.tree.said, DEADLINE)
    [line] = [line for line in source.tree.said.splitlines() if 'SyntaxError' in line]
    assert 'reloaded.py, line 11' in line and 'the old code goes on' in line
    assert set(source.tree.workers()) == old and source.ask()[:2] == [1, 1]
    source.write('reloaded', 'import reloaded_new\n' + TEXT.format(version=3))
    source.write('reloaded_new', '1 / 0')               # known by its failure alone
    waitFor(lambda: 'ZeroDivisionError' in source.tree.said, DEADLINE)
    source.write('reloaded_new', '')
    source.until(3, 1)
    waitFor(lambda: len(now := source.tree.workers()) == 2 and not old & set(now), DEADLINE)
    assert source.tree.terminate() == 0


def test_processes_that_die_wait_for_the_mended_source(source):
    source.tree.ready(2)
    source.until(1, 1)
    source.write('reloaded', TEXT.format(version='2 +'))
    waitFor(lambda: 'SyntaxError' in source.tree.said, DEADLINE)
    for pid in source.tree.workers():
        os.kill(pid, 9)
    waitFor(lambda: source.tree.said.count('SyntaxError') >= 3, DEADLINE)
    source.write('reloaded', TEXT.format(version=4))
    source.until(4, 1)
    assert source.tree.terminate() == 0
