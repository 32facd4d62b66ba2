# SPDX-License-Identifier: ZPL-2.1
"""A run of a job in another process, which knows no database: what travels there, and back. Both
are pickles. What it says meanwhile, and hears, goes by other contact."""
from __future__ import annotations

import pickle
from time import monotonic

from p01.remote.engine.context import Running, within
from p01.remote.engine.seams import Attempted, Contact
from p01.remote.exceptions import Elsewhere, OutputError
from p01.remote.ground.foreign import Raised, There, guarded, reasonOf, traced
from p01.remote.store.payload import unpack


def pack(job: Attempted) -> bytes:
    """What another process needs to run a job."""
    # their clocks may differ
    soft = max(job.soft - monotonic(), 0.0) if job.soft else None
    return pickle.dumps((job.behaviour, job.task, job.worker, job.started, soft, job.slot,
                         job.began), 5)


def call(data: bytes, contact: Contact) -> bytes:
    """Run a job, in the other process; returns what came of it, whatever that was."""
    done = guarded(run, data, contact)
    if isinstance(done, Raised):
        return raised(done.error)
    found = guarded(pickle.dumps, (True, done), 5)
    if isinstance(found, Raised):
        return raised(OutputError('What the job returned cannot be pickled '
                                  f'({reasonOf(found.error)}); return plain values.'))
    return found


def run(data: bytes, contact: Contact) -> object:
    """What a job returns. Raises what it does."""
    behaviour, task, worker, started, soft, slot, began = pickle.loads(data)
    job = Running(None, behaviour, task, unpack(task.record.input), started, worker,
                  asked=lambda jobid: contact.asked(slot, jobid, began))
    perform = behaviour.ready()                 # it may have to be imported
    job.soft = 0.0 if soft is None else monotonic() + soft
    job.area = contact.area(task.id)
    return within(job, perform)


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
