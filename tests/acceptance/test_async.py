# SPDX-License-Identifier: ZPL-2.1
"""Jobs on the event loops of real worker processes, which are killed, crash, hang and are told to
stop."""
import os
import signal
import time

import pytest

from p01.remote.ground import blackbox
from p01.remote.testing import waitFor
from tests.acceptance.trees import DEADLINE, Tree
from tests.race.stage import Stage

MANY = 150


@pytest.fixture
def stage(tmp_path):
    stage = Stage(f'sqlite:{tmp_path / "jobs"}')
    yield stage
    stage.close()


@pytest.fixture
def tree(stage, tmp_path):
    made = []

    def make(**options):
        made.append(Tree(stage.app.database, tmp_path, **{'processes': 1, **options}))
        made[-1].ready(1)
        return made[-1]
    yield make
    for each in made:
        each.kill()


def begun(folder):
    """The attempts that have begun, as (key, attempt)."""
    return sorted(tuple(name.split('.', 1)) for name in os.listdir(folder) if '.' in name
                  and name[0].isdigit())


def again(folder, pid):
    """How many jobs have begun in another process than this one."""
    return len({file.name.partition('.')[0] for file in folder.iterdir()
                if file.name != 'go' and file.read_text() not in ('', str(pid))})


def ended(stage, jobids, status='completed'):
    return lambda: set(stage.stati(jobids)) == {status}


def flights(stage, folder, seconds, count=MANY):
    folder.mkdir()
    name = 'tests.acceptance.tasks.flight'
    return stage.do(lambda processor: [processor.processJob(name, (key, str(folder), seconds))
                                       for key in range(count)])


def attempts(stage, jobids):
    """Why runs failed, of all these jobs."""
    return [each.reason for jobid in jobids for each in stage.view(jobid).attempts]


def testKillsLoseNothing(stage, tree, tmp_path):
    """SIGKILL in the midst of many: all that had begun and await run again, at once and without a
    failed run."""
    jobids = flights(stage, tmp_path / 'flights', 60.0)
    found = tree(concurrency=MANY)
    waitFor(lambda: len(begun(tmp_path / 'flights')) == MANY, DEADLINE)
    [pid] = found.workers()
    os.kill(pid, signal.SIGKILL)
    # the number of an attempt is that of the failed runs before it: of one at most, that it was
    waitFor(lambda: again(tmp_path / 'flights', pid) == MANY, DEADLINE)
    (tmp_path / 'flights' / 'go').touch()
    waitFor(ended(stage, jobids), DEADLINE)
    assert stage.effects == dict.fromkeys(range(MANY), 1)
    assert len(attempts(stage, jobids)) <= 1        # of the one whose step it was, if any
    assert found.terminate() == 0, found.said


def testKillsAtAnyTimeLoseNothing(stage, tree, tmp_path):
    jobids = flights(stage, tmp_path / 'flights', 0.02, 4 * MANY)
    found, last = tree(concurrency=20), 0
    for number in range(4):
        waitFor(lambda least=number * MANY // 2 + 20: len(begun(tmp_path / 'flights')) >= least,
                DEADLINE)
        waitFor(lambda old=last: found.workers() and found.workers() != [old], DEADLINE)
        last, *_ = found.workers()
        os.kill(last, signal.SIGKILL)
    waitFor(ended(stage, jobids), DEADLINE)
    # the outcome is written apart from what a job commits by itself: at least once
    assert min(stage.effects.values()) >= 1 and len(stage.effects) == len(jobids)
    assert found.terminate() == 0, found.said


@pytest.fixture
def among(stage, tree, tmp_path):
    """Have a job of this name fail on an event loop, among so many others that await, and these go
    on and end; returns its id. None of the others is blamed."""
    def run(name, many):
        jobids = flights(stage, tmp_path / 'flights', 60.0, many)
        found = tree(concurrency=50)
        waitFor(lambda: len(begun(tmp_path / 'flights')) == many, DEADLINE)
        [bad] = stage.enqueue(name, 1)
        waitFor(ended(stage, [bad], 'error'), DEADLINE)
        (tmp_path / 'flights' / 'go').touch()
        waitFor(ended(stage, jobids), DEADLINE)
        assert attempts(stage, jobids) == []
        assert found.terminate() == 0, found.said
        return bad
    return run


