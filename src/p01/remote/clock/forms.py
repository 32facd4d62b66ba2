# SPDX-License-Identifier: ZPL-2.1
"""The forms of a schedule: a crontab line, a fixed rate, a pause after the last run, one instant.
Pure.

Each says from an instant, in POSIX seconds, when the next run is, and tells in words what it means.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from cronsim import CronSim, CronSimError

from p01.remote.calendar import match
from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import short
from p01.remote.ground.spans import worded
from p01.remote.instants import utc, zone

WORDS = {
    '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *',
    '@weekly': '0 0 * * 0',
    '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
}
LEAST = 0.001       # seconds between two runs at a fixed rate


@dataclass(frozen=True)
class Crontab:
    """The wall-clock times of a line of five fields, or of six that begin with seconds, in a
    zone."""

    line: str
    tz: str = 'UTC'

    def next(self, after: float) -> float:
        """The first match strictly after an instant. Raises InputError when there is none,
        NoZone."""
        tz = zone(self.tz)
        try:
            return match(self.line, after, tz)
        except InputError:
            raise
        # AssertionError, ValueError: cronsim lets some malformed fields through to Python
        except (CronSimError, AssertionError, ValueError) as error:
            raise InputError(
                f'{short(self.line)} is no crontab line: {str(error) or "bad field"}.') from None
        except (StopIteration, OverflowError):
            raise InputError(f'No date ever matches the crontab line {short(self.line)}.') from None

    def explain(self) -> str:
        """At 08:00 on Monday through Friday, Europe/Zurich."""
        try:
            text: str = CronSim(self.line, utc(0.0)).explain()
        except (CronSimError, AssertionError, ValueError):
            text = f'At {self.line}'
        return f'{text}, {self.tz}'


@dataclass(frozen=True)
class Rate:
    """Every so many seconds, counted from an instant."""

    every: float
    anchor: float = 0.0

    def next(self, after: float) -> float:
        """The first multiple strictly after an instant."""
        number = math.floor((after - self.anchor) / self.every)
        # a datetime shows microseconds, and is to show each run once
        while (found := round(self.anchor + number * self.every, 6)) <= after:
            number += 1
        return found

    def explain(self) -> str:
        """Every 15 minutes, counted from midnight UTC."""
        words = worded(self.every)
        words = words.removeprefix('1 ') if words.count(' ') == 1 else words
        if self.anchor:
            since = f'{utc(self.anchor):%Y-%m-%d %H:%M:%S} UTC'
        else:
            since = 'midnight UTC' if 86400 % self.every == 0 else '1970-01-01 00:00 UTC'
        return f'Every {words}, counted from {since}'


@dataclass(frozen=True)
class Pause:
    """So many seconds after the last time."""

    delay: float

    def next(self, after: float) -> float:
        """The delay after an instant."""
        # a delay below the resolution of the clock's float must still move on
        return max(after + self.delay, math.nextafter(after, math.inf))

    def explain(self) -> str:
        """10 minutes after the last time."""
        return f'{worded(self.delay)} after the last time'.capitalize()


@dataclass(frozen=True)
class Once:
    """One instant."""

    at: float

    def next(self, after: float) -> float | None:
        """The instant, None when it is not after."""
        return self.at if after < self.at else None

    def explain(self) -> str:
        """Once, at 2027-01-01 08:00:00 UTC."""
        return f'Once, at {utc(self.at):%Y-%m-%d %H:%M:%S} UTC'


Form = Crontab | Rate | Pause | Once


def lineOf(expression: object) -> str:
    """A crontab line of five or six fields for such a text or a word like @daily; else
    InputError."""
    line = str.__str__(expression).strip().upper() if isinstance(expression, str) else ''
    fields = WORDS.get(line.lower(), line).split()
    if len(fields) not in (5, 6):
        raise InputError(f'{short(expression)} is no crontab line: write five fields, minute hour '
                         'day-of-month month day-of-week, or six that begin with seconds, or one '
                         f'of {", ".join(WORDS)}.')
    return ' '.join(fields)
