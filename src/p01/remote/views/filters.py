# SPDX-License-Identifier: ZPL-2.1
"""Which jobs are wanted, as a plain value; grammar has it as text."""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from p01.remote.exceptions import InputError
from p01.remote.ground.checks import nearest
from p01.remote.ground.foreign import short
from p01.remote.ground.words import labelOf
from p01.remote.store.records import (
    CANCELLED,
    COMPLETED,
    DELAYED,
    ERROR,
    FINISHED,
    PROCESSING,
    QUEUED,
    Record,
)
from p01.remote.store.views import View

STATI = (QUEUED, DELAYED, PROCESSING, *FINISHED)
# what people say for them
MEANT = {'failed': ERROR, 'failure': ERROR, 'done': COMPLETED, 'finished': COMPLETED,
         'success': COMPLETED,
         'running': PROCESSING, 'active': PROCESSING, 'waiting': QUEUED, 'pending': QUEUED,
         'scheduled': DELAYED,
         'canceled': CANCELLED}

Value = TypeVar('Value', str, int)


class Part(NamedTuple, Generic[Value]):
    """What is asked of one field: any of these (() for whatever there is), and none of those."""

    any: tuple[Value, ...] = ()
    none: tuple[Value, ...] = ()

    def takes(self, *values: Value) -> bool:
        """Whether something that goes by these values fits."""
        if self.any:
            for value in values:
                if value in self.any:
                    break
            else:
                return False
        if self.none:
            for value in values:
                if value in self.none:
                    return False
        return True

    def __bool__(self) -> bool:
        return bool(self.any or self.none)


WHATEVER: Part[str] = Part()
ANYID: Part[int] = Part()


class Filter(NamedTuple):
    """Which jobs: those that all of this holds for. Instants are POSIX seconds.

    since and before are about when a job ended, or when it was enqueued while it has not: since ≤
    instant < before. limit: at most so many, the newest.
    """

    stati: Collection[str] = STATI
    queue: Part[str] = WHATEVER
    name: Part[str] = WHATEVER          # whole, or its last part
    since: float | None = None
    before: float | None = None
    limit: int | None = None
    ids: Part[int] = ANYID
    worker: Part[str] = WHATEVER        # who has it or ran it last: whole, or the label
    error: Part[str] = WHATEVER         # a part of its error's text, in small letters or large ones
    key: Part[str] = WHATEVER           # unique key
    schedule: Part[str] = WHATEVER      # that enqueued it
    words: Part[str] = WHATEVER         # all of any stand in a name, a key, the worker or the error
    below: int | None = None            # only ids that are smaller, for one page after the other

    def check(self) -> None:
        """Raises InputError for a status that there is not."""
        for status in self.stati:
            if status not in STATI:
                raise InputError(f'{short(status)} is no status; {hint(status)}')

    def sought(self) -> set[str]:
        """The stati that jobs of it can have: those that completed have no error."""
        return set(self.stati) - ({COMPLETED} if self.error.any else set())

    def named(self, queue: str, name: str) -> bool:
        """Whether queue and name fit."""
        return self.queue.takes(queue) and self.name.takes(name, name.rpartition('.')[2])

    def ofRecord(self) -> list[Callable[[int, Record], bool]]:
        """What is to be asked of each job as it was enqueued, and nothing else: quick for many."""
        checks: list[Callable[[int, Record], bool]] = []
        if self.ids:
            checks.append(lambda jobid, record: self.ids.takes(jobid))
        queued = cache(self.queue.takes)
        named = cache(lambda name: self.name.takes(name, name.rpartition('.')[2]))
        if self.queue and self.name:
            checks.append(lambda jobid, record: queued(record.queue) and named(record.name))
        elif self.queue:
            checks.append(lambda jobid, record: queued(record.queue))
        elif self.name:
            checks.append(lambda jobid, record: named(record.name))
        if self.key:
            checks.append(lambda jobid, record: self.key.takes(*keyOf(record)))
        if self.schedule:
            checks.append(lambda jobid, record: self.schedule.takes(*scheduleOf(record)))
        return checks

    def ofView(self) -> list[Callable[[View], bool]]:
        """What is to be asked of each job as it is now, beside ofRecord."""
        checks: list[Callable[[View], bool]] = []
        sought = self.sought()
        if len(sought) < len(STATI):
            checks.append(lambda view: view.status in sought)
        if self.since is not None or self.before is not None:
            since = -math.inf if self.since is None else self.since
            before = math.inf if self.before is None else self.before
            checks.append(lambda view: since <= instantOf(view) < before)
        if self.worker:
            checks.append(lambda view: self.worker.takes(view.worker, labelOf(view.worker)))
        if self.error:
            checks.append(lambda view: self.fails(view.error.casefold()))
        if self.words:
            checks.append(self.told)
        return checks

    def fits(self, view: View) -> bool:
        """Whether all fits."""
        return all(asks(view.id, view.record) for asks in self.ofRecord()) \
            and all(asks(view) for asks in self.ofView())

    def fails(self, error: str) -> bool:
        """Whether an error in small letters fits."""
        return (not self.error.any or within(self.error.any, [error])) \
            and not within(self.error.none, [error])

    def told(self, view: View) -> bool:
        """Whether all words stand somewhere, and none that should not."""
        record = view.record
        texts = [text.casefold() for text in (record.name, record.queue, view.worker, view.error,
                                              *keyOf(record), *scheduleOf(record))]
        return all(within([word], texts) for word in self.words.any) \
            and not within(self.words.none, texts)


EVERYJOB = Filter()


def instantOf(view: View) -> float:
    """When a job ended, or when it was enqueued while it has not."""
    return view.record.created if view.outcome is None else view.outcome.completed


def keyOf(record: Record) -> tuple[str, ...]:
    """The unique key of a job; () without one."""
    return () if record.extras is None else record.extras.get('unique', ())[:1]


def scheduleOf(record: Record) -> tuple[str, ...]:
    """The schedule that enqueued a job; () for none."""
    found = None if record.extras is None else record.extras.get('schedule')
    return () if found is None else (found,)


def within(words: Iterable[str], texts: Iterable[str]) -> bool:
    """Whether one of these words stands in one of these texts, which are in small letters."""
    texts = list(texts)
    return any(word.casefold() in text for word in words for text in texts)


def hint(status: object) -> str:
    """What to say to somebody who asks for a status that there is not."""
    text = str(status).casefold()
    near = MEANT.get(text) or nearest(text, STATI)
    return f'did you mean {near}?' if near else f'choose from {", ".join(STATI)}.'
