# SPDX-License-Identifier: ZPL-2.1
"""p01-remote schedules: pause, resume, run, skip, add, edit, reset, remove, backfill."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from p01.remote.cli.argument import SPAN, Verb, Whole, appArgument
from p01.remote.cli.enqueue import call, value
from p01.remote.cli.schedules import inWords, schedules
from p01.remote.cli.selection import AT, full
from p01.remote.cli.target import acted, opened
from p01.remote.cli.terminal import jsonOption, mark, printJson, say
from p01.remote.ground.words import ago, count, iso, shown
from p01.remote.views.facts import scheduleFacts

TICKSNAMED = 5           # ticks of a backfill that are shown one by one
nameArgument = click.argument('name', metavar='NAME')


def timingOptions(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say when, and how."""
    for option in reversed((
            click.option('--cron', metavar='LINE',
                         help="Five crontab fields, or six that begin with seconds, or @daily …"),
            click.option('--every', type=SPAN, metavar='TIME',
                         help='At a fixed rate: 90, 15m, 2h, 1d.'),
            click.option('--delay', type=SPAN, metavar='TIME', help='So long after the last time.'),
            click.option('--at', type=AT, metavar='TIME',
                         help='Once, as 2026-01-31T08:30, of UTC without a zone.'),
            click.option('--tz', metavar='ZONE',
                         help='The zone of a crontab line, as Europe/Zurich.'),
            click.option('--aligned/--not-aligned', default=None,
                         help='Count a rate from midnight UTC, as by default, or from --start.'),
            click.option('--start', type=AT, metavar='TIME', help='No run before this.'),
            click.option('--end', type=AT, metavar='TIME', help='No run after this.'),
            click.option('--jitter', type=SPAN, metavar='TIME', help='Up to so much later.'),
            click.option('--missed', metavar='HOW',
                         help="one, all, none, or a number: what runs that were missed become."),
            click.option('--overlap', metavar='HOW',
                         help='skip, queue or cancel, while the job before is not done.'),
            click.option('--queue', metavar='NAME', help="The queue; default: the job's own."),
            click.option('--priority', type=int, metavar='N', help='From -100 to 100.'),
            click.option('--title', metavar='TEXT', help='What people call it.'),
            click.option('--description', metavar='TEXT', help='What it is for.'))):
        verb = option(verb)
    return verb


