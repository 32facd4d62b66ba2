# SPDX-License-Identifier: ZPL-2.1
"""p01-remote queues: list, pause, resume."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote import verbs
from p01.remote.cli.argument import SPAN, Nouns, Verb, appArgument
from p01.remote.cli.target import change, opened
from p01.remote.cli.terminal import console, fitted, jsonOption, mark, printJson, say, strung, table
from p01.remote.ground import checks
from p01.remote.ground.words import ago, iso, shown
from p01.remote.store.records import DELAYED, QUEUED
from p01.remote.views.facts import queueFacts
from p01.remote.views.filters import STATI
from p01.remote.views.queues import Queues, knownQueues, queuesOf, unknown


@click.group(cls=Nouns)
def queues() -> None:
    """Look at queues; pause and resume them."""


@queues.command('list', cls=Verb)
@appArgument
@jsonOption
def listQueues(target: str, asJson: bool) -> int:
    """List the queues with their jobs. Exit status 1 when there are none."""
    with opened(target) as app, app.reading() as processor:
        found = queuesOf(processor.store, time.time())
    if asJson:
        printJson([queueFacts(queue, found.reckoned) for queue in found.all.values()])
    elif found.all:
        printQueues(found, time.time())
    else:
        say(f"No queues yet; `p01-remote enqueue {target} NAME '[arguments]'` makes one.")
    return 0 if found.all else 1


def printQueues(found: Queues, now: float) -> None:
    """Print the table of queues."""
    def number(status: str, count: int) -> str:
        return f'{"≈" if found.reckoned and count and status in (QUEUED, DELAYED) else ""}{count:,}'

    rows: list[list[Any]] = []
    states: dict[str, tuple[str, str]] = {}
    for queue in found.all.values():
        cells: list[Any] = [(number(status, count), mark(status)[1] if count else 'dim')
                            for status, count in queue.counts.items()]
        ends = '' if queue.until is None else f', ends {ago(queue.until, now)}'
        states[queue.name] = mark('paused', f'paused{ends}') if queue.paused else ('', '')
        rows.append([shown(queue.name, 40), *cells, states[queue.name]])

    def fold() -> None:
        for queue in found.all.values():
            say((fitted(shown(queue.name), console().width), 'bold'))
            strung([mark(status, f'{number(status, count)} {status}')
                    for status, count in queue.counts.items() if count]
                   + [states[queue.name]] * queue.paused or [('no jobs', 'dim')])

    names = [mark(status)[0] for status in STATI]
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
        change(app, f'pause queue {queue}',
               lambda processor: verbs.pause(processor.store, queue, until))
        with app.reading() as processor:
            known = knownQueues(app, processor, queuesOf(processor.store, time.time()))
    if asJson:
        printJson({'queue': queue, 'paused': True, 'until': iso(until)})
    else:
        end = f'it is resumed by `p01-remote queues resume {target} {shown(queue)}`' \
            if until is None \
            else f'it goes on by itself {ago(until, time.time())}'
        say(mark('paused', f'queue {shown(queue)} is paused'), f'; {end}')
        if queue not in known:
            say(mark('warning', 'but'), f' {unknown(queue, known)}')
    return 0


@queues.command(cls=Verb)
@appArgument
@click.argument('queue', metavar='QUEUE')
@jsonOption
def resume(target: str, queue: str, asJson: bool) -> int:
    """Let the jobs of a queue start again. Exit status 1 when it was not paused."""
    with opened(target) as app:
        was = change(app, f'resume queue {queue}',
                     lambda processor: verbs.resume(processor.store, queue))
    if asJson:
        printJson({'queue': queue, 'paused': False, 'was': was})
    else:
        say(mark('processing', f'queue {shown(queue)} runs') if was
            else mark('warning', 'not paused'),
            '' if was else f': queue {shown(queue)}')
    return 0 if was else 1
