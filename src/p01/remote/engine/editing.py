# SPDX-License-Identifier: ZPL-2.1
"""What people change of a job that waits: its queue, priority, when it is due, what it is called
with. Everything is checked before anything is written."""
from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from p01.remote import verbs
from p01.remote.engine.bell import wake
from p01.remote.engine.enqueuing import dueOf, packed, put
from p01.remote.engine.seams import Processor
from p01.remote.exceptions import InputError
from p01.remote.ground import checks, clocks
from p01.remote.job import Job
from p01.remote.options import Span
from p01.remote.storage.connection import idle
from p01.remote.store.records import FINISHED, PROCESSING, QUEUED

# what a job has for itself: one that runs again is another one
ITSOWN = {'unique', 'expires', 'schedule', 'tick'}
CLAIMED = 'claimed'     # the status of what is queued still, and in the hands of a worker


class Calling(NamedTuple):
    """What a job is called with instead: by which behaviour it is checked, and the input that
    this gets, as processJob takes it."""

    behaviour: Job
    input: Any


def changesOf(queue: str | None = None, priority: int | None = None, delay: Span | None = None,
              at: datetime | float | None = None, atOnce: bool = False) -> dict[str, Any]:
    """The fields of a job that are to be others, of these options; {} for none. Raises
    InputError."""
    found: dict[str, Any] = {}
    if queue is not None:
        found['queue'] = checks.nameOf(queue, 'A queue')
    if priority is not None:
        found['priority'] = checks.priorityOf(priority)
    if atOnce and not (delay is None and at is None):
        raise InputError('A job is to start at once, or not before a time, not both.')
    if atOnce or delay is not None or at is not None:
        found['due'] = dueOf(delay, at, clocks.now())
    return found


def edit(processor: Processor, jobid: int, changes: dict[str, Any],
         calling: Calling | None = None) -> bool:
    """Change a job that waits, in the processor's transaction; whether it could be. Raises
    JobNotFound, InputError, and what the job's own code raises."""
    idle(processor._p_jar)
    name = processor.store.entry(jobid)[1].name
    done = verbs.edit(processor.store, jobid, called(processor, name, changes, calling),
                      clocks.now())
    if done:
        wake(processor._p_jar)
    return done


def again(processor: Processor, jobid: int, changes: dict[str, Any],
          calling: Calling | None = None) -> int:
    """Enqueue a job like one that has ended, with these changes, in the processor's transaction;
    returns the new one's id. Raises JobNotFound, InputError, and what the job's own code raises."""
    if why := unended(processor, jobid):
        raise InputError(why)
    record = processor.store.view(jobid).record
    processor.store.check()
    extras = {name: value for name, value in (record.extras or {}).items() if name not in ITSOWN}
    return put(processor, record._replace(**{
        'created': clocks.now(), 'due': None, 'extras': extras or None,
        **called(processor, record.name, changes, calling)}))


def called(processor: Processor, name: str, changes: dict[str, Any],
           calling: Calling | None) -> dict[str, Any]:
    """The changes, with the input of a call. Raises InputError, and what the job's code raises."""
    if calling is None:
        return changes
    return {**changes, 'input': packed(processor, name, calling.behaviour, [calling.input])[0]}


def standingOf(processor: Processor, jobid: int) -> str:
    """The status of a job, or CLAIMED. Raises JobNotFound."""
    view = processor.store.view(jobid)
    return CLAIMED if view.status == QUEUED and view.worker else view.status


def unended(processor: Processor, jobid: int) -> str:
    """Why no job like one is enqueued, as a sentence; '' where it has ended. Raises
    JobNotFound."""
    status = standingOf(processor, jobid)
    return '' if status in FINISHED else \
        f'Job {jobid} is {status}; what has not ended cannot run again.'


def refusal(processor: Processor, jobid: int) -> str:
    """Why a job cannot be changed, as a sentence. Raises JobNotFound."""
    status = standingOf(processor, jobid)
    if status in FINISHED:
        return (f'Job {jobid} has ended ({status}) and cannot be changed; run it again, edited if '
                'need be.')
    if status == PROCESSING:
        return f'Job {jobid} runs and cannot be changed; ask it to end first.'
    if status == CLAIMED:
        return (f'A worker has claimed job {jobid} and is about to run it, so that it cannot be '
                'changed; cancel it, and run it again, edited if need be.')
    return f'Job {jobid} was changed by others at the same time; try once more.'
