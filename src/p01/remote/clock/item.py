# SPDX-License-Identifier: ZPL-2.1
"""What all schedules share: what was chosen, when they run, and what has become of them."""
from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from persistent import Persistent

from p01.remote.clock import ticks
from p01.remote.exceptions import InputError, RegistrationError
from p01.remote.ground import checks, clocks
from p01.remote.ground.door import Placed
from p01.remote.ground.foreign import short
from p01.remote.instants import seconds, utc
from p01.remote.store.dues import NEVER


class SchedulerItem(Placed, Persistent):
    """A job to run by the clock; ``due`` is the POSIX second of its next run, None before it is
    added.

    The job runs with ``input`` on ``queue`` (None: the job's own) at ``priority``. Setting
    ``active`` to False pauses the item; call the scheduler's ``reschedule`` when it goes on, or
    after any other change.
    """

    # what may be chosen, see Schedule
    start: float | None = None          # the first and the last instant at which it may have a tick
    end: float | None = None
    jitter = 0.0
    missed: str | int = 'one'
    overlap = 'skip'
    title = ''
    description = ''
    nominal = False                     # its ticks are the same whenever it is asked

    # what has become of it
    _due: float | None = None
    _active = True
    until: float | None = None          # when a pause ends by itself
    retired: float | None = None        # since when no code declares it any more
    tick: float | None = None           # what the next run stands for; due is that and its jitter
    linked: float | None = None         # the tick right before it
    spans: ticks.Spans = ()             # ticks that had their job
    # by which clock: when a worker computed due, in POSIX seconds
    reckoned: float | None = None
    skips = 0                           # ticks that an operator does not want
    lastJob: int | None = None
    history: tuple[tuple[float, float, int, str], ...] = ()      # see engine.firing.Firing
    fired = passed = skipped = 0        # ticks that had a job; that were missed; that were skipped

    def __init__(self, jobName: str, *, active: bool = True,
                 startTime: float | datetime | None = None,
                 input: Any = None, queue: str | None = None, priority: int = 0) -> None:
        self.jobName = _name(jobName, 'jobName')
        self.active = checks.flagOf(active, 'active')
        self.startTime = None if startTime is None else seconds(startTime, 'startTime')
        self.input = input
        self.queue = None if queue is None else _name(queue, 'queue')
        self.priority = checks.priorityOf(priority)

    # -- when

    def next(self, after: float) -> float | None:
        """POSIX seconds of the first run strictly after this instant."""
        raise RegistrationError(f'{type(self).__name__} has no next(self, after); write one, or '
                                'use Delay or Cron.')

    def first(self, now: float) -> float | None:
        """POSIX seconds of the first run of an item added now."""
        return self.next(now if self.startTime is None else self.startTime)

    def coming(self, after: float) -> float | None:
        """POSIX seconds of the first tick strictly after this instant; None when there is none."""
        if self.startTime is not None:
            after = max(after, self.startTime)
        if self.start is not None and after < self.start:
            after = math.nextafter(self.start, -math.inf)
        found = self.next(after)
        return found if found is None or self.end is None or found <= self.end else None

    def nextAfter(self, instant: float | datetime) -> datetime | None:
        """When its first tick strictly after an instant is, whatever became of it; None when there
        is none.

        Takes POSIX seconds or an aware datetime, gives an aware one of UTC.
        """
        found = self.coming(seconds(instant, 'The instant'))
        return None if found is None else utc(found)

    def preview(self, count: int, after: float | datetime | None = None) -> list[datetime]:
        """Its next ticks after an instant, None for now, at most so many (up to 10,000)."""
        found, count = list[datetime](), checks.wholeOf(count, 'count', 0, 10_000)
        tick = self.nextAfter(clocks.now() if after is None else after)
        while tick is not None and len(found) < count:
            found.append(tick)
            tick = self.nextAfter(tick)
        return found

    def explain(self) -> str:
        """When it runs, in words."""
        return f'When {type(self).__name__} says so'

    def dueOf(self, tick: float) -> float:
        """When the run for a tick is due."""
        return tick + ticks.jitter(self.__name__ or '', tick, self.jitter)

    # -- how it stands

    @property
    def due(self) -> float | None:
        """When it is due, in POSIX seconds."""
        return self._due

    @due.setter
    def due(self, value: float | None) -> None:
        self.plan(value, value)

    @property
    def active(self) -> bool:
        """Whether it runs; else it is paused."""
        return self._active

    @active.setter
    def active(self, value: bool) -> None:
        was = self.when
        self._active, self.until = value, None
        self._place(was)

    @property
    def when(self) -> float | None:
        """When to look at it, None for never."""
        if self.retired is not None:
            return None
        if not self._active:
            return self.until
        return NEVER if self._due is None else self._due

    def plan(self, tick: float | None, due: float | None, linked: float | None = None) -> None:
        """Have it due for a tick, which follows right behind the one that is linked; None: for none
        any more."""
        was = self.when
        self._due, self.tick, self.linked = due, tick, linked
        self._place(was)

    def pause(self, until: float | None) -> None:
        """Pause it, until an instant or until somebody has it go on."""
        was = self.when
        self._active, self.until = False, until
        self._place(was)

    def retire(self, now: float | None) -> None:
        """No code declares it any more since now; None: some code does."""
        was = self.when
        self.retired = now
        self._place(was)

    def _place(self, was: float | None) -> None:
        if self.__parent__ is not None:
            self.__parent__.place(self, was)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.__name__ or self.jobName!r}>'


def _name(value: str, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{name} must be a name in text, not {short(value)}.')
    return checks.nameOf(value, name)
