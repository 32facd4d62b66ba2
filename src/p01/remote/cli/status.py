# SPDX-License-Identifier: ZPL-2.1
"""p01-remote status."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.queues import countsOf, pausedOf, printCounts
from p01.remote.cli.schedules import facts
from p01.remote.cli.survey import knownQueues, meant, outdated, unserved
from p01.remote.cli.target import opened, placeOf
from p01.remote.cli.terminal import (
    ago,
    count,
    iso,
    jsonOption,
    mark,
    printJson,
    say,
    shown,
    span,
    table,
    verb,
)
from p01.remote.engine.death import isDead
from p01.remote.engine.progress import saidBy
from p01.remote.engine.standing import COMPONENT, Standing, standings
from p01.remote.ground import blackbox
from p01.remote.ground.foreign import LISTED
from p01.remote.processor import RemoteProcessor
from p01.remote.store.seats import Seat
from p01.remote.views import figures


@click.command(cls=Verb)
@appArgument
@jsonOption
def status(target: str, asJson: bool) -> int:
    """Show how the jobs stand: queues, the oldest that waits, workers."""
    now = time.time()
    with opened(target) as app:
        place = placeOf(app)
        with app.reading() as processor:
            (found, reckoned), paused = countsOf(processor), pausedOf(processor, now)
            oldest = figures.oldest(processor.store)
            due = figures.nextDue(processor.store, noticed=False)
            workers, schedules = workersOf(processor, now), standings(processor, now)
            left, known, old = unserved(found, workers,
                                        paused), knownQueues(app, processor), outdated(app, workers)
    if asJson:
        printJson({'app': place, 'queues': found, 'reckoned': reckoned,
                   'paused': {queue: iso(until) for queue, until in paused.items()},
                   'oldest': None if oldest is None else round(max(0.0, now - oldest), 3),
                   'nextDue': iso(due),
                   'workers': [{**each,
                                'progress': {jobid: said._asdict()
                                             for jobid, said in each['progress'].items()}}
                               for each in workers], 'unserved': left,
                   'schedules': [facts(each) for each in schedules]})
        return 0
    say((place, 'bold'))
    if found:
        printCounts(found, paused, now, reckoned)
    else:
        say(f"No jobs yet; `p01-remote enqueue {target} NAME '[arguments]'` adds one.")
    if oldest is not None:
        say('oldest waiting: ', (span(max(0.0, now - oldest)), 'bold'))
    if due is not None:
        say(f'next delayed job: {ago(max(due, now), now)}')
    printSchedules(schedules, now)
    printWorkers(workers, target, oldest is not None)
    if old:
        say(mark('warning', f'{count(len(old), "worker")} {verb(len(old), "run")} other code'),
            ' than the application has here; restart when it has changed')
    warn([(f'no worker serves {shown(queue)}',
           f'; {count(number, "job")} there {verb(number, "wait")}')
          for queue, number in left.items()])
    warn([(shown(queue), f': {meant(queue, known)}')
          for queue in sorted({*paused,
                               *(queue for each in workers for queue in each['queues'])} - known)])
    return 0


def warn(warnings: list[tuple[str, str]]) -> None:
    """Print warnings of one kind, a line for each of the first of them; --json has all."""
    for what, rest in warnings[:LISTED]:
        say(mark('warning', what), rest)
    if len(warnings) > LISTED:
        say(mark('warning', f'and {len(warnings) - LISTED:,} more'), ' of these')


def printSchedules(schedules: list[Standing], now: float) -> None:
    """Print how many there are, when the next is due, and what is wrong with which."""
    schedules = [each for each in schedules if each.retired is None]
    if schedules:
        due = min((each.due for each in schedules if each.active and each.due is not None),
                  default=None)
        coming = '' if due is None else f', the next {ago(max(due, now), now)}'
        say(f'{count(len(schedules), "schedule")}{coming}')
    off = {True: ' is switched off', False: ' is paused'}
    warn([(f'schedule {shown(each.name)}',
           f': {shown(each.fault, 200)}' if each.fault else off[each.source == COMPONENT])
          for each in schedules if each.fault or not each.active])


def workersOf(processor: RemoteProcessor, now: float) -> list[dict[str, Any]]:
    """The workers, each with its jobs: those in hand, and which of them runs, where that can be
    seen."""
    workers = []
    for seat in processor.store.seats.values():
        if not seat.pid:
            continue                # jobs that were pulled by hand
        held = sorted(jobid for jobid in seat.claims if seat.outcome(jobid) is None)
        workers.append({'name': seat.name, 'label': seat.label or seat.name,
                        'host': seat.host.partition('/')[0], 'pid': seat.pid,
                        'alive': not isDead(seat, blackbox.HOST, now), 'since': iso(seat.since),
                        'seen': iso(seat.beat),
                        'jobs': held, 'running': running(seat, held),
                        'queues': sorted(seat.queues), 'code': seat.code,
                        'progress': {jobid: said for jobid, said in saidBy(seat).items()
                                     if jobid in held}})
    return workers


def running(seat: Seat, held: list[int]) -> list[int] | None:
    """The job that a worker of this host runs just now; None where that cannot be seen."""
    slot = seat.seen()
    return None if slot is None else sorted({slot.jobid} & set(held))


def printWorkers(workers: list[dict[str, Any]], target: str, waiting: bool) -> None:
    """Print the table of workers."""
    if not workers:
        start = f'; `p01-remote worker {target}` starts one'
        say(mark('warning' if waiting else 'queued', 'no worker'), start if waiting else ' runs')
        return
    rows = []
    for each in workers:
        inHand = each['jobs']
        text = ', '.join(f'{jobid} '
                         f'({each["progress"][jobid].words()})' if jobid in each['progress']
                         else str(jobid)
                         for jobid in (each['running'] or inHand)[:3])
        rest = len(inHand) - min(3, len(each['running'] or inHand))
        rows.append([mark('processing' if each['alive'] else 'error',
                          'alive' if each['alive'] else 'dead'),
                     shown(each['label']), shown(each['host']), each['pid'],
                     shown(', '.join(each['queues']) or 'all', 40),
                     f'{text} and {rest} more' if text and rest else text or '–'])
    table(['state', 'worker', 'host', 'pid', 'queues', 'jobs in hand'], rows, right=['pid'],
          cut=('jobs in hand', 'queues'), drop=('host', 'pid'))
