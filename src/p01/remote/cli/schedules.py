# SPDX-License-Identifier: ZPL-2.1
"""p01-remote schedules: list, show, next; what changes them is in cli.scheduling."""
from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from p01.remote.cli.argument import Nouns, Verb, Whole, appArgument
from p01.remote.cli.selection import AT
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import (
    GAP,
    console,
    fitted,
    hung,
    jsonOption,
    mark,
    printJson,
    say,
    table,
    wide,
)
from p01.remote.engine.standing import Past, Standing
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.words import ago, count, iso, shown, span
from p01.remote.instants import utc, zone
from p01.remote.views.facts import INSTANTS, scheduleFacts

MARKS = {'active': 'completed', 'paused': 'paused', 'over': 'cancelled', 'retired': 'cancelled',
         'broken': 'error'}
DURATIONS = ('every', 'delay', 'jitter')
TOLDELSEWHERE = ('job', 'title', 'description', 'cron')      # elsewhere
SOURCES = {'code': 'declared by code', 'hand': 'added by hand', 'component': 'a component’s'}


@click.group(cls=Nouns)
def schedules() -> None:
    """Look at schedules; pause, run and change them."""


@schedules.command('list', cls=Verb)
@appArgument
@jsonOption
def listSchedules(target: str, asJson: bool) -> int:
    """List the schedules, when each is next, and what came of the last time. Exit status 1 when
    there are none."""
    now = time.time()
    with opened(target) as app:
        found = app.schedules.list()
    if asJson:
        printJson([scheduleFacts(each) for each in found])
    elif found:
        printAll(found, now)
    else:
        say("No schedules yet; @app.schedule('0 8 * * *') above a function makes one, or "
            f"`p01-remote schedules add {target} NAME JOB --cron '0 8 * * *'`; a worker brings "
            "them in.")
    return 0 if found else 1


@schedules.command(cls=Verb)
@appArgument
@click.argument('name', metavar='NAME')
@jsonOption
def show(target: str, name: str, asJson: bool) -> int:
    """Show all about one schedule, with its next runs and its last ones."""
    now = time.time()
    with opened(target) as app:
        found = app.schedules[name]
        coming = guarded(app.schedules.preview, name, 3, now)
    ticks = [] if isinstance(coming, Raised) or found.state in ('retired', 'over') else coming
    if asJson:
        printJson({**scheduleFacts(found), 'coming': ticks})
    else:
        describe(found, ticks, now)
    return 0


@schedules.command('next', cls=Verb)
@appArgument
@click.argument('name', metavar='NAME')
@click.option('--count', 'number', type=Whole(1, 1000), default=5, show_default=True,
              metavar='N', help='How many.')
@click.option('--after', type=AT, metavar='TIME', help='After this instant; default: now.')
@jsonOption
def coming(target: str, name: str, number: int, after: float | None, asJson: bool) -> int:
    """Tell when a schedule comes next, whatever became of it. Exit status 1 when it never does."""
    now = time.time()
    with opened(target) as app:
        found, tz = app.schedules.preview(name, number,
                                          now if after is None else after), app.schedules[name].tz
    if asJson:
        printJson(found)
    for tick in [] if asJson else found:
        say(inWords(tick.timestamp(), tz, now))
    if not found and not asJson:
        say(mark('warning', 'never'), f': {shown(name)} has no run any more')
    return 0 if found else 1


def printAll(found: list[Standing], now: float) -> None:
    """Print the table of schedules."""
    rows = [row(each, now) for each in found]

    def fold() -> None:
        for each, (state, _, words, *coming, last, _) in zip(found, rows, strict=True):
            room = console().width - wide(state[0]) - len(GAP)
            say(state, GAP, (fitted(shown(each.name), room), 'bold'))
            for text in (words, ' '.join(filter(None, coming)), last[0]):
                if text:
                    hung([('  ', '')], text)

    table(['state', 'schedule', 'when', 'next', 'in its zone', 'here', 'last', 'missed'], rows,
          right=['missed'],
          cut=('when', 'schedule'), drop=('here', 'missed'), fold=fold)
    for each in found:
        if each.fault:
            say(mark('warning', shown(each.name)), f' {shown(each.fault, 300)}')


