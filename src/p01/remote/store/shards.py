# SPDX-License-Identifier: ZPL-2.1
"""Where jobs wait: every eighth segment, its waiting lines in lanes, and its pages. Written by
workers only."""
from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.ground.door import Closed
from p01.remote.store.keys import LANES, SHARDS, idOf, laneOf, partsOf, shardOf
from p01.remote.store.kinds import Kinds
from p01.remote.store.lines import Lines
from p01.remote.store.records import DELAYED, QUEUED, Pending, Record
from p01.remote.store.segments import Fates, Segment

NONE: Mapping[int, Any] = {}
PIECE = 500         # runs that are dealt at once


class Tally(dict[tuple[str, str], int]):
    """How many jobs of a queue have a status; sums of tallies are the counts."""

    def move(self, queue: str, old: str | None, new: str | None, count: int = 1) -> None:
        """So many jobs went from one status to another; None is outside."""
        if old is not None:
            self.change((queue, old), -count)
        if new is not None:
            self.change((queue, new), count)

    def change(self, key: tuple[str, str], count: int) -> None:
        """So many jobs more of this queue and status."""
        value = self.get(key, 0) + count
        if value:
            self[key] = value
        else:
            self.pop(key, None)

    def add(self, other: Mapping[tuple[str, str], int]) -> None:
        """Take another tally in."""
        for key, count in list(other.items()):
            self.change(key, count)


class Intake(Closed, Persistent):
    """How far this shard has taken its segments in: open segments with the last id taken."""

    # open segments of this connection's snapshots; lost with the state
    _v_near: dict[int, Segment] | None = None

    def __init__(self) -> None:
        self.seen = 0                       # the first id of the newest segment noticed
        self.open: dict[int, int] = {}

    def shut(self, first: int) -> None:
        """A segment is taken in, and nothing more can come in it."""
        del self.open[first]
        self._p_changed = True
        self.near().pop(first, None)

    def near(self) -> dict[int, Segment]:
        """Open segments by first id, as far as they were looked at.

        Each connection that enqueues keeps one open, and each bookkeeping looks at all: who has
        enqueued hundreds of times has written to one of them only. What others have changed ZODB
        loads anew when it is asked.
        """
        if self._v_near is None:
            self._v_near = {}
        return self._v_near


