# SPDX-License-Identifier: ZPL-2.1
"""What may be chosen for a schedule, checked once: a dict of plain values, without those that are
as by default. Pure."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice, pairwise
from typing import Any, TypedDict

from p01.remote.calendar import FIELDS, Values, completed, textOf, valuesOf
from p01.remote.clock import ticks
from p01.remote.clock.forms import LEASTEVERY, Crontab, Form, Once, Pause, Rate, lineOf
from p01.remote.exceptions import InputError
from p01.remote.ground import checks
from p01.remote.ground.foreign import short
from p01.remote.instants import duration, seconds, utc, zone
from p01.remote.options import Span

MADEUP = 100                   # missed ticks that are made up for by missed='all'
MOSTMADEUP = ticks.COUNTED        # and by any number
LOOKED = 10                 # ticks whose distance is looked at
FORMS = ('cron', 'every', 'delay', 'at')
# what is changed here makes other ticks of them
TICKING = (*FORMS, 'tz', 'aligned', 'start')
TIMING = (*TICKING, 'end', 'jitter')    # and here another next run
DEFAULTS: dict[str, Any] = {
    'tz': 'UTC', 'aligned': True, 'start': None, 'end': None, 'jitter': 0.0, 'missed': 'one',
    'overlap': 'skip',
    'queue': None, 'priority': 0, 'title': '', 'description': '', 'input': None}
OVERLAPS = ('skip', 'queue', 'cancel')


class Timing(TypedDict, total=False):
    """What may be chosen for a schedule beside its form and its job, see App.schedule."""

    every: Span | None
    delay: Span | None
    at: datetime | float | None
    minute: Values
    hour: Values
    dayOfMonth: Values
    month: Values
    dayOfWeek: Values
    tz: str
    aligned: bool
    start: datetime | float | None
    end: datetime | float | None
    jitter: Span
    missed: str | int
    overlap: str
    queue: str | None
    priority: int | None
    title: str
    description: str


def settled(cron: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of what was given for a new schedule. Raises InputError, which names the field
    and the mend."""
    found = checked(edited(cron, given))
    if 'aligned' in found and 'every' not in found:
        raise InputError("aligned is for a fixed rate, as every='15m'; leave it out.")
    return found


