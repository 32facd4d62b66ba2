# SPDX-License-Identifier: ZPL-2.1
"""What goes by itself: what was used once, and says nothing any more. A bounded piece at a time, by
whoever works.

A database that has seen 1,000 queues and unique keys and is idle again is as small, and costs as
much, as one that has not.
"""
from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from p01.remote.store.shards import Shard, Tally
from p01.remote.store.store import Store
from p01.remote.verbs.people import resume

LINESSWEPT, KEYS = 50, 200       # lines and unique keys of a shard that one sweep looks at
MANYTALLIES = 64                   # entries of tallies that are too few to care


class Place(NamedTuple):
    """How far the sweeps of a shard have come."""

    lane: int = 0
    bound: int = 0          # of its lines
    key: str = ''           # unique


def sweep(store: Store, shard: Shard, at: Place, now: float) -> tuple[int, Place]:
    """Remove what is over among the next lines and unique keys; returns how many keys went, and
    where to go on."""
    lines = shard.lanes[at.lane % len(shard.lanes)]
    heads = list(islice(lines.heads.items(at.bound), LINESSWEPT))
    lines.trim(queue for _, queue in heads if not lines.queues[queue].waiting)
    on = Place(at.lane,
               heads[-1][0] + 1) if len(heads) == LINESSWEPT else Place((at.lane
                                                                         + 1) % len(shard.lanes))
    keys = list(islice(shard.uniques.items(at.key, excludemin=bool(at.key)), KEYS))
    gone = [key for key, (jobid, until) in keys
            if (until <= now if until is not None else store.over(jobid))]
    for key in gone:
        del shard.uniques[key]
    return len(gone), on._replace(key=keys[-1][0] if len(keys) == KEYS else '')


def balance(store: Store, now: float) -> None:
    """Forget pauses that have ended, and have the shards' tallies cancel each other out.

    A job may be counted in by one shard's tally and out by another's, as its worker had it, and as
    it was removed.
    """
    over = [queue for queue, until in store.settings.paused.items() if until is not None
            and until <= now]
    for queue in over:
        resume(store, queue)
    if sum(len(shard.tally) for shard in store.shards) > MANYTALLIES:
        total = Tally()
        for shard in store.shards:
            total.add(shard.tally)
        if 2 * len(total) < sum(len(shard.tally) for shard in store.shards):
            for shard in store.shards:
                if shard.tally:
                    shard.tally = Tally()
            store.shards[0].count(total)
