# SPDX-License-Identifier: ZPL-2.1
"""Where jobs may be found: in which segments there are any of a queue and name, and any that failed
or were cancelled.

Written once for many jobs: when the first one of a segment is taken in, or fails. Jobs that
complete cost nothing here. What the index has may be too much, as jobs are removed one by one; it
is never too little.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from operator import itemgetter

from BTrees.LLBTree import LLTreeSet
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.ground.door import Closed
from p01.remote.store.fates import Fates, Kind
from p01.remote.store.records import CANCELLED, ERROR, Record
from p01.remote.store.segments import Segment, alike, kindOf

ANY = ''                        # status of what is taken in, whatever became of it
RARESTATI = ERROR, CANCELLED
Named = Callable[[str, str], bool]      # whether a queue and a name are meant
recordOf = itemgetter(1)        # of a job with its id


class Firsts(Closed, LLTreeSet):
    """Minus the first ids of segments, so that the newest comes first."""

    max_leaf_size = 120
    max_internal_size = 500


class Kinds(Closed, Persistent):
    """The segments of one shard by what jobs they have: status, queue and name."""

    def __init__(self) -> None:
        self.found: OOBTree[Kind, Firsts] = OOBTree()

    def mark(self, kind: Kind, first: int) -> None:
        """A segment has such jobs."""
        firsts = self.found.get(kind)
        if firsts is None:
            firsts = self.found[kind] = Firsts()
        firsts.insert(-first)

    def unmark(self, kind: Kind, first: int) -> None:
        """A segment has no such jobs any more."""
        firsts = self.found.get(kind)
        if firsts is not None and -first in firsts:
            firsts.remove(-first)
            if not firsts:
                # who marks another one meanwhile conflicts: a set that got empty cannot be merged
                del self.found[kind]

    def came(self, first: int, jobs: Iterable[tuple[int, Record]]) -> Counter[tuple[str, str]]:
        """Jobs of a segment were taken in; returns how many of each queue and name."""
        records = list(map(recordOf, jobs))
        pair = alike(records)
        pairs = Counter(map(kindOf, records)) if pair is None else Counter({pair: len(records)})
        for queue, name in pairs:
            self.mark((ANY, queue, name), first)
        return pairs

    def turned(self, first: int, fates: Fates, record: Record, old: str | None,
               new: str | None) -> None:
        """A job has turned from one status into another; only failed and cancelled ones count."""
        for status, change in ((old, -1), (new, 1)):
            if status in RARESTATI:
                assert status is not None
                for kind in ((status, record.queue, record.name), (status, '', '')):
                    count = fates.kinds.get(kind, 0) + change
                    fates.kinds[kind] = count
                    fates._p_changed = True
                    if not count:
                        del fates.kinds[kind]
                        self.unmark(kind, first)
                    elif count == 1 and change == 1:
                        self.mark(kind, first)

    def gone(self, segment: Segment, moved: bool) -> None:
        """A segment goes, all of its jobs were removed. moved: some may have had other queues, one
        after the other."""
        kinds = {(ANY, *pair) for pair in map(kindOf, segment.entries.values())}
        for kind in {*kinds, *self.found.keys((ANY,), (ANY + '\0',))} if moved else kinds:
            self.unmark(kind, segment.first)

    def matching(self, status: str, queue: str | None, named: Named | None,
                 most: int) -> list[Firsts] | None:
        """What has the segments of a status, of this queue (None for any), and of queues and names
        that named holds for (None for all); None when there are more than so many of them."""
        if status in RARESTATI and queue is None and named is None:
            found = self.found.get((status, '', ''))
            return [] if found is None else [found]
        low, high = ((status,), (status
                                 + '\0',)) if queue is None else ((status, queue), (status,
                                                                                    queue + '\0'))
        fitting = (firsts for kind, firsts in self.found.items(low, high)
                   if kind[1:] != ('', '') and (named is None or named(*kind[1:])))
        some = list(islice(fitting, most + 1))
        return some if len(some) <= most else None
