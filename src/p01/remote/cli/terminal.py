# SPDX-License-Identifier: ZPL-2.1
"""How things look: colour and glyphs on a terminal, plain lines without one, JSON when asked for.

A status is never told by colour or glyph alone; its word is always there.
"""
from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import click

from p01.remote.ground.values import jsonOf

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Command = TypeVar('Command', bound=Callable[..., Any])

GLYPHS = {'queued': ('○', 'cyan'), 'delayed': ('◷', 'magenta'), 'processing': ('▶', 'blue'),
          'completed': ('✔', 'green'), 'error': ('✖', 'red'), 'cancelled': ('⊘', 'bright_black'),
          'retried': ('↻', 'yellow'), 'warning': ('▲', 'yellow'), 'paused': ('⏸', 'yellow')}
TICKS = ' ▁▂▃▄▅▆▇█'
GAP = '  '          # between columns
LEASTCUT = 10          # characters that a cut column keeps
HEIGHT = 25         # lines, which nobody asks for
WIDTH = 200         # columns where there is no terminal: lines there are for grep, not for the eye


@cache
def console() -> Console:
    """The terminal. Honours NO_COLOR and TERM=dumb."""
    from rich.console import Console
    real = sys.stdout.isatty()
    # of a terminal that is dumb, rich says 80 columns whatever it has
    width = None if isLive() else shutil.get_terminal_size().columns if real else WIDTH
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=not real, width=width,
                   height=None if width is None else HEIGHT)


