# SPDX-License-Identifier: ZPL-2.1
"""What a measurement gives, and how it is printed."""
from __future__ import annotations

from typing import NamedTuple

WIDTHS = (58, 18, 30, 7, 9)
HEADS = ('what', 'figure', 'held against', 'ratio', 'target', '')


class Row(NamedTuple):
    """One figure. The ratio is that of the figure to what it is held against."""

    what: str
    figure: str
    against: str = ''
    ratio: float | None = None
    target: str = ''            # of the ratio, '≥ 0.9' or '≤ 1'; '' for none


def met(row: Row) -> str:
    """Whether the ratio is where it is to be, in a word."""
    if not row.target or row.ratio is None:
        return ''
    sign, limit = row.target.split()
    reached = {'≥': row.ratio >= float(limit), '≤': row.ratio <= float(limit),
               '<': row.ratio < float(limit)}[sign]
    return 'reached' if reached else 'missed'


def line(cells: tuple[str, ...]) -> str:
    """One aligned line; figures stand to the right."""
    parts = [cell.ljust(width) if number in (0, 2) else cell.rjust(width)
             for number, (cell, width) in enumerate(zip(cells, WIDTHS))]
    return '  '.join([*parts, *cells[len(WIDTHS):]]).rstrip()


def text(row: Row) -> str:
    """A row as it is printed."""
    ratio = '' if row.ratio is None else f'{row.ratio:.2f}'
    return line((row.what, row.figure, row.against, ratio, row.target, met(row)))


def head() -> str:
    """The heads of the columns, underlined."""
    return line(HEADS) + '\n' + line(tuple('-' * width for width in WIDTHS) + ('-------',))


def perSecond(rate: float) -> str:
    """A rate of jobs."""
    return f'{rate:,.0f} jobs/s'


def mebibytes(size: float) -> str:
    """A number of bytes."""
    return f'{size / (1 << 20):,.1f} MiB'


def micros(duration: float) -> str:
    """A short duration, given in seconds."""
    return f'{duration * 1e6:,.0f} µs'


def millis(duration: float) -> str:
    """A duration, given in seconds."""
    return f'{duration * 1e3:,.1f} ms'
