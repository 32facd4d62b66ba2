# SPDX-License-Identifier: ZPL-2.1
"""A storage that is away: told once, waited for with growing pauses, told when it is back."""
from __future__ import annotations

import random

from p01.remote import events
from p01.remote.foreign import reasonOf

LONGEST = 10.0      # seconds between two tries


class Outage:
    """The troubles in a row of one who needs the storage."""

    def __init__(self, name: str) -> None:
        self.name = name            # who needs it, as events tell
        self.troubles = 0

    def failed(self, error: BaseException) -> float:
        """The storage has refused again; returns the seconds until the next try."""
        self.troubles += 1
        if self.troubles == 1:
            events.notify(events.StorageLost(self.name, reasonOf(error)))
        return pauseAfter(self.troubles)

    def over(self) -> None:
        """The storage has answered."""
        if self.troubles:
            self.troubles = 0
            events.notify(events.StorageBack(self.name))


def pauseAfter(troubles: int) -> float:
    """Seconds to wait after so many failures in a row, from 1: twice as long each time, with jitter for those who come back."""
    return float(min(0.1 * 2.0 ** (min(troubles, 30) - 1), LONGEST) * (0.5 + random.random() / 2))
