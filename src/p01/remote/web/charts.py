# SPDX-License-Identifier: ZPL-2.1
"""Drawings as SVG. Positions are in per cent and sizes in pixels, so that text never stretches;
colours are classes, since no page has a style of its own."""
from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup, escape

from p01.remote.ground.words import span
from p01.remote.views.history import Point

# pixels: of a chart, below its base line, above its top
CHARTHEIGHT, BELOWBASE, ABOVETOP = 190, 22, 12
PLOTSHARE, LINESHARE = 95.0, 90.0       # per cent of a chart that is not for the axis; with units
ROUND = (1, 2, 2.5, 5, 10)


class Series(NamedTuple):
    """Values of one colour."""

    tone: str
    values: Sequence[float]


def topOf(highest: float, lines: int = 4) -> tuple[float, list[float]]:
    """The top of an axis for this highest value, and its lines from 0 on, round numbers."""
    if highest <= 0:
        return 1.0, [0.0, 1.0]
    raw = highest / lines
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * each for each in ROUND if size * each >= raw * 0.9999)
    if highest <= lines and step < 1:
        step = 1.0
    number = math.ceil(highest / step - 1e-9)
    return step * number, [step * each for each in range(number + 1)]


def frame(title: str, words: str, name: str, height: int, inner: Iterable[str]) -> Markup:
    """A chart with its title and what it says."""
    return Markup(f'<svg class="chart" height="{height}" role="img" '
                  f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(title)}'
                  f'</title><desc id="{name}-d">{escape(words)}</desc>{"".join(inner)}</svg>')


def axis(top: float, ticks: Iterable[float], base: float, unit: str,
         share: float = PLOTSHARE) -> list[str]:
    """The lines of an axis with their numbers, at the right."""
    found = []
    for tick in ticks:
        at = base - tick / top * (base - ABOVETOP)
        kind = 'grid' if tick else 'base'
        found.append(f'<line class="{kind}" x1="0" x2="{share}%" y1="{at:.0f}" y2="{at:.0f}"/>'
                     f'<text x="100%" y="{at + 4:.0f}" text-anchor="end" class="tick">'
                     f'{tick:g}{unit if tick else ""}</text>')
    return found


def hours(points: Sequence[Point], height: int, part: float = PLOTSHARE) -> list[str]:
    """The times below a chart."""
    found, last = [], len(points) - 1
    kind = 'month' if points[-1].start - points[0].start > 2 * 86400 else 'hour'
    for share in (0, 1, 2, 3, 4):
        at = round(share * last / 4)
        anchor = 'start' if share == 0 else 'end' if share == 4 else 'middle'
        found.append(f'<text class="{"ax-opt" if share % 2 else "ax"}" '
                     f'x="{share * part / 4:.2f}%" y="{height - 5}" '
                     f'text-anchor="{anchor}">{hour(points[at].start, kind)}</text>')
    return found


def columns(series: Sequence[Series], points: Sequence[Point], title: str, words: str,
            name: str, height: int = CHARTHEIGHT) -> Markup:
    """Stacked columns, one for each point."""
    sums = [sum(each.values[at] for each in series) for at in range(len(points))]
    top, ticks = topOf(max(sums, default=0.0))
    base, width = height - BELOWBASE, PLOTSHARE / max(1, len(points))
    parts = axis(top, ticks, base, '')
    for at in range(len(points)):
        foot = float(base)
        for tone, values in series:
            tall = values[at] / top * (base - ABOVETOP)
            if tall:
                gap = 0.8 if foot < base else 0.0
                parts.append(f'<rect class="f-{tone}" x="{at * width + width * 0.2:.2f}%" '
                             f'y="{foot - tall:.1f}" width="{width * 0.6:.2f}%" '
                             f'height="{max(0.8, tall - gap):.1f}"/>')
                foot -= tall
    return frame(title, words, name, height, parts + hours(points, height))


def line(tone: str, values: Sequence[float | None], points: Sequence[Point], title: str, words: str,
         name: str, unit: str) -> Markup:
    """A line over the points, with the ground below it tinted; nothing where a value is None."""
    top, ticks = topOf(max((value for value in values if value is not None), default=0.0))
    base = CHARTHEIGHT - BELOWBASE
    inner = (f'<svg x="0" y="0" width="{LINESHARE}%" height="{CHARTHEIGHT}" '
             f'viewBox="0 0 100 {CHARTHEIGHT}" preserveAspectRatio="none">'
             f'{strokes(values, tone, tone, top, base, base - ABOVETOP)}</svg>')
    return frame(title, words, name, CHARTHEIGHT,
                 [*axis(top, ticks, base, unit, LINESHARE), inner,
                  *hours(points, CHARTHEIGHT, LINESHARE)])


