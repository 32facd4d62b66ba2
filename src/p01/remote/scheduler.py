# SPDX-License-Identifier: ZPL-2.1
"""Jobs that run by the clock: Delay (every so many seconds), Cron (a crontab line), and their
container.

Deciding is pure: an item says from an instant when it runs next and never looks at a clock itself.
Whoever fires a due item writes when it is due next in the same transaction in which it enqueues the
job.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.calendar import FIELDS, Values, completed, textOf, valuesOf
from p01.remote.clock import ticks
from p01.remote.clock.forms import WORDS, Crontab, Pause, lineOf
from p01.remote.clock.item import SchedulerItem
from p01.remote.exceptions import InputError
from p01.remote.ground.door import Placed
from p01.remote.ground.foreign import Raised, short
from p01.remote.instants import duration, seconds, utc
from p01.remote.storage.origin import contained
from p01.remote.store.dues import NEVER, PARTS, Dues, partOf

__all__ = ['WORDS', 'Cron', 'Delay', 'Failure', 'Scheduler', 'SchedulerItem']

NAMES = tuple(field[0] for field in FIELDS)


class Delay(SchedulerItem):
    """Run a job again and again, ``delay`` (seconds, a timedelta or a text such as '10m'; above 0)
    after the last time."""

    def __init__(self, jobName: str, delay: float | timedelta | str = 10, active: bool = True,
                 startTime: float | datetime | None = None, input: Any = None,
                 queue: str | None = None, priority: int = 0) -> None:
        super().__init__(jobName, active=active, startTime=startTime, input=input, queue=queue,
                         priority=priority)
        self.delay = duration(delay, 'delay', most=math.inf)
        if not self.delay:
            raise InputError('delay must be above 0 seconds: the job would never pause.')
        # beyond the calendar: told here, not by a dashboard
        utc(self.next(self.startTime or 0.0))

    def next(self, after: float) -> float:
        """The delay after this instant."""
        return Pause(self.delay).next(after)

    def explain(self) -> str:
        return Pause(self.delay).explain()


class Cron(SchedulerItem):
    """Run a job at the wall-clock times of a crontab line, in the time zone ``tz``.

    Each field is a tuple of numbers or a crontab field as text (``'*/15'``, ``'MON-FRI'``); an
    empty tuple means any. In tuples dayOfWeek counts as Python's weekday() does, 0 is Monday and 6
    Sunday; in text it counts as cron does, 0 is Sunday. Fields left out are any when they are
    coarser than a field that is given, and the first (0, day 1) when they are finer than all of
    these: ``hour=(8,)`` is 08:00 sharp. As in every crontab, a day matches when dayOfMonth or
    dayOfWeek does, if both are restricted.

    A time of day that the clock skips in spring runs once at the end of the gap, one that the clock
    shows twice in autumn runs once, the first time. A line with ``*`` or ``*/n`` (or an empty
    tuple) for minute or hour means a rhythm instead: it runs whenever the clock shows a match,
    skipped or repeated.
    """

    nominal = True

    def __init__(self, jobName: str, minute: Values = None, hour: Values = None,
                 dayOfMonth: Values = None,
                 month: Values = None, dayOfWeek: Values = None, active: bool = True,
                 startTime: float | datetime | None = None, input: Any = None,
                 queue: str | None = None,
                 priority: int = 0, tz: str = 'UTC') -> None:
        super().__init__(jobName, active=active, startTime=startTime, input=input, queue=queue,
                         priority=priority)
        given = completed((minute, hour, dayOfMonth, month, dayOfWeek))
        self.minute, self.hour, self.dayOfMonth, self.month, self.dayOfWeek = (
            valuesOf(value, *field) for value, field in zip(given, FIELDS, strict=True))
        self.tz = str.__str__(tz) if isinstance(tz, str) else tz
        # bad times, an unknown zone and a date that never comes fail here
        self.first(0.0)

    @classmethod
    def parse(cls, jobName: str, expression: str, tz: str = 'UTC', **options: Any) -> Cron:
        """A Cron from five crontab fields or a word like @daily; options as for Cron; else
        InputError."""
        fields = lineOf(expression).split()
        if len(fields) != len(FIELDS):
            raise InputError(f'{short(expression)} is no crontab line: write five fields, minute '
                             'hour day-of-month month day-of-week; a Cron has no seconds.')
        options.update(zip(NAMES, fields, strict=True))
        return cls(jobName, tz=tz, **options)

    @property
    def expression(self) -> str:
        """The crontab line of this item, five fields in cron's own numbers."""
        # checked again: the fields are plain attributes, and a form may have changed them
        return ' '.join(textOf(valuesOf(getattr(self, field[0]), *field), field[0])
                        for field in FIELDS)

    def next(self, after: float) -> float:
        """The first match strictly after this instant; InputError when there is none."""
        return Crontab(self.expression, self.tz).next(after)

    def explain(self) -> str:
        return Crontab(self.expression, self.tz).explain()


class Failure(NamedTuple):
    """Why an item could not be fired, first seen at an instant in POSIX seconds. It may be the
    fault of one host alone."""

    since: float
    reason: str


