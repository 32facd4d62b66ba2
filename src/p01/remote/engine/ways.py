# SPDX-License-Identifier: ZPL-2.1
"""How a job of some name is run, as its behaviour says."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from p01.remote.engine.context import Running
from p01.remote.job import Job
from p01.remote.options import Policy, WorkerOptions


class Way(NamedTuple):
    """How a job of some name is run."""

    behaviour: Job
    perform: Callable[[Running], Any]
    detached: bool
    together: bool
    policy: Policy
    timeout: float | None
    asynchronous: bool = False      # for the event loop
    soft: float | None = None
    executor: str = ''              # that the event loop waits for; '' for an async def


def wayOf(behaviour: Job, options: WorkerOptions) -> Way:
    """How jobs of a behaviour are run by a worker.

    Raises what the application's code does.
    """
    policy, later = behaviour.policy, bool(getattr(behaviour, 'asynchronous', False))
    executor = '' if later else getattr(behaviour, 'executor', '') \
        or options.executor * bool(behaviour.detached)
    if executor:
        from p01.remote.engine.executors import handOver  # most workers have none

        return Way(behaviour, handOver, True, False, policy, policy.timeout, True,
                   getattr(policy, 'soft', None), executor)
    detached = later or bool(behaviour.detached)
    return Way(behaviour, behaviour.ready(), detached,
               bool(behaviour.together or options.together) and not detached, policy,
               policy.timeout, later, getattr(policy, 'soft', None))
