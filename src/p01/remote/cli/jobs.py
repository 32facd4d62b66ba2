# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: list, show. What changes jobs is in changes."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.selection import filterOf, filterOptions, isNarrowed
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import (
    ago,
    hung,
    iso,
    jsonOption,
    mark,
    printJson,
    say,
    shown,
    span,
    table,
)
from p01.remote.cli.values import written
from p01.remote.engine.progress import Progress, saidBy
from p01.remote.ground.foreign import Raised, guarded, reasonOf
from p01.remote.job import FunctionJob
from p01.remote.processor import RemoteProcessor
from p01.remote.store.payload import unpack
from p01.remote.store.records import PROCESSING
from p01.remote.store.views import View
from p01.remote.views.listing import STATI, find

VALUE = 2000        # characters of an input or output that are shown


@click.group()
def jobs() -> None:
    """Look at jobs, retry, cancel and remove them."""


# -- looking

@jobs.command('list', cls=Verb)
@appArgument
@click.option('--status', 'stati', multiple=True, type=click.Choice(STATI),
              help='Only these; may be given again.')
@filterOptions
@click.option('--limit', type=click.IntRange(1), default=50, show_default=True, metavar='N',
              help='At most so many.')
@jsonOption
def listJobs(target: str, stati: tuple[str, ...], limit: int, asJson: bool, **which: Any) -> int:
    """List jobs, the newest first. Exit status 1 when there are none."""
    with opened(target) as app, app.reading() as processor:
        views = list(find(processor.store,
                          filterOf(app, stati or STATI, which)._replace(limit=limit + 1)))
    more, views, now = len(views) > limit, views[:limit], time.time()
    if asJson:
        printJson([summary(view) for view in views])
    elif views:
        table(['id', 'status', 'job', 'queue', 'run', 'when', 'worker', 'error'],
              [row(view, now) for view in views], right=['id', 'run'], cut=('error', 'job'),
              drop=('worker', 'queue', 'run', 'when'))
        if more:
            say((f'There are more; --limit {limit * 10} shows more of them.', 'dim'))
    elif stati or isNarrowed(which):
        say('No jobs match.')
    else:
        say(f"No jobs yet; `p01-remote enqueue {target} NAME '[arguments]'` adds one.")
    return 0 if views else 1


def row(view: View, now: float) -> list[Any]:
    """A line of the list."""
    at = view.outcome.completed if view.outcome is not None else view.due or view.record.created
    return [view.id, mark(view.status), shown(view.record.name), shown(view.record.queue, 20),
            view.runs or '',
            ago(at, now), view.worker.partition(':')[0], shown(view.error, 200)]


def summary(view: View) -> dict[str, Any]:
    """A job without its input and output, for JSON."""
    record, outcome = view.record, view.outcome
    return {'id': view.id, 'name': record.name, 'queue': record.queue, 'priority': record.priority,
            'status': view.status, 'runs': view.runs, 'worker': view.worker, 'error': view.error,
            'created': iso(record.created), 'due': iso(view.due),
            'schedule': (record.extras or {}).get('schedule'),
            'tick': iso((record.extras or {}).get('tick')),
            'started': iso(outcome.started) if outcome is not None else None,
            'completed': iso(outcome.completed) if outcome is not None else None}


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobid', metavar='ID', type=click.IntRange(1))
@jsonOption
def show(target: str, jobid: int, asJson: bool) -> int:
    """Show all about one job: input, output, every failed run."""
    with opened(target) as app, app.reading() as processor:
        view = processor.store.view(jobid)
        given = loaded(view.record.input)
        output = loaded(view.outcome.output) if view.outcome is not None else None
        said = saidOf(processor, jobid) if view.status == PROCESSING else None
        if asJson:
            asked = view.outcome and view.outcome.asked
            met = view.outcome and view.outcome.conflicts
            printJson({**summary(view), 'input': given, 'output': output,
                       'progress': said and said._asdict(),
                       'conflicts': met and met._asdict(),
                       'asked': asked
                       and {'who': asked.who, 'when': iso(asked.when), 'grace': asked.grace},
                       'transaction': view.outcome.tid.hex() if view.outcome and view.outcome.tid
                       else None,
                       'attempts': [{**attempt._asdict(), 'started': iso(attempt.started),
                                     'ended': iso(attempt.ended)}
                                    for attempt in view.attempts]})
        else:
            describe(view, called(processor, view.record.name, given), written(output, VALUE),
                     said, time.time())
    return 0