class Shard(Closed, Persistent):
    """One eighth of the jobs that wait. Workers keep to different shards, so that they rarely meet;
    of more than eight those that share a shard keep to different lanes of it. A job may stand in
    any lane: who looks for it looks in all."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.intake = Intake()
        self.lanes: tuple[Lines, ...] = (Lines(),)
        self.dealt = 1                      # to so many of them jobs go
        self.pages = LOBTree()              # first id of a segment → Page
        self.kinds = Kinds()
        self.uniques = OOBTree()            # unique key → (id, until or None)
        self.tally = Tally()

    def fresh(self, look: Any) -> Iterator[int]:
        """The first ids of our segments that were never looked at, in order.

        A transaction's own segments may be missing in its snapshot, and others that were registered
        before them as well.
        """
        intake = self.intake
        own = [first for first in look.adopted() if first > intake.seen]
        registered = look.segments.keys(intake.seen + 1)
        return (first for first in (sorted({*registered, *own}) if own else registered)
                if shardOf(first) == self.number and first not in intake.open)

    def news(self, look: Any, most: int) -> Iterator[tuple[int, list[tuple[int, Record]]]]:
        """Jobs that came since the last call, with their ids, by the first id of their segment;
        they count as taken in.

        At most about so many: the segments that are open already, then new ones until it is enough.
        """
        count, near = 0, self.intake.near()
        for first, cursor in list(self.intake.open.items()):
            known = near.get(first)
            if known is not None and known.top == cursor < known.last:
                continue
            new = self.taking(look, first, cursor)
            count += len(new)
            yield first, new
        newest = look.segments.maxKey() if look.segments else 0
        for first in self.fresh(look):
            if count >= most:
                return
            self.intake.open[first] = first - 1
            self.intake._p_changed = True
            if first <= newest:             # one beyond is our own, and the snapshot may lack some before it
                self.intake.seen = first
            new = self.taking(look, first, first - 1)
            count += len(new)
            yield first, new
        if newest > self.intake.seen:
            self.intake.seen = newest
            self.intake._p_changed = True

    def taking(self, look: Any, first: int, cursor: int) -> list[tuple[int, Record]]:
        """The jobs of a segment beyond the cursor, which moves on."""
        intake = self.intake
        segment: Segment = look.segment(first)
        top, last = segment.top, segment.last
        fates = self.fates(first)       # a job may be cancelled before anybody took it in
        new = [(jobid, record) for jobid, record in segment.entries.items() if jobid > cursor and jobid not in fates] \
            if top > cursor else []
        if top < last or first > intake.seen:
            if top != cursor:
                intake.open[first] = top
                intake._p_changed = True
            if first not in look.adopted():     # such a one may be gone with its transaction
                intake.near()[first] = segment
        else:
            intake.shut(first)
        return new

    def taken(self, first: int, jobid: int) -> bool:
        """Whether the job of that segment has been taken in."""
        cursor = self.intake.open.get(first)
        return first <= self.intake.seen if cursor is None else jobid <= cursor

    def page(self, first: int) -> Fates:
        """The page of a segment, made when it is missing."""
        found = self.pages.get(first)
        if found is None:
            found = self.pages[first] = Fates()
        return found

    def fates(self, first: int) -> Mapping[int, Any]:
        """What became of the jobs of a segment, see Page."""
        page = self.pages.get(first)
        return page.fates if page is not None else NONE

    # -- its lanes

    def deal(self, look: Any, workers: int) -> int:
        """Have a lane for each of those of so many workers that share this shard, 0 for as many as
        there were; returns to how many lanes jobs go.

        What waits already is dealt anew when there are more of them than before, a piece at a time,
        the oldest first.
        """
        lanes = min(LANES, partsOf(self.number, workers)) if workers else self.dealt
        if lanes < self.dealt:
            self.dealt = lanes
        elif lanes > self.dealt:
            if lanes > len(self.lanes):
                self.lanes += tuple(Lines() for _ in range(lanes - len(self.lanes)))
            astray = [(key, last, queue, lines, there) for lines in self.lanes for queue, line in lines.queues.items()
                      for key, last in line.waiting.items()
                      if (there := self.lanes[laneOf(look.floor(idOf(key)), lanes)]) is not lines]
            if len(astray) > PIECE:
                astray = sorted(astray, key=itemgetter(0))[:PIECE]
            else:
                self.dealt = lanes
            for key, last, queue, lines, there in astray:
                del lines.queues[queue].waiting[key]
                there.join(queue, key, last)
                lines._p_changed = there._p_changed = True
        return lanes

    def back(self, first: int, queue: str, key: int) -> None:
        """Let a job of a segment wait that waited before."""
        self.near(first)[0].join(queue, key)._p_changed = True

    def delay(self, first: int, queue: str, key: int) -> None:
        """Let a job of a segment wait until it is due."""
        self.near(first)[0].delayed[key] = queue

    def near(self, first: int) -> tuple[Lines, ...]:
        """The lanes, that one first in which a segment's jobs are as a rule."""
        at = laneOf(first, self.dealt)
        return self.lanes[at:] + self.lanes[:at]

    def delays(self, first: int, jobid: int, record: Record, fate: Pending | None) -> bool:
        """Whether a job of a segment is among those not yet due."""
        return any(lines.delays(jobid, record, fate) for lines in self.near(first))

    def withdraw(self, jobid: int, record: Record, fate: Pending | None, segment: Segment) -> str | None:
        """Take one job out, wherever it stands; returns the status that it had, None when it stands
        nowhere."""
        fates = self.fates(segment.first)
        for lines in self.near(segment.first):
            status = lines.withdraw(jobid, record, fate, segment, fates)
            if status is not None:
                if record.queue in lines.queues:
                    lines.trim([record.queue])
                return status
        return None

    def ripen(self, now: float, most: int) -> Tally:
        """Let jobs wait that have become due, at most about so many; returns how the counts change."""
        moved = Tally()
        for lines in self.lanes:
            for queue, count in Counter(lines.ripen(now, most)).items():
                moved.move(queue, DELAYED, QUEUED, count)
        return moved

    def oldest(self) -> float | None:
        """Since when the oldest job waits, in POSIX seconds."""
        return min((instant for lines in self.lanes if (instant := lines.oldest()) is not None), default=None)

    def nextDue(self) -> float | None:
        """When the next delayed job is due, in POSIX seconds."""
        return min((instant for lines in self.lanes if (instant := lines.nextDue()) is not None), default=None)


def uniqueShard(key: str) -> int:
    """The number of the shard that keeps a unique key."""
    return zlib.crc32(key.encode()) % SHARDS
