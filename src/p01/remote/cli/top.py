# SPDX-License-Identifier: ZPL-2.1
"""p01-remote top."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from p01.remote.app import App
from p01.remote.cli.argument import SPAN, Verb, appArgument
from p01.remote.cli.history import gathered, rated
from p01.remote.cli.target import opened, placeOf
from p01.remote.cli.terminal import (
    cellsOf,
    console,
    isLive,
    laid,
    mark,
    narrow,
    spark,
    styled,
    widthsOf,
)
from p01.remote.cli.workers import stateOf
from p01.remote.ground.words import shown, span
from p01.remote.store.records import DELAYED, ERROR, PROCESSING, QUEUED
from p01.remote.views import figures
from p01.remote.views.history import Past, Point, historyOf
from p01.remote.views.queues import Queues, queuesOf
from p01.remote.views.workers import Worker, workersOf

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

LEAST = 0.2             # seconds between two looks
RECENTLY = 5            # minutes that rates are of
NARROW = 80             # columns; with less, some are left out
ROWS = 15               # queues, and workers
DASH = '–'
CALLED = {PROCESSING: 'running', ERROR: 'failed'}


class Sight(NamedTuple):
    """What is seen at one moment, of one snapshot."""

    place: str
    now: float
    queues: Queues
    oldest: float | None
    workers: list[Worker]
    past: Past


@click.command(cls=Verb)
@appArgument
@click.option('--every', type=SPAN, default=2.0, metavar='TIME',
              help='Between two looks; default 2.')
@click.option('--once', is_flag=True, help='Look once; as without a terminal.')
def top(target: str, every: float, once: bool) -> int:
    """Watch queues and workers, until Ctrl-C: what waits, what runs, how much is done."""
    with opened(target) as app:
        if once or not isLive():
            console().print(drawn(look(app)))
            return 0
        from rich.live import Live

        with Live(drawn(look(app)), console=console(), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(max(every, LEAST))
                live.update(drawn(look(app)), refresh=True)


def look(app: App) -> Sight:
    """How all stands now."""
    now = time.time()
    with app.reading() as processor:
        store = processor.store
        queues = queuesOf(store, now)
        return Sight(placeOf(app), now, queues, figures.oldest(store), workersOf(store, now),
                     historyOf(store, 'hour', now, queues.counts))


def drawn(sight: Sight) -> Group:
    """It as lines for a terminal."""
    from rich.console import Group
    points = sight.past.points()
    alive = [worker for worker in sight.workers if worker.alive]
    wait = '–' if sight.oldest is None else span(max(0.0, sight.now - sight.oldest))
    lines: list[RenderableType] = [
        line((sight.place, 'bold'), time.strftime('  %H:%M:%S', time.localtime(sight.now))),
        line('oldest waiting ', (wait, 'bold'), f'  {len(alive)} of {len(sight.workers)} '
             'workers alive'),
        line(('an hour   ', 'dim'), (bars([point.rate for point in points]), 'cyan'),
             f'  {done(points[-2:])} of late'),
        line(('failed    ', 'dim'), (bars([point.failed for point in points]), 'red'),
             f'  {sum(point.failed for point in points):,} in the hour'),
        '', *queued(sight), '', *working(sight)]
    return Group(*lines)


def line(*parts: str | tuple[str, str]) -> Text:
    """A text that stays one line."""
    found = styled(*parts)
    found.no_wrap, found.overflow = True, 'ellipsis'
    return found


def bars(values: Sequence[float]) -> str:
    """Values as a line of bars, as far as there is room."""
    return spark(gathered(values, max))


def queued(sight: Sight) -> list[Text]:
    """The queues, those where most happens first."""
    kept = [status for status in (QUEUED, PROCESSING, DELAYED, ERROR)
            if status != DELAYED or console().width >= NARROW]
    busy = sight.past.queues()
    names = [*(name for name in busy if name in sight.queues.all),
             *(name for name in sight.queues.all if name not in busy)]
    rows: list[list[Any]] = []
    for name in names[:ROWS]:
        queue = sight.queues.all[name]
        rows.append([mark('paused', shown(name)) if queue.paused else shown(name),
                     *(f'{queue.counts[status]:,}' if queue.counts[status] else DASH
                       for status in kept), *lately(sight.past, name)])
    columns = ['queue', *(CALLED.get(status, status) for status in kept), 'done', 'wait p95',
               'run p95']
    return grid(columns, rows, columns[1:], 'queue', ('run p95', 'wait p95', 'done'), len(names))


def lately(past: Past, queue: str) -> tuple[str, str, str]:
    """How many jobs of a queue were done in the last minutes, how long they waited and ran."""
    points = past.points(queue)[-RECENTLY:]
    waits = [point.waits.p95 for point in points if point.waits is not None]
    runs = [point.runs.p95 for point in points if point.runs is not None]
    return (done(points), span(max(waits)) if waits else DASH, span(max(runs)) if runs else DASH)


def done(points: Sequence[Point]) -> str:
    """How many jobs were done in the time of these points; the last one may have only begun."""
    seconds = sum(point.seconds for point in points)
    return rated(sum(point.completed for point in points) / seconds) if seconds else DASH


def working(sight: Sight) -> list[Text]:
    """The workers, with what each runs."""
    rows: list[list[Any]] = []
    for worker in sight.workers[:ROWS]:
        job = ', '.join(map(str, worker.running or ()))
        runs = f'{job} {worker.job.rpartition(".")[2]}' if job else DASH
        rows.append([shown(worker.label), stateOf(worker), f'{len(worker.jobs):,}',
                     shown(runs, 40), span(worker.lasts) if worker.lasts else DASH])
    return grid(['worker', 'state', 'in hand', 'runs', 'for'], rows, ['in hand', 'for'],
                ('worker', 'runs'), ('in hand',), len(sight.workers))


def grid(columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str],
         cut: str | Sequence[str], drop: Sequence[str], number: int) -> list[Text]:
    """A table as lines, see terminal.table; number: how many rows there would be."""
    cells = cellsOf(rows)
    widths = widthsOf(columns, cells)
    narrow(widths, columns, console().width, (cut,) if isinstance(cut, str) else cut, drop)
    more = [styled((f'and {number - len(rows):,} more', 'dim'))] if number > len(rows) else []
    return [*(styled(*parts) for parts in laid(columns, cells, widths, right)), *more] \
        if rows else []