def row(each: Standing, now: float) -> list[Any]:
    """A line of the list."""
    due = each.due if each.state == 'active' else each.until if each.state == 'paused' else None
    edited = ', edited' if set(each.edited) - {'paused'} else ''
    return [mark(MARKS[each.state], each.state + edited), shown(each.name, 60),
            shown(f'{each.title}: {each.when}' if each.title else each.when, 80),
            '' if due is None else f'{"goes on " if each.state == "paused" else ""}{ago(due, now)}',
            there(due, each.tz), here(due, each.tz), lastOf(each, now), each.missed or '']


def there(instant: float | None, tz: str) -> str:
    """An instant as the clocks of a zone show it."""
    found = guarded(zone, tz)
    if instant is None or isinstance(found, Raised):
        return ''
    return f'{utc(instant).astimezone(found):%a %Y-%m-%d %H:%M:%S} {tz}'


def here(instant: float | None, tz: str) -> str:
    """An instant as the clocks here show it, '' where they show what those of the zone do."""
    if instant is None:
        return ''
    found, mine = guarded(zone, tz), utc(instant).astimezone()
    if not isinstance(found, Raised) \
            and utc(instant).astimezone(found).utcoffset() == mine.utcoffset():
        return ''
    return f'{mine:%a %H:%M:%S %Z}'


def inWords(instant: float, tz: str, now: float) -> str:
    """An instant: as seen from now, in its zone, and here."""
    mine = here(instant, tz)
    return (f'{there(instant, tz) or iso(instant)}{f" ({mine} here)" if mine else ""}, '
            f'{ago(instant, now)}')


def lastOf(each: Standing, now: float) -> tuple[str, str]:
    """What came of the last time."""
    if not each.history:
        return '', ''
    past = each.history[0]
    if past.status:
        return mark(past.status, f'{past.status} {ago(past.fired, now)}')
    return f'{past.why or "forgotten"} {ago(past.fired, now)}', 'dim'


def describe(each: Standing, ticks: list[datetime], now: float) -> None:
    """Print all about a schedule."""
    hung([mark(MARKS[each.state], each.state), (GAP, '')], shown(each.name, None), 'bold')
    changed = [name for name in each.edited if name != 'paused']
    state = '' if each.active else 'until it is resumed' if each.until is None \
        else f'until {inWords(each.until, each.tz, now)}'
    lines: list[tuple[str, Any]] = [
        ('title', each.title), ('description', each.description), ('job',
                                            each.job), ('when',
                                                        each.when), ('fault',
                                                                     each.fault), ('paused', state),
        ('retired',
         '' if each.retired is None else f'{ago(each.retired, now)}: no code declares it any more'),
        ('from', SOURCES.get(each.source, each.source)),
        ('edited',
         f'{", ".join(changed)}; `p01-remote schedules reset` takes that back' if changed else '')]
    lines += [(key, span(value) if key in DURATIONS else inWords(value, each.tz, now)
               if key in INSTANTS else value)
              for key, value in each.settings.items() if key not in TOLDELSEWHERE
              and value is not None]
    lines += [('skips', f'the next {count(each.skips, "tick")}' if each.skips else ''),
              ('so far', f'{each.fired:,} fired, {each.missed:,} missed, {each.skipped:,} skipped')]
    for name, text in lines:
        if text not in ('', None):
            hung([(f'  {name:12}', 'dim')], shown(text, None))
    for number, tick in enumerate(ticks):
        hung([(f'  {"next" if not number else "":12}', 'dim')],
             inWords(tick.timestamp(), each.tz, now))
        if not number and each.due is not None and each.tick == tick.timestamp() < each.due:
            hung([(f'  {"":12}', 'dim')],
                 f'its job starts {inWords(each.due, each.tz, now)}, by the jitter')
    for past in each.history:
        printPast(past, each.tz, now)


def printPast(past: Past, tz: str, now: float) -> None:
    """Print what became of a tick."""
    job = f'job {past.jobid} ' if past.jobid else ''
    say(mark(past.status or 'cancelled',
             f'{job}{past.status}{" (" if past.status and past.why else ""}{shown(past.why, 100)}'
             f'{")" if past.status and past.why else ""}'), f'  for {inWords(past.tick, tz, now)}')
