# SPDX-License-Identifier: ZPL-2.1
"""Where jobs wait: every eighth segment, its waiting lines in lanes, and what became of its jobs.
Written by workers, and by people who cancel or revive."""
from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.ground.door import Closed
from p01.remote.store.fates import Fates
from p01.remote.store.keys import SHARDS, laneOf
from p01.remote.store.kinds import Kinds
from p01.remote.store.lines import Lines
from p01.remote.store.records import DELAYED, QUEUED, Pending, Record
from p01.remote.store.segments import Segment

NOFATES: Mapping[int, Any] = {}


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
        self.fates: LOBTree[Fates] = LOBTree()      # by the first id of a segment
        self.kinds = Kinds()
        # by unique key: id, until
        self.uniques: OOBTree[str, tuple[int, float | None]] = OOBTree()
        self.tally = Tally()

    def taken(self, first: int, jobid: int) -> bool:
        """Whether the job of that segment has been taken in."""
        cursor = self.intake.open.get(first)
        return first <= self.intake.seen if cursor is None else jobid <= cursor

    def fatesOf(self, first: int) -> Fates:
        """The fates of a segment's jobs, made where there are none."""
        found = self.fates.get(first)
        if found is None:
            found = self.fates[first] = Fates()
        return found

    def known(self, first: int) -> Mapping[int, Any]:
        """What became of the jobs of a segment, see Fates."""
        fates = self.fates.get(first)
        return fates.entries if fates is not None else NOFATES

    def count(self, tally: Tally) -> None:
        """Add to the counts."""
        if tally:
            self.tally.add(tally)
            self._p_changed = True

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

    def withdraw(self, jobid: int, record: Record, fate: Pending | None,
                 segment: Segment) -> str | None:
        """Take one job out, wherever it stands; returns the status that it had, None when it stands
        nowhere."""
        fates = self.known(segment.first)
        for lines in self.near(segment.first):
            status = lines.withdraw(jobid, record, fate, segment, fates)
            if status is not None:
                if record.queue in lines.queues:
                    lines.trim([record.queue])
                return status
        return None

    def ripen(self, now: float, most: int) -> Tally:
        """Let jobs wait that have become due, at most about so many; returns how the counts
        change."""
        moved = Tally()
        for lines in self.lanes:
            for queue, count in Counter(lines.ripen(now, most)).items():
                moved.move(queue, DELAYED, QUEUED, count)
        return moved

    def oldest(self) -> float | None:
        """Since when the oldest job waits, in POSIX seconds."""
        return min((instant for lines in self.lanes if (instant := lines.oldest()) is not None),
                   default=None)

    def nextDue(self) -> float | None:
        """When the next delayed job is due, in POSIX seconds."""
        return min((instant for lines in self.lanes if (instant := lines.nextDue()) is not None),
                   default=None)


def uniqueShard(key: str) -> int:
    """The number of the shard that keeps a unique key."""
    return zlib.crc32(key.encode()) % SHARDS


Lane = tuple[Shard, Lines]
