# SPDX-License-Identifier: ZPL-2.1
"""Jobs that misbehave, on every storage: they fail with a reason, block nobody, and leave the
worker whole."""
import asyncio
import sys
import threading
import time
import types
from datetime import timedelta

import pytest
import transaction
from persistent.mapping import PersistentMapping

from p01.remote import exceptions, job
from p01.remote.engine.loop import Loop
from p01.remote.options import Policy
from p01.remote.worker import SimpleWorker
from tests.conftest import NAME, abort, commit, counted, inside


class Odd(Exception):
    """Its text cannot be had, and it takes two arguments."""

    def __init__(self, one, two):
        super().__init__(one)

    def __str__(self):
        raise RuntimeError('no text')


class Surrogate(Exception):

    def __str__(self):
        return 'not \ud800 text\n' * 10_000


class Raise(job.Job):
    """Raises what its input names."""

    policy = Policy(retries=0)
    raised = {
        'odd': lambda: Odd(1, 2), 'surrogate': lambda: Surrogate(), 'exit': lambda: SystemExit(3),
        'cancelled': lambda: asyncio.CancelledError('gone'), 'generator': lambda: GeneratorExit(),
        'group': lambda: BaseExceptionGroup('several', [SystemExit(), ValueError('one')]),
        'recursion': lambda: RecursionError('deep'), 'memory': lambda: MemoryError(),
        'thread': lambda: threading.BrokenBarrierError(), 'stop': lambda: StopIteration(5),
    }

    def __call__(self, remoteProcessor):
        raise self.raised[self.input]()


class Give(job.Job):
    """Returns something that is hard to store."""

    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        return {'lambda': lambda: 1, 'lock': threading.Lock(), 'generator': iter(range(3)),
                'class': Local(),
                'big': 'x' * 2_000_000, 'odd': Odd(1, 2)}[self.input]


def Local():
    class Hidden:
        pass
    return Hidden()


class Stuff(job.Job):
    """Puts something into the root that cannot be stored, so that the commit fails."""

    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['stuff'] = threading.Lock()


class Commit(job.Job):
    """Old code that commits for itself."""

    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        root = remoteProcessor._p_jar.root()
        root['commits'] = root.get('commits', 0) + 1
        transaction.commit()
        if self.input == 'fail':
            raise exceptions.JobError('after the commit')
        if self.input == 'more':
            transaction.begin()
            root['commits'] += 1
        return self.input


class Abort(job.Job):
    """Aborts what it did."""

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['aborted'] = True
        transaction.abort()
        return 'aborted'


class Doom(job.Job):

    policy = Policy(retries=0)

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['doomed'] = True
        transaction.doom()


class Later(job.Job):

    def __call__(self, remoteProcessor):
        raise exceptions.RunLater(self.input)


@pytest.fixture
def run(place, processor):
    """Enqueue a job of a class, a plain one after it, run both with a worker; gives the first one
    as it is then."""
    def run(behaviour, input=None):
        processor.addJob('odd', behaviour)
        jobid, after = processor.processJob('odd', input), processor.processJob('echo', 'after')
        commit(processor)
        loop = Loop(place.db, inside, 'loop')
        try:
            for _ in range(10):
                loop.poll(loop.clock.now())
        finally:
            loop.close()
        abort(processor)
        assert processor.getJobResult(after) == 'after', 'it blocked the job behind it'
        counted(processor)
        return processor.getJob(jobid)
    return run


@pytest.mark.parametrize('name', sorted(Raise.raised))
def test_whatever_is_raised_fails_the_job(run, name):
    found = run(Raise(), name)
    assert (found.status, found.runCounter) == ('error', 1)
    assert type(Raise.raised[name]()).__name__ in found.error
    assert len(found.error) < 2000 and len(found.attempts[0].trace) < 20_000


@pytest.mark.parametrize('name', sorted(Raise.raised))
def test_the_same_in_the_transaction_of_the_caller(processor, name):
    processor.addJob('raise', Raise())
    jobid = processor.processJob('raise', name)
    assert processor.processJobs() == 1
    assert processor.getJobStatus(jobid) == 'error'
    commit(processor)


@pytest.mark.parametrize('name, word', [
    ('lambda', 'pickled'), ('lock', 'pickled'), ('class', 'pickled'), ('big', 'limit')])
def test_an_output_that_cannot_be_stored_fails_the_job(run, name, word):
    found = run(Give(), name)
    assert found.status == 'error' and word in found.error and 'odd' in found.error


def test_an_output_that_cannot_be_loaded_again_can_be_looked_at(run):
    found = run(Give(), 'odd')
    assert found.status in ('completed', 'error')


def test_a_commit_that_fails_fails_the_job(run, processor):
    found = run(Stuff())
    assert found.status == 'error' and 'pickle' in found.error
    assert 'stuff' not in processor._p_jar.root()


@pytest.mark.parametrize('input, commits, status', [
    ('x', 1, 'completed'), ('more', 2, 'completed'), ('fail', 1, 'error')])
