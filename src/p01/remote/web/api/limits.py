# SPDX-License-Identifier: ZPL-2.1
"""How much the API takes: bytes of a body, requests of one caller. Rates are counted in this
process; each process of a server has its own."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

BODYBYTES = 1 << 20     # of a request
PERSECOND, BURST = 20.0, 100       # requests of one caller: a second, and at once
CALLERS = 10_000        # that are remembered


class Bucket(NamedTuple):
    """What one caller has left: requests, at an instant of the monotonic clock."""

    left: float
    seen: float


class Rates:
    """Lets each caller in so many times a second, and a number of times at once."""

    def __init__(self, rate: float, burst: int,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self.buckets: dict[str, Bucket] = {}
        self.guard = threading.Lock()

    def wait(self, name: str) -> float:
        """Take one request of a caller; returns 0, or the seconds until he may come again."""
        with self.guard:
            now = self.clock()
            was = self.buckets.pop(name, Bucket(self.burst, now))
            left = min(float(self.burst), was.left + (now - was.seen) * self.rate)
            # in the order of when they came last, so that the first one is the one to forget
            self.buckets[name] = Bucket(left - 1 if left >= 1 else left, now)
            if len(self.buckets) > CALLERS:
                del self.buckets[next(iter(self.buckets))]
            return 0.0 if left >= 1 else (1 - left) / self.rate
