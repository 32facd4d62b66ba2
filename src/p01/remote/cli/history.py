# SPDX-License-Identifier: ZPL-2.1
"""p01-remote history."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.selection import full
from p01.remote.cli.target import opened, placeOf
from p01.remote.cli.terminal import console, jsonOption, printJson, say, spark, table
from p01.remote.ground.words import shown, span
from p01.remote.store.history import REACHES
from p01.remote.views.facts import pointFacts
from p01.remote.views.history import ELSE, Point, Times, historyOf

LONGEST = 60            # bars of a line
ASIDE = 40             # columns that a line has beside its bars
PERIODROWS = 12               # queues, and names, in a table

# what a line of bars shows: its title, the value of a point, how values of neighbours become one,
# and how the last and the highest one are written
Line = tuple[str, Callable[[Point], float | None], Callable[[Sequence[float]], float],
             Callable[[float], str]]


def mean(values: Sequence[float]) -> float:
    """The mean of values."""
    return sum(values) / len(values)


def rated(value: float) -> str:
    """Jobs a second, for people."""
    if not value:
        return '0'
    return f'{value:.0f}/s' if value >= 10 else f'{value:.1f}/s' if value >= 1 \
        else f'{value * 60:.1f}/min' if value * 60 >= 1 else f'{value * 3600:.1f}/h'


LINESHOWN: Sequence[Line] = (
    ('completed', lambda point: point.rate, mean, rated),
    ('failed', lambda point: point.failed, sum, '{:,.0f}'.format),
    ('retried', lambda point: point.retried, sum, '{:,.0f}'.format),
    ('wait p95', lambda point: point.waits and point.waits.p95, max, span),
    ('run p95', lambda point: point.runs and point.runs.p95, max, span),
    ('queued', lambda point: point.depth and point.depth.queued, max, '{:,.0f}'.format))


@click.command(cls=Verb)
@appArgument
@click.option('--span', 'period', type=click.Choice(list(REACHES)), default='hour',
              show_default=True, help='How far back.')
@click.option('--queue', metavar='NAME', help='Only of this queue.')
@click.option('--name', metavar='NAME', help='Only of these jobs: a name, or its last part.')
@jsonOption
def history(target: str, period: str, queue: str | None, name: str | None, asJson: bool) -> int:
    """Show what came of jobs over an hour, a day, a month: how many, how long they waited and ran,
    what failed. Exit status 1 when nothing is known."""
    now = time.time()
    with opened(target) as app:
        name = None if name is None else full(app, name)
        with app.reading() as processor:
            past = historyOf(processor.store, period, now)
        place = placeOf(app)
    points = past.points(queue, name)
    something = any(map(isSomething, points))
    if asJson:
        printJson({'span': period, 'queues': past.queues(), 'names': past.names(),
                   'sum': pointFacts(past.sum(queue, name)),
                   'points': [pointFacts(point) for point in points]})
        return 0 if something else 1
    say((place, 'bold'), f', the last {period}')
    if not something:
        say(f'No worker has done or seen {"such " if queue or name else ""}jobs.')
        return 1
    draw(points)
    if queue is None and name is None:
        tabled('queue', [(each, past.sum(queue=each)) for each in past.queues()[:PERIODROWS]])
    if name is None:
        tabled('job', [(each, past.sum(queue, each)) for each in past.names()[:PERIODROWS]])
    return 0


def isSomething(point: Point) -> bool:
    """Whether a point tells of any job."""
    return any((point.came, point.completed, point.failed, point.retried,
                any(point.depth or ())))


def draw(points: Sequence[Point]) -> None:
    """Print lines of bars, the last point on the right."""
    for title, valueOf, together, written in LINESHOWN:
        values = [valueOf(point) for point in points]
        known = [value for value in values if value is not None]
        if any(known):
            bars = gathered(values, together)
            say((f'{title:10}', 'dim'), (spark(bars), 'cyan'),
                f'  last {written(known[-1])}, most {written(max(bars))}')


def gathered(values: Sequence[float | None],
             together: Callable[[Sequence[float]], float]) -> list[float]:
    """So many values as there is room for bars, each of neighbours; 0 where nothing is known."""
    step = -(-len(values) // max(1, min(LONGEST, console().width - ASIDE)))
    first = len(values) % step
    some = [values[:first]] if first else []
    some += [values[at:at + step] for at in range(first, len(values), step)]
    return [together([value or 0.0 for value in each]) for each in some]


def tabled(title: str, sums: Sequence[tuple[str, Point]]) -> None:
    """Print a table of what came of jobs, a line for each queue or name."""
    rows = [[('all others', 'dim') if name == ELSE else shown(name), f'{each.came:,}',
             f'{each.completed:,}', some(each.failed),
             some(each.retried), rated(each.rate), *took(each.waits), *took(each.runs)]
            for name, each in sums if any((each.came, each.completed, each.failed, each.retried))]
    if rows:
        say()
        columns = [title, 'came', 'completed', 'failed', 'retried', 'rate', 'wait p50', 'wait p95',
                   'run p50', 'run p95']
        table(columns, rows, right=columns[1:],
              drop=('retried', 'came', 'rate', 'wait p50', 'run p50'))


def some(number: int) -> str:
    """A number; nothing where there is none, so that what failed stands out."""
    return f'{number:,}' if number else ''


def took(times: Times | None) -> tuple[str, str]:
    """The middle of times, and what most jobs took at most."""
    return ('', '') if times is None else (span(times.p50), span(times.p95))
