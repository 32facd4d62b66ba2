# SPDX-License-Identifier: ZPL-2.1
"""How templates show numbers, instants and names."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from markupsafe import Markup, escape

from p01.remote.ground import words
from p01.remote.instants import utc
from p01.remote.store.records import DELAYED, PROCESSING, QUEUED
from p01.remote.views.traces import Frame

WEEK = 6 * 86400.0      # seconds; a day of the week says which day is meant
STATEWORDS = {PROCESSING: 'running'}


def number(value: int) -> str:
    """A whole number, its thousands apart."""
    return f'{value:,}'


def signed(value: int) -> str:
    """A priority: with its sign, and a minus that is as wide as a plus."""
    return f'{value:+d}'.replace('-', '−') if value else '0'


def clock(instant: float | None, now: float) -> str:
    """An instant as people say it: 14:05, Sat 02:30, 9 Nov, 9 Nov 2025."""
    if instant is None:
        return ''
    there, here = time.localtime(instant), time.localtime(now)
    if there[:3] == here[:3]:
        return time.strftime('%H:%M', there)
    if abs(instant - now) < WEEK:
        return time.strftime('%a %H:%M', there)
    day = f'{there.tm_mday} {time.strftime("%b", there)}'
    return day if there.tm_year == here.tm_year else f'{day} {there.tm_year}'


def exact(instant: float | None, now: float) -> str:
    """An instant to the second."""
    if instant is None:
        return ''
    there = time.localtime(instant)
    day = there[:3] == time.localtime(now)[:3]
    return time.strftime('%H:%M:%S' if day else '%d %b %H:%M:%S', there)


def day(instant: float) -> str:
    """An instant in full: 14:03:27, Thursday 26 November."""
    there = time.localtime(instant)
    return f'{time.strftime("%H:%M:%S, %A", there)} {there.tm_mday} {time.strftime("%B", there)}'


def moment(instant: float) -> str:
    """A weekday with a time: Thursday 14:03."""
    return time.strftime('%A %H:%M', time.localtime(instant))


def namespace(name: str) -> str:
    """What stands before the last part of a name, with its dot."""
    before, dot, _ = name.rpartition('.')
    return before + dot


def last(name: str) -> str:
    """The last part of a name."""
    return name.rpartition('.')[2]


def state(status: str, runs: int = 0) -> str:
    """The word for a status: running, and retry for what waits after a run that failed."""
    return 'retry' if runs and status in (DELAYED, QUEUED) else STATEWORDS.get(status, status)


def machine(instant: float | None) -> str:
    """An instant for machines, in ISO format."""
    return '' if instant is None else utc(instant).isoformat(timespec='seconds')


def grouped(frames: Iterable[Frame]) -> list[tuple[bool, list[Frame]]]:
    """Frames that follow each other and are all the application's own, or all are not."""
    return [(own, list(some)) for own, some in groupby(frames, lambda frame: frame.own)]


def coded(text: str) -> Markup:
    """A text whose parts between backticks are code."""
    parts = text.split('`')
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(Markup('<code>{}</code>').format(part) if number % 2 else escape(part)
                         for number, part in enumerate(parts))


FILTERS: dict[str, Callable[..., Any]] = {
    'number': number, 'signed': signed, 'clock': clock, 'exact': exact, 'day': day,
    'moment': moment, 'namespace': namespace, 'last': last, 'state': state, 'machine': machine,
    'ago': words.ago, 'span': words.span, 'label': words.labelOf, 'size': words.size,
    'grouped': grouped, 'coded': coded, 'counted': words.count, 'verbed': words.verb}
