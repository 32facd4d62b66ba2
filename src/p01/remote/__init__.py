# SPDX-License-Identifier: ZPL-2.1
"""Durable background jobs that live in an object database, beside the application's own objects."""
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from p01.remote.app import App, JobFunction
    from p01.remote.engine.ambients import Ambient
    from p01.remote.engine.context import current
    from p01.remote.engine.tracing import trace
    from p01.remote.exceptions import JobError, RemoteError, RunLater
    from p01.remote.handle import Handle
    from p01.remote.options import Policy, Unique

__all__ = [
    # the front
    'App', 'JobFunction', 'Handle', 'current',
    # what travels with jobs
    'Ambient', 'trace',
    # options
    'Policy', 'Unique',
    # errors a job raises, and the root of those it meets
    'JobError', 'RunLater', 'RemoteError',
]
_PLACES = {'App': 'app', 'JobFunction': 'app', 'Handle': 'handle', 'current': 'engine.context',
           'Ambient': 'engine.ambients', 'trace': 'engine.tracing',
           'Policy': 'options',
           'Unique': 'options', 'JobError': 'exceptions', 'RunLater': 'exceptions',
           'RemoteError': 'exceptions'}


def __getattr__(name: str) -> Any:
    """A name of the front, imported when it is asked for: a supervisor needs none of what comes
    with it."""
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    globals()[name] = found = getattr(import_module(f'p01.remote.{_PLACES[name]}'), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