def testACrashIsLaidToTheJobWhoseStepItWas(stage, among):
    bad = among('dive', 30)
    assert len(attempts(stage, [bad])) == 2
    assert all('SIGSEGV' in reason for reason in attempts(stage, [bad]))


def testWhoHoldsTheEventLoopBeyondHisLimitIsEnded(stage, among):
    bad = among('hog', 10)
    assert 'longer than its timeout of 1 s, and stood in hog' in stage.view(bad).error


def testAWorkerThatIsToldToStopGivesThemBack(stage, tree, tmp_path):
    jobids = flights(stage, tmp_path / 'flights', 600.0, 10)
    found = tree(concurrency=50, grace=2.0)
    waitFor(lambda: len(begun(tmp_path / 'flights')) == 10, DEADLINE)
    assert found.terminate() == 0, found.said
    assert set(stage.stati(jobids)) == {'queued'} and attempts(stage, jobids) == [] \
        and stage.effects == {}


@pytest.fixture
def beside(stage, tree, tmp_path):
    """Begin a job of this name among ten others that await; gives its handle and its process."""
    def begin(name, way, processes=1):
        others = flights(stage, tmp_path / 'flights', 60.0, 10)
        found = tree(concurrency=50, processes=processes)
        waitFor(lambda: len(begun(tmp_path / 'flights')) == 10, DEADLINE)
        [jobid] = stage.enqueue(name, (1000, str(tmp_path), way))
        mark = tmp_path / f'1000.{jobid}.1'
        waitFor(lambda: mark.exists() and mark.read_text(), DEADLINE)
        return stage.app.handle(jobid), int(mark.read_text()), others, found
    return begin


def others(stage, folder, jobids, found):
    """The other jobs end, of which none is blamed."""
    (folder / 'flights' / 'go').touch()
    waitFor(ended(stage, jobids), DEADLINE)
    assert attempts(stage, jobids) == [] and stage.effects == dict.fromkeys(range(10), 1)
    assert found.terminate() == 0, found.said


@pytest.mark.parametrize('elsewhere', [False, True], ids=['this host', 'another host'])
@pytest.mark.parametrize('way', ['await', 'block', 'hold', 'swallow'])
def testOneThatIsCancelledEnds(stage, beside, tmp_path, monkeypatch, way, elsewhere):
    """When it does not within its grace its process is killed, and only this job ends by that."""
    # one that holds the interpreter hears of nothing: another process of its host does
    handle, pid, jobids, found = beside('clings', way, 2 if way == 'hold' and elsewhere else 1)
    if elsewhere:
        monkeypatch.setattr(blackbox, 'HOST', 'elsewhere/1234')
    began = time.monotonic()
    assert handle.cancel(running=True, grace='500ms', who='roy')
    waitFor(ended(stage, [handle.id], 'cancelled'), DEADLINE)
    lasted = time.monotonic() - began
    if way == 'await':
        assert lasted < 2.5 and pid in found.workers()
    else:
        waitFor(lambda: found.workers() and pid not in found.workers(), DEADLINE)
        [attempt] = stage.view(handle.id).attempts
        assert attempt.reason.startswith('Cancelled: it did not end within 0.5 s')
        assert ('stood in cling' in attempt.reason) == (way != 'swallow')
    assert stage.view(handle.id).outcome.asked.who == 'roy'
    others(stage, tmp_path, jobids, found)


@pytest.mark.parametrize('way', ['await', 'block', 'hold', 'swallow'])
def testOneBeyondItsTimeLimitEnds(stage, beside, tmp_path, way):
    """When it does not at its next await its process is killed, and only this job has failed."""
    handle, pid, jobids, found = beside('limited', way)
    waitFor(ended(stage, [handle.id], 'error'), DEADLINE)
    assert (pid in found.workers()) == (way == 'await')
    error = stage.view(handle.id).outcome.error
    assert 'longer than its timeout of 1 s' in error
    assert ('stood in cling' in error) == (way != 'swallow')
    others(stage, tmp_path, jobids, found)
