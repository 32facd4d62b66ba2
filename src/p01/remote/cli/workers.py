# SPDX-License-Identifier: ZPL-2.1
"""p01-remote workers: list, stop, quiet, unquiet, stacks; of any host, as far as its workers reach
the database."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sized
from typing import Any

import click

from p01.remote.app import App
from p01.remote.cli.argument import Nouns, Verb, appArgument
from p01.remote.cli.target import change, opened
from p01.remote.cli.terminal import jsonOption, mark, printJson, say, table, tell
from p01.remote.engine.bell import bellOf
from p01.remote.engine.requests import asker
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import ago, count, shown, span
from p01.remote.processor import RemoteProcessor
from p01.remote.store.seats import Order, Seat
from p01.remote.verbs.requests import QUIET, STOP, order, revoke
from p01.remote.views.facts import workerFacts
from p01.remote.views.workers import Worker, workersOf
from p01.remote.wire.stacks import stackOf

namesArgument = click.argument('names', metavar='[NAME]...', nargs=-1)
allOption = click.option('--all', 'every', is_flag=True, help='All workers.')


@click.group(cls=Nouns)
def workers() -> None:
    """Look at workers; stop them, let them take no more jobs, see where they stand.

    NAME is a label, a host, a process, or a name, as `workers list` shows them.
    """


@workers.command('list', cls=Verb)
@appArgument
@jsonOption
def listWorkers(target: str, asJson: bool) -> int:
    """List the workers, and what they run. Exit status 1 when there are none."""
    now = time.time()
    with opened(target) as app, app.reading() as processor:
        found = workersOf(processor.store, now)
    if asJson:
        printJson([workerFacts(each) for each in found])
    elif found:
        table(['state', 'worker', 'host', 'pid', 'since', 'queues', 'runs',
               'in hand'], [row(each, now) for each in found],
              right=['pid', 'in hand'], cut=('runs', 'queues'), drop=('in hand', 'since', 'host'))
    else:
        say(f'No workers; `p01-remote worker {target}` starts one.')
    return 0 if found else 1


STATEGLYPHS = {'alive': 'processing', 'dead': 'error', 'quiet': 'paused', 'stopping': 'warning'}


def stateOf(each: Worker) -> tuple[str, str]:
    """The state of a worker, with its glyph."""
    return mark(STATEGLYPHS[each.state], each.state)


def row(each: Worker, now: float) -> list[Any]:
    """A line of the list."""
    runs = f'{each.running[0]} {shown(each.job)} for {span(each.lasts)}' if each.running else '–'
    if each.running and len(each.running) > 1:
        runs = f'{len(each.running)} jobs, first {runs}'
    return [stateOf(each), shown(each.label), shown(each.host),
            each.pid,
            ago(each.since, now),
            shown(', '.join(each.queues) or 'all', 40), runs, len(each.jobs) or '']


@workers.command(cls=Verb)
@appArgument
@namesArgument
@allOption
@jsonOption
def stop(target: str, names: tuple[str, ...], every: bool, asJson: bool) -> int:
    """Let processes end after their running jobs, which get the --grace that they were started
    with; they are not replaced.

    Exit status 1 when a name means none.
    """
    return ordered(target, names, every, asJson, STOP, 'asked to end')


@workers.command(cls=Verb)
@appArgument
@namesArgument
@allOption
@jsonOption
def quiet(target: str, names: tuple[str, ...], every: bool, asJson: bool) -> int:
    """Let workers claim no more jobs, and go on with those in their hands, until unquiet or their
    end.

    Exit status 1 when a name means none.
    """
    return ordered(target, names, every, asJson, QUIET, 'asked to claim no more')


@workers.command(cls=Verb)
@appArgument
@namesArgument
@allOption
@jsonOption
def unquiet(target: str, names: tuple[str, ...], every: bool, asJson: bool) -> int:
    """Let workers claim jobs again. Exit status 1 when a name means none."""
    return ordered(target, names, every, asJson, 'unquiet',
                   'may claim again', lambda seat, word, wanted: revoke(seat, QUIET))


@workers.command(cls=Verb)
@appArgument
@namesArgument
@jsonOption
def stacks(target: str, names: tuple[str, ...], asJson: bool) -> int:
    """Show where the threads of processes stand, of all or of those named; worker processes of this
    host answer even while a job holds on to the interpreter.

    Exit status 1 when one does not answer, or a name means none.
    """
    with opened(target) as app:
        meant, unknown = chosen(app, names, not names)
        processes = {each.process: each for each in meant}.values()
        found = [(each, stackOf(app, each.name, asker())) for each in processes]
    if asJson:
        printJson({'stacks': [{'host': each.host, 'pid': each.pid, 'stacks': text}
                              for each, text in found],
                   'unknown': unknown})
    else:
        for each, text in found:
            say((f'{each.host}:{each.pid}', 'bold'))
            tell(text if text is not None else 'does not answer')
        tellUnknown(unknown, found)
    answers = [text for _, text in found]
    return 0 if answers and not unknown and None not in answers else 1


# -- whom a verb means

def ordered(target: str, names: tuple[str, ...], every: bool, asJson: bool, word: str, text: str,
            verb: Callable[[Seat, str, Order], bool] = order) -> int:
    """Want something of workers; tell of whom; returns the exit status."""
    if bool(names) == every:
        raise click.UsageError('Name workers, as `workers list` shows them, or all of them by '
                               '--all.')
    wanted = Order(asker(), time.time())

    def work(processor: RemoteProcessor) -> int:
        seats = [processor.store.seats.get(each.name) for each in meant]
        return sum(verb(seat, word, wanted) for seat in seats if seat is not None)

    with opened(target) as app:
        meant, unknown = chosen(app, names, every, word == STOP)
        if meant:
            what = f'{word} {count(len(meant), "worker")}: {listed(each.label for each in meant)}'
            change(app, lambda number: what if number else '', work)
        bellOf(app.db).tell()
    if asJson:
        printJson({'workers': [each.name for each in meant], 'unknown': unknown})
    else:
        if meant:
            labels = ', '.join(shown(each.label) for each in meant)
            say(mark('completed', f'{count(len(meant), "worker")} {text}'), f': {labels}')
        tellUnknown(unknown, meant)
    return 0 if meant and not unknown else 1


def tellUnknown(unknown: list[str], found: Sized) -> None:
    """Say which names mean nobody, or that there is nobody."""
    for name in unknown:
        say(mark('warning', shown(name)), ' is no worker; `workers list` shows them')
    if not found and not unknown:
        say('No workers.')


def chosen(app: App, names: Iterable[str], every: bool,
           whole: bool = False) -> tuple[list[Worker], list[str]]:
    """The living workers that are meant, of whole processes if so asked, and names that mean
    none."""
    with app.reading() as processor:
        living = [each for each in workersOf(processor.store, time.time()) if each.state != 'dead']
    meant = [each for each in living if every or any(map(each.meant, names))]
    if whole:
        processes = {each.process for each in meant}
        meant = [each for each in living if each.process in processes]
    return meant, [name for name in names if not any(each.meant(name) for each in living)]
