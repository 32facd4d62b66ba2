# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: watch, tail; what jobs say while they run."""
from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import click

from p01.remote.app import App
from p01.remote.cli.argument import SPAN, Verb, Whole, appArgument
from p01.remote.cli.editing import jobs
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import console, isLive, jsonOption, mark, printJson, say
from p01.remote.engine.watching import Seen, follow, isFar, seen
from p01.remote.exceptions import JobNotFound
from p01.remote.ground.words import shown
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import COMPLETED, FINISHED, PROCESSING
from p01.remote.store.views import View
from p01.remote.views.facts import jobFacts
from p01.remote.views.job import rowOf

GLANCEEVERY = 0.2          # seconds between two looks


class Follower:
    """What is new of what one job says."""

    def __init__(self, written: int = 0) -> None:
        self.written = written          # bytes of its log that were told
        self.run = 0                    # of which run

    def lines(self, view: View, found: Seen) -> list[str]:
        """The lines that it has logged since."""
        if not found.written:
            return []                   # nothing is seen of it just now, as while it ends
        if view.runs != self.run and self.run or found.written < self.written:
            self.written = 0            # another run
        self.run = view.runs
        text = found.since(self.written)
        self.written = found.written
        return text.splitlines()


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobid', metavar='ID', type=Whole(1))
@jsonOption
def watch(target: str, jobid: int, asJson: bool) -> int:
    """Watch a job until it has ended: how far it is, and what it logs. Exit status 1 when it has
    not completed."""
    with opened(target) as app, bar() as advance:
        follower, status, told = Follower(), '', ''
        while True:
            view, found = look(app, jobid)
            lines = follower.lines(view, found)
            if not asJson:
                if view.status != status and not (status and view.status in FINISHED):
                    say(mark(view.status), f'  job {jobid}  {shown(view.record.name, None)}')
                for line in lines:
                    say(shown(line, None))
                words = '' if found.progress is None else found.progress.words()
                if words != told and not advance(found, words):
                    say((shown(words, None), 'dim'))
                told = words
            status = view.status
            if status in FINISHED:
                break
            time.sleep(GLANCEEVERY)
    if asJson:
        printJson({**jobFacts(rowOf(view)), 'progress': found.progress and found.progress._asdict(),
                   'log': found.text.splitlines()})
    else:
        say(mark(status), f': {shown(view.error, None)}' if view.error else '')
    return 0 if status == COMPLETED else 1


def look(app: App, jobid: int) -> tuple[View, Seen]:
    """A job, and what it says; a worker of another host is asked to show that. Raises
    JobNotFound."""
    with app.reading() as processor:
        view = processor.store.view(jobid)
        found, far = seen(processor, view), isFar(processor, jobid)
    if far:
        follow(app.db, app.locate, [jobid])
    return view, found


@contextmanager
def bar() -> Iterator[Any]:
    """What shows on a terminal how far a job is, given what it has said and that in words; whether
    it could."""
    if not isLive():
        yield lambda found, words: False
        return
    from rich.progress import BarColumn, Progress, TextColumn
    with Progress(BarColumn(), TextColumn('{task.description}', markup=False), console=console(),
                  transient=True) as progress:
        task = progress.add_task('', total=None)

        def advance(found: Seen, words: str) -> bool:
            said = found.progress
            if said is not None:
                progress.update(task, completed=said.done, total=said.total,
                                description=shown(words))
            return True

        yield advance


@jobs.command(cls=Verb)
@appArgument
@click.option('--name', metavar='NAME', help='Only of these jobs: a name, or its last part.')
@click.option('--for', 'length', type=SPAN, metavar='TIME',
              help='For so long; default: until Ctrl-C.')
@jsonOption
def tail(target: str, name: str | None, length: float | None, asJson: bool) -> int:
    """Follow what all running jobs log from now on, a line for each line.

    A job that is over before the next look, five times a second, is not seen.
    """
    until = None if length is None else time.monotonic() + length
    followers: dict[int, Follower] = {}
    first = True
    with opened(target) as app:
        while until is None or time.monotonic() < until:
            told = heard(app, followers, name)
            for jobid in followers.keys() - {view.id for view, _ in told}:
                del followers[jobid]        # it is gone
            for view, found in told:
                if view.id not in followers:
                    followers[view.id] = Follower(found.written if first else 0)
                for line in followers[view.id].lines(view, found):
                    emit(view, line, asJson)
                if view.status in FINISHED:
                    del followers[view.id]
            first = False
            time.sleep(GLANCEEVERY)
    return 0


def emit(view: View, line: str, asJson: bool) -> None:
    """Print a line that a job has logged."""
    if asJson:
        printJson({'id': view.id, 'name': view.record.name, 'line': line})
    else:
        say((f'{view.id} {shown(view.record.name.rpartition(".")[2])} ', 'dim'), shown(line, None))


def heard(app: App, known: Collection[int], name: str | None) -> list[tuple[View, Seen]]:
    """The jobs that run, or did at the last look, each with what it says."""
    with app.reading() as processor:
        jobids = {jobid for seat in processor.store.seats.values() for jobid in seat.claims}
        views = [view for jobid in sorted(jobids | set(known)) if (view := viewOf(processor, jobid))
                 and (view.status == PROCESSING or jobid in known)]
        views = [view for view in views
                 if name in (None, view.record.name, view.record.name.rpartition('.')[2])]
        found = [(view, seen(processor, view)) for view in views]
        far = [view.id for view in views if isFar(processor, view.id)]
    if far:
        follow(app.db, app.locate, far)
    return found


def viewOf(processor: RemoteProcessor, jobid: int) -> View | None:
    """A job; None for one that is gone."""
    try:
        return processor.store.view(jobid)
    except JobNotFound:
        return None
