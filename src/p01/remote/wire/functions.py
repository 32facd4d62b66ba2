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


def namesOf(app: App, name: str) -> Sequence[str]:
    """The names of the parameters of a job's function; () where the application has none."""
    known = functionOf(app, name)
    if known is None:
        return ()
    found = guarded(lambda: list(inspect.signature(known.function).parameters))
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
