# SPDX-License-Identifier: ZPL-2.1
"""Jobs: behaviour that is kept by name. Records of what was enqueued are the store's."""
from __future__ import annotations

import inspect
import operator
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MethodType
from typing import Any, NamedTuple, Protocol

from persistent import Persistent
from zope.interface import implementer

from p01.remote.exceptions import ArgumentsError, NotLoaded, RegistrationError, UnknownJob
from p01.remote.front.registration import AMETHOD, DECORATED, pathOf, refuseLater
from p01.remote.front.signatures import signatureOf
from p01.remote.ground import habits
from p01.remote.ground.door import Placed
from p01.remote.ground.foreign import Raised, guarded, reasonOf, shown
from p01.remote.instants import utc
from p01.remote.interfaces import IJob
from p01.remote.options import Policy


class Arguments(NamedTuple):
    """What a function is called with."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}


class JobRun(Protocol):
    """A run of a job, as its behaviour sees it."""

    @property
    def input(self) -> Any:
        """What it was enqueued with."""

    @property
    def processor(self) -> Any:
        """The IRemoteProcessor; None in a detached job."""

    @property
    def job(self) -> Callable[[Any], Any]:
        """The IJob, made when it is asked for."""


@implementer(IJob)
class Job(Placed, Persistent):
    """Behaviour of a job, and, filled from a record, the job itself. See IJob."""

    policy = Policy()
    detached = False
    executor = ''           # where a detached one runs; '' for where its worker says
    together = False
    # whether it is an async def, which runs on the event loop of a worker, detached
    asynchronous = False
    capture = False

    id: int | None = None
    name = ''
    input: Any = None
    output: Any = None
    error = ''
    status = ''
    queue = 'default'
    priority = 0
    runCounter = 0
    worker = ''
    created: datetime | None = None
    queued: datetime | None = None
    due: datetime | None = None
    started: datetime | None = None
    completed: datetime | None = None
    attempts: tuple[Any, ...] = ()
    conflicts: tuple[int, str] | None = None
    tid: bytes | None = None

    def __call__(self, remoteProcessor: Any) -> Any:
        """Do the work; subclasses say how."""
        raise RegistrationError(f'{type(self).__name__} has no __call__(self, remoteProcessor); '
                                'write one.')

    def prepare(self, input: Any) -> Any:
        """The input as it is stored; functions check it against their signature."""
        return input

    def ready(self) -> Callable[[JobRun], Any]:
        """What does the work, given the context.Running of a job; a worker asks once a claim.
        Raises UnknownJob."""
        return self.perform

    def perform(self, running: JobRun) -> Any:
        """Do the work; running.job is the job, made when it is asked for."""
        return running.job(running.processor)

    def filled(self, values: dict[str, Any]) -> Job:
        """A copy of this behaviour that has these values; not stored anywhere."""
        copy = type(self).__new__(type(self))
        self._p_activate()
        copy.__dict__.update((key, value) for key, value in self.__dict__.items()
                             if not key.startswith('_v_'))
        copy.__dict__.update(values)
        return copy

    def __repr__(self) -> str:
        words = type(self).__name__, self.name or self.__name__, self.id or '', self.status
        return f'<{" ".join(str(word) for word in words if word != "")}>'


class FunctionJob(Job):
    """An importable function as a job. It is stored by its dotted name, never pickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def function(self) -> Callable[..., Any]:
        """The function, imported. Raises UnknownJob when the name no longer imports."""
        return plain(found(self.path))

    @property
    def asynchronous(self) -> bool:     # type: ignore[override]
        """Whether the function is an async def."""
        return self.awaits(self.function)

    @staticmethod
    def awaits(function: Any) -> bool:
        """Whether a function is an async def."""
        return inspect.iscoroutinefunction(function)

    def __call__(self, remoteProcessor: Any) -> Any:
        args, kwargs = self.input if self.input is not None else ((), {})
        return self.function(*args, **kwargs)

    def ready(self) -> Callable[[JobRun], Any]:
        value = found(self.path)
        function = plain(value)
        hooks = getattr(getattr(value, 'app', None), 'hooks', None)

        def perform(running: JobRun) -> Any:
            if running.input is None:
                return function()
            args, kwargs = running.input
            return function(*args, **kwargs)

        return hooks.wrapped(perform, self.awaits(function)) if hooks else perform

    def prepare(self, input: Any) -> Any:
        """(args, kwargs): a tuple is the arguments, a dict keywords, None nothing, anything else
        one argument.

        Raises ArgumentsError when they do not fit the function.
        """
        if isinstance(input, Arguments):
            args, kwargs = input
        elif isinstance(input, tuple):
            args, kwargs = input, {}
        elif isinstance(input, dict):
            args, kwargs = (), input
        else:
            args, kwargs = () if input is None else (input,), {}
        fit(self.path, self.function, args, kwargs)
        return (args, kwargs) if args or kwargs else None


