# SPDX-License-Identifier: ZPL-2.1
"""Jobs that take their workers down, or cannot even be loaded: each ends in a bounded number of
tries, and blocks nobody."""
import threading

import pytest

from p01.remote import verbs
from p01.remote.job import Job
from p01.remote.options import DEATHS


def test_a_job_that_takes_its_workers_down_is_put_aside(stage):
    [pill, *others] = stage.enqueue('effect', *range(4))
    for number in range(DEATHS):
        dead = stage.loop(f'dead{number}')
        assert stage.claim(dead, 2)[0].id == pill
        stage.rescue(dead, {pill}, 'killed by signal SIGSEGV')
    view = stage.view(pill)
    assert (view.status, view.runs, len(view.attempts)) == ('error', 3, 3)
    assert view.outcome.error == ('Put aside: 3 workers died while they ran this job '
                                  '(killed by signal SIGSEGV).')
    stage.drain()
    assert stage.effects == {1: 1, 2: 1, 3: 1}
    assert [stage.view(jobid).runs for jobid in others] == [1, 1, 1]
    stage.check()


def test_what_was_put_aside_runs_again_when_someone_says_so(stage):
    [pill] = stage.enqueue('effect', 7)
    for number in range(DEATHS):
        dead = stage.loop(f'dead{number}')
        stage.claim(dead)
        stage.rescue(dead, {pill})
    assert stage.do(lambda processor: processor.retryJob(pill))
    stage.drain()
    view = stage.view(pill)
    assert (view.status, len(view.attempts), stage.effects) == ('completed', 3, {7: 1})
    stage.check()


# -- jobs that cannot be loaded

class Unloadable:
    """Can be pickled, and not be unpickled."""

    error = RuntimeError

    def __reduce__(self):
        return explode, (self.error,)


class UnloadableExit(Unloadable):
    error = SystemExit


def explode(error):
    raise error('cannot be loaded')


class Stubborn(Job):
    """A behaviour whose state cannot be loaded."""

    def __setstate__(self, state):
        raise RuntimeError('this behaviour cannot be loaded')

    def __call__(self, remoteProcessor):
        raise AssertionError('it cannot be called')


@pytest.mark.parametrize('bad', [Unloadable, UnloadableExit])
def test_an_input_that_cannot_be_loaded_blocks_nobody(stage, bad):
    [jobid] = stage.enqueue('effect', (bad(),))
    others = stage.enqueue('effect', 1, 2)
    stage.drain()
    assert stage.effects == {1: 1, 2: 1}
    for _ in range(3):
        stage.drain(later=3600)
    view = stage.view(jobid)
    assert (view.status, view.runs) == ('error', 4)
    assert 'cannot be loaded' in view.outcome.error
    assert stage.do(lambda processor: processor.getJob(jobid).input).startswith('(cannot be loaded')
    assert set(stage.stati(others)) == {'completed'}
    stage.check()


def test_a_behaviour_that_is_gone_blocks_nobody(stage):
    stage.do(lambda processor: processor.addJob('gone', Job()))
    jobid = stage.do(lambda processor: processor.processJob('gone'))
    others = stage.enqueue('effect', 1, 2)
    stage.do(lambda processor: processor.removeJob('gone'))
    stage.drain()
    assert stage.effects == {1: 1, 2: 1}
    assert stage.stati([jobid, *others]) == ['error', 'completed', 'completed']
    assert "'gone'" in stage.view(jobid).outcome.error


def test_a_behaviour_that_cannot_be_loaded_blocks_nobody(stage):
    stage.do(lambda processor: processor.addJob('stubborn', Stubborn()))
    [jobid] = stage.enqueue('pure', 0)
    record = stage.view(jobid).record
    stubborn = stage.do(lambda processor: verbs.add(processor.store,
                                                    record._replace(name='stubborn')))
    others = stage.enqueue('effect', 1, 2)
    stage.app.db.cacheMinimize()
    stage.drain()
    assert stage.effects == {1: 1, 2: 1}
    # a release may mend it
    assert stage.stati([stubborn, *others]) == ['delayed', 'completed', 'completed']
    for _ in range(3):
        stage.drain(later=3600)
    assert stage.stati([stubborn]) == ['error']
    assert 'cannot be loaded' in stage.view(stubborn).outcome.error


def test_a_job_that_raises_what_the_terminal_raises_blocks_nobody(stage):
    """In a worker's thread no terminal can be meant: the system tells the main thread alone."""
    [jobid] = stage.enqueue('interrupt', None)
    stage.enqueue('effect', 1)
    errors = []

    def work():
        try:
            stage.drain()
        except BaseException as error:
            errors.append(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert not errors
    assert (stage.effects, stage.stati([jobid])) == ({1: 1}, ['error'])
