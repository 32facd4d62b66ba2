# SPDX-License-Identifier: ZPL-2.1
"""The forms of a schedule: a crontab line, a fixed rate, a pause after the last run, one instant.
Pure.

Each says from an instant, in POSIX seconds, when the next run is, and tells in words what it means.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from p01.remote.calendar import match
from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import short
from p01.remote.ground.spans import parsed, worded
from p01.remote.instants import utc, zone

WORDS = {
    '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *',
    '@weekly': '0 0 * * 0',
    '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
}
LEASTEVERY = 0.001       # seconds between two runs at a fixed rate
REMEMBERED = 4_096       # lines whose words are kept
# cronsim lets some malformed fields through to Python
MALFORMED = (CronSimError, AssertionError, ValueError)
# what the fields of a line take
TAKES = (('second', '0 to 59'), ('minute', '0 to 59'), ('hour', '0 to 23'),
          ('day of month', '1 to 31, L or LW'), ('month', '1 to 12, or JAN to DEC'),
          ('day of week', '0 to 7, SUN to SAT, MON#2 or 5L'))


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
        except (*MALFORMED, StopIteration, OverflowError):
            raise InputError(faultOf(self.line)) from None

    def explain(self) -> str:
        """At 08:00 on Monday through Friday, Europe/Zurich."""
        return f'{wordsOf(self.line)}, {self.tz}'


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


@lru_cache(REMEMBERED)
def wordsOf(line: str) -> str:
    """A crontab line in words: of many schedules most have few lines."""
    try:
        text: str = CronSim(line, utc(0.0)).explain()
    except MALFORMED:
        text = f'At {line}'
    return text


def lineOf(expression: object) -> str:
    """A crontab line of five or six fields for such a text or a word like @daily; else
    InputError."""
    line = str.__str__(expression).strip().upper() if isinstance(expression, str) else ''
    fields = WORDS.get(line.lower(), line).split()
    rate = isinstance(expression, int | float | timedelta) or parsed(line.lower()) is not None
    if rate:
        raise InputError(f'{short(expression)} is no crontab line; for a fixed rate write '
                         f'every={short(expression)}.')
    if callable(expression):
        raise InputError("@app.schedule takes when to run, as @app.schedule('0 8 * * *') or "
                         f"@app.schedule(every='15m'), and stands above {short(expression)} then.")
    if len(fields) not in (5, 6):
        raise InputError(f'{short(expression)} is no crontab line: write five fields, minute hour '
                         'day-of-month month day-of-week, or six that begin with seconds, or one '
                         f'of {", ".join(WORDS)}.')
    return ' '.join(fields)


def faultOf(line: str) -> str:
    """What is wrong with a line that cronsim refuses, and the mend."""
    fields = line.split()
    for place, (field, (name, takes)) in enumerate(zip(fields, TAKES[-len(fields):], strict=True)):
        try:
            CronSim(' '.join(field if place == other else '*' for other in range(len(fields))),
                    utc(0.0))
        except MALFORMED:
            return (f'{short(line)} is no crontab line: its {name} takes *, {takes}, or lists, '
                    f'rising ranges and steps of them, not {short(field)}.')
    return (f'No date ever matches the crontab line {short(line)}; give days that one of its '
            'months has.')
