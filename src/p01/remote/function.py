# SPDX-License-Identifier: ZPL-2.1
"""What @app.job makes of a function."""
from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from types import MethodType
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from p01.remote.engine.enqueuing import enqueue
from p01.remote.engine.seams import Application, Processor
from p01.remote.exceptions import InputError, RegistrationError, UnknownJob
from p01.remote.front.registration import DECORATED, refuseLater
from p01.remote.ground import checks, habits
from p01.remote.handle import Handle
from p01.remote.instants import duration, seconds
from p01.remote.job import Arguments, FunctionJob, found
from p01.remote.options import Span, Unique
from p01.remote.storage.transactions import transact

P = ParamSpec('P')      # of a job's function
Output = TypeVar('Output', covariant=True)   # an async def gives a subclass of Coroutine
Result = TypeVar('Result')


class JobChoice(TypedDict, total=False):
    """What may be chosen for a job, see App.job."""

    name: str | None
    queue: str
    priority: int
    retries: int
    backoff: Span
    timeout: Span | None
    final: tuple[type[BaseException], ...]
    conflicts: int
    deaths: int | None
    detached: bool
    executor: str
    together: bool
    capture: bool
    soft: Span | None


class Choice(TypedDict, total=False):
    """What may be chosen for an enqueue, see JobFunction.using."""

    priority: int
    delay: Span | None
    at: datetime | float | None
    queue: str | None
    unique: str | Unique | None
    expires: Span | datetime | None


class JobFunction(habits.Told, Generic[P, Output]):
    """A function that can be enqueued. Calling it calls the function."""

    _habits = habits.JOBWORDS

    def __init__(self, app: Application, name: str, function: Callable[P, Output],
                 prototype: FunctionJob,
                 options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.app = app
        self.name = name
        self.function = function
        self.prototype = prototype
        self.options = options
        self.proven = False     # that workers find it

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Output:
        return self.function(*args, **kwargs)

    def using(self, **options: Unpack[Choice]) -> JobFunction[P, Output]:
        """The same job, enqueued with other options: priority, delay, at, queue, unique, expires.
        Raises InputError."""
        return JobFunction(self.app, self.name, self.function, self.prototype,
                           {**self.options, **checked({**options})})

    # an async def has as its output what its coroutine returns
    @overload
    def enqueue(self: JobFunction[P, Coroutine[Any, Any, Result]], /, *args: P.args,
                **kwargs: P.kwargs) -> Handle[Result]: ...

    @overload
    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[Output]: ...

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[Any]:
        """Enqueue a call in the transaction around this; without one, in one of its own that is
        committed when this returns.

        Raises ArgumentsError and InputError, the transaction stays usable; TransactionOver where it
        is over.
        """
        [handle] = self.put((Arguments(args, kwargs),))
        return handle

    @overload
    def enqueueMany(self: JobFunction[P, Coroutine[Any, Any, Result]],
                    calls: Iterable[Any]) -> list[Handle[Result]]: ...

    @overload
    def enqueueMany(self, calls: Iterable[Any]) -> list[Handle[Output]]: ...

    def enqueueMany(self, calls: Iterable[Any]) -> list[Handle[Any]]:
        """Enqueue many calls in one transaction, all or none, as enqueue does one; returns their
        handles in order.

        A call is its arguments: a tuple is positional, a dict keywords, anything else one argument.
        Raises ArgumentsError and InputError, which say which call is meant.
        """
        return self.put(list(calls))

    @overload
    def map(self: JobFunction[P, Coroutine[Any, Any, Result]],
            /, *iterables: Iterable[Any]) -> list[Handle[Result]]: ...

    @overload
    def map(self, /, *iterables: Iterable[Any]) -> list[Handle[Output]]: ...

    def map(self, /, *iterables: Iterable[Any]) -> list[Handle[Any]]:
        """Enqueue, with enqueueMany, what the built-in map would call."""
        return self.put([Arguments(args) for args in zip(*iterables)])

    def put(self, calls: Sequence[Any]) -> list[Handle[Any]]:
        """Enqueue in the transaction around this; without one, in one of its own."""
        connection = self.app.joined()
        if connection is None:
            return [Handle(self.app, jobid)
                    for jobid
                    in transact(self.app.db, lambda own: self.order(self.app.locate(own), calls))]
        manager = connection.transaction_manager
        return [Handle(self.app, jobid, manager)
                for jobid in self.order(self.app.near(connection), calls)]

    def order(self, processor: Processor, calls: Sequence[Any],
              note: dict[str, Any] | None = None) -> list[int]:
        """Enqueue in a processor's transaction; returns the ids. note: what is kept of who asked,
        with the rare options of each job."""
        if not self.proven:
            self.prove(processor)
        # by its path, which a worker can import whatever it knows of this App; the name is for
        # people
        hooks = self.app.hooks
        travels = hooks.captured(processor._p_jar, processor.inputLimit) if hooks else None
        return enqueue(processor, self.prototype.path, self.prototype, calls,
                       travels=travels if note is None else {**(travels or {}), **note},
                       **self.options)

    def prove(self, processor: Processor) -> None:
        """Raises RegistrationError when workers would not find the job under the path of its
        function."""
        path = self.prototype.path
        try:
            processor.registered(path)
            stands = self if path in processor.jobs else found(path)
        except UnknownJob:
            stands = None
        if stands is None or isinstance(stands, MethodType):
            raise RegistrationError(f'{path} is not what app.job made of it, and no worker would '
                                    'know the job; write @app.job above the function, and above '
                                    'its other decorators.')
        refuseLater(stands, path, DECORATED)
        self.proven = True

    def __reduce__(self) -> str:
        # pickled by its name, as functions are
        return self.prototype.path.removeprefix(f'{self.__module__}.')

    def __repr__(self) -> str:
        return f'<job {self.name}>'


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """Options of an enqueue, each a value that makes sense. Raises InputError, OptionError."""
    checks.known(options, OPTIONCHECKS, 'using()', JobChoice.__annotations__, '@app.job({}=…)')
    if options.get('delay') is not None and options.get('at') is not None:
        raise InputError('Give delay or at, not both.')
    for name, value in options.items():
        if value is not None or name == 'priority':
            # a delay counts from when the job is enqueued, so that they are kept as they are
            OPTIONCHECKS[name](value)
    return options


def refuse(unknown: Iterable[str]) -> None:
    """Raises OptionError for options that @app.job does not have."""
    checks.known(unknown, JobChoice.__annotations__, '@app.job', OPTIONCHECKS,
                 'job.using({}=…).enqueue(…)')


OPTIONCHECKS: dict[str, Callable[[Any], Any]] = {
    'priority': checks.priorityOf,
    'delay': lambda value: duration(value, 'delay'),
    'at': lambda value: seconds(value, 'at'),
    'queue': lambda value: checks.nameOf(value, 'A queue'),
    'unique': lambda value: value if isinstance(value, Unique) else Unique(value),
    'expires': lambda value: seconds(value, 'expires') if isinstance(value, datetime)
    else duration(value, 'expires'),
}
