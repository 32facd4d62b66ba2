# SPDX-License-Identifier: ZPL-2.1
"""Time limits of jobs on an event loop: cancelled at their next await."""
from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable
from typing import Any

from p01.remote.engine import limit
from p01.remote.engine.clashes import meant
from p01.remote.exceptions import TimedOut

LOOP = os.path.dirname(asyncio.__file__)


def clockOf(timeout: float | None) -> float | None:
    """Until when a run may last, on the clock of the event loop that runs; None for ever."""
    return None if timeout is None else asyncio.get_running_loop().time() + timeout


async def limited(work: Awaitable[Any], until: float | None, timeout: float | None) -> object:
    """What is awaited. Raises TimedOut when that took longer than a limit in seconds, however it
    ended; what a group of errors means."""
    if until is None:               # a clock costs, even one that never strikes
        try:
            return await work
        except BaseExceptionGroup as group:
            raise meant(group)      # noqa: B904 - it is of the group
    stack: limit.Stack = []
    try:
        async with asyncio.timeout_at(until) as clock:
            output = await work
    except BaseExceptionGroup as group:
        if not clock.expired():
            raise meant(group)      # noqa: B904 - it is of the group
    except TimeoutError as error:
        if not clock.expired():
            raise                       # of its own
        stack = standing(error)
    if clock.expired():
        raise TimedOut(limit.text(timeout, stack))
    return output


def standing(error: TimeoutError) -> limit.Stack:
    """Where a job stood that was cancelled: within its own code."""
    cause = error.__cause__ or error.__context__
    frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
    return limit.cut(limit.Frame(each.filename, each.lineno or 0, each.name)
                     for each in reversed(frames)
                     if not each.filename.startswith(LOOP))
