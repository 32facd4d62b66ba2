# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: list, show. What changes jobs is in changes."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import Nouns, Verb, Whole, appArgument
from p01.remote.cli.selection import Filtered, filterOf, filterOptions, isNarrowed
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import console, hung, jsonOption, mark, printJson, say, table
from p01.remote.ground.words import ago, iso, labelOf, shown, span
from p01.remote.store.records import COMPLETED
from p01.remote.views.facts import allFacts, jobFacts
from p01.remote.views.filters import STATI
from p01.remote.views.job import SHOWNVALUE, Details, Row, detailsOf, rowOf
from p01.remote.views.listing import find


@click.group(cls=Nouns)
def jobs() -> None:
    """Look at jobs, retry, cancel, move, edit and remove them, run delayed ones now."""


# -- looking

@jobs.command('list', cls=Filtered)
@appArgument
@click.option('--status', 'stati', multiple=True, type=click.Choice(STATI),
              help='Only these; may be given again.')
@filterOptions
@click.option('--limit', type=Whole(1), default=50, show_default=True, metavar='N',
              help='At most so many.')
@jsonOption
def listJobs(target: str, words: tuple[str, ...], stati: tuple[str, ...], limit: int, asJson: bool,
             **which: Any) -> int:
    """List jobs, the newest first: all, or those that a filter names, such as status:error
    job:receipt 'age>1h' -queue:slow; docs/filters.md tells of it.

    Exit status 1 when there are none.
    """
    wanted = filterOf(words, which, stati)
    with opened(target) as app, app.reading() as processor:
        views = list(find(processor.store, wanted._replace(limit=limit + 1)))
    more, views, now = len(views) > limit, views[:limit], time.time()
    if asJson:
        printJson([jobFacts(rowOf(view)) for view in views])
    elif views:
        table(['id', 'status', 'job', 'queue', 'run', 'when', 'worker', 'error'],
              [cells(rowOf(view), now) for view in views], right=['id', 'run'],
              cut=('error', 'job'),
              drop=('worker', 'queue', 'run', 'when'))
        if more:
            say((f'There are more; --limit {limit * 10} shows more of them.', 'dim'))
    elif stati or isNarrowed(words, which):
        say('No jobs match.')
    else:
        say(f"No jobs yet; `p01-remote enqueue {target} NAME '[arguments]'` adds one.")
    return 0 if views else 1


def cells(row: Row, now: float) -> list[Any]:
    """A line of the list."""
    at = row.completed or row.due or row.created
    return [row.id, mark(row.status), shown(row.name), shown(row.queue, 20), row.runs or '',
            ago(at, now),
            labelOf(row.worker), shown(row.error, 200)]


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobid', metavar='ID', type=Whole(1))
@jsonOption
def show(target: str, jobid: int, asJson: bool) -> int:
    """Show all about one job: input, output, every failed run."""
    now = time.time()
    with opened(target) as app, app.reading() as processor:
        found = detailsOf(processor, processor.store.view(jobid), now, values=True)
        if asJson:
            printJson(allFacts(found))
        else:
            describe(found, now)
    return 0


def describe(found: Details, now: float) -> None:
    """Print all about a job."""
    row = found.row
    hung([mark(row.status), (f'  job {row.id}  ', '')], shown(row.name, None), 'bold')
    for name, text in lines(found, now):
        if text != '' and text is not None:
            hung([(f'  {name:12}', 'dim')], str(text))
    for line in found.log:
        hung([('  log         ', 'dim')], shown(line, None))
    seen: dict[str, int] = {}
    for attempt in found.attempts:
        hung([mark('retried', f'run {attempt.number}'), (' ', '')],
             f'failed {ago(attempt.ended, now)} on worker {labelOf(attempt.worker)}: '
             f'{shown(attempt.reason, None)}')
        if attempt.trace in seen:
            say((f'    as in run {seen[attempt.trace]}', 'dim'))
            continue
        fits = True
        if attempt.trace:
            seen[attempt.trace] = attempt.number
        for line in attempt.trace.splitlines():
            text = ''.join(letter if letter.isprintable() else ' ' for letter in line)
            own = text.lstrip()
            if fits or own.strip('^~ '):            # marks point at a line that stands as it was
                hung([(' ' * (4 + len(text) - len(own)), '')], own, 'dim')
            fits = len(text) + 4 <= console().width


def lines(found: Details, now: float) -> list[tuple[str, Any]]:
    """What is printed of a job, with what it is; empty ones are left out."""
    row = found.row
    took = '' if row.started is None or row.completed is None \
        else f', took {span(row.completed - row.started)}'
    ended, done = row.completed is not None, row.status == COMPLETED
    met = found.conflicts \
        and f'{found.conflicts.number}, the last on {shown(found.conflicts.object, None)}'
    asked = found.asked and f'by {shown(found.asked.who)}, {when(found.asked.when, now)}'
    tick = row.schedule and f'{shown(row.schedule)}, for {when(row.tick, now)}'
    said = '' if found.progress is None else shown(found.progress.words(), None)
    return [
        ('queue', shown(row.queue)), ('priority', row.priority),
        ('created', when(row.created, now)), ('due', when(row.due, now)),
        ('input', shown(found.call, SHOWNVALUE)), ('schedule', tick),
        ('unique', shown(found.unique)),
        ('waits', shown(' '.join(reason.sentence for reason in found.waits), None)),
        ('progress', said), ('started', when(row.started, now)),
        ('completed' if done else 'ended', when(row.completed, now) + took),
        ('output', shown(found.output, SHOWNVALUE) if done else ''),
        ('error', shown(row.error, None) if ended else ''),
        ('duplicate', found.duplicate and f'of job {found.duplicate}'),
        ('transaction', found.transaction), ('conflicts', met), ('asked', asked),
        ('runs', row.runs or ''), ('worker', row.worker)]


def when(instant: float | None, now: float) -> str:
    """An instant in full and as seen from now."""
    return '' if instant is None \
        else f'{(iso(instant) or "")[:19].replace("T", " ")} UTC, {ago(instant, now)}'
