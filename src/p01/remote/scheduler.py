# SPDX-License-Identifier: ZPL-2.1
"""Jobs that run by the clock: Delay (every so many seconds), Cron (a crontab line), and their container.

Deciding is pure: an item says from an instant when it runs next and never looks at a clock itself.
Whoever fires a due item calls ``advance`` in the same transaction in which it enqueues the job.
"""
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from BTrees.OOBTree import OOBTree
from cronsim import CronSimError
from persistent import Persistent

from p01.remote.calendar import FIELDS, Values, completed, match, textOf, valuesOf
from p01.remote.exceptions import InputError, RegistrationError
from p01.remote.ground import checks
from p01.remote.ground.door import Placed
from p01.remote.ground.foreign import Raised, short
from p01.remote.instants import duration, seconds, utc, zone
from p01.remote.storage.origin import contained

WORDS = {
    '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0',
    '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
}
NAMES = tuple(field[0] for field in FIELDS)


class SchedulerItem(Placed, Persistent):
    """A job to run by the clock; ``due`` is the POSIX second of its next run, None before it is added.

    The job runs with ``input`` on ``queue`` (None: the job's own) at ``priority``. Setting ``active`` to
    False pauses the item; call the scheduler's ``reschedule`` when it goes on, or after any other change.
    """

    due: float | None = None
    reckoned: float | None = None       # by which clock: when a worker computed due, in POSIX seconds

    def __init__(self, jobName: str, *, active: bool = True, startTime: float | datetime | None = None,
                 input: Any = None, queue: str | None = None, priority: int = 0) -> None:
        self.jobName = _name(jobName, 'jobName')
        self.active = checks.flagOf(active, 'active')
        self.startTime = None if startTime is None else seconds(startTime, 'startTime')
        self.input = input
        self.queue = None if queue is None else _name(queue, 'queue')
        self.priority = checks.priorityOf(priority)

    def next(self, after: float) -> float:
        """POSIX seconds of the first run strictly after this instant."""
        raise RegistrationError(f'{type(self).__name__} has no next(self, after); write one, or '
                                'use Delay or Cron.')

    def first(self, now: float) -> float:
        """POSIX seconds of the first run of an item added now."""
        return self.next(now if self.startTime is None else self.startTime)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.__name__ or self.jobName!r}>'


class Delay(SchedulerItem):
    """Run a job again and again, ``delay`` (seconds, a timedelta or a text such as '10m'; above 0) after the last time."""

    def __init__(self, jobName: str, delay: float | timedelta | str = 10, active: bool = True,
                 startTime: float | datetime | None = None, input: Any = None,
                 queue: str | None = None, priority: int = 0) -> None:
        super().__init__(jobName, active=active, startTime=startTime, input=input, queue=queue,
                         priority=priority)
        self.delay = duration(delay, 'delay', most=math.inf)
        if not self.delay:
            raise InputError('delay must be above 0 seconds: the job would never pause.')
        utc(self.first(0.0))            # a first run beyond the calendar is told here, not by a dashboard

    def next(self, after: float) -> float:
        """The delay after this instant."""
        # a delay below the resolution of the clock's float must still move on
        return max(after + self.delay, math.nextafter(after, math.inf))


class Cron(SchedulerItem):
    """Run a job at the wall-clock times of a crontab line, in the time zone ``tz``.

    Each field is a tuple of numbers or a crontab field as text (``'*/15'``, ``'MON-FRI'``); an empty tuple
    means any. In tuples dayOfWeek counts as Python's weekday() does, 0 is Monday and 6 Sunday; in text it
    counts as cron does, 0 is Sunday. Fields left out are any when they are coarser than a field that is
    given, and the first (0, day 1) when they are finer than all of these: ``hour=(8,)`` is 08:00 sharp.
    As in every crontab, a day matches when dayOfMonth or dayOfWeek does, if both are restricted.

    A time of day that the clock skips in spring runs once at the end of the gap, one that the clock
    shows twice in autumn runs once, the first time. A line with ``*`` or ``*/n`` (or an empty tuple) for
    minute or hour means a rhythm instead: it runs whenever the clock shows a match, skipped or repeated.
    """

    def __init__(self, jobName: str, minute: Values = None, hour: Values = None, dayOfMonth: Values = None,
                 month: Values = None, dayOfWeek: Values = None, active: bool = True,
                 startTime: float | datetime | None = None, input: Any = None, queue: str | None = None,
                 priority: int = 0, tz: str = 'UTC') -> None:
        super().__init__(jobName, active=active, startTime=startTime, input=input, queue=queue,
                         priority=priority)
        given = completed((minute, hour, dayOfMonth, month, dayOfWeek))
        self.minute, self.hour, self.dayOfMonth, self.month, self.dayOfWeek = (
            valuesOf(value, *field) for value, field in zip(given, FIELDS, strict=True))
        self.tz = str.__str__(tz) if isinstance(tz, str) else tz
        self.first(0.0)                 # bad times, an unknown zone and a date that never comes fail here

    @classmethod
    def parse(cls, jobName: str, expression: str, tz: str = 'UTC', **options: Any) -> 'Cron':
        """A Cron from five crontab fields or a word like @daily; options as for Cron; else InputError."""
        line = expression.strip() if isinstance(expression, str) else ''
        fields = WORDS.get(line.lower(), line).split()
        if len(fields) != len(FIELDS):
            raise InputError(f'{short(expression)} is no crontab line: write five fields, minute hour '
                             f'day-of-month month day-of-week, or one of {", ".join(WORDS)}.')
        options.update(zip(NAMES, fields, strict=True))
        return cls(jobName, tz=tz, **options)

    @property
    def expression(self) -> str:
        """The crontab line of this item, five fields in cron's own numbers."""
        # checked again: the fields are plain attributes, and a form may have changed them
        return ' '.join(textOf(valuesOf(getattr(self, field[0]), *field), field[0]) for field in FIELDS)

    def next(self, after: float) -> float:
        """The first match strictly after this instant; InputError when there is none."""
        line, tz = self.expression, zone(self.tz)
        try:
            return match(line, after, tz)
        except InputError:
            raise
        # AssertionError, ValueError: cronsim lets some malformed fields through to Python
        except (CronSimError, AssertionError, ValueError) as error:
            raise InputError(f'{short(line)} is no crontab line: {str(error) or "bad field"}.') from None
        except (StopIteration, OverflowError):
            raise InputError(f'No date ever matches the crontab line {short(line)}.') from None