def timingOf(given: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The crontab line, and what else was given."""
    found = {name: each for name, each in given.items() if each is not None}
    if str(found.get('missed', '')).isdecimal():
        found['missed'] = int(found['missed'])
    return found.pop('cron', None), found


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@click.option('--for', 'length', type=SPAN, metavar='TIME',
              help='Goes on by itself after 10m, 2h, ...')
@click.option('--until', type=AT, metavar='TIME', help='Goes on by itself at this instant.')
@jsonOption
def pause(target: str, name: str, length: float | None, until: float | None, asJson: bool) -> int:
    """Fire a schedule no more, for a while or until it is resumed; that outlives restarts and
    deployments."""
    if length is not None and until is not None:
        raise click.UsageError('Give --for or --until, not both.')
    with opened(target) as app:
        acted(app, f'pause schedule {name}', lambda: app.schedules.pause(name, until, length))
        end = app.schedules[name].until
    if asJson:
        printJson({'name': name, 'paused': True, 'until': iso(end)})
    else:
        say(mark('paused', f'{shown(name)} is paused'),
            f'; it goes on by `p01-remote schedules resume {target} {shown(name)}`'
            if end is None else f', and goes on by itself {ago(end, time.time())}')
    return 0


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@jsonOption
def resume(target: str, name: str, asJson: bool) -> int:
    """Let a paused schedule go on with its next run. Exit status 1 when it was not paused."""
    with opened(target) as app:
        was = acted(app, f'resume schedule {name}', lambda: app.schedules.resume(name))
        found = app.schedules[name]
    if asJson:
        printJson({'name': name, 'paused': False, 'was': was, 'due': iso(found.due)})
    else:
        say(mark('processing', f'{shown(name)} goes on') if was
            else mark('warning', f'{shown(name)} was not paused'),
            f'; next {inWords(found.due, found.tz, time.time())}' if found.due is not None else '')
    return 0 if was else 1


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@jsonOption
def run(target: str, name: str, asJson: bool) -> int:
    """Enqueue the job of a schedule now, beside its times, and print the job's id."""
    with opened(target) as app:
        handle = acted(app, f'run schedule {name}', lambda: app.schedules.runNow(name))
    if asJson:
        printJson({'name': name, 'id': handle.id})
    else:
        say(mark('queued', str(handle.id)), f'  the job of {shown(name)} is queued')
    return 0


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@click.option('--count', 'number', type=Whole(0), default=1, show_default=True,
              metavar='N',
              help='So many; 0: none after all.')
@jsonOption
def skip(target: str, name: str, number: int, asJson: bool) -> int:
    """Let the next runs of a schedule go by without a job."""
    with opened(target) as app:
        acted(app, f'skip schedule {name}', lambda: app.schedules.skipNext(name, number))
    if asJson:
        printJson({'name': name, 'skips': number})
    else:
        say(mark('completed' if not number else 'paused',
                 f'{shown(name)} skips {count(number, "run")}'))
    return 0


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@click.argument('job', metavar='JOB')
@click.argument('text', metavar='[JSON]', required=False)
@timingOptions
@jsonOption
def add(target: str, name: str, job: str, text: str | None, asJson: bool, **given: Any) -> int:
    """Add a schedule that no code declares.

    JOB and JSON are as for enqueue: a registered name or the dotted name of an @app.job function; a
    list is its arguments, an object its keyword arguments, anything else its one argument.

    \b
    p01-remote schedules add tasks:app nightly report '[7]' --cron '30 2 * * *' --tz Europe/Zurich
    """
    cron, timing = timingOf(given)
    if not cron and not timing.keys() & {'every', 'delay', 'at'}:
        raise click.UsageError('Say when it comes, with --cron, --every, --delay or --at.')
    arguments = call(value(text), text is not None)
    with opened(target, create=True) as app:
        with app.reading() as processor:
            job = job if job in processor.jobs else full(app, job)
        acted(app, f'add schedule {name}', lambda: app.schedules.add(
            name, job, cron, args=arguments.args, kwargs=arguments.kwargs, **timing))
    return told(target, name, 'is added', asJson)


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@timingOptions
@jsonOption
def edit(target: str, name: str, asJson: bool, **given: Any) -> int:
    """Change a schedule; what code declares holds again after `schedules reset`."""
    cron, timing = timingOf(given)
    if not cron and not timing:
        raise click.UsageError('Give what is to be changed, as --cron, --every or --queue.')
    with opened(target) as app:
        acted(app, f'edit schedule {name}', lambda: app.schedules.change(name, cron, **timing))
    return told(target, name, 'is changed', asJson)


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@jsonOption
def reset(target: str, name: str, asJson: bool) -> int:
    """Have a schedule as code declares it, and not paused. Exit status 1 when it is so already."""
    with opened(target) as app:
        was = acted(app, f'reset schedule {name}', lambda: app.schedules.reset(name))
    told(target, name, 'is as it was declared' if was else 'was as it is declared', asJson,
         'completed' if was else 'warning')
    return 0 if was else 1


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@jsonOption
def remove(target: str, name: str, asJson: bool) -> int:
    """Remove a schedule that no code declares, with its history; its jobs stay."""
    with opened(target) as app:
        acted(app, f'remove schedule {name}', lambda: app.schedules.remove(name))
    if asJson:
        printJson({'name': name, 'removed': True})
    else:
        say(mark('completed', f'{shown(name)} is removed'))
    return 0


@schedules.command(cls=Verb)
@appArgument
@nameArgument
@click.option('--from', 'start', type=AT, required=True, metavar='TIME',
              help='The first instant, as 2026-01-31T08:30.')
@click.option('--to', 'end', type=AT, required=True, metavar='TIME',
              help='The instant behind the last one.')
@click.option('--dry-run', 'dry', is_flag=True, help='Only say what would be enqueued.')
@jsonOption
def backfill(target: str, name: str, start: float, end: float, dry: bool, asJson: bool) -> int:
    """Enqueue a job for each run of a span that had none, up to now; each once, however often this
    is called. Exit status 1 when there is none."""
    with opened(target) as app:
        found = app.schedules.backfill(name, start, end, dry) if dry else acted(
            app, lambda found: f'backfill schedule {name}' if found else '',
            lambda: app.schedules.backfill(name, start, end))
        tz = app.schedules[name].tz
    if asJson:
        printJson([{'tick': tick, 'id': handle.id if handle is not None else None}
                   for tick, handle in found])
        return 0 if found else 1
    say(mark('queued' if found else 'warning',
             f'{count(len(found), "job")} {"would be " if dry else ""}enqueued'),
        '' if found else f'; no run of {shown(name)} in this span, up to now, is without one')
    for tick, handle in found[:TICKSNAMED]:
        say(f'  {f"job {handle.id} " if handle is not None else ""}for '
            f'{inWords(tick.timestamp(), tz, time.time())}')
    if len(found) > TICKSNAMED:
        say(f'  and {len(found) - TICKSNAMED:,} more')
    return 0 if found else 1


def told(target: str, name: str, what: str, asJson: bool, kind: str = 'completed') -> int:
    """Say what a schedule is now."""
    with opened(target) as app:
        found = app.schedules[name]
    if asJson:
        printJson(scheduleFacts(found))
    else:
        say(mark(kind, f'{shown(name)} {what}'), f': {shown(found.when, None)}',
            f'; next {inWords(found.due, found.tz, time.time())}' if found.due is not None else '')
    return 0
