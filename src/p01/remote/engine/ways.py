# SPDX-License-Identifier: ZPL-2.1
"""How a job of some name is run, as its behaviour says."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from p01.remote.engine.context import Running
from p01.remote.job import Job
from p01.remote.options import Policy


class Way(NamedTuple):
    """How a job of some name is run."""

    behaviour: Job
    perform: Callable[[Running], Any]
    detached: bool
    together: bool
    policy: Policy
    timeout: float | None
    asynchronous: bool = False      # an async def, for the event loop
    soft: float | None = None


def wayOf(behaviour: Job, together: bool) -> Way:
    """How jobs of a behaviour are run; together: where its worker lets all of them share commits.

    Raises what the application's code does.
    """
    policy, later = behaviour.policy, bool(getattr(behaviour, 'asynchronous', False))
    detached = later or bool(behaviour.detached)
    return Way(behaviour, behaviour.ready(), detached,
               bool(behaviour.together or together) and not detached, policy, policy.timeout, later,
               getattr(policy, 'soft', None))
