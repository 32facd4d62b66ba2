# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: now, move, edit, again."""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from p01.remote.cli.argument import Verb, Whole, appArgument
from p01.remote.cli.changes import bulk, dryOption, meant
from p01.remote.cli.enqueue import placing, value
from p01.remote.cli.jobs import jobs
from p01.remote.cli.selection import Filtered, filterOptions
from p01.remote.cli.target import change, opened
from p01.remote.cli.terminal import jsonOption, mark, printJson, say, tell
from p01.remote.engine import editing
from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import listed
from p01.remote.job import Arguments, FunctionJob
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import QUEUED
from p01.remote.wire.deeds import DEEDS, moving, proveWritten


@jobs.command(cls=Filtered)
@appArgument
@click.option('--all', 'every', is_flag=True, help='All delayed jobs.')
@filterOptions
@dryOption
@jsonOption
def now(target: str, words: tuple[str, ...], every: bool, dry: bool, asJson: bool,
        **which: Any) -> int:
    """Have delayed jobs wait for their time no longer, by their ids or by a filter: those that were
    enqueued for later, and those that wait to run again after a failure.

    Exit status 1 when one of them could not be, or there was none.
    """
    verb = DEEDS['now']
    jobids, wanted = meant(words, which, every, 'delayed ones', verb, 'run now')
    return bulk(target, jobids, wanted, verb, QUEUED, 'queued now', dry, asJson)


@jobs.command(cls=Filtered)
@appArgument
@click.option('--to', metavar='NAME', help='The queue that they go to.')
@click.option('--priority', type=int, metavar='N', help='The priority that they get.')
@click.option('--all', 'every', is_flag=True, help='All jobs that wait.')
@filterOptions
@dryOption
@jsonOption
def move(target: str, words: tuple[str, ...], to: str | None, priority: int | None, every: bool,
         dry: bool, asJson: bool, **which: Any) -> int:
    """Move jobs that wait to another queue, or to another priority, by their ids or by a filter.
    They keep their age. What a worker has claimed is left as it is.

    Exit status 1 when one of them could not be, or there was none.
    """
    if to is None and priority is None:
        raise click.UsageError('Say where they go, with --to QUEUE, --priority N or both.')
    verb = moving(to, priority)
    jobids, wanted = meant(words, which, every, 'those that wait', verb, 'moved')
    return bulk(target, jobids, wanted, verb, QUEUED, 'moved', dry, asJson)


def edits(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is to be changed of a job."""
    for option in reversed((
            click.option('--args', metavar='JSON', help='A list that it is called with instead.'),
            click.option('--kwargs', metavar='JSON',
                         help='Keyword arguments that it is called with instead, an object; '
                              'without --args nothing else.'),
            placing)):
        verb = option(verb)
    return verb


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobid', metavar='ID', type=Whole(1))
@edits
@click.option('--now', 'atOnce', is_flag=True, help='It need not wait for its time any more.')
@jsonOption
def edit(target: str, jobid: int, args: str | None, kwargs: str | None, queue: str | None,
         priority: int | None, delay: float | None, at: float | None, atOnce: bool,
         asJson: bool) -> int:
    """Change a job that waits: what it is called with, its queue, priority, when it is due.

    Exit status 1 when a worker has claimed it, or it has ended: run that again, edited if need be,
    with `p01-remote jobs again`.
    """
    changes, given = editing.changesOf(queue, priority, delay, at, atOnce), callOf(args, kwargs)
    if not changes and given is None:
        raise click.UsageError('Say what is to be changed: --args, --kwargs, --queue, --priority, '
                               '--delay, --at or --now.')

    def work(processor: RemoteProcessor) -> str:
        done = editing.edit(processor, jobid, changes, calling(processor, jobid, given))
        return '' if done else editing.refusal(processor, jobid)

    names = [*(['what it is called with'] if given is not None else ()), *changes]
    with opened(target) as app:
        why = change(app, lambda why: '' if why else f'edit job {jobid}: {listed(names)}', work)
    if asJson:
        printJson({'id': jobid, 'changed': [] if why else names} | ({'why': why} if why else {}))
    else:
        say(mark('warning', why) if why else mark('queued', f'job {jobid}'),
            '' if why else f' is changed: {listed(names)}')
    return 1 if why else 0


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobid', metavar='ID', type=Whole(1))
@edits
@jsonOption
def again(target: str, jobid: int, args: str | None, kwargs: str | None, queue: str | None,
          priority: int | None, delay: float | None, at: float | None, asJson: bool) -> int:
    """Enqueue a job like one that has ended, as it was or edited; prints the id of the new one.

    The old one stays as it is. The new one has its queue, priority and what travels with it, and
    neither its unique key nor its expiry.
    """
    changes, given = editing.changesOf(queue, priority, delay, at), callOf(args, kwargs)
    with opened(target) as app:
        new = change(app, f'run job {jobid} again as another one', lambda processor: editing.again(
            processor, jobid, changes, calling(processor, jobid, given)))
    if asJson:
        printJson({'id': new, 'of': jobid})
    elif sys.stdout.isatty():
        say(mark('queued', str(new)), f'  is queued, as job {jobid} was')
    else:
        tell(str(new))
    return 0


def callOf(args: str | None, kwargs: str | None) -> Arguments | None:
    """What a job is to be called with, of two JSON texts; None for what it was called with. Raises
    InputError."""
    if args is None and kwargs is None:
        return None
    some, more = value(args or '[]'), value(kwargs or '{}')
    if not isinstance(some, list):
        raise InputError('--args must be a JSON list, such as \'[42, "text"]\'.')
    if not isinstance(more, dict):
        raise InputError('--kwargs must be a JSON object, such as \'{"copies": 2}\'.')
    return Arguments(tuple(some), more)


def calling(processor: RemoteProcessor, jobid: int,
            given: Arguments | None) -> editing.Calling | None:
    """The same for a job, with what checks it. A job that is no function gets one value. Raises
    UnknownJob, JobNotFound, InputError."""
    if given is None:
        return None
    name = processor.store.entry(jobid)[1].name
    proveWritten(name)
    behaviour = processor.registered(name)
    if isinstance(behaviour, FunctionJob):
        return editing.Calling(behaviour, given)
    if len(given.args) > 1 or given.args and given.kwargs:
        raise InputError(f'{name} is no function and takes one value; give --args with one value '
                         'in its list, or --kwargs.')
    return editing.Calling(behaviour, given.args[0] if given.args else given.kwargs or None)
