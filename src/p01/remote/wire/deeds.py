# SPDX-License-Identifier: ZPL-2.1
"""What is done for people with jobs and queues, within the transaction of a processor; of many jobs
in transactions that say who did what."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from p01.remote import verbs
from p01.remote.app import App
from p01.remote.engine import editing
from p01.remote.engine.requests import GRACE
from p01.remote.exceptions import InputError, JobNotFound, RemoteError
from p01.remote.ground import clocks
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import count
from p01.remote.instants import dated, duration
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import CANCELLED, DELAYED, ERROR, FINISHED, PROCESSING, QUEUED
from p01.remote.wire.commits import change
from p01.remote.wire.looks import queueAt

BATCHJOBS = 100          # jobs that are changed in one transaction
ATONCE = 5_000          # jobs that one request changes
MOVE = 'move'
WAITING = QUEUED, DELAYED


class Refused(RemoteError):
    """A job stands otherwise than what is to be done with it needs."""


class Verb(NamedTuple):
    """What can be done with jobs: its word for people, to jobs of which stati, and how; the last
    argument is who does it."""

    word: str
    stati: tuple[str, ...]
    do: Callable[[RemoteProcessor, int, str], bool]

    def takes(self, stati: Collection[str]) -> tuple[str, ...]:
        """Those of these stati whose jobs it can be done with."""
        return tuple(status for status in stati if status in self.stati)


def retried(processor: RemoteProcessor, jobid: int, who: str) -> bool:
    """Run a job again."""
    return processor.retryJob(jobid)


def cancelled(processor: RemoteProcessor, jobid: int, who: str) -> bool:
    """Cancel a job, or ask one that runs to end."""
    return processor.cancelJob(jobid, True, GRACE, who)


def removed(processor: RemoteProcessor, jobid: int, who: str) -> bool:
    """Forget a job."""
    return verbs.remove(processor.store, jobid, clocks.now()) is not None


DEEDS = {'retry': Verb('run again', (ERROR, CANCELLED), retried),
         'cancel': Verb('cancel', (*WAITING, PROCESSING), cancelled),
         'remove': Verb('delete', FINISHED, removed)}


def verbOf(word: str, options: Mapping[str, Any]) -> Verb:
    """What a word means, to move jobs with the queue and priority that they get. Raises
    InputError."""
    changes = editing.changesOf(options.get('queue'), options.get('priority'))
    if word in DEEDS:
        if changes:
            raise InputError(f'A queue and a priority are for {MOVE} alone; leave them out.')
        return DEEDS[word]
    if word != MOVE:
        raise InputError('What is to be done is not known here; it is one of '
                         f'{", ".join([*DEEDS, MOVE])}.')
    if not changes:
        raise InputError('Say where the jobs go: a queue, a priority or both.')
    return Verb(MOVE, WAITING,
                lambda processor, jobid, who: editing.edit(processor, jobid, changes))


def edit(processor: RemoteProcessor, jobid: int, changes: dict[str, Any],
         calling: editing.Calling | None = None, again: bool = False) -> int:
    """Change a job that waits, or with again enqueue one like a job that has ended; returns the id.
    Raises JobNotFound, InputError, Refused."""
    if again:
        return editing.again(processor, jobid, changes, calling)
    if not editing.edit(processor, jobid, changes, calling):
        raise Refused(editing.refusal(processor, jobid))
    return jobid


def each(app: App, who: str, jobids: list[int], verb: Verb, face: str = 'dash') -> Iterator[bool]:
    """Do a verb with each job, in transactions of BATCHJOBS; gives whether it could be, once it is
    committed."""
    for start in range(0, len(jobids), BATCHJOBS):
        batch = jobids[start:start + BATCHJOBS]
        yield from change(app, who, partial(written, verb.word, batch),
                          partial(some, jobids=batch, verb=verb, who=who), face)


def written(word: str, jobids: Iterable[int], found: Iterable[object]) -> str:
    """What was done, for the record, with those of some jobs that it could be done with; '' for
    none. found: whether it could be, of each."""
    done = [str(jobid) for jobid, was in zip(jobids, found, strict=True) if was]
    return f'{word} {count(len(done), "job")}: {listed(done)}' if done else ''


def some(processor: RemoteProcessor, jobids: Iterable[int], verb: Verb, who: str) -> list[bool]:
    """Do a verb with each job; whether it could be."""
    found = []
    for jobid in jobids:
        try:
            found.append(verb.do(processor, jobid, who))
        except JobNotFound:
            found.append(False)
    return found


def pauseQueue(processor: RemoteProcessor, name: str, until: float | None) -> dict[str, Any]:
    """Let no more jobs of a queue start; how it stands then."""
    verbs.pause(processor.store, name, until)
    return queueAt(processor.store, name, clocks.now())


def resumeQueue(processor: RemoteProcessor, name: str) -> tuple[bool, dict[str, Any]]:
    """Let the jobs of a queue start again; whether it was paused, and how it stands then."""
    return verbs.resume(processor.store, name), queueAt(processor.store, name, clocks.now())


def untilOf(given: Mapping[str, Any], what: str = 'for', bare: bool = False) -> float | None:
    """Until when something is to be paused; None for until it is resumed. what: how errors name
    the length; bare: whether it may lack a unit. Raises InputError."""
    return clocks.now() + duration(given['for'], what, bare=bare) if 'for' in given else None


def optionsOf(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an enqueue. Raises InputError."""
    options = {name: given[name] for name in ('queue', 'priority', 'delay', 'expires', 'unique')
               if name in given}
    if 'at' in given:
        options['at'] = dated(given['at'], 'at')
    return options
