# SPDX-License-Identifier: ZPL-2.1
"""A storage that is away, or another fault of a worker: told once, waited for with growing pauses,
told when it is back."""
from __future__ import annotations

import logging

from p01.remote import events
from p01.remote.ground import subscribers
from p01.remote.ground.clocks import pauseAfter
from p01.remote.ground.foreign import reasonOf, traced
from p01.remote.storage.origin import fromStorage

logger = logging.getLogger('p01.remote')

FIRSTRETRY, LONGESTRETRY = 0.1, 10.0      # seconds between two tries


class Outage:
    """The troubles in a row of one who needs the storage."""

    def __init__(self, name: str) -> None:
        self.name = name            # who needs it, as events tell
        self.troubles = 0
        # whether the last one was the storage's; None when all is well
        self.away: bool | None = None

    def failed(self, error: BaseException) -> float:
        """It failed again; returns the seconds until the next try. What is not the storage's is
        told as what it is."""
        self.troubles += 1
        away = fromStorage(error)
        if away is not self.away:
            self.away = away
            if away:
                subscribers.notify(events.StorageLost(self.name, reasonOf(error)))
            else:
                subscribers.notify(events.WorkerFailed(self.name, reasonOf(error),
                                                       'it begins anew'))
                logger.error('%s', traced(error, whole=True))
        return pauseAfter(self.troubles, FIRSTRETRY, LONGESTRETRY)

    def over(self) -> None:
        """The storage has answered."""
        if self.away:
            subscribers.notify(events.StorageBack(self.name))
        self.troubles, self.away = 0, None
