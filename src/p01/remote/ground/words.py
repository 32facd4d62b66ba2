# SPDX-License-Identifier: ZPL-2.1
"""Numbers, durations, instants and texts in words, the same in every face."""
from __future__ import annotations

from typing import Any

from p01.remote.ground.foreign import described, guarded, plain
from p01.remote.instants import utc

SPANS = (('d', 86400.0), ('h', 3600.0), ('min', 60.0))


def shown(value: Any, most: int | None = 80) -> str:
    """A text as one line without control characters, so that a job's words cannot move the
    cursor."""
    if type(value) is not str:
        value = described(value) if isinstance(value, BaseException) else guarded(plain, value, str)
    text = ' '.join((value if isinstance(value, str)
                     else f'({value.error.__class__.__name__})').split())
    text = ''.join(letter if letter.isprintable() else '�' for letter in text)
    return text if most is None or len(text) <= most else text[:most - 1] + '…'


def labelOf(worker: str) -> str:
    """How people call a worker, from the name of its seat, which ends with its process and a
    number."""
    return worker.rsplit(':', 2)[0]


def count(number: int, word: str, plural: str = 's') -> str:
    """A number of things."""
    return f'{number:,} {word}{"" if number == 1 else plural}'


def verb(number: int, word: str) -> str:
    """What a number of things do: 1 waits, 2 wait."""
    return f'{word}s' if number == 1 else word


def span(seconds: float) -> str:
    """A duration for people: 12 ms, 3.1 s, 5 min, 2 h, 4 d."""
    for unit, length in SPANS:
        if seconds >= length:
            return f'{seconds / length:.0f} {unit}' if seconds >= 10 * length \
                else f'{seconds / length:.1f} {unit}'
    return f'{seconds:.1f} s' if seconds >= 1 else f'{seconds * 1000:.0f} ms'


def size(number: float) -> str:
    """A number of bytes for people: 310 B, 12.5 KiB, 3.1 MiB."""
    if number < 1024:
        return f'{number:,.0f} B'
    number, unit = number / 1024, 'KiB'
    for larger in ('MiB', 'GiB'):
        if number >= 1024:
            number, unit = number / 1024, larger
    return f'{number:,.1f} {unit}'


def ago(instant: float, now: float) -> str:
    """An instant seen from now: 3 s ago, in 5 min."""
    away = now - instant
    return 'now' if abs(away) < 0.5 else f'{span(away)} ago' if away > 0 else f'in {span(-away)}'


def iso(instant: float | None) -> str | None:
    """An instant of POSIX seconds in ISO format."""
    return None if instant is None else utc(instant).isoformat()
