# SPDX-License-Identifier: ZPL-2.1
"""What an application does around its jobs, and what of a caller's context travels with them."""
from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from transaction.interfaces import TransientError
from ZODB.Connection import Connection

from p01.remote.engine.ambients import Ambient, Variable
from p01.remote.engine.context import Running
from p01.remote.exceptions import Cancelled, InputError, RegistrationError, TimeLimit
from p01.remote.ground import habits
from p01.remote.ground.foreign import Dying, Raised, guarded, interrupts, reasonOf, shown, traced
from p01.remote.store.payload import pack, unpack

Function = TypeVar('Function', bound=Callable[..., Any])
Performer = Callable[[Running], Any]

# what a hook passes on: the run is to be repeated, or to end
PASSED = TransientError, Cancelled, TimeLimit, Dying
KEY = 'around'      # of what was captured, in a record's extras

logger = logging.getLogger('p01.remote')


class Hook(NamedTuple):
    """One function around jobs. later: it is an async def, and for jobs that are."""

    function: Callable[..., Any]
    name: str
    later: bool


class Hooks:
    """The hooks and ambients of an App, in the order in which they were added."""

    def __init__(self, variables: Iterable[ContextVar[Any]] = ()) -> None:
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.around: list[Hook] = []
        self.ambients: list[Ambient] = [Variable(each) for each in listed(variables)]

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.around or self.ambients)

    # -- the caller's

    def captured(self, jar: Connection | None, limit: int) -> dict[str, Any] | None:
        """What travels with jobs that are enqueued here, as their record keeps it; None for
        nothing. Raises InputError for what cannot be stored."""
        found = {each.name: pack(value, f'{each.title} that travels with the job', limit, jar=jar)
                 for each in self.ambients if (value := each.capture()) is not None}
        return {KEY: found} if found else None

    def enter(self, running: Running, stack: ExitStack | AsyncExitStack) -> None:
        """Have what has travelled with a job, and have stack take it back. Raises what cannot be
        had, which fails the run."""
        jar = None if running.processor is None else running.processor._p_jar
        values: Mapping[str, Any] = (running.task.record.extras or {}).get(KEY, {})
        for each in self.ambients:
            if each.name in values:
                stack.callback(each.leave, each.enter(unpack(values[each.name]), jar))

    # -- around a job

    def wrapped(self, perform: Performer, later: bool) -> Performer:
        """What performs a job within all of them; later: it is an async def."""
        if later:
            return lambda running: self.awaited(running, perform)
        return lambda running: self.performed(running, perform)

    def performed(self, running: Running, perform: Performer) -> Any:
        """Perform a job within all of them."""
        raised: BaseException | None = None
        with ExitStack() as stack:
            self.enter(running, stack)
            for each in self.around:
                if not each.later:
                    stack.enter_context(contextmanager(each.function)())
            try:
                for each in self.before:
                    if not each.later:
                        call(each, running)
                output = perform(running)
            except BaseException as error:
                raised = error
                self.ends(running, error)
                raise
            self.ends(running, None)
            return output
        return kept(raised)         # type: ignore[unreachable]  # a hook may catch it

    async def awaited(self, running: Running, perform: Performer) -> Any:
        """Perform a job that is an async def within all of them."""
        raised: BaseException | None = None
        async with AsyncExitStack() as stack:
            self.enter(running, stack)
            for each in self.around:
                if each.later:
                    await stack.enter_async_context(asynccontextmanager(each.function)())
                else:
                    stack.enter_context(contextmanager(each.function)())
            try:
                for each in self.before:
                    await calledLater(each, running)
                output = await perform(running)
            except BaseException as error:
                raised = error
                await self.endsLater(running, error)
                raise
            await self.endsLater(running, None)
            return output
        return kept(raised)         # type: ignore[unreachable]  # a hook may catch it

    def ends(self, running: Running, error: BaseException | None) -> None:
        """The function has returned, or raised this."""
        for each in reversed(self.after):
            if not each.later:
                call(each, running, error)

    async def endsLater(self, running: Running, error: BaseException | None) -> None:
        """The same, of a job that is an async def."""
        for each in reversed(self.after):
            await calledLater(each, running, error)


def kept(raised: BaseException | None) -> None:
    """What a hook has not let pass, and has as a result None. Raises what no hook decides on."""
    if raised is not None and (isinstance(raised, PASSED) or not isinstance(raised, Exception)):
        raise raised


