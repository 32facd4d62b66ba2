# SPDX-License-Identifier: ZPL-2.1
"""A run of a job in another process, which knows no database: what travels there, and back. Both
are pickles."""
from __future__ import annotations

import pickle

from p01.remote.engine.context import Running, within
from p01.remote.engine.seams import Attempted
from p01.remote.exceptions import Elsewhere, OutputError
from p01.remote.ground.foreign import Raised, There, guarded, reasonOf, traced
from p01.remote.store.payload import unpack


def pack(job: Attempted) -> bytes:
    """What another process needs to run a job."""
    return pickle.dumps((job.behaviour, job.task, job.worker, job.started), 5)


def call(data: bytes) -> bytes:
    """Run a job, in the other process; returns what came of it, whatever that was."""
    done = guarded(run, data)
    if isinstance(done, Raised):
        return raised(done.error)
    found = guarded(pickle.dumps, (True, done), 5)
    if isinstance(found, Raised):
        return raised(OutputError('What the job returned cannot be pickled '
                                  f'({reasonOf(found.error)}); return plain values.'))
    return found


def run(data: bytes) -> object:
    """What a job returns. Raises what it does."""
    behaviour, task, worker, started = pickle.loads(data)
    job = Running(None, behaviour, task, unpack(task.record.input), started, worker)
    return within(job, behaviour.ready())


def raised(error: BaseException) -> bytes:
    """That a run has failed, and where it stood; an error that cannot travel by its text."""
    found = guarded(lambda: pickle.loads(pickle.dumps(error)))
    if isinstance(found, Raised) or type(found) is not type(error):
        error, trace = Elsewhere(reasonOf(error)), traced(error)
    else:
        trace = traced(error)
    return pickle.dumps((False, (error.with_traceback(None), trace)), 5)


def result(answer: bytes) -> object:
    """What a job has returned there. Raises what it raised."""
    done, value = pickle.loads(answer)
    if done:
        return value
    error, trace = value
    raise error from There(trace)
