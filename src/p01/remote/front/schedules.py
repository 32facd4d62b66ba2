# SPDX-License-Identifier: ZPL-2.1
"""Schedules of an App: what @app.schedule declares, and what is done with them at run time."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar, Unpack

from p01.remote.clock.settings import Timing, above, edited, settled
from p01.remote.engine import scheduling
from p01.remote.engine.behaviours import prepared
from p01.remote.engine.declaring import Declared, Declaring
from p01.remote.engine.seams import Application, Processor
from p01.remote.engine.standing import Standing, standing, standings
from p01.remote.exceptions import InputError, RegistrationError, UnknownJob
from p01.remote.front.registration import decorated
from p01.remote.function import JobFunction
from p01.remote.ground import checks, clocks
from p01.remote.ground.foreign import listed, short
from p01.remote.ground.words import shown
from p01.remote.handle import Handle
from p01.remote.instants import seconds, utc
from p01.remote.job import Arguments, FunctionJob, Job, fit
from p01.remote.options import DEFAULTQUEUE, Span
from p01.remote.storage.transactions import transact
from p01.remote.store import payload

Result = TypeVar('Result')
Keywords = Mapping[str, Any] | None
Standings: TypeAlias = list[Standing]
Instants: TypeAlias = list[datetime]
Filled: TypeAlias = list[tuple[datetime, Handle[Any] | None]]


class Declarer(Application, Protocol):
    """An App, as its schedules know it."""

    @property
    def jobs(self) -> Mapping[str, JobFunction[..., Any]]:
        """Its jobs by name."""

    @property
    def declared(self) -> dict[str, Declared]:
        """Its schedules by name."""

    @property
    def job(self) -> Callable[[Any], JobFunction[..., Any]]:
        """Makes a function a job."""


def declared(app: Declarer, cron: str | None, name: str | None, args: Iterable[Any],
             kwargs: Keywords,
             timing: dict[str, Any]) -> Callable[[Any], JobFunction[..., Any]]:
    """What @app.schedule puts above a function, see App.schedule. Raises InputError."""
    settings, arguments = settled(cron, timing), argumentsOf(args, kwargs)
    name = None if name is None else checks.nameOf(name, 'name')

    def declare(function: Any) -> JobFunction[..., Any]:
        job: JobFunction[..., Any] = function if isinstance(function, JobFunction) \
            else app.job(decorated(function))
        if job.app is not app:
            raise RegistrationError(f'{job.name} is a job of another App; write @app.schedule of '
                                    'that one.')
        path, key = job.prototype.path, name or job.name
        if key in app.declared:
            raise InputError(f'There are two schedules {key!r}; give the second one a name of its '
                             'own, as '
                             f"name='{key} weekly'.")
        fit(path, job.function, *arguments)
        input = tuple(arguments) if arguments.args or arguments.kwargs else None
        payload.pack(input, f'The input of schedule {key!r}')
        app.declared[key] = Declared(placed(settings, path, job.prototype.queue,
                                            job.options['priority']), input)
        return job

    return declare


def placed(settings: dict[str, Any], name: str, queue: str | None, priority: int) -> dict[str, Any]:
    """Settings with their job, and its queue and priority where they name none."""
    return {'queue': queue or DEFAULTQUEUE, **({'priority': priority} if priority else {}),
            **settings, 'job': name}


def behaviourOf(app: Declarer, processor: Processor, name: str) -> Job:
    """The job of this name, none of this App's own. Raises UnknownJob."""
    try:
        return processor.registered(name)
    except UnknownJob:
        if not app.jobs:
            raise
        known = sorted({*app.jobs, *processor.jobs})
        raise UnknownJob(f'No job is registered as {short(name)}; there are '
                         f'{listed(map(shown, known))}.') from None


def argumentsOf(args: Iterable[Any], kwargs: Keywords) -> Arguments:
    """What a function is called with. Raises InputError."""
    if isinstance(args, str | bytes) or not isinstance(args, Iterable):
        raise InputError('args must be a tuple of arguments, as (42,).')
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InputError("kwargs must be a dict of keyword arguments, as {'orderId': 42}.")
    return Arguments(tuple(args), dict(kwargs or {}))


def declaringOf(app: Declarer) -> Declaring:
    """What keeps the database in step with the code of this App."""
    return Declaring(app.declared, {job.prototype.path.partition('.')[0]
                                    for job in app.jobs.values()})


