# SPDX-License-Identifier: ZPL-2.1
"""What a pack has to keep: all that the root leads to, found while others commit, in some ten bytes
for each object."""
from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from BTrees.LLBTree import LLTreeSet
from ZODB.utils import u64

MARKEDATONCE = 1_000       # objects whose states are asked for at once
ROOT = 0

Ids = list[int]
# the states of objects, in any order; none for those that are not there
States = Callable[[Ids], Iterable[bytes]]


class Marking:
    """The objects that were reached so far.

    Nobody holds a long snapshot for it. What is committed meanwhile is marked again, up to the
    moment of the deletion, when nobody else writes: an object that was followed in an older state
    has a newer one by then, so that nothing is missed.
    """

    def __init__(self, references: Callable[[bytes], Iterable[bytes]],
                 told: Callable[[int], object]) -> None:
        self.references = references        # ids, as ZODB has them, in a state
        self.told = told                    # called with the number of objects so far, now and then
        self.seen = LLTreeSet()
        self.count = 0

    def __contains__(self, oid: int) -> bool:
        return oid in self.seen

    def mark(self, oids: Iterable[int], states: States) -> None:
        """These are to be kept as they are now, with all that they lead to."""
        waiting = array('q', oids)
        self.seen.update(waiting)
        while waiting:
            batch = waiting[-MARKEDATONCE:].tolist()
            del waiting[-MARKEDATONCE:]
            for state in states(batch):
                waiting.extend(oid for oid in map(u64, self.references(state))
                               if self.seen.insert(oid))
            self.count += len(batch)
            self.told(self.count)