def fit(path: str, function: Callable[..., Any], args: Sequence[Any],
        kwargs: Mapping[str, Any]) -> None:
    """Raises ArgumentsError for arguments that the function of this path does not take."""
    signature, least, most = signatureOf(function)
    if signature is not None and (kwargs or not least <= len(args) <= most):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            mend = habits.mendOf(name for name in kwargs if name not in signature.parameters)
            raise ArgumentsError(f'{path}{signature} cannot be called with these '
                                 f'arguments: {error}{mend}') from None


# how jobs are tried again whose code, and with it their policy, is not there
RETRYLATER = Policy(retries=10, backoff=5.0)     # some forty minutes: a release is being rolled out
RAISING = Policy(retries=3, backoff=1.0)    # the module is there and raises: as @app.job has it


class Gone(Job):
    """Stands in for a behaviour that cannot be found, so that its jobs can be looked at, and fail
    with the reason.

    What this worker lacks, another one or the next release may have; a name that nobody registered
    does not heal.
    """

    def __init__(self, reason: UnknownJob) -> None:
        self.reason = reason
        lacks = isinstance(reason.__cause__, ImportError | AttributeError)
        self.policy = Policy(retries=0) if not isinstance(reason,
                                                          NotLoaded) else RETRYLATER if lacks \
                                                              else RAISING

    def ready(self) -> Callable[[JobRun], Any]:
        return self

    def __call__(self, remoteProcessor: Any) -> Any:
        raise type(self.reason)(*self.reason.args) from self.reason.__cause__


def wrapped(job: Any) -> Job:
    """A Job instance for what addJob was given. Raises RegistrationError, saying what to do."""
    if isinstance(job, Job):
        refuseLater(type(job).__call__, f'{type(job).__name__}.__call__', AMETHOD)
        return job
    if isinstance(job, type) and issubclass(job, Job):
        raise RegistrationError(f'{job.__name__} is a class; add an instance of it, '
                                f'{job.__name__}().')
    if isinstance(getattr(job, 'prototype', None), Job):
        refuseLater(job, job.prototype.path, DECORATED)
        return job.prototype.filled({})     # a copy: the App's own belongs to no connection
    if not callable(job):
        raise RegistrationError(f'{shown(job)} is no job: give a Job instance or an importable '
                                'function.')
    path = pathOf(job)
    if isinstance(job, MethodType) and not isinstance(job.__self__, type):
        raise RegistrationError(f'{path} is a method of one object, which its name alone does not '
                                'find again; give a function at the top of a module.')
    try:
        found(path)
    except UnknownJob as error:
        raise RegistrationError(f'{path} cannot be imported by workers; move the function to the '
                                'top of a module.') from error
    return FunctionJob(path)


# dotted name → module's name, module, what gets the rest
_modules: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {}


def found(path: str) -> Any:
    """What a dotted name stands for. Raises NotLoaded with the reason, whatever it was."""
    known = _modules.get(path)
    if known is not None and sys.modules.get(known[0]) is known[1]:
        value = guarded(known[2], known[1])
    else:
        value = guarded(pkgutil.resolve_name, path)
        known = None
    if isinstance(value, Raised):
        raise NotLoaded(f"The job's function {path} cannot be imported ({reasonOf(value.error)}); "
                        "restore it, or cancel the "
                        'job.') from value.error
    if known is not None:
        return value
    name = path
    while name not in sys.modules and '.' in name:
        name = name.rpartition('.')[0]
    if name != path:
        _modules[path] = name, sys.modules[name], operator.attrgetter(path[len(name) + 1:])
    return value


def plain(function: Any) -> Callable[..., Any]:
    """The function within what @app.job left under its name. What another decorator above it left
    there runs as it is."""
    if hasattr(type(function), 'enqueue'):
        function = function.function
    if not callable(function):
        raise UnknownJob(f'{function!r} is no function; restore it, or cancel the job.')
    result: Callable[..., Any] = function
    return result


def instants(**values: float | None) -> dict[str, datetime | None]:
    """POSIX seconds as aware datetimes."""
    return {name: None if value is None else utc(value) for name, value in values.items()}


class RemoveCompletedJobsJob(Job):
    """Removes the jobs that completed. Its output is how many, by status; its input the stati, None
    for completed."""

    def __call__(self, remoteProcessor: Any) -> dict[str, int]:
        counts: dict[str, int] = remoteProcessor.removeJobs(self.input or ['completed'])
        return counts


class PackZODBJob(Job):
    """Packs the database, whoever opened it. Its input is how many days of history stay, None for
    none."""

    def __call__(self, remoteProcessor: Any) -> None:
        from p01.remote.storage.packing import pack  # here: most processes never pack

        pack(remoteProcessor._p_jar.db(), self.input or 0)
