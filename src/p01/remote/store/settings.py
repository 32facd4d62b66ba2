# SPDX-License-Identifier: ZPL-2.1
"""What operators decide while the system runs."""
from __future__ import annotations

from persistent import Persistent

from p01.remote.ground.door import Closed


class Settings(Closed, Persistent):
    """What operators decide while the system runs."""

    def __init__(self) -> None:
        self.paused: dict[str, float | None] = {}       # queue → until, POSIX seconds

    def pausedAt(self, now: float) -> dict[str, float | None]:
        """The queues that are paused at an instant, each with when that ends; None where it does
        not by itself."""
        return {queue: until for queue, until in self.paused.items() if until is None
                or until > now}