def call(hook: Hook, running: Running, *args: BaseException | None) -> None:
    """Call a function that no job fails for: what it changed when it raises is undone, and the log
    told. Raises conflicts, and the wish that the job ends."""
    jar = None if running.processor is None else running.processor._p_jar
    savepoint = None if jar is None else jar.transaction_manager.savepoint(optimistic=True)
    done = guarded(hook.function, *args)
    if isinstance(done, Raised):
        if savepoint is not None and not isinstance(done.error, PASSED):
            guarded(savepoint.rollback)
        failed(hook, running, done.error, *args)


async def calledLater(hook: Hook, running: Running, *args: BaseException | None) -> None:
    """The same, for a job that is an async def."""
    try:
        found = hook.function(*args)
        if hook.later:
            await found
    except BaseException as error:
        from asyncio import CancelledError
        if isinstance(error, CancelledError | GeneratorExit) or interrupts(error):
            raise
        failed(hook, running, error, *args)


def failed(hook: Hook, running: Running, error: BaseException, *args: BaseException | None) -> None:
    """A hook has raised. Raises that again where it is not the hook's to decide, unless the job has
    raised already."""
    if isinstance(error, PASSED) and args in ((), (None,)):
        raise error
    logger.error('Hook %s raised around job %s %s, which changes nothing for the job: %s\n%s',
                 hook.name, running.task.id, running.task.record.name, reasonOf(error),
                 traced(error))


def listed(values: Any) -> list[ContextVar[Any]]:
    """The context variables that travel. Raises InputError."""
    found = list(values) if isinstance(values, Iterable) else [values]
    for each in found:
        if not isinstance(each, ContextVar):
            raise InputError(f'carry is a list of context variables, as [tenant], and '
                             f'{shown(each)} is none.')
    if len({each.name for each in found}) < len(found):
        raise InputError('Two context variables to carry have the same name; name them apart where '
                         'they are made.')
    return found


class Hooked(habits.Told):
    """The part of an App that is about what surrounds its jobs; see docs/hooks.md."""

    _habits = habits.APPWORDS
    hooks: Hooks

    def before(self, function: Function) -> Function:
        """Have a function called, without arguments, before each job's own; `current` is the
        job. What it raises is logged, and changes nothing. Raises RegistrationError."""
        self.hooks.before.append(hooked(function, '@app.before', 0, False))
        return function

    def after(self, function: Function) -> Function:
        """Have a function called behind each job's own, with what that has raised, None for
        nothing; before the commit, the last one declared first. What it raises is logged, and
        changes nothing. Raises RegistrationError."""
        self.hooks.after.append(hooked(function, '@app.after', 1, False))
        return function

    def around(self, function: Function) -> Function:
        """Have a generator function run around each job, which yields once: while it does, the
        others and the job run. The first one declared is the outermost. What it raises fails the
        run, and what it catches does not. Raises RegistrationError."""
        self.hooks.around.append(hooked(function, '@app.around', 0, True))
        return function

    @property
    def ambients(self) -> list[Ambient]:
        """What travels from who enqueues to the job, see Ambient; others may be added."""
        return self.hooks.ambients


def hooked(function: Any, what: str, count: int, yields: bool) -> Hook:
    """A function that can be a hook. Raises RegistrationError."""
    name = f'{getattr(function, "__module__", "")}.{getattr(function, "__qualname__", function)}'
    if hasattr(type(function), 'enqueue') or not callable(function):
        raise RegistrationError(f'{what} is for a function that is no job; {name} cannot be one.')
    later = inspect.isasyncgenfunction(function)
    if yields != (later or inspect.isgeneratorfunction(function)):
        raise RegistrationError(
            f'{what} is for a generator function that yields once, and {name} never does; write '
            '@app.before or @app.after.' if yields else
            f'{what} is for a function that returns, and {name} yields; write @app.around.')
    fits = guarded(lambda: inspect.signature(function).bind(*[None] * count))
    if isinstance(fits, Raised):
        takes = 'what the job has raised, or None' if count else 'no arguments; ask current'
        raise RegistrationError(f'{what} calls {name} with {takes}; have it take that.')
    return Hook(function, name, later or inspect.iscoroutinefunction(function))

