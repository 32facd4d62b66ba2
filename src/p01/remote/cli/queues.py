# SPDX-License-Identifier: ZPL-2.1
"""p01-remote queues: list, pause, resume."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote import verbs
from p01.remote.cli.argument import SPAN, Verb, appArgument
from p01.remote.cli.survey import knownQueues, meant
from p01.remote.cli.target import change, opened
from p01.remote.cli.terminal import (
    ago,
    console,
    fitted,
    iso,
    jsonOption,
    mark,
    printJson,
    say,
    shown,
    strung,
    table,
)
from p01.remote.ground import checks
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import DELAYED, FINISHED, QUEUED
from p01.remote.views import figures

COLUMNS = ('queued', 'delayed', 'processing', *FINISHED)


@click.group()
def queues() -> None:
    """Look at queues; pause and resume them."""


@queues.command('list', cls=Verb)
@appArgument
@jsonOption
def listQueues(target: str, asJson: bool) -> int:
    """List the queues with their jobs. Exit status 1 when there are none."""
    with opened(target) as app, app.reading() as processor:
        found, reckoned = countsOf(processor)
        paused = pausedOf(processor, time.time())
    if asJson:
        printJson([{'queue': queue, 'paused': queue in paused, 'until': iso(paused.get(queue)),
                    **found[queue],
                    'reckoned': reckoned}
                   for queue in found])
    elif found:
        printCounts(found, paused, time.time(), reckoned)
    else:
        say(f"No queues yet; `p01-remote enqueue {target} NAME '[arguments]'` makes one.")
    return 0 if found else 1


def countsOf(processor: RemoteProcessor) -> figures.Counts:
    """How many jobs of each queue have which status; paused queues too."""
    paused: dict[str, dict[str, int]] = {queue: {} for queue in processor.store.settings.paused}
    counts = figures.reckoned(processor.store)
    found = paused | counts.queues
    return counts._replace(queues={queue: {status: found[queue].get(status, 0)
                                           for status in COLUMNS}
                                   for queue in sorted(found)})


def pausedOf(processor: RemoteProcessor, now: float) -> dict[str, float | None]:
    """The queues that are paused, each with its end in POSIX seconds, or None."""
    paused = processor.store.settings.paused
    return {queue: until for queue, until in paused.items() if until is None or until > now}


def printCounts(found: dict[str, dict[str, int]], paused: dict[str, float | None], now: float,
                reckoned: bool) -> None:
    """Print the table of queues; reckoned: what waits is not counted one by one."""
    def number(status: str, count: int) -> str:
        return f'{"≈" if reckoned and count and status in (QUEUED, DELAYED) else ""}{count:,}'

    rows: list[list[Any]] = []
    states: dict[str, tuple[str, str]] = {}
    for queue, counts in found.items():
        cells: list[Any] = [(number(status, counts[status]),
                             mark(status)[1] if counts[status] else 'dim')
                            for status in COLUMNS]
        until = paused.get(queue)
        ends = '' if until is None else f', ends {ago(until, now)}'
        states[queue] = mark('paused', f'paused{ends}') if queue in paused else ('', '')
        rows.append([shown(queue, 40), *cells, states[queue]])

    def fold() -> None:
        for queue, counts in found.items():
            say((fitted(shown(queue), console().width), 'bold'))
            strung([mark(status, f'{number(status, counts[status])} {status}')
                    for status in COLUMNS if counts[status]]
                   + [states[queue]] * (queue in paused) or [('no jobs', 'dim')])

    names = [mark(status)[0] for status in COLUMNS]
    table(['queue', *names, ''], rows, right=names, cut='queue', fold=fold)


@queues.command(cls=Verb)
@appArgument
@click.argument('queue', metavar='QUEUE')
@click.option('--for', 'length', type=SPAN, metavar='TIME',
              help='Ends by itself after 10m, 2h, ...')
@jsonOption
def pause(target: str, queue: str, length: float | None, asJson: bool) -> int:
    """Let no more jobs of a queue start; running ones end as ever."""
    until = None if length is None else time.time() + length
    checks.nameOf(queue, 'A queue')
    with opened(target) as app:
        change(app, lambda processor: verbs.pause(processor.store, queue, until))
        with app.reading() as processor:
            known = knownQueues(app, processor)
    if asJson:
        printJson({'queue': queue, 'paused': True, 'until': iso(until)})
    else:
        end = f'it is resumed by `p01-remote queues resume {target} {shown(queue)}`' \
            if until is None \
            else f'and goes on by itself {ago(until, time.time())}'
        say(mark('paused', f'queue {shown(queue)} is paused'), f'; {end}')
        if queue not in known:
            say(mark('warning', 'but'), f' {meant(queue, known)}')
    return 0


@queues.command(cls=Verb)
@appArgument
@click.argument('queue', metavar='QUEUE')
@jsonOption
def resume(target: str, queue: str, asJson: bool) -> int:
    """Let the jobs of a queue start again. Exit status 1 when it was not paused."""
    with opened(target) as app:
        was = change(app, lambda processor: verbs.resume(processor.store, queue))
    if asJson:
        printJson({'queue': queue, 'paused': False, 'was': was})
    else:
        say(mark('processing', f'queue {shown(queue)} runs') if was
            else mark('warning', 'not paused'),
            '' if was else f': queue {shown(queue)}')
    return 0 if was else 1
