# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: list, show, retry, cancel, remove."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from p01.remote.cli.target import Verb, appArgument, change, each, opened
from p01.remote.cli.terminal import ago, iso, jsonOption, mark, printJson, say, shown, span, table
from p01.remote.exceptions import JobNotFound
from p01.remote.processor import RemoteProcessor
from p01.remote.store.listing import STATI, Filter, find
from p01.remote.store.look import View
from p01.remote.store.payload import unpack
from p01.remote.store.records import CANCELLED, DELAYED, ERROR, FINISHED, QUEUED


@click.group()
def jobs() -> None:
    """Look at jobs, retry, cancel and remove them."""


# -- looking

@jobs.command('list', cls=Verb)
@appArgument
@click.option('--status', 'wanted', type=click.Choice(STATI), help='Only these.')
@click.option('--queue', metavar='NAME', help='Only of this queue.')
@click.option('--limit', type=click.IntRange(1), default=50, show_default=True, metavar='N', help='At most so many.')
@jsonOption
def listJobs(target: str, wanted: str | None, queue: str | None, limit: int, asJson: bool) -> int:
    """List jobs, the newest first. Exit status 1 when there are none."""
    with opened(target) as app, app.reading() as processor:
        views = list(find(processor.store, Filter([wanted] if wanted else STATI, queue, limit=limit + 1)))
    more, views, now = len(views) > limit, views[:limit], time.time()
    if asJson:
        printJson([summary(view) for view in views])
    elif views:
        table(['id', 'status', 'job', 'queue', 'run', 'when', 'worker', 'error'],
              [row(view, now) for view in views], right=['id', 'run'], cut='error')
        if more:
            say((f'There are more; --limit {limit * 10} shows more of them.', 'dim'))
    elif wanted or queue:
        say('No jobs match.')
    else:
        say(f"No jobs yet; `p01-remote enqueue {target} NAME '[arguments]'` adds one.")
    return 0 if views else 1


def row(view: View, now: float) -> list[Any]:
    """A line of the list."""
    at = view.outcome.completed if view.outcome is not None else view.due or view.record.created
    error = view.outcome.error if view.outcome is not None else view.attempts[-1].reason if view.attempts else ''
    return [view.id, mark(view.status), shown(view.record.name), shown(view.record.queue, 20), view.runs or '',
            ago(at, now), view.worker.partition(':')[0], shown(error, 200)]


