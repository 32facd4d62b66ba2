# SPDX-License-Identifier: ZPL-2.1
"""Crontab lines: the arithmetic of the calendar is cronsim's, that of clock changes is here.
Pure."""
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from cronsim import CronSim

from p01.remote.exceptions import InputError
from p01.remote.instants import EPOCH, clockChange, offset, short, utc

# the crontab order, finest first: name, lowest and highest number of each field
FIELDS = (('minute', 0, 59), ('hour', 0, 23), ('dayOfMonth', 1,
                                               31), ('month', 1, 12), ('dayOfWeek', 0, 6))
NAIVE = datetime(1970, 1, 1)
LONGESTGAP = 90_000        # seconds; no clock has ever skipped more at once

Values = int | str | Iterable[int] | None


@lru_cache(1024)        # of many schedules that are due at once, most have a line in common
def match(line: str, after: float, tz: tzinfo) -> float:
    """POSIX seconds of the line's first match strictly after an instant; StopIteration: never.

    Five fields, or six that begin with seconds.
    """
    minute, hour = line.split()[-5:-3]
    if tz is UTC:
        return next(CronSim(line, utc(math.floor(after)))).timestamp()     # a datetime rounds
    if minute.startswith('*') or hour.startswith('*'):
        return _rhythm(line, after, tz)
    start = math.floor(after)
    # cronsim sees the wall clock alone: within a repeated hour it gives runs that are over
    return next(run for wall in CronSim(line, NAIVE + timedelta(seconds=start + offset(tz, start)))
                if (run := _instant(wall, tz)) > after)


def _instant(wall: datetime, tz: tzinfo) -> float:
    """When a clock shows this for the first time; of what it skips, the end of the gap."""
    shown = wall.replace(tzinfo=tz).astimezone(UTC)
    run = round((shown - EPOCH).total_seconds())
    if shown.astimezone(tz).replace(tzinfo=None) == wall:
        return float(run)
    before = run - LONGESTGAP
    return float(clockChange(tz, before, run, offset(tz, before)) or run)


def _rhythm(line: str, after: float, tz: tzinfo) -> float:
    """The same for a line that follows the clock through its changes.

    cronsim only sees the wall clock between two changes. Left to itself it walks across them by
    whole hours, and misses half an hour of runs where the clock moves by 30 minutes or at 00:01.
    """
    start = math.floor(after)
    shift = offset(tz, start)
    while True:
        run = next(CronSim(line, NAIVE + timedelta(seconds=start + shift)))
        found = round((run - NAIVE).total_seconds()) - shift
        change = clockChange(tz, start, found, shift)
        if change is None:
            return float(found)
        start, shift = change - 1, offset(tz, change)


# -- fields of crontab lines

def completed(given: tuple[Values, ...]) -> list[Values]:
    """The five fields with those left out filled in; see Cron."""
    ranks = (0, 1, 2, 3, 2)             # both kinds of day are finer than the month
    finest = min((rank for rank, value in zip(ranks, given, strict=True) if value is not None),
                 default=0)
    firsts = (0, 0, 1, 1, ())           # no weekday is the first one
    return [value if value is not None else firsts[field] if ranks[field] < finest else ()
            for field, value in enumerate(given)]


def valuesOf(value: Values, name: str, lowest: int, highest: int) -> tuple[int, ...] | str:
    """A field as it is kept: text in capitals, or a sorted tuple of numbers within the limits."""
    if isinstance(value, str):
        if len(value.split()) != 1:
            raise InputError(f'{name} must be one crontab field such as */15, not {short(value)}.')
        return value.strip().upper()
    numbers = value if isinstance(value, Iterable) else (value,)
    found = set()
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) \
                or not lowest <= number <= highest:
            raise InputError(f'{name} must be whole numbers from {lowest} to {highest}, not '
                             f'{short(number)}.')
        found.add(int.__int__(number))
    return tuple(sorted(found))


def textOf(values: tuple[int, ...] | str, name: str) -> str:
    """A kept field as cron writes it."""
    if isinstance(values, str):
        return values
    if name == 'dayOfWeek':             # Python's Monday is 0, cron's is 1 and its Sunday 0
        values = tuple((day + 1) % 7 for day in values)
    return ','.join(map(str, values)) or '*'