class Failure(NamedTuple):
    """Why an item could not be fired, first seen at an instant in POSIX seconds. It may be the fault of one host alone."""

    since: float
    reason: str


class Scheduler(Placed, Persistent):
    """The items of a processor by key.

    Every item is a persistent object of its own and firing one writes its ``due``. So when two schedulers
    fire the same tick in two transactions, both write that item: ZODB lets one commit and gives the other
    a ConflictError, and the job that the other one enqueued vanishes with it. No lock, no leader is needed;
    for that reason no item may ever get a ``_p_resolveConflict``.
    """

    failures: dict[str, Failure] = {}       # by key: why items could not be fired the last time, until they could

    def __init__(self, processor: Any = None) -> None:
        if processor is not None:
            self.__parent__ = processor
        self._items = OOBTree()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items.keys())

    def __getitem__(self, key: str) -> SchedulerItem:
        return self._items[key]

    def values(self) -> Iterable[SchedulerItem]:
        """The items in the order of their keys."""
        return self._items.values()

    def items(self) -> Iterable[tuple[str, SchedulerItem]]:
        """The keys and items in the order of the keys."""
        return self._items.items()

    def add(self, item: SchedulerItem, now: float | datetime) -> str:
        """Take in an item, set its first due time and return its key: jobName, jobName-2, …"""
        if not isinstance(item, SchedulerItem):
            raise InputError(f'A scheduler takes Delay and Cron items, not {item!r}.')
        if item.__parent__ is not None:
            raise InputError(f'{item!r} is in a scheduler already; remove it there first.')
        due = item.first(seconds(now))
        key, number = item.jobName, 1
        while key in self._items:
            number += 1
            key = f'{item.jobName}-{number}'
        item.__parent__, item.__name__, item.due = self, key, due
        self._items[key] = item
        return key

    def remove(self, key: str) -> SchedulerItem:
        """Take the item of this key out and return it; InputError when there is none."""
        item = self._find(key)
        del self._items[key]
        self.mended(key)
        if isinstance(item, SchedulerItem):     # else its class is gone, and nothing can be said to it
            item.__parent__ = item.__name__ = item.due = None
        return item

    def reschedule(self, item: SchedulerItem | str, now: float | datetime) -> float:
        """Set and return an item's next due time, counted from now or from a later startTime."""
        found = self._find(item)
        instant = seconds(now)
        found.due = found.first(instant) if (found.startTime or instant) > instant else found.next(instant)
        return found.due

    def rescheduleAll(self, now: float | datetime) -> None:
        """Reschedule every item from now; raises what the first one does that cannot be, when all others are."""
        done = [contained(self.reschedule, key, now) for key in self]
        for each in done:
            if isinstance(each, Raised):
                raise each.error

    def due(self, now: float | datetime) -> list[SchedulerItem]:
        """The active items that are due, in the order in which they became due."""
        instant = seconds(now)
        found = [item for item in self._waiting() if item.due <= instant]
        return sorted(found, key=lambda item: (item.due, item.__name__))

    def advance(self, item: SchedulerItem | str, now: float | datetime) -> float:
        """Set and return the due time strictly after now of an item that is being fired.

        Ticks that passed unnoticed are not made up for: one run stands for all of them.
        """
        found, instant = self._find(item), seconds(now)
        found.due = found.next(instant)
        found.reckoned = instant
        return found.due

    def failed(self, key: str, reason: str, now: float) -> bool:
        """Note why an item fails, the error's class first; whether that is news: the rest may say the time, or an address."""
        known = self.failures.get(key)
        if known is not None and known.reason.partition(':')[0] == reason.partition(':')[0]:
            return False
        self.failures = {**self.failures, key: Failure(now, reason)}
        return True

    def mended(self, key: str) -> None:
        """An item fails no more."""
        if key in self.failures:
            self.failures = {name: each for name, each in self.failures.items() if name != key}

    def nextDue(self) -> float | None:
        """POSIX seconds at which an active item is due next; None when there is none."""
        return min((item.due for item in self._waiting()), default=None)

    def _waiting(self) -> Iterator[Any]:
        # a scan: a processor has a handful of items
        return (item for item in self.values() if item.active and item.due is not None)

    def _find(self, item: SchedulerItem | str) -> SchedulerItem:
        key = item.__name__ if isinstance(item, SchedulerItem) else item
        found = self._items.get(key) if isinstance(key, str) else None
        if found is None or (isinstance(item, SchedulerItem) and found is not item):
            raise InputError(f'No item {item!r} is in this scheduler; list(scheduler) names those that are.')
        return found


def _name(value: str, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{name} must be a name in text, not {short(value)}.')
    return checks.nameOf(value, name)