class Schedules:
    """The schedules of an App in its database. What changes one is part of the transaction around
    it; without one, it is committed when it returns. Names are those of declarations, or those
    given to add; an unknown one raises UnknownSchedule."""

    def __init__(self, app: Declarer) -> None:
        self.app = app

    # -- looking

    def list(self) -> Standings:
        """How each stands, by name."""
        with self.app.reading() as processor:
            return standings(processor, clocks.now())

    def __getitem__(self, name: str) -> Standing:
        """How one stands."""
        with self.app.reading() as processor:
            scheduling.known(processor, name)
            return standing(processor, name, clocks.now())

    def preview(self, name: str, count: int = 5, after: datetime | float | None = None) -> Instants:
        """The next ticks of one after an instant, None for now: aware datetimes of UTC, at most so
        many."""
        with self.app.reading() as processor:
            return scheduling.itemOf(processor, name).preview(count, after)

    # -- changing

    def pause(self, name: str, until: datetime | float | None = None,
              length: Span | None = None) -> None:
        """Fire one no more: until an instant, for so long, or until it is resumed. Ticks meanwhile
        are not made up for."""
        if until is not None and length is not None:
            raise InputError('Give until or length, not both.')
        end = None if until is None else seconds(until, 'until')
        if length is not None:
            end = clocks.now() + above(length, 'length')
        self._do(lambda processor: scheduling.pause(processor, name, end))

    def resume(self, name: str) -> bool:
        """Let a paused one go on with its next tick; whether it was paused."""
        return self._do(lambda processor: scheduling.resume(processor, name))

    def runNow(self, name: str) -> Handle[Any]:
        """Enqueue its job now, whatever its times, and beside them; returns the job's handle."""
        return Handle(self.app, self._do(lambda processor: scheduling.runNow(processor, name)))

    def skipNext(self, name: str, count: int = 1) -> None:
        """Let its next ticks go by without a job, so many; 0 for none after all."""
        self._do(lambda processor: scheduling.skip(processor, name, count))

    def change(self, name: str, cron: str | None = None, /, **timing: Unpack[Timing]) -> None:
        """Change what was chosen for one, until it is reset; None in place of a value changes
        nothing. Raises InputError."""
        edits = edited(cron, dict(timing))
        if not edits:
            raise InputError('Give what is to be changed, as a crontab line, every or queue.')
        self._do(lambda processor: scheduling.change(processor, name, edits))

    def reset(self, name: str) -> bool:
        """Have one as the code declares it, and not paused; whether that was different."""
        return self._do(lambda processor: scheduling.reset(processor, name))

    def add(self, name: str, job: JobFunction[..., Any] | str, cron: str | None = None, /, *,
            args: Iterable[Any] = (),
            kwargs: Keywords = None, **timing: Unpack[Timing]) -> None:
        """Add one that no code declares, of a job or a job's name. Raises UnknownJob,
        ArgumentsError, InputError."""
        settings, arguments = settled(cron, dict(timing)), argumentsOf(args, kwargs)
        if not isinstance(job, str | JobFunction):
            raise InputError(f'job must be an @app.job function or the name of a job, not '
                             f'{short(job)}.')
        known = self.app.jobs.get(job) if isinstance(job, str) else job
        path = known.prototype.path if isinstance(known, JobFunction) else str(job)

        def work(processor: Processor) -> None:
            behaviour = known.prototype if isinstance(known, JobFunction) \
                else behaviourOf(self.app, processor, path)
            given = arguments if isinstance(behaviour, FunctionJob) \
                else arguments.args[0] if arguments.args else None
            input = prepared(behaviour, given, path)
            priority = known.options['priority'] if isinstance(known, JobFunction) else 0
            scheduling.add(processor, name, placed(settings, path, behaviour.queue, priority),
                           input)

        self._do(work)

    def remove(self, name: str) -> None:
        """Remove one that no code declares, with its history. Raises InputError for one that some
        code does."""
        self._do(lambda processor: scheduling.remove(processor, name))

    def backfill(self, name: str, start: datetime | float, end: datetime | float,
                 dry: bool = False) -> Filled:
        """Enqueue a job for each tick of a span (start included, end not) that has had none, up to
        now; returns the ticks with the jobs' handles. dry: only say which ticks, with None. Raises
        InputError."""
        first, last = seconds(start, 'start'), seconds(end, 'end')
        if dry:
            with self.app.reading() as processor:
                return [(utc(tick), None) for tick in scheduling.span(processor, name, first, last)]
        return [(utc(tick), Handle(self.app, jobid))
                for tick, jobid
                in self._do(lambda processor: scheduling.backfill(processor, name, first, last))]

    def _do(self, work: Callable[[Any], Result]) -> Result:
        connection = self.app.joined()
        if connection is None:
            return transact(self.app.db, lambda own: work(self.app.locate(own)))
        return work(self.app.near(connection))
