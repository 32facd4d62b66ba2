# SPDX-License-Identifier: ZPL-2.1
"""The end of a job that runs elsewhere, as its worker waits for it."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from p01.remote.engine.seams import Attempted
from p01.remote.exceptions import TimedOut

GIVEUP = 1.0            # seconds of a grace, half of it at most, in which its worker takes it back
GRACELOOK = 0.5         # seconds between two looks at how long that lasts

Result = TypeVar('Result')


async def heard(done: asyncio.Future[Result], job: Attempted,
                tell: Callable[[], None] = lambda: None) -> Result:
    """What comes of a job. Raises what it does; CancelledError for one that is to be given up. One
    that somebody has asked to end is told, and sees that by itself, within the grace that it was
    given; then raises TimedOut."""
    while True:
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not job.asked(job.task.id):
                raise
            tell()
            since = monotonic()
            while not done.done():
                grace = job.ends() - since
                left = since + grace - min(GIVEUP, grace / 2) - monotonic()
                if left <= 0:
                    raise TimedOut(f'it did not end within {grace:.1f} s, as it was asked to') \
                        from None
                await asyncio.wait({done}, timeout=min(GRACELOOK, left))
