# SPDX-License-Identifier: ZPL-2.1
"""The clocks that a worker goes by, and the pauses that it makes. A simulation hands it others."""
from __future__ import annotations

import random
import time

# seconds that the wall clock is ahead for all of this process, in tests of applications, see trial
ahead = 0.0


def now() -> float:
    """The wall clock, in POSIX seconds; it may be set, and jump."""
    return time.time() + ahead


class Clock:
    """The clocks of this host."""

    # the functions themselves: several calls for each job
    now = staticmethod(now)
    # nobody sets it, and it stands still while the host sleeps
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


CLOCK = Clock()


def pauseAfter(count: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row, from 1: twice as long each time, with jitter
    for those who come back."""
    return float(min(first * 2.0 ** (min(count, 30) - 1), longest) * (0.5 + random.random() / 2))