def isLive() -> bool:
    """Whether somebody watches: a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get('TERM', '') not in ('', 'dumb')


def jsonOption(command: Command) -> Command:
    """The option --json, as asJson."""
    return click.option('--json', 'asJson', is_flag=True, help='Print JSON, for scripts.')(command)


def printJson(value: Any) -> None:
    """Print a value as JSON; instants in ISO format, what JSON lacks as its text."""
    tell(jsonOf(value, indent=2 if sys.stdout.isatty() else None))


def tell(text: str, err: bool = False, end: str = '\n') -> None:
    """Print a text as it is."""
    print(text, file=sys.stderr if err else sys.stdout, end=end, flush=err)


def say(*parts: str | tuple[str, str] | Text, end: str = '\n') -> None:
    """Print a line of texts, each plain or with its style."""
    if not sys.stdout.isatty() and not os.environ.get('FORCE_COLOR'):       # nothing to be styled
        tell(''.join(part if isinstance(part, str) else part[0] if isinstance(part, tuple)
                     else part.plain for part in parts)
             + end, end='')
        sys.stdout.flush()
        return
    console().print(styled(*parts), end=end)


def styled(*parts: str | tuple[str, str] | Text) -> Text:
    """A text of parts, each plain or with its style."""
    from rich.text import Text
    return Text.assemble(*parts)


def mark(kind: str, word: str | None = None) -> tuple[str, str]:
    """A glyph with its word, in its colour: a part of a line."""
    glyph, colour = GLYPHS[kind]
    return f'{glyph} {kind if word is None else word}', colour


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = (),
          cut: str | Sequence[str] = '',
          drop: Sequence[str] = (), fold: Callable[[], None] | None = None) -> None:
    """Print a table. Cells are texts or styled parts; columns named in right stand to the right;
    empty ones are left out.

    On a terminal too narrow for it, the columns named in cut give way, then those named in drop are
    left out, one after the other, then whatever is widest gives way: a row is a line. Where fold is
    given, it prints the rows in its way instead.
    """
    cells = cellsOf(rows)
    widths = widthsOf(columns, cells)
    if sys.stdout.isatty():
        least = sum(min(width, LEASTCUT) if columns[at] in cut else width
                    for at, width in widths.items())
        if fold is not None and least + len(GAP) * (len(widths) - 1) > console().width:
            fold()
            return
        narrow(widths, columns, console().width, (cut,) if isinstance(cut, str) else cut, drop)
    for parts in laid(columns, cells, widths, right):
        say(*parts)


def cellsOf(rows: Sequence[Sequence[Any]]) -> list[list[tuple[str, str]]]:
    """Cells with their styles."""
    return [[cell if isinstance(cell, tuple) else (str(cell), '') for cell in row] for row in rows]


def widthsOf(columns: Sequence[str], cells: Sequence[Sequence[tuple[str, str]]]) -> dict[int, int]:
    """How wide columns are, by number, without those that are empty."""
    return {at: max(wide(name), *(wide(row[at][0]) for row in cells))
            for at, name in enumerate(columns) if any(row[at][0] for row in cells)}


def laid(columns: Sequence[str], cells: Sequence[Sequence[tuple[str, str]]],
         widths: Mapping[int, int], right: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    """The lines of a table whose columns have these widths, as parts; the names come first."""
    last = max(widths, default=0)
    for row in [[(name, 'dim') for name in columns], *cells]:
        parts: list[tuple[str, str]] = []
        for at, width in widths.items():
            text, style = row[at]
            text = fitted(text, width)
            gap = ' ' * (width - wide(text))
            text = gap + text if columns[at] in right else text + gap
            parts += [(text.rstrip() if at == last else text,
                       style), (GAP if at != last else '', '')]
        yield parts


def narrow(widths: dict[int, int], columns: Sequence[str], width: int, cut: Sequence[str],
           drop: Sequence[str]) -> None:
    """Make the widths of columns, by number, fit a terminal; columns that have no room are taken
    out."""
    def excess() -> int:
        return sum(widths.values()) + len(GAP) * (len(widths) - 1) - width

    natural = dict(widths)
    for at in sorted(widths, key=lambda at: -widths[at]):
        if columns[at] in cut and excess() > 0:
            widths[at] = max(widths[at] - excess(), min(widths[at], LEASTCUT))
    for name in drop:
        for at in [at for at in widths if columns[at] == name]:
            if excess() > 0 and len(widths) > 1:
                del widths[at]
    for at in widths:
        # what was left out has made room
        widths[at] = min(natural[at], widths[at] + max(0, -excess()))
    while widths and excess() > 0:
        widest = max(widths, key=lambda at: widths[at])
        if widths[widest] <= 3:
            del widths[max(widths)]
        else:
            widths[widest] -= 1


def wide(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len
    return cell_len(text)


def fitted(text: str, width: int) -> str:
    """A text that takes at most so many columns."""
    if wide(text) <= width:
        return text
    while text and wide(text) > width - 1:
        text = text[:max(0, min(len(text) - 1, width - 1))]
    return text + '…'


def strung(parts: Sequence[tuple[str, str]]) -> None:
    """Print parts side by side, in as many lines as it takes."""
    line: list[tuple[str, str]] = []
    at = 0
    for text, style in parts:
        text = fitted(text, max(console().width - len(GAP), 1))
        if line and at + len(GAP) + wide(text) > console().width:
            say(*line)
            line = []
        line += [(GAP, ''), (text, style)]
        at = sum(wide(text) for text, _ in line)
    if line:
        say(*line)


def hung(parts: Sequence[tuple[str, str]], text: str, style: str = '') -> None:
    """Print a line that begins with these parts; on a terminal that is too narrow the text goes on
    below itself."""
    indent = sum(wide(part) for part, _ in parts)
    room = console().width - indent
    if not sys.stdout.isatty() or wide(text) <= room or room < LEASTCUT:
        say(*parts, (text, style))
        return
    for number, line in enumerate(styled((text, style)).wrap(console(), room)):
        say(*(parts if not number else [(' ' * indent, '')]), line)


def spark(values: Sequence[float]) -> str:
    """Values as a line of little bars, the highest one full."""
    top = max(values, default=0.0)
    return ''.join(TICKS[math.ceil(value / top * (len(TICKS) - 1)) if top else 0]
                   for value in values)
