# SPDX-License-Identifier: ZPL-2.1
"""Whose turn it is among the queues of a worker that has several: in strict order, or by weights.
Pure.

By weights it is start-time fair queuing (P. Goyal, H. Vin, H. Cheng, 1996): each queue has a tag,
which grows by 1 / weight with each of its jobs; the lowest one is next. A queue that was empty
begins where the others are, so it neither starves nor catches up.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import lcm


class Turns:
    """The turns of one worker's queues. Without weights an earlier queue is always before a later
    one."""

    def __init__(self, queues: Sequence[str], weights: Sequence[int] = ()) -> None:
        self.places = {queue: at for at, queue in enumerate(queues)}
        whole = lcm(*weights)       # tags are whole numbers of 1 / whole, so that they are exact
        self.costs = {queue: whole // each for queue, each in zip(queues, weights, strict=False)}
        self.tags = dict.fromkeys(queues, 0)
        self.now = 0                # the tag of the job that began last

    def shares(self, count: int, held: Iterable[str] = ()) -> list[tuple[str, int]]:
        """How many of so many jobs are for which queue at most, those whose turn comes first in
        front; held are the queues of jobs that wait in the worker's hands."""
        if not self.costs:
            return [(queue, count) for queue in self.places]
        found: dict[str, int] = {}
        tags, now = dict(self.tags), self.now
        for queue in held:
            now = self.begin(queue, tags, now)
        for _ in range(count):
            queue = self.next(self.places, tags, now)
            now = self.begin(queue, tags, now)
            found[queue] = found.get(queue, 0) + 1
        rest = sorted(self.places.keys() - found.keys(), key=lambda queue: (tags[queue],
                                                                        self.places[queue]))
        return [*found.items(), *((queue, 0) for queue in rest)]

    def order(self, queues: Sequence[str]) -> list[int]:
        """In which order jobs of these queues run, as positions; those of one queue stay in
        theirs."""
        if not self.costs:
            return sorted(range(len(queues)), key=lambda at: self.places[queues[at]])
        left: dict[str, list[int]] = {}
        for at in reversed(range(len(queues))):
            left.setdefault(queues[at], []).append(at)
        tags, now, found = dict(self.tags), self.now, []
        while left:
            queue = self.next(left, tags, now)
            now = self.begin(queue, tags, now)
            found.append(left[queue].pop())
            if not left[queue]:
                del left[queue]
        return found

    def ran(self, queues: Iterable[str]) -> None:
        """Jobs of these queues have begun, in this order."""
        if self.costs:
            for queue in queues:
                self.now = self.begin(queue, self.tags, self.now)

    def next(self, queues: Iterable[str], tags: dict[str, int], now: int) -> str:
        """The queue of these whose turn it is."""
        return min(queues, key=lambda queue: (max(tags[queue], now), self.places[queue]))

    def begin(self, queue: str, tags: dict[str, int], now: int) -> int:
        """A job of a queue begins; returns its tag."""
        start = max(tags[queue], now)
        tags[queue] = start + self.costs[queue]
        return start