class Scheduler(Placed, Persistent):
    """The items of a processor by key.

    Every item is a persistent object of its own and firing one writes its ``due``. So when two
    workers fire the same tick in two transactions, both write that item: ZODB lets one commit and
    gives the other a ConflictError, and the job that the other one enqueued vanishes with it. No
    lock, no leader is needed; for that reason no item may ever get a ``_p_resolveConflict``.
    """

    # of what applications declare, see engine.declaring
    # by application: those that were seen, the one that holds last
    codes: dict[str, tuple[str, ...]] = {}
    names: dict[str, tuple[str, ...]] = {}      # by code: the schedules that it declares
    # by application: those that are no longer declared, and have not retired
    leaving: dict[str, tuple[str, ...]] = {}

    def __init__(self, processor: Persistent | None = None) -> None:
        if processor is not None:
            self.__parent__ = processor
        self._items: OOBTree[str, SchedulerItem] = OOBTree()
        self.parts = tuple(Dues() for _ in range(PARTS))
        # by key: why items could not be fired the last time, until they could
        self.failures: OOBTree[str, Failure] = OOBTree()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items.keys())

    def after(self, key: str) -> Iterator[str]:
        """The keys behind this one, in their order."""
        return iter(self._items.keys(key, None, excludemin=True))

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __getitem__(self, key: str) -> SchedulerItem:
        return self._items[key]

    def get(self, key: str) -> SchedulerItem | None:
        """The item of a key, None without one."""
        return self._items.get(key)

    def values(self) -> Iterable[SchedulerItem]:
        """The items in the order of their keys."""
        return self._items.values()

    def items(self) -> Iterable[tuple[str, SchedulerItem]]:
        """The keys and items in the order of the keys."""
        return self._items.items()

    def idle(self) -> bool:
        """Whether there are no items."""
        return not self._items

    def add(self, item: SchedulerItem, now: float | datetime, key: str = '') -> str:
        """Take in an item, set its first due time and return its key: the given one, or jobName,
        jobName-2, …"""
        if not isinstance(item, SchedulerItem):
            raise InputError(f'A scheduler takes Delay and Cron items, not {item!r}.')
        if item.__parent__ is not None:
            raise InputError(f'{item!r} is in a scheduler already; remove it there first.')
        instant = seconds(now)
        first = item.first(instant)
        if not key:
            key, number = item.jobName, 1
            while key in self._items:
                number += 1
                key = f'{item.jobName}-{number}'
        item.__parent__, item.__name__ = self, key
        self._items[key] = item
        item.plan(first, None if first is None else item.dueOf(first))
        return key

    def remove(self, key: str) -> SchedulerItem:
        """Take the item of this key out and return it; InputError when there is none."""
        item = self._find(key)
        del self._items[key]
        self.mended(key)
        # else its class is gone, and nothing can be said to it
        if isinstance(item, SchedulerItem):
            was = item.when
            if was is not None:
                self.parts[partOf(key)].leave(was, key)
            item.__parent__ = item.__name__ = None
            item.plan(None, None)
        return item

    def place(self, item: SchedulerItem, was: float | None) -> None:
        """Look at an item when it says, and no more when it said before."""
        key, when = str(item.__name__), item.when
        if was != when:
            part = self.parts[partOf(key)]
            if was is not None:
                part.leave(was, key)
            if when is not None:
                part.enter(when, key)

    def reschedule(self, item: SchedulerItem | str, now: float | datetime) -> float | None:
        """Set and return an item's next due time, counted from now or from a later startTime."""
        found = self._find(item)
        tick = ticks.onward(found.coming, seconds(now), found.spans)
        found.plan(tick, None if tick is None else found.dueOf(tick))
        return found.due

    def rescheduleAll(self, now: float | datetime) -> None:
        """Reschedule every item from now; raises what the first one does that cannot be, when all
        others are."""
        done = [contained(self.reschedule, key, now) for key in self]
        for each in done:
            if isinstance(each, Raised):
                raise each.error

    def due(self, now: float | datetime) -> list[SchedulerItem]:
        """The active items that are due, in the order in which they became due."""
        instant = seconds(now)
        keys = {key for part in self.parts for _, key in part.ready(instant, len(self._items) + 1)}
        found = [item for key in keys if (item := self.get(key)) is not None
                 and item.active and item.due is not None and item.due <= instant]
        return sorted(found, key=lambda item: (item.due, item.__name__))

    def advance(self, item: SchedulerItem | str, now: float | datetime) -> float | None:
        """Set and return the due time strictly after now of an item that is being fired.

        Ticks that passed unnoticed are not made up for: one run stands for all of them.
        """
        found, instant = self._find(item), seconds(now)
        tick = ticks.onward(found.coming, instant, found.spans)
        found.plan(tick, None if tick is None else found.dueOf(tick))
        found.reckoned = instant
        self.parts[partOf(str(found.__name__))].saw(instant)
        return found.due

    def failed(self, key: str, reason: str, now: float) -> bool:
        """Note why an item fails, the error's class first; whether that is news: the rest may say
        the time, or an address."""
        known = self.failures.get(key)
        if known is not None and known.reason.partition(':')[0] == reason.partition(':')[0]:
            return False
        self.failures[key] = Failure(now, reason)
        return True

    def mended(self, key: str) -> None:
        """An item fails no more."""
        if key in self.failures:
            del self.failures[key]

    def nextDue(self) -> float | None:
        """POSIX seconds at which an active item is due next; None when there is none."""
        heads = [next(iter(part.entries.keys()), (NEVER, ''))[0] for part in self.parts]
        found = min(heads)
        return None if found == NEVER else found

    def _find(self, item: SchedulerItem | str) -> SchedulerItem:
        key = item.__name__ if isinstance(item, SchedulerItem) else item
        found = self._items.get(key) if isinstance(key, str) else None
        if found is None or (isinstance(item, SchedulerItem) and found is not item):
            raise InputError(f'No item {item!r} is in this scheduler; list(scheduler) names those '
                             'that are.')
        return found
