# SPDX-License-Identifier: ZPL-2.1
"""Which lanes a worker takes from, and what waits at the heads of lanes."""
from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, repeat

from p01.remote.store.keys import ownerOf
from p01.remote.store.lines import Line, Lines
from p01.remote.store.shards import Lane, Shard
from p01.remote.store.store import Store

END = float('inf')  # behind all keys


def shared(store: Store, rank: tuple[int, int]) -> tuple[list[Lane], list[Lane]]:
    """The lanes that are for the r-th of n workers (r, n), and all others."""
    own: list[Lane] = []
    foreign: list[Lane] = []
    for shard in store.shards:
        for at, lines in enumerate(shard.lanes):
            (own if ownerOf(shard.number, at, rank[1]) == rank[0]
             else foreign).append((shard, lines))
    return own, foreign


def adopted(lanes: list[Lane], number: int) -> tuple[list[Lane], list[Lane]]:
    """A lane for the worker of this number whose own ones are empty, not the same one for all of
    them; and the others."""
    full = [lane for lane in lanes if lane[1].heads]
    own = full[number % len(full):][:1] if full else []
    return own, [lane for lane in full if lane not in own]


def heads(store: Store, lanes: Iterable[Lane], now: float, queues: Collection[str] | None,
          looked: dict[Lines, set[str]]) -> Iterator[tuple[int, int, Line, Shard]]:
    """The stretches that wait in these lanes in order: key, last id, line, shard; of these queues,
    but not of paused ones.

    Looks at a line only when its bound is reached, and notes that.
    """
    paused = store.settings.pausedAt(now)
    lanes = [lane for lane in lanes if lane[1].heads]
    bounds: Iterable[tuple[tuple[int, str], int]]
    if queues is None:
        bounds = heapq.merge(*(zip(lines.heads.items(), repeat(at))
                               for at, (_, lines) in enumerate(lanes)))
    else:
        bounds = sorted(((line.bound, queue), at) for at, (_, lines) in enumerate(lanes)
                        for queue in queues
                        if (line := lines.queues.get(queue)) is not None)
    ahead: list[tuple[int, int, Line, Shard, Iterator[tuple[int, int]]]] = []
    for (bound, queue), at in chain(bounds, [((END, ''), -1)]):
        while ahead and ahead[0][0] < bound:
            key, last, line, here, rest = ahead[0]
            yield key, last, line, here
            further = next(rest, None)
            if further is None:
                heapq.heappop(ahead)
            else:
                heapq.heapreplace(ahead, (*further, line, here, rest))
        if at >= 0 and queue not in paused:
            shard, lines = lanes[at]
            line = lines.queues[queue]
            rest = iter(line.waiting.items())
            if (further := next(rest, None)) is not None:
                heapq.heappush(ahead, (*further, line, shard, rest))
            if lines in looked:
                looked[lines].add(queue)
