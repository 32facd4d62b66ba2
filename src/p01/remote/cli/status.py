# SPDX-License-Identifier: ZPL-2.1
"""p01-remote status."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.queues import printQueues
from p01.remote.cli.target import opened, placeOf
from p01.remote.cli.terminal import jsonOption, mark, printJson, say, table
from p01.remote.cli.workers import stateOf
from p01.remote.engine.standing import COMPONENT, Standing
from p01.remote.ground.foreign import LISTED
from p01.remote.ground.words import ago, count, iso, shown, span, verb
from p01.remote.views.facts import scheduleFacts, workerFacts
from p01.remote.views.overview import Overview, overviewOf
from p01.remote.views.workers import Worker


@click.command(cls=Verb)
@appArgument
@jsonOption
def status(target: str, asJson: bool) -> int:
    """Show how the jobs stand: queues, the oldest that waits, workers."""
    now = time.time()
    with opened(target) as app:
        place = placeOf(app)
        with app.reading() as processor:
            found = overviewOf(app, processor, now)
    if asJson:
        printJson({'app': place, **figuresOf(found, now)})
        return 0
    say((place, 'bold'))
    if found.queues.all:
        printQueues(found.queues, now)
    else:
        say(f"No jobs yet; `p01-remote enqueue {target} NAME '[arguments]'` adds one.")
    if found.oldest is not None:
        say('oldest waiting: ', (span(max(0.0, now - found.oldest)), 'bold'))
    if found.due is not None:
        say(f'next delayed job: {ago(max(found.due, now), now)}')
    printSchedules(found.schedules, now)
    printWorkers(found.workers, target, found.oldest is not None)
    if old := len(found.outdated):
        say(mark('warning', f'{count(old, "worker")} {verb(old, "run")} other code'),
            ' than the application has here; restart when it has changed')
    warn([(f'no worker serves {shown(queue)}',
           f'; {count(number, "job")} there {verb(number, "wait")}')
          for queue, number in found.unserved.items()])
    warn([(shown(queue), f': {text}') for queue, text in found.unknown.items()])
    return 0


def figuresOf(found: Overview, now: float) -> dict[str, Any]:
    """How all stands, for JSON."""
    queues = found.queues.all.values()
    return {
        'queues': {queue.name: queue.counts for queue in queues}, 'reckoned': found.queues.reckoned,
        'paused': {queue.name: iso(queue.until) for queue in queues if queue.paused},
        'oldest': None if found.oldest is None else round(max(0.0, now - found.oldest), 3),
        'nextDue': iso(found.due),
        'workers': [workerFacts(worker) for worker in found.workers],
        'unserved': found.unserved,
        'schedules': [scheduleFacts(each) for each in found.schedules]}


def warn(warnings: list[tuple[str, str]]) -> None:
    """Print warnings of one kind, a line for each of the first of them; --json has all."""
    for what, rest in warnings[:LISTED]:
        say(mark('warning', what), rest)
    if len(warnings) > LISTED:
        say(mark('warning', f'and {len(warnings) - LISTED:,} more'), ' of these')


def printSchedules(standings: list[Standing], now: float) -> None:
    """Print how many there are, when the next is due, and what is wrong with which."""
    live = [each for each in standings if each.retired is None]
    if live:
        due = min((each.due for each in live if each.active and each.due is not None), default=None)
        coming = '' if due is None else f', the next {ago(max(due, now), now)}'
        say(f'{count(len(live), "schedule")}{coming}')
    off = {True: ' is switched off', False: ' is paused'}
    warn([(f'schedule {shown(each.name)}',
           f' {shown(each.fault, 200)}' if each.fault else off[each.source == COMPONENT])
          for each in live if each.fault or not each.active])


def printWorkers(workers: list[Worker], target: str, waiting: bool) -> None:
    """Print the table of workers."""
    if not workers:
        start = f'; `p01-remote worker {target}` starts one'
        say(mark('warning' if waiting else 'queued', 'no worker'), start if waiting else ' runs')
        return
    table(['state', 'worker', 'host', 'pid', 'queues', 'jobs in hand'],
          [[stateOf(worker), shown(worker.label), shown(worker.host), worker.pid,
            shown(', '.join(worker.queues) or 'all', 40), inHand(worker)] for worker in workers],
          right=['pid'], cut=('jobs in hand', 'queues'), drop=('host', 'pid'))


def inHand(worker: Worker) -> str:
    """The jobs of a worker: those that run with how far they are, and how many more it has."""
    first = (worker.running or worker.jobs)[:3]
    text = ', '.join(f'{jobid} ({worker.progress[jobid].words()})' if jobid in worker.progress
                     else str(jobid)
                     for jobid in first)
    rest = len(worker.jobs) - len(first)
    return f'{text} and {rest} more' if text and rest else text or '–'
