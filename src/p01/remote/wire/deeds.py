# SPDX-License-Identifier: ZPL-2.1
"""What is done for people with jobs and queues, within the transaction of a processor; of many jobs
in transactions that say who did what."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

from p01.remote import verbs
from p01.remote.app import App
from p01.remote.engine import editing
from p01.remote.engine.requests import GRACE
from p01.remote.exceptions import InputError, JobNotFound, RemoteError
from p01.remote.ground import clocks
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import count
from p01.remote.instants import dated, duration
from p01.remote.job import Arguments
from p01.remote.options import Span
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import CANCELLED, DELAYED, ERROR, FINISHED, PROCESSING, QUEUED
from p01.remote.wire.commits import change
from p01.remote.wire.fields import EDITPARTS
from p01.remote.wire.functions import allowed, functionOf
from p01.remote.wire.looks import queueAt

BATCHJOBS = 100          # jobs that are changed in one transaction
ATONCE = 5_000          # jobs that one request changes
MOVE = 'move'
BULKNAME = 'p01.remote.bulk'        # of the job that does it with all of a filter, see bulk
WAITING = QUEUED, DELAYED

Result = TypeVar('Result')


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


def removed(processor: RemoteProcessor, jobid: int, who: str) -> bool:
    """Forget a job."""
    return verbs.remove(processor.store, jobid, clocks.now()) is not None


def hastened(processor: RemoteProcessor, jobid: int, who: str) -> bool:
    """Have a delayed job wait for its time no longer."""
    return processor.getJobStatus(jobid) == DELAYED \
        and editing.edit(processor, jobid, editing.changesOf(atOnce=True))


def cancelling(running: bool = True, grace: Span = GRACE) -> Verb:
    """To cancel jobs; running: also to ask those that run to end, which get so long for it. Raises
    InputError."""
    seconds = duration(grace, 'grace')
    return Verb('cancel', (*WAITING, PROCESSING) if running else WAITING,
                lambda processor, jobid, who: processor.cancelJob(jobid, running, seconds, who))


def moving(queue: str | None = None, priority: int | None = None) -> Verb:
    """To give jobs another queue, another priority, or both. Raises InputError."""
    changes = editing.changesOf(queue, priority)
    if not changes:
        raise InputError('Say where the jobs go: a queue, a priority or both.')
    return Verb(MOVE, WAITING,
                lambda processor, jobid, who: editing.edit(processor, jobid, changes))


DEEDS = {'retry': Verb('run again', (ERROR, CANCELLED), retried),
         'now': Verb('run now', (DELAYED,), hastened), 'cancel': cancelling(),
         'remove': Verb('delete', FINISHED, removed)}
# words that have options, and which
CHOSEN: Mapping[str, tuple[Callable[..., Verb], Collection[str]]] = {
    'cancel': (cancelling, ('running', 'grace')), MOVE: (moving, ('queue', 'priority'))}


def verbOf(word: str, options: Mapping[str, Any]) -> Verb:
    """What a word means with its options. Raises InputError."""
    if word not in (*DEEDS, MOVE):
        raise InputError('What is to be done is not known here; it is one of '
                         f'{", ".join([*DEEDS, MOVE])}.')
    make, known = CHOSEN.get(word, (lambda: DEEDS[word], ()))
    for name in options:
        if name not in known:
            raise InputError(f'{name} is not for {word}; leave it out.')
    return make(**options)


def edit(processor: RemoteProcessor, jobid: int, changes: dict[str, Any],
         calling: editing.Calling | None = None, again: bool = False) -> int:
    """Change a job that waits, or with again enqueue one like a job that has ended; returns the id.
    Raises JobNotFound, InputError, Refused."""
    if again:
        if why := editing.unended(processor, jobid):
            raise Refused(why)
        return editing.again(processor, jobid, changes, calling)
    if not editing.edit(processor, jobid, changes, calling):
        raise Refused(editing.refusal(processor, jobid))
    return jobid


def wantedOf(app: App, processor: RemoteProcessor, jobs: Collection[str], jobid: int,
             given: Mapping[str, Any]) -> tuple[dict[str, Any], editing.Calling | None]:
    """The fields of a job that are to be others, see fields.EDITPARTS, and what it is to be called
    with, None for what it was called with. jobs: the names of those that may be enqueued, of which
    it is one then. Raises JobNotFound, InputError, UnknownJob."""
    at = dated(given['at'], 'at') if 'at' in given else None
    changes = editing.changesOf(given.get('queue'), given.get('priority'), given.get('delay'), at,
                                given.get('now', False))
    if 'args' not in given and 'kwargs' not in given:
        return changes, None
    name = processor.store.entry(jobid)[1].name
    proveWritten(name)
    known = functionOf(app, name)
    function = allowed(app, jobs, name if known is None else known.name)
    return changes, editing.Calling(function.prototype, Arguments(
        tuple(given.get('args', ())), dict(given.get('kwargs', {}))))


def proveWritten(name: str) -> None:
    """Raises InputError for a job that people do not write the input of."""
    if name == BULKNAME:
        raise InputError(f'{BULKNAME} has an order as its input, which is not written by hand; '
                         'give a new order for all jobs of a filter.')


def proveAny(changes: dict[str, Any], calling: editing.Calling | None) -> None:
    """Raises InputError where nothing of a job is to be changed."""
    if not changes and calling is None:
        raise InputError(f'Say what is to be changed: one or more of {", ".join(EDITPARTS)}.')


def each(app: App, who: str, jobids: list[int], verb: Verb, face: str = 'dash') -> Iterator[bool]:
    """Do a verb with each job; gives whether it could be, see batched."""
    return batched(app, who, jobids, partial(some, verb=verb, who=who), verb.word, face)


def batched(app: App, who: str, jobids: list[int],
            work: Callable[[RemoteProcessor, list[int]], list[Result]], word: str, face: str,
            was: Callable[[Result], object] = bool) -> Iterator[Result]:
    """Do work(processor, jobids) with BATCHJOBS jobs in a transaction, and so on; gives what it
    returned of each, once that is committed. word: what is done, for the record; was: whether it
    could be."""
    def step(batch: list[int]) -> list[Result]:
        def what(found: list[Result]) -> str:
            done = [str(jobid) for jobid, one in zip(batch, found, strict=True) if was(one)]
            return f'{word} {count(len(done), "job")}: {listed(done)}' if done else ''

        return change(app, who, what, lambda processor: work(processor, batch), face)

    for start in range(0, len(jobids), BATCHJOBS):
        yield from step(jobids[start:start + BATCHJOBS])


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
