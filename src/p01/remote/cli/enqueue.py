# SPDX-License-Identifier: ZPL-2.1
"""p01-remote enqueue."""
from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from p01.remote.app import App
from p01.remote.cli.argument import SPAN, Verb, appArgument
from p01.remote.cli.selection import AT, full
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import jsonOption, mark, printJson, say, tell
from p01.remote.exceptions import InputError, JobCancelled, JobFailed, UnknownJob
from p01.remote.function import checked
from p01.remote.ground import checks
from p01.remote.ground.foreign import listed
from p01.remote.ground.values import clean, jsonOf
from p01.remote.ground.words import shown
from p01.remote.job import Arguments, FunctionJob


def placing(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where a job waits, and from when on."""
    for option in reversed((
            click.option('--queue', metavar='NAME', help="The queue; default: the job's own."),
            click.option('--priority', type=int, metavar='N',
                         help='From -100 to 100; a higher one runs sooner.'),
            click.option('--delay', type=SPAN, metavar='TIME',
                         help='Not before this: seconds, or 10m, 2h, 1d.'),
            click.option('--at', type=AT, metavar='TIME',
                         help='Not before this date, as 2026-01-31T08:30, of UTC without a '
                              'zone.'))):
        verb = option(verb)
    return verb


@click.command(cls=Verb)
@appArgument
@click.argument('name', metavar='NAME')
@click.argument('text', metavar='[JSON]', required=False)
@placing
@click.option('--expires', type=SPAN, metavar='TIME',
              help='Cancelled when it has not started within this.')
@click.option('--unique', metavar='KEY',
              help='Enqueue nothing while a job with this key waits or runs.')
@click.option('--wait', type=SPAN, metavar='TIME',
              help='Wait at most so long for the result, and print it.')
@jsonOption
def enqueue(target: str, name: str, text: str | None, queue: str | None, priority: int | None,
            delay: float | None,
            at: float | None, expires: float | None, unique: str | None, wait: float | None,
            asJson: bool) -> int:
    """Enqueue a job and print its id.

    NAME is a registered name, or the dotted name of an @app.job function. A JSON list is its
    arguments, an object its keyword arguments, anything else its one argument.

    \b
    p01-remote enqueue tasks:app receipt 42
    p01-remote enqueue sqlite:./jobs tasks.receipt '{"orderId": 42}' --delay 10m
    """
    given = value(text)
    options = checked({key: option for key, option in (
        ('queue', queue), ('priority', priority), ('delay',
                                                   delay), ('at',
                                                            at), ('expires', expires), ('unique',
                                                                                        unique))
        if option is not None})
    with opened(target, create=True) as app:
        name, jobid = add(app, name, given, text is not None, options)
        if wait is not None:
            return awaited(app, jobid, name, wait, asJson)
        if asJson:
            with app.reading() as processor:
                printJson({'id': jobid, 'name': name, 'status': processor.getJobStatus(jobid)})
        elif sys.stdout.isatty():
            say(mark('queued', str(jobid)), f'  {shown(name)} is queued')
        else:
            tell(str(jobid))        # nothing else: id=$(p01-remote enqueue ...)
    return 0


def value(text: str | None) -> Any:
    """The value of the JSON argument. Raises InputError."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(f'{shown(text, 60)!r} is nested too deeply.') from None
    except ValueError as error:
        raise InputError(f'{shown(text, 60)!r} is not JSON ({error}); write for example \'[42]\', '
                         f'\'{{"orderId": 42}}\' or \'"text"\'.') from None


def add(app: App, name: str, given: Any, isGiven: bool, options: dict[str, Any]) -> tuple[str, int]:
    """Enqueue in a transaction; returns the full name and the id. Raises UnknownJob,
    ArgumentsError, InputError."""
    with app.transaction():
        processor = app.processor
        if name not in processor.jobs:
            name = full(app, name)
        if name in app.jobs:
            arguments = call(given, isGiven)
            return name, app.jobs[name].using(**options).enqueue(*arguments.args,
                                                                 **arguments.kwargs).id
        try:
            behaviour = processor.registered(name)
        except UnknownJob as error:
            near = checks.nearest(name, {*app.jobs, *processor.jobs})
            if near:
                raise UnknownJob(f'No job is registered as {shown(name)!r}; did you mean {near}?'
                                 ) from error
            if not app.jobs or '.' in name:
                raise
            known = listed(shown(known) for known in sorted({*app.jobs, *processor.jobs}))
            raise UnknownJob(
                f'No job is registered as {shown(name)!r}; there are {known}.') from error
        given = call(given, isGiven) if isinstance(behaviour, FunctionJob) else given
        return name, processor.processJob(name, given, **options)


def call(given: Any, isGiven: bool) -> Arguments:
    """What a function is called with."""
    if not isGiven:
        return Arguments()
    if isinstance(given, list):
        return Arguments(tuple(given))
    if isinstance(given, dict):
        return Arguments((), given)
    return Arguments((given,))


def awaited(app: App, jobid: int, name: str, wait: float, asJson: bool) -> int:
    """Print the result of a job, or how it failed; returns the exit status."""
    output, error, mark = None, '', '✖'
    try:
        output = app.handle(jobid).result(wait)
    except TimeoutError as late:                    # which names the job itself
        error, mark = str(late), '▲'
    except (JobFailed, JobCancelled) as failed:
        error = f'job {jobid}, {name}: {failed}'
    if asJson:
        with app.reading() as processor:
            word = processor.getJobStatus(jobid)
        printJson({'id': jobid, 'name': name, 'status': word, 'output': output, 'error': error})
    elif error:
        tell(f'{mark} {shown(error, None)}', err=True)
    else:
        tell(clean(output) if type(output) is str else jsonOf(output))
    return 1 if error else 0
