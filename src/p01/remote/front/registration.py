# SPDX-License-Identifier: ZPL-2.1
"""What can be a job: a callable that any worker finds again by its name, and that does its work
when it is called."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from p01.remote.exceptions import InputError, RegistrationError
from p01.remote.ground import checks, foreign

# the script that runs, and what it is called in a process that it has started
MAIN = ('__main__', '__mp_main__')


def pathOf(function: Any) -> str:
    """The dotted name of a callable, by which others can import it. Raises RegistrationError,
    saying what to do."""
    module, name = getattr(function, '__module__', None), getattr(function, '__qualname__', None)
    if not isinstance(module, str) or not isinstance(name, str) or not module or not name:
        what = 'partial' if isinstance(function, partial) else f'{foreign.nameOf(function)} object'
        raise RegistrationError(f'{foreign.shown(function)} has no name to import it by: it is a '
                                f'{what}; write a function at the top of a module, with def, that '
                                'does this.')
    if name.rpartition('.')[2] == '<lambda>':
        raise RegistrationError(f'A lambda in {module} has no name to import it by; write it as a '
                                'def at the top of the module.')
    if '<locals>' in name:
        raise RegistrationError(f'{module}.{name} is nested in a function, where no worker can '
                                'import it; move it to the top of the module, or, when it is what '
                                'a decorator returns, have the decorator use functools.wraps.')
    if module in MAIN:
        raise RegistrationError(f"{name} is defined in the script that is running, '__main__', "
                                "which workers cannot "
                                'import; move it to a module of its own and import it from there.')
    refuseLater(function, f'{module}.{name}')
    return f'{module}.{name}'


# why an async def is refused: what it is, and what to do
DECORATED = ('by a decorator above @app.job, and that does not know of it; write @app.job above '
             'the others')
AMETHOD = ('and a Job belongs to a connection, which no event loop can share; write the async def '
           'at the top of a module, and make that one the job')


def refuseLater(function: Any, path: str, awaits: str = '') -> None:
    """Raises RegistrationError for what does nothing when it is called: its body would run later,
    or never. awaits: why it may not be an async def; '' where it may."""
    if awaits and inspect.iscoroutinefunction(function):
        raise RegistrationError(f'{path} is an async def, {awaits}.')
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise RegistrationError(f'{path} is a generator function: called, it does nothing and '
                                'gives an iterator, which cannot be stored; write a def that goes '
                                'through it and returns a list, and make that one the job.')


def apart(detached: bool, together: bool, executor: str) -> tuple[bool, str]:
    """Whether a job is detached, and its executor, '' for none. Raises InputError."""
    executor = checks.oneOf(executor, ('', *checks.EXECUTORS), 'executor')
    detached = checks.flagOf(detached, 'detached') or bool(executor)
    if detached & checks.flagOf(together, 'together'):
        raise InputError('A detached job has no transaction that it could share; give detached or '
                         'together, not both.')
    return detached, executor


def sharing(function: Any, path: str, together: bool, executor: str) -> bool:
    """Whether a job may share commits, as its author says; executor: where it runs, or ''. Raises
    InputError."""
    if (together or executor) and inspect.iscoroutinefunction(function):
        raise InputError(f'{path} is an async def, which has an event loop, and no transaction to '
                         f'share; leave {"together" if together else "executor"} out.')
    return together


def decorated(function: Any) -> Callable[..., Any]:
    """What @app.job was put above, when that can be a job. Raises RegistrationError, saying what to
    do."""
    name = foreign.shown(getattr(function, '__qualname__', function), 100).strip("'")
    if hasattr(type(function), 'enqueue'):
        raise RegistrationError(f'{name} is a job already; write @app.job once, right '
                                'above the function, and @app.schedule above that.')
    if isinstance(function, staticmethod):
        # what takes its place in the class is bound to nothing, either
        function = function.__func__
    elif isinstance(function, classmethod | MethodType) or isMethod(function):
        raise RegistrationError(f'{name} is a method, and a job is called without an object or '
                                'class to belong to; write a function at the top of the module, '
                                'and pass it what finds the object again.')
    if isinstance(function, type):
        raise RegistrationError(f'{name} is a class; write @app.job above a function, or add an '
                                'instance of a Job class with addJob.')
    if isinstance(function, BuiltinFunctionType):
        raise RegistrationError(f'{name} is a function of Python itself, which cannot carry '
                                '@app.job; write a function that calls it.')
    if not callable(function):
        raise RegistrationError('@app.job is written above a function, with its options by name, '
                                f'as @app.job(queue="mail"); {foreign.shown(function)} is none.')
    found: Callable[..., Any] = function
    return found


def isMethod(function: Any) -> bool:
    """Whether this is a function in the body of a class that takes the object, or the class,
    first."""
    if not isinstance(function, FunctionType) \
            or '.' not in function.__qualname__.rpartition('<locals>.')[2]:
        return False
    names = function.__code__.co_varnames[:function.__code__.co_argcount]
    return bool(names) and names[0] in ('self', 'cls')
