# SPDX-License-Identifier: ZPL-2.1
"""How things look: colour and glyphs on a terminal, plain lines without one, JSON when asked for.

A status is never told by colour or glyph alone; its word is always there.
"""
from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import click

from p01.remote.instants import utc

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Command = TypeVar('Command', bound=Callable[..., Any])

GLYPHS = {'queued': ('○', 'cyan'), 'delayed': ('◷', 'magenta'), 'processing': ('▶', 'blue'),
          'completed': ('✔', 'green'), 'error': ('✖', 'red'), 'cancelled': ('⊘', 'bright_black'),
          'retried': ('↻', 'yellow'), 'warning': ('▲', 'yellow'), 'paused': ('⏸', 'yellow')}
TICKS = ' ▁▂▃▄▅▆▇█'
SPANS = (('d', 86400.0), ('h', 3600.0), ('min', 60.0))
GAP = '  '          # between columns
LEAST = 10          # characters that a cut column keeps
WIDTH = 200         # columns where there is no terminal: lines there are for grep, not for the eye


@cache
def console() -> Console:
    """The terminal. Honours NO_COLOR and TERM=dumb."""
    from rich.console import Console
    real = sys.stdout.isatty()
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=not real, width=None if real else WIDTH)


def isLive() -> bool:
    """Whether somebody watches: a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get('TERM', '') not in ('', 'dumb')


def jsonOption(command: Command) -> Command:
    """The option --json, as asJson."""
    return click.option('--json', 'asJson', is_flag=True, help='Print JSON, for scripts.')(command)


def printJson(value: Any) -> None:
    """Print a value as JSON; instants in ISO format, what JSON lacks as its text."""
    click.echo(json.dumps(value, default=plain, indent=2 if sys.stdout.isatty() else None))


def plain(value: Any) -> Any:
    """What stands in JSON for a value that it lacks."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return shown(repr(value), 1000)


def say(*parts: str | tuple[str, str] | Text, end: str = '\n') -> None:
    """Print a line of texts, each plain or with its style."""
    console().print(styled(*parts), end=end)


def styled(*parts: str | tuple[str, str] | Text) -> Text:
    """A text of parts, each plain or with its style."""
    from rich.text import Text
    return Text.assemble(*parts)


def mark(kind: str, word: str | None = None) -> tuple[str, str]:
    """A glyph with its word, in its colour: a part of a line."""
    glyph, colour = GLYPHS[kind]
    return f'{glyph} {kind if word is None else word}', colour


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = (), cut: str = '') -> None:
    """Print a table. Cells are texts or styled parts; columns named in right stand to the right; empty ones are left out.

    On a terminal too narrow for it, the column named in cut gives way.
    """
    cells = [[cell if isinstance(cell, tuple) else (str(cell), '') for cell in row] for row in rows]
    kept = [at for at in range(len(columns)) if any(row[at][0] for row in cells)]
    widths = {at: max(len(columns[at]), *(len(row[at][0]) for row in cells)) for at in kept}
    excess = sum(widths.values()) + len(GAP) * (len(kept) - 1) - console().width
    for at in kept:
        if columns[at] == cut and isLive() and excess > 0:
            widths[at] = max(widths[at] - excess, LEAST)
    for row in [[(name, 'dim') for name in columns], *cells]:
        parts: list[tuple[str, str]] = []
        for at in kept:
            text, style = row[at]
            text = shown(text, widths[at]) if columns[at] == cut else text
            text = text.rjust(widths[at]) if columns[at] in right else text.ljust(widths[at])
            parts += [(text.rstrip() if at == kept[-1] else text, style), (GAP if at != kept[-1] else '', '')]
        say(*parts)


def shown(value: Any, most: int | None = 80) -> str:
    """A text as one line without control characters, so that a job's words cannot move the cursor."""
    text = ' '.join(str(value).split())
    text = ''.join(letter if letter.isprintable() else '�' for letter in text)
    return text if most is None or len(text) <= most else text[:most - 1] + '…'


def count(number: int, word: str, plural: str = 's') -> str:
    """A number of things."""
    return f'{number:,} {word}{"" if number == 1 else plural}'


def span(seconds: float) -> str:
    """A duration for people: 12 ms, 3.1 s, 5 min, 2 h, 4 d."""
    for unit, length in SPANS:
        if seconds >= length:
            return f'{seconds / length:.0f} {unit}' if seconds >= 10 * length else f'{seconds / length:.1f} {unit}'
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


def spark(values: Sequence[float]) -> str:
    """Values as a line of little bars, the highest one full."""
    top = max(values, default=0.0)
    return ''.join(TICKS[math.ceil(value / top * (len(TICKS) - 1)) if top else 0] for value in values)