def loaded(kept: Any) -> Any:
    """An input or output; when it cannot be loaded, a text that says why."""
    found = guarded(unpack, kept)       # unpickling runs foreign code
    return f'(cannot be loaded: {reasonOf(found.error)})' if isinstance(found, Raised) else found


def called(processor: RemoteProcessor, name: str, given: Any) -> str:
    """The input, as a call where it is a function's arguments."""
    if given is None and isFunction(processor, name):
        given = (), {}
    if not (isinstance(given, tuple) and len(given) == 2 and type(given[0]) is tuple
            and type(given[1]) is dict):
        return written(given, VALUE)
    parts = [written(value, VALUE) for value in given[0]]
    parts += [f'{key}={written(value, VALUE)}' for key, value in given[1].items()]
    return f'{name.rpartition(".")[2]}({", ".join(parts)})'


def saidOf(processor: RemoteProcessor, jobid: int) -> Progress | None:
    """How far a running job is, as it says; None when it says nothing, or runs on another host."""
    for seat in processor.store.seats.values():
        if jobid in seat.claims:
            return saidBy(seat).get(jobid)
    return None


def isFunction(processor: RemoteProcessor, name: str) -> bool:
    """Whether this is the name of a function, so far as it can be told without importing it."""
    return isinstance(processor.jobs[name], FunctionJob) if name in processor.jobs else '.' in name


def describe(view: View, given: str, output: str, said: Progress | None, now: float) -> None:
    """Print all about a job."""
    record, outcome = view.record, view.outcome
    say(mark(view.status), f'  job {view.id}  ', (shown(record.name, None), 'bold'))
    lines = [('queue', shown(record.queue)), ('priority',
                                              record.priority), ('created',
                                                                 when(record.created, now)),
             ('due', when(view.due, now)), ('input', shown(given, VALUE))]
    if record.extras and 'schedule' in record.extras:
        name, tick = shown(record.extras['schedule']), when(record.extras['tick'], now)
        lines.append(('schedule', f'{name}, for {tick}'))
    if said is not None:
        lines.append(('progress', shown(said.words(), None)))
    if outcome is not None:
        took = f', took {span(outcome.completed - outcome.started)}' \
            if outcome.started is not None else ''
        lines += [('started', when(outcome.started, now)), ('completed',
                                                            when(outcome.completed, now) + took),
                  ('output', shown(output, VALUE)), ('error', shown(outcome.error, None))]
        if outcome.tid is not None:
            lines.append(('transaction', outcome.tid.hex()))
        if outcome.conflicts:
            last = shown(outcome.conflicts.object, None)
            lines.append(('conflicts', f'{outcome.conflicts.number}, the last on {last}'))
        if outcome.asked is not None:
            lines.append(('asked',
                          f'by {shown(outcome.asked.who)}, {when(outcome.asked.when, now)}'))
    for name, text in [*lines, ('runs', view.runs or ''), ('worker', view.worker)]:
        if text != '' and text is not None:
            hung([(f'  {name:12}', 'dim')], str(text))
    for attempt in view.attempts:
        host = attempt.worker.partition(':')[0]
        hung([mark('retried', f'run {attempt.number}'), (' ', '')],
             f'failed {ago(attempt.ended, now)} on worker {host}: {shown(attempt.reason, None)}')
        for line in attempt.trace.splitlines():
            say((f'    {"".join(letter if letter.isprintable() else " " for letter in line)}',
                 'dim'))


def when(instant: float | None, now: float) -> str:
    """An instant in full and as seen from now."""
    return '' if instant is None \
        else f'{(iso(instant) or "")[:19].replace("T", " ")} UTC, {ago(instant, now)}'
