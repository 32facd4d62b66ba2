# SPDX-License-Identifier: ZPL-2.1
"""Edge i: finished jobs are removed, by people or when their time is over, and with the last one
its segment."""
from __future__ import annotations

from itertools import islice

from p01.remote.store.journals import Journal
from p01.remote.store.keys import shardOf
from p01.remote.store.outcomes import endOf, statusOf
from p01.remote.store.shards import Shard, Tally
from p01.remote.store.store import Store
from p01.remote.verbs.registers import letGo


def remove(store: Store, jobid: int, now: float = 0.0) -> str | None:
    """Forget a finished job; returns the status it had, None when it has not finished. A unique
    key that is over by now goes with it; others go when they are."""
    fate = store.fate(jobid)
    if not isinstance(fate, Journal):
        return None
    first, record = store.entry(jobid)
    shard = store.shards[shardOf(first)]
    status = statusOf(fate.entries[jobid])
    tally = Tally()
    tally.move(record.queue, status, None)
    shard.count(tally)
    letGo(store, jobid, record, True, now)
    if store.edits is not None and 'input' in store.edits.get(jobid, {}):
        # that it was edited counts until the segment goes
        store.edits[jobid] = {**store.edits[jobid], 'input': None}
    fates = shard.fatesOf(first)
    fates.note(jobid, None)
    shard.kinds.turned(first, fates, record, status, None)
    drop(store, shard, first)
    return status


def drop(store: Store, shard: Shard, first: int) -> None:
    """Remove a segment that takes no more jobs, when it has none or all were removed."""
    segment, fates = store.segment(first), shard.known(first)
    if first not in shard.intake.open and shard.taken(first, segment.last) \
            and len(fates) >= len(segment.entries) \
            and all(fate is None for fate in fates.values()):
        if first in shard.fates:
            del shard.fates[first]
        del store.segments[first]
        edits = store.edits
        moved = [] if edits is None else list(edits.keys(first, segment.last))
        shard.kinds.gone(segment, bool(moved))
        for jobid in moved:
            del edits[jobid]        # type: ignore[union-attr]
        segment.entries.clear()         # tells connections that have it near
        segment._p_changed = True


def prune(store: Store, shard: Shard, after: int, limits: dict[str, float | None], most: int,
          excess: int = 0) -> tuple[int, int]:
    """Remove a shard's finished jobs that ended before the limit of their status, and so many
    whatever their age.

    Looks at so many segments after the one of that id. Returns how many jobs went, and the last one
    looked at, 0 at the end.
    """
    count = seen = 0
    newest = max((limit for limit in limits.values() if limit is not None), default=float('-inf'))
    for first in list(islice(shard.fates.keys(after + 1), most)):
        seen += 1
        after = first
        fates = shard.fates[first]
        if count >= excess and fates.oldest >= newest:
            continue            # spares the loading of its journals
        for jobid, fate in list(fates.entries.items()):
            if isinstance(fate, int):
                fields = fates.journals[fate].entries[jobid]
                limit = limits[statusOf(fields)]
                if count < excess or limit is not None and endOf(fields) < limit:
                    remove(store, jobid)
                    count += 1
    return count, after if seen == most else 0


def seal(store: Store, before: float) -> None:
    """Close the segments that nobody has written to since; their connections have given them up."""
    for shard in store.shards:
        for first, cursor in list(shard.intake.open.items()):
            segment = store.segment(first)
            newest = segment.entries[segment.top].created if segment.top in segment.entries \
                else segment.born
            if newest < before and segment.top == cursor and first <= shard.intake.seen:
                segment.size = segment.top - first + 1      # its connection sees it full
                shard.intake.shut(first)
                drop(store, shard, first)
