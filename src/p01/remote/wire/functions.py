# SPDX-License-Identifier: ZPL-2.1
"""The functions behind jobs, as far as an application knows them; nothing is imported for it."""
from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import Any

from p01.remote.app import App
from p01.remote.exceptions import UnknownJob
from p01.remote.function import JobFunction
from p01.remote.ground.foreign import Raised, guarded, listed, short

PLACED = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD


def namesOf(app: App, name: str) -> Sequence[str]:
    """The names of the parameters that take the arguments of a job by their places, but for those
    that take any number; () where the application has no such job."""
    known = functionOf(app, name)
    if known is None:
        return ()
    found = guarded(lambda: [each.name for each in
                             inspect.signature(known.function).parameters.values()
                             if each.kind in PLACED])
    return () if isinstance(found, Raised) else found


def functionOf(app: App, name: str) -> JobFunction[..., Any] | None:
    """The job of a name, as it is enqueued or registered; None where the application has none."""
    found = app.jobs.get(name)
    if found is not None and found.prototype.path == name:
        return found
    return next((each for each in app.jobs.values() if each.prototype.path == name), found)


def allowed(app: App, jobs: Collection[str], name: str) -> JobFunction[..., Any]:
    """The job of a name, one of those that may be enqueued. Raises UnknownJob for another one."""
    found = app.jobs.get(name) if name in jobs else None
    if found is None:
        known = sorted(set(jobs) & app.jobs.keys())
        there = f'there are {listed(known)}' if known else 'there are none'
        raise UnknownJob(f'No job {short(name)} can be enqueued here; {there}.')
    return found
