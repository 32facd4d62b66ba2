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