def spark(values: Sequence[float | None], tone: str, title: str, least: float = 0.0) -> Markup:
    """A line without axes, beside its number, with nothing where a value is None; least: the least
    that its top stands for."""
    top = max([least, *(value for value in values if value is not None)]) * 1.1 or 1.0
    return Markup(f'<svg class="spark" viewBox="0 0 100 32" preserveAspectRatio="none" role="img">'
                  f'<title>{escape(title)}</title>'
                  + strokes(values, tone, tone if tone != 'ink' else 'cancelled', top, 29, 26, 32)
                  + '</svg>')


def strokes(values: Sequence[float | None], tone: str, area: str, top: float, base: int, tall: int,
            ground: int | None = None) -> str:
    """Lines over the runs of known values, from half a step before to half a step after, and the
    tinted ground below them; base, tall: where 0 stands, and how high the top is above it."""
    found, last = list[str](), max(1, len(values) - 1)
    for known, run in groupby(enumerate(values), lambda each: each[1] is not None):
        if not known:
            continue
        ends = [(float(at), base - (value or 0.0) / top * tall) for at, value in run]
        ends = [(ends[0][0] - 0.5, ends[0][1]), *ends, (ends[-1][0] + 0.5, ends[-1][1])]
        places = [(min(100.0, max(0.0, at * 100 / last)), high) for at, high in ends]
        path = ' '.join(f'{x:.1f},{high:.1f}' for x, high in places)
        foot = base if ground is None else ground
        found.append(f'<polygon class="area f-{area}" points="{places[0][0]:.1f},{foot} {path} '
                     f'{places[-1][0]:.1f},{foot}"/><polyline class="ln s-{tone}" '
                     f'points="{path}"/>')
    return ''.join(found)


def bars(values: Sequence[float], tone: str, title: str, kind: str = '') -> Markup:
    """Small columns without axes; a single event never fills the height. Two paths: a page may have
    many of them."""
    top, width = max([*values, 4]), 100 / max(1, len(values))
    columns, base = list[str](), list[str]()
    for at, value in enumerate(values):
        left, wide = at * width + width * 0.14, width * 0.72
        tall = max(1.5, value / top * 30)
        (columns if value else base).append(f'M{left:.1f} 32v{-tall:.1f}h{wide:.1f}v{tall:.1f}z')
    return Markup(f'<svg class="spark {kind}" viewBox="0 0 100 32" preserveAspectRatio="none" '
                  f'role="img"><title>{escape(title)}</title>'
                  f'<path class="f-line" d="{"".join(base)}"/>'
                  f'<path class="f-{tone}" d="{"".join(columns)}"/></svg>')


def spread(instants: Iterable[float], begin: float, end: float, number: int) -> list[float]:
    """How many of some instants fall into each of so many parts of a span."""
    found = [0.0] * number
    for instant in instants:
        if begin <= instant < end:
            found[int((instant - begin) * number / (end - begin))] += 1
    return found


def sums(points: Sequence[Point], part: str) -> int:
    """The sum of one number of all points."""
    return int(sum(getattr(point, part) for point in points))


def ended(points: Sequence[Point], kind: str) -> tuple[str, Markup]:
    """What ended: a sentence, and the picture."""
    parts = [f'{sums(points, part):,} {word}' for part, word in
             (('completed', 'completed'), ('failed', 'failed'), ('retried', 'runs were repeated'),
              ('cancelled', 'cancelled')) if sums(points, part)]
    words = (', '.join(parts) or 'Nothing ended') + f' within the {kind}.'
    series = [Series(tone, [getattr(point, part) for point in points])
              for tone, part in (('completed', 'completed'), ('retry', 'retried'),
                                 ('error', 'failed'), ('cancelled', 'cancelled'))]
    return words, columns(series, points, f'Jobs that ended within the {kind}', words,
                          'ended')


def waited(points: Sequence[Point], kind: str) -> tuple[str, Markup]:
    """How long jobs waited before they started: a sentence, and the picture; without the last
    point, which has only begun."""
    points = points[:-1]
    values = [point.waits.p95 if point.waits is not None else None for point in points]
    longest = max((value for value in values if value is not None), default=0.0)
    minutes = longest >= 300
    at = points[values.index(longest)].start if longest else 0.0
    words = f'Up to {span(longest)}, at {hour(at, kind)}.' if longest \
        else f'No job has started within the {kind}.'
    scaled = [value and value / 60 for value in values] if minutes else values
    return words, line('delayed', scaled, points,
                       'How long nineteen of twenty jobs waited before they started', words,
                       'waited', ' min' if minutes else ' s')


def hour(instant: float, kind: str) -> str:
    """An instant as the axis of an hour, a day or a month has it."""
    there = time.localtime(instant)
    if kind == 'month':
        return f'{there.tm_mday} {time.strftime("%b", there)}'
    return time.strftime('%H:%M', there)


def halves(ends: Sequence[float], now: float, length: float = 86400.0) -> list[float]:
    """How many instants fall into each half hour of the last day."""
    return spread(ends, now - length, now + 1, 48)
