# SPDX-License-Identifier: ZPL-2.1
"""When to look at which schedule: what is due is found at the head, however many there are."""
from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from BTrees.OOBTree import OOTreeSet
from persistent import Persistent
from ZODB.POSException import ConflictError

from p01.remote.ground.door import Closed

PARTS = 4
# when to look at a schedule that has no more ticks, unless a clock was wrong
NEVER = math.inf


class Dues(Closed, Persistent):
    """One part of the schedules, by when to look at them: pairs of an instant and a key.

    The pairs are hints: what holds is what the schedule says. One too many costs a look in vain; of
    each schedule that has a tick to come there is one that is no later. Workers keep to different
    parts, so that they rarely meet.
    """

    # when one of the schedules was reckoned or fired last, by the clock of who did it
    latest = 0.0

    def __init__(self) -> None:
        self.entries: OOTreeSet[tuple[float, str]] = OOTreeSet()

    def enter(self, when: float, key: str) -> None:
        """Look at a schedule at this instant."""
        self.entries.insert((when, key))

    def leave(self, when: float, key: str) -> None:
        """Do not look at it then."""
        if (when, key) in self.entries:
            self.entries.remove((when, key))

    def ready(self, now: float, most: int, skip: int = 0) -> list[tuple[float, str]]:
        """The first pairs up to now, behind so many of them."""
        return list(islice(self.entries.keys(None, (now, '\U0010ffff')), skip, skip + most))

    def after(self, now: float) -> Iterator[tuple[float, str]]:
        """The pairs after now."""
        return iter(self.entries.keys((now, '\U0010ffff')))

    def saw(self, now: float) -> None:
        """A schedule was reckoned now."""
        self.latest = max(self.latest, now)

    def _p_resolveConflict(self, old: dict[str, Any], saved: dict[str, Any],
                           new: dict[str, Any]) -> dict[str, Any]:
        """Two workers have reckoned schedules at once; one that has put the clock back is not to be
        outdone."""
        before = old.get('latest', 0.0)
        ours, theirs = new.get('latest', before), saved.get('latest', before)
        if min(ours, theirs) < before:
            raise ConflictError
        return {**saved, 'latest': max(ours, theirs)}


def partOf(key: str) -> int:
    """The number of the part that a schedule is in."""
    return zlib.crc32(key.encode('utf-8', 'surrogatepass')) % PARTS
