# SPDX-License-Identifier: ZPL-2.1
"""What the fixture `jobs` gives: an App's jobs in a database of one test."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import transaction
import zope.event

from p01.remote import events
from p01.remote.app import App
from p01.remote.engine.pledge import uncommitted
from p01.remote.exceptions import InputError
from p01.remote.front.home import Home
from p01.remote.front.opening import Opening
from p01.remote.front.schedules import declaringOf
from p01.remote.function import JobFunction
from p01.remote.ground import clocks
from p01.remote.instants import duration, seconds, utc
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.transactions import transact
from p01.remote.store.payload import unpack
from p01.remote.trial.death import Death, die
from p01.remote.views import listing
from p01.remote.views.job import detailsOf

Result = TypeVar('Result')
# of a function; the Any of what it takes is its own business
Function = JobFunction[..., Any] | str


class Enqueued(NamedTuple):
    """A job that was enqueued, as plain values. name is the path of its function; due an aware
    datetime of UTC, None for at once."""

    id: int
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    queue: str
    priority: int
    due: datetime | None
    status: str


class Clock:
    """The wall clock as p01.remote sees it: that of the host, and as far ahead as a test says."""

    @property
    def now(self) -> datetime:
        """What it shows, an aware datetime of UTC."""
        return utc(clocks.now())

    def forward(self, span: float | timedelta | str) -> datetime:
        """Go forward by seconds, a timedelta, or a text such as '3d'; returns what it shows then.

        What is due by then runs at the next drain. It is as if nobody had worked meanwhile: of a
        schedule's ticks that have passed there is one job, or as many as its `missed` says. Raises
        InputError.
        """
        clocks.ahead += duration(span, 'span')
        return self.now

    def to(self, instant: datetime) -> datetime:
        """Go forward to an aware datetime; returns what it shows then. Raises InputError for what
        has passed."""
        span = seconds(instant, 'instant') - clocks.now()
        if span < 0:
            raise InputError(f'The clock shows {self.now:%Y-%m-%d %H:%M:%S} UTC and goes forward '
                             f'only; {instant} has passed.')
        return self.forward(span)


class Jobs:
    """An App's jobs in a database of one test. Nothing runs until drain, which runs it here and
    now."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.clock = Clock()

    def drain(self, failing: bool = False) -> int:
        """Run all that is due, in the thread that calls; returns how many runs there were.

        Raises AssertionError, with the job's call and traceback, when a run fails, whether or not
        it would be repeated; not with failing=True. What a failed run is repeated for is due later:
        clock.forward. Warns of jobs that are not committed.
        """
        __tracebackhide__ = True
        for held in uncommitted(self.app.db):
            warnings.warn(f'Job {held.jobid} {held.name}, enqueued at {held.where}, is not '
                          'committed, so that it does not run; commit before you drain.',
                          stacklevel=2)
        told: list[object] = []
        zope.event.subscribers.append(told.append)
        try:
            count = self.app.drain()
        finally:
            zope.event.subscribers.remove(told.append)
        failed = [each for each in told if isinstance(each, events.JobRetried | events.JobErred)
                  and not isinstance(each, events.JobStopped)]
        if failed and not failing:
            raise AssertionError(self.report(failed))
        return count

    def enqueued(self, function: Function | None = None) -> list[Enqueued]:
        """The jobs that this test has enqueued and committed, in that order, whatever became of
        them: of a function, or all. Raises InputError for what is no job of the App."""
        path = None if function is None else self.path(function)
        with self.app.reading() as processor:
            store = processor.store
            views = [store.view(jobid) for jobid in sorted(listing.ids(store))]
            return [Enqueued(view.id, view.record.name, *argumentsOf(unpack(view.record.input)),
                             view.record.queue, view.record.priority,
                             None if view.record.due is None else utc(view.record.due),
                             view.status)
                    for view in views if path in (None, view.record.name)]

    def kill(self, function: Function | None = None, *,
             at: str | Callable[..., Any] = 'during') -> Death:
        """Have a worker run what is due, die with the first job, of a function or any, that comes
        to a point, and be found dead by another worker; returns what became of the job then.

        at: 'claimed', before the job begins; 'during', when the first statement of its function has
        run; 'before commit', when all is done and nothing committed; 'after commit', before the
        worker does anything else; or a Python function that the job calls: when that has returned.
        What the death undoes is undone, and a drain runs again what is to run again. Raises
        InputError, and AssertionError when no job comes to the point.
        """
        __tracebackhide__ = True
        return die(self.app, None if function is None else self.path(function), at)

    def path(self, function: Function) -> str:
        """The name under which jobs of a function are enqueued. Raises InputError."""
        found = self.app.jobs.get(function) if isinstance(function, str) else function
        if isinstance(found, JobFunction) and found.app is self.app:
            return found.prototype.path
        if isinstance(function, str) and any(function == job.prototype.path
                                             for job in self.app.jobs.values()):
            return function
        raise InputError(f'{function!r} is no job of this App; give what @app.job made, or a name '
                         f'of: {", ".join(sorted(self.app.jobs)) or "none"}.')

    def report(self, failed: list[events.JobRetried | events.JobErred]) -> str:
        """What a test is told of runs that have failed."""
        texts = []
        with self.app.reading() as processor:
            for event in failed:
                texts.append(sentenceOf(processor, event))
        return '\n\n'.join([*texts, 'jobs.drain(failing=True) lets runs fail.'])


def sentenceOf(processor: RemoteProcessor, event: events.JobRetried | events.JobErred) -> str:
    """What is told of one that failed, with the last traceback."""
    details = detailsOf(processor, processor.store.view(event.id), clocks.now(), values=True)
    follows = ''
    if isinstance(event, events.JobRetried):
        wait = 0.0 if event.due is None else event.due - clocks.now()
        follows = f'; it runs again in {wait:.3g} s' if wait > 0 else '; it runs again'
    trace = details.attempts[-1].trace if details.attempts else ''
    call = details.call or event.name
    return (f'Job {event.id} {call} failed in run {event.attempt}: {event.reason}{follows}.\n'
            f'{trace}').rstrip()


def argumentsOf(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a function, as its job's input holds them; the input of another job is one
    argument."""
    if given is None:
        return (), {}
    if isinstance(given, tuple) and len(given) == 2 and type(given[0]) is tuple \
            and type(given[1]) is dict:
        return given[0], given[1]
    return (given,), {}


@contextmanager
def placed(app: App, address: str) -> Iterator[Jobs]:
    """An App's jobs in a fresh database at an address, with its schedules declared; then the App
    has its own again, untouched. Raises InputError for what is no App."""
    if not isinstance(app, App):
        raise InputError(f'The fixture jobs is for an App, not for {app!r}; have jobsApp return '
                         'one.')
    before = app.move(Opening(address, app.settings), Home(app.name, ''))
    ahead = clocks.ahead
    try:
        declare(app)
        yield Jobs(app)
    finally:
        transaction.abort()         # what a test has left open is in this database
        app.close()
        app.move(*before)
        clocks.ahead = ahead


def declare(app: App) -> None:
    """Have the schedules of an App in its database, as a worker that begins does."""
    def change(work: Callable[[Any], Result]) -> Result:
        return transact(app.db, lambda connection: work(app.locate(connection)))

    app.open()
    if app.declared:
        declaringOf(app).poll(change)
