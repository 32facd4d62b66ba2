# SPDX-License-Identifier: ZPL-2.1
"""How many jobs a worker claims at once: short ones share a commit, long ones are never hoarded.
Pure."""
from __future__ import annotations

AIM = 0.05          # seconds of work in one claim
# where bookkeeping is slow, so many times its duration, so that it stays a small part of the work
BOOKINGSHARE = 20
LARGESTCLAIM = 0.25      # seconds of work in one claim, however slow bookkeeping is
MOSTATONCE = 1000         # jobs in one claim
CLAIMGROWTH = 8          # how many times larger a claim may be than the one before


class Batch:
    """Adapts to how long jobs and bookkeeping take. Durations are seconds."""

    def __init__(self) -> None:
        self.average = AIM          # of one job
        self.booking = 0.0          # of one bookkeeping

    def ran(self, duration: float, count: int) -> None:
        """So many jobs took so long: what got slower counts half, what got faster at once, within
        CLAIMGROWTH."""
        each = duration / count
        self.average = max(each,
                           self.average / CLAIMGROWTH) if each < self.average else (each
                                                                               + self.average) / 2

    def booked(self, duration: float) -> None:
        """A bookkeeping with claims took so long."""
        self.booking += (duration - self.booking) / 4

    def aim(self) -> float:
        """How much work to claim."""
        return min(max(AIM, BOOKINGSHARE * self.booking), LARGESTCLAIM)

    def size(self) -> int:
        """How many jobs to hold."""
        return max(1, min(MOSTATONCE, int(self.aim() / max(self.average, 1e-6))))