def edited(cron: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings to be changed, of what was given for them: each a value that makes sense. Raises
    InputError."""
    checks.known(given, Timing.__annotations__, 'A schedule')
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    parts = tuple(values.pop(name, None) for name, *_ in FIELDS)
    if cron is not None:
        values['cron'] = cron
    if any(part is not None for part in parts):
        if cron is not None:
            raise InputError('Give a crontab line or its fields (minute, hour …), not both.')
        values['cron'] = ' '.join(textOf(valuesOf(value, *field), field[0])
                                  for value, field in zip(completed(parts), FIELDS, strict=True))
    found = {name: SETTINGCHECKS[name](value) for name, value in values.items()}
    if many(found):
        found.setdefault('overlap', 'queue')
    return found


def many(found: Mapping[str, Any]) -> bool:
    """Whether settings have several jobs enqueued at once."""
    missed = found.get('missed')
    return missed == 'all' or isinstance(missed, int) and missed > 1


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, each a value that makes sense, and those that are not as by default. Raises
    InputError."""
    found = {name: SETTINGCHECKS[name](value) if name in SETTINGCHECKS else value
             for name, value in values.items()}
    forms = [name for name in FORMS if name in found]
    if len(forms) != 1:
        what = 'nothing' if not forms else ' and '.join(forms)
        raise InputError("A schedule takes one of: a crontab line such as '0 8 * * MON-FRI', "
                         "every='15m', delay='10m', "
                         f'at=an instant; not {what}.')
    overlap = found.get('overlap', DEFAULTS['overlap'])
    if many(found) and overlap != 'queue':
        raise InputError(f'missed={found["missed"]!r} enqueues several jobs at once, which '
                         f'overlap={overlap!r} does not let; '
                         "give overlap='queue', or missed='one'.")
    start, end = found.get('start'), found.get('end')
    if start is not None and end is not None and end <= start:
        raise InputError(f'end must be after start ({utc(start):%Y-%m-%d %H:%M:%S} UTC), not '
                         f'{utc(end):%Y-%m-%d %H:%M:%S} UTC.')
    proven(found)
    return {name: value for name, value in found.items() if name not in DEFAULTS
            or value != DEFAULTS[name]}


def proven(found: dict[str, Any]) -> None:
    """Raises InputError for a form that has no run at all, or a jitter as long as the time between
    two of them."""
    form, start, end = formOf(found, 0.0), found.get('start'), found.get('end')
    after = math.nextafter(start, -math.inf) if start is not None else 0.0
    first = form.next(after)
    if isinstance(form, Once) and first is None and start is not None:
        raise InputError('at lies before start; give a start up to '
                         f'{utc(form.at):%Y-%m-%d %H:%M:%S} UTC, or none.')
    if end is not None and first is not None and first > end:
        raise InputError('No run lies up to end: the first one is at '
                         f'{utc(first):%Y-%m-%d %H:%M:%S} UTC; give a later end.')
    if found.get('jitter') and not isinstance(form, Once):
        near = islice(ticks.walk(form.next, after, math.inf), LOOKED)
        least = form.delay if isinstance(form,
                                         Pause) else min(late - early
                                                         for early, late in pairwise(near))
        if found['jitter'] >= least:
            raise InputError(f'jitter must be below the time between two runs, {least:g} s, not '
                             f'{found["jitter"]:g} s.')


def formOf(found: Mapping[str, Any], anchor: float) -> Form:
    """The form of settings; anchor is what a rate that is not aligned counts from when it has no
    start."""
    if 'cron' in found:
        return Crontab(found['cron'], found.get('tz', 'UTC'))
    if 'every' in found:
        start = found.get('start')
        return Rate(found['every'],
                    0.0 if found.get('aligned', True) else anchor if start is None else start)
    return Pause(found['delay']) if 'delay' in found else Once(found['at'])


def above(value: Any, name: str, least: float = 0.0) -> float:
    """A duration between two runs."""
    length = duration(value, name)
    if not length:
        raise InputError(f'{name} must be above 0 seconds, not {short(value)}.')
    if length < least:
        raise InputError(f'{name} must be at least {least * 1000:g} ms, not {short(value)}.')
    return length


def missedOf(value: Any) -> str | int:
    """What to do with ticks that were missed."""
    if value in ('one', 'all', 'none') and isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOSTMADEUP:
        return int.__int__(value)
    raise InputError("missed must be 'one', 'all', 'none', or a number of ticks up to "
                     f"{MOSTMADEUP:,}, not {short(value)}.")


def overlapOf(value: Any) -> str:
    """What to do when the job before still waits or runs."""
    if value not in OVERLAPS or not isinstance(value, str):
        raise InputError(f'overlap must be one of {", ".join(OVERLAPS)}, not {short(value)}.')
    return str.__str__(value)


def instantOf(value: Any, name: str) -> float:
    """POSIX seconds, in whole microseconds, as a datetime has them."""
    return round(seconds(value, name), 6)


def zoneOf(value: Any) -> str:
    """The name of a time zone that there is."""
    zone(value)
    return str.__str__(value)


def textual(value: Any, name: str) -> str:
    """A text, perhaps an empty one."""
    return '' if value == '' else checks.nameOf(value, name)


SETTINGCHECKS: dict[str, Callable[[Any], Any]] = {
    'cron': lineOf,
    'every': lambda value: above(value, 'every', LEASTEVERY),
    'delay': lambda value: above(value, 'delay'),
    'at': lambda value: instantOf(value, 'at'),
    'tz': zoneOf,
    'aligned': lambda value: checks.flagOf(value, 'aligned'),
    'start': lambda value: None if value is None else instantOf(value, 'start'),
    'end': lambda value: None if value is None else instantOf(value, 'end'),
    'jitter': lambda value: duration(value, 'jitter'),
    'missed': missedOf,
    'overlap': overlapOf,
    'queue': lambda value: None if value is None else checks.nameOf(value, 'A queue'),
    'priority': checks.priorityOf,
    'title': lambda value: textual(value, 'title'),
    'description': lambda value: textual(value, 'description'),
}