def test_a_job_may_commit_for_itself(run, processor, input, commits, status):
    found = run(Commit(), input)
    assert (found.status, processor._p_jar.root()['commits']) == (status, commits)


@pytest.mark.parametrize('input', ['x', 'fail'])
def test_in_its_callers_transaction_it_is_refused(place, processor, input):
    processor.addJob('commit', Commit())
    commit(processor)
    # with the manager of the thread, which is what such code commits
    connection = place.db.open()
    try:
        mine = inside(connection)
        ids = [mine.processJob('commit', input), mine.processJob('echo', 'after')]
        assert mine.processJobs() == 2
        assert [mine.getJobStatus(jobid) for jobid in ids] == ['error', 'completed']
        assert 'its caller' in mine.getJobError(ids[0]) and 'commits' not in connection.root()
        assert counted(mine)['error'] and mine.processJobs() == 0
    finally:
        transaction.abort()
        connection.close()


def test_a_job_may_abort(run, processor):
    found = run(Abort())
    assert (found.status, found.output) == ('completed', 'aborted')
    assert 'aborted' not in processor._p_jar.root()


def test_a_doomed_transaction_fails_the_job(run, processor):
    assert run(Doom()).status == 'error'
    assert 'doomed' not in processor._p_jar.root()


@pytest.mark.parametrize('delay', [30.0, 30, timedelta(hours=1)])
def test_to_run_later_is_no_failure(run, delay):
    found = run(Later(), delay)
    assert (found.status, found.runCounter, found.attempts) == ('delayed', 0, ())


@pytest.mark.parametrize('delay', [float('nan'), float('inf'), -1, 'x', None, 1e300])
def test_a_senseless_delay_fails_as_any_error(run, delay):
    found = run(Later(), delay)
    assert (found.status, found.runCounter) == ('error', 4)


# -- what is gone when the job runs

@pytest.fixture
def module():
    """A module that can vanish."""
    found = sys.modules['vanishing'] = types.ModuleType('vanishing')
    exec('def work(number=0):\n    return number + 1\n\n\nclass Thing:\n    pass\n', found.__dict__)
    yield found
    sys.modules.pop('vanishing', None)


def test_a_function_that_is_not_there_yet_waits_for_a_deployment(place, processor, module):
    processor.addJob('work', module.work)
    gone = processor.processJob('work', 1)
    after = processor.processJob('echo', 'after')
    commit(processor)
    del sys.modules['vanishing']
    worker = SimpleWorker(place.db, [NAME])
    while worker.processNextJob():
        pass
    abort(processor)
    found = processor.getJob(gone)
    assert (found.status, found.runCounter) == ('delayed', 1)
    assert 'vanishing.work' in found.error
    assert processor.getJobResult(after) == 'after'
    sys.modules['vanishing'] = module
    assert worker.processNextJob(time.time() + 60)
    abort(processor)
    assert processor.getJobResult(gone) == 2


def test_a_function_that_never_comes_fails_by_its_policy(place, processor, module):
    processor.addJob('work', module.work)
    gone = processor.processJob('work', 1)
    commit(processor)
    del sys.modules['vanishing']
    worker = SimpleWorker(place.db, [NAME])
    for hour in range(4):
        assert worker.processNextJob(time.time() + 3600 * hour)
    abort(processor)
    found = processor.getJob(gone)
    assert (found.status, found.runCounter) == ('error', 4)
    assert 'vanishing.work' in found.error


@pytest.mark.parametrize('wrap', [lambda thing, root: thing, lambda thing, root: [thing,
                                                                                  root['it']],
                                  lambda thing, root: [thing, 'x' * 2000]],
                         ids=['plain', 'reference', 'big'])
def test_an_input_whose_class_is_gone_fails_and_blocks_nobody(place, processor, module, wrap):
    root = processor._p_jar.root()
    root['it'] = PersistentMapping()
    gone = processor.processJob('echo', wrap(module.Thing(), root))
    after = processor.processJob('echo', 'after')
    commit(processor)
    processor._p_jar.cacheMinimize()
    del sys.modules['vanishing']
    worker = SimpleWorker(place.openAgain(), [NAME])
    while worker.processNextJob():
        pass
    abort(processor)
    assert processor.getJobStatus(gone) == 'error'
    assert 'vanishing' in processor.getJobError(gone)
    assert processor.getJob(gone).status == 'error'
    assert processor.getJobResult(after) == 'after'
    counted(processor)


class Trap:
    """Pickles well, and exits when it is loaded."""

    def __reduce__(self):
        return sys.exit, (3,)


def test_an_input_that_raises_when_loaded_fails(run):
    found = run(Raise(), Trap())
    assert found.status == 'error' and 'SystemExit' in found.error


def test_a_job_that_is_no_longer_registered_fails(place, processor):
    jobid = processor.processJob('echo')
    processor.removeJob('echo')
    commit(processor)
    assert SimpleWorker(place.db, [NAME]).processNextJob()
    abort(processor)
    found = processor.getJob(jobid)
    assert found.status == 'error' and "'echo'" in found.error