def summary(view: View) -> dict[str, Any]:
    """A job without its input and output, for JSON."""
    record, outcome = view.record, view.outcome
    error = outcome.error if outcome is not None else view.attempts[-1].reason if view.attempts else ''
    return {'id': view.id, 'name': record.name, 'queue': record.queue, 'priority': record.priority,
            'status': view.status, 'runs': view.runs, 'worker': view.worker, 'error': error,
            'created': iso(record.created), 'due': iso(view.due),
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
        if asJson:
            printJson({**summary(view), 'input': given, 'output': output,
                       'attempts': [{**attempt._asdict(), 'started': iso(attempt.started), 'ended': iso(attempt.ended)}
                                    for attempt in view.attempts]})
        else:
            describe(view, called(view.record.name, given), repr(output), time.time())
    return 0


def loaded(kept: Any) -> Any:
    """An input or output; when it cannot be loaded, a text that says why."""
    try:
        return unpack(kept)
    except Exception as error:      # unpickling runs foreign code
        return f'(cannot be loaded: {type(error).__name__}: {error})'


def called(name: str, given: Any) -> str:
    """The input, as a call where it is a function's arguments."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], tuple) and isinstance(given[1], dict):
        parts = [repr(value) for value in given[0]] + [f'{key}={value!r}' for key, value in given[1].items()]
        return f'{name.rpartition(".")[2]}({", ".join(parts)})'
    return repr(given)


def describe(view: View, given: str, output: str, now: float) -> None:
    """Print all about a job."""
    record, outcome = view.record, view.outcome
    say(mark(view.status), f'  job {view.id}  ', (shown(record.name, None), 'bold'))
    lines = [('queue', shown(record.queue)), ('priority', record.priority), ('created', when(record.created, now)),
             ('due', when(view.due, now)), ('input', shown(given, 2000))]
    if outcome is not None:
        took = f', took {span(outcome.completed - outcome.started)}' if outcome.started is not None else ''
        lines += [('started', when(outcome.started, now)), ('completed', when(outcome.completed, now) + took),
                  ('output', shown(output, 2000)), ('error', shown(outcome.error, None))]
    for name, text in [*lines, ('runs', view.runs or ''), ('worker', view.worker)]:
        if text != '' and text is not None:
            say((f'  {name:10}', 'dim'), str(text))
    for attempt in view.attempts:
        say(mark('retried', f'run {attempt.number}'), f' failed {ago(attempt.ended, now)} on worker '
            f'{attempt.worker.partition(":")[0]}: {shown(attempt.reason, None)}')
        for line in attempt.trace.splitlines():
            say((f'    {"".join(letter if letter.isprintable() else " " for letter in line)}', 'dim'))


def when(instant: float | None, now: float) -> str:
    """An instant in full and as seen from now."""
    return '' if instant is None else f'{(iso(instant) or "")[:19].replace("T", " ")} UTC, {ago(instant, now)}'


# -- changing

@jobs.command(cls=Verb)
@appArgument
@click.argument('jobids', metavar='[ID]...', nargs=-1, type=click.IntRange(1))
@click.option('--all-failed', 'allFailed', is_flag=True, help='All jobs that failed.')
@click.option('--queue', metavar='NAME', help='With --all-failed: only of this queue.')
@jsonOption
def retry(target: str, jobids: tuple[int, ...], allFailed: bool, queue: str | None, asJson: bool) -> int:
    """Run jobs again that failed or were cancelled; their earlier runs stay on record.

    Exit status 1 when one of them could not be, or there was none.
    """
    if bool(jobids) == allFailed:
        raise click.UsageError('Name the ids of jobs, or give --all-failed.')
    return bulk(target, jobids, [ERROR] if allFailed else [], queue, RemoteProcessor.retryJob, 'queued', 'queued again',
                asJson)


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobids', metavar='[ID]...', nargs=-1, type=click.IntRange(1))
@click.option('--queue', metavar='NAME', help='All jobs of this queue that wait.')
@jsonOption
def cancel(target: str, jobids: tuple[int, ...], queue: str | None, asJson: bool) -> int:
    """Cancel jobs that wait. Exit status 1 when one of them did not wait, or there was none."""
    if bool(jobids) == (queue is not None):
        raise click.UsageError('Name the ids of jobs, or give --queue.')
    return bulk(target, jobids, [] if jobids else [QUEUED, DELAYED], queue, RemoteProcessor.cancelJob, CANCELLED,
                'cancelled', asJson)


def bulk(target: str, jobids: tuple[int, ...], stati: list[str], queue: str | None,
         verb: Callable[[RemoteProcessor, int], bool], kind: str, word: str, asJson: bool) -> int:
    """Do a verb with these jobs, or with all of these stati; tell what came of it; returns the exit status."""
    def attempt(processor: RemoteProcessor, jobid: int) -> str:
        try:
            return '' if verb(processor, jobid) else processor.getJobStatus(jobid)
        except JobNotFound:
            return 'unknown'

    with opened(target) as app:
        if stati:
            with app.reading() as processor:
                found = [view.id for view in find(processor.store, Filter(stati, queue))]
        else:
            found = list(dict.fromkeys(jobids))
        answers = list(each(app, found, attempt))
    done = [jobid for jobid, why in answers if not why]
    # of a whole class, others may have ended meanwhile: that is no fault
    left = {jobid: why for jobid, why in answers if why} if not stati else {}
    if asJson:
        printJson({word.split()[0]: done, 'left': left})
    else:
        if done or not left:
            some = ', '.join(map(str, done[:10])) + (' …' if len(done) > 10 else '')
            say(mark(kind, f'{len(done):,} {word}'), f': {some}' if done else '; there was none')
        for jobid, why in left.items():
            say(mark('warning', f'job {jobid}'), ' does not exist' if why == 'unknown' else f' is {why}; left as it is')
    return 0 if done and not left else 1


@jobs.command(cls=Verb)
@appArgument
@click.option('--status', 'stati', multiple=True, type=click.Choice(FINISHED),
              help='Only these; may be given again. Default: all that finished.')
@jsonOption
def remove(target: str, stati: tuple[str, ...], asJson: bool) -> int:
    """Remove finished jobs and all that is known of them. Exit status 1 when there were none."""
    with opened(target) as app:
        counts = change(app, lambda processor: processor.removeJobs(stati or None))
    total = sum(counts.values())
    if asJson:
        printJson({'removed': counts})
    else:
        parts = ', '.join(f'{number:,} {status}' for status, number in counts.items() if number)
        say(mark('completed', f'{total:,} removed'), f': {parts}' if parts else '; there was none')
    return 0 if total else 1
