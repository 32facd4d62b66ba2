# SPDX-License-Identifier: ZPL-2.1
"""Where the jobs of one queue stand: in stretches of neighbours, so that an intake and a claim cost
little for each job."""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.ground.door import Closed
from p01.remote.store.keys import (
    behind,
    dueKey,
    dueLimit,
    dueOf,
    idOf,
    ripened,
    sinceOf,
    waitingKey,
)
from p01.remote.store.records import DELAYED, QUEUED, Pending, Record
from p01.remote.store.segments import Segment

Known = Mapping[int, Any]           # the fates of a segment's jobs, see fates.Fates


class Stretches(Closed, OOBTree):
    """The waiting key of a stretch's first job → the id of its last.

    A stretch is one job, or jobs of one segment that stand in line in the order of their ids: those
    from the first to the last that have no fate. Whoever takes one of them out replaces the
    stretch's entry, so that two who do so at once conflict.
    """

    # larger leaves than by default: where stretches are short, hundreds of neighbours change at
    # once
    max_leaf_size = 120
    max_internal_size = 500


class Delays(Closed, OOBTree):
    """The key of a job → its queue, in larger leaves for the same reason."""

    max_leaf_size = 120
    max_internal_size = 500


class Stretch:
    """The jobs at the head of a stretch, at most so many, with the one behind them."""

    __slots__ = ('at', 'entries', 'fate', 'ids', 'key', 'last', 'line', 'queue')

    def __init__(self, line: Line, key: int, last: int, segment: Segment, fates: Known,
                 most: int) -> None:
        self.line = line
        self.key = key
        self.last = last
        self.entries = segment.entries
        self.at = 0                                 # of them are picked
        jobid = idOf(key)
        self.queue = self.entries[jobid].queue
        self.fate: Pending | None = None
        if jobid == last:
            self.ids = [jobid]
            self.fate = fates.get(jobid)
        else:
            self.ids = list(islice(members(jobid, last, segment, fates), most + 1))

    def keyOf(self, jobid: int) -> int:
        """The key of one of the jobs."""
        return self.key if jobid == self.ids[0] else standing(jobid, self.entries[jobid], None)

    def pick(self, limit: float) -> list[int]:
        """The next jobs, those that stand before this key."""
        ids, begin = self.ids, self.at
        if len(ids) == 1:
            self.at = 1
            return ids
        if self.keyOf(ids[-1]) < limit:
            self.at = len(ids)
        else:
            # the limit is near, as a rule: steps that double
            low, step = begin, 1
            while low + step < len(ids) and self.keyOf(ids[low + step]) < limit:
                low, step = low + step, 2 * step
            self.at = bisect_left(ids, limit, low + 1, min(low + step, len(ids)), key=self.keyOf)
        return ids[begin:self.at]

    def leave(self, count: int) -> None:
        """Take so many jobs out of the line."""
        waiting = self.line.waiting
        del waiting[self.key]
        if count < len(self.ids):
            waiting[self.keyOf(self.ids[count])] = self.last


class Line(Closed, Persistent):
    """The jobs of one queue that wait in one lane."""

    def __init__(self, bound: int) -> None:
        self.waiting = Stretches()
        # none of its jobs stands before this key: where the heads have it
        self.bound = bound


class Lines(Closed, Persistent):
    """The lines of one lane, and the jobs not yet due.

    A queue has a line while its jobs wait. The heads say in which order to look at the lines, so
    that a claim need not look at all of them. A bound that is too low costs a look in vain, one
    that is too high would hide jobs. So whoever raises a bound or removes a line touches the line
    and this, and whoever lets a job wait touches one of both: they conflict, where else neither
    would write what the other has read.
    """

    def __init__(self) -> None:
        self.queues: OOBTree[str, Line] = OOBTree()
        self.heads = Delays()
        self.delayed = Delays()      # by due key

    def join(self, queue: str, key: int, last: int | None = None) -> Line:
        """Let a job wait, or all of a stretch up to its last. The caller touches this, or the line
        that he is given."""
        line: Line | None = self.queues.get(queue)
        if line is None:
            line = self.queues[queue] = Line(key)
            self.heads[key] = queue
        elif key < line.bound:
            self.bind(queue, line, key)
        line.waiting[key] = idOf(key) if last is None else last
        return line

    def bind(self, queue: str, line: Line, key: int) -> None:
        """Have a line's bound at this key."""
        del self.heads[line.bound]
        self.heads[key] = queue
        line.bound = key

    def enter(self, queue: str, jobs: list[tuple[int, Record]], now: float) -> None:
        """Take in neighbours that are alike, with their ids."""
        self._p_changed = True
        due = jobs[0][1].due
        if due is None:
            self.join(queue, standing(*jobs[0], None), jobs[-1][0])
            return
        for jobid, record in jobs:
            if due > now:
                self.delayed[dueKey(record.priority, due, jobid)] = queue
            else:
                self.join(queue, standing(jobid, record, None))

    def delays(self, jobid: int, record: Record, fate: Pending | None) -> bool:
        """Whether a job is among those not yet due."""
        due = (fate or record).due
        return due is not None and dueKey(record.priority, due, jobid) in self.delayed

    def withdraw(self, jobid: int, record: Record, fate: Pending | None, segment: Segment,
                 fates: Known) -> str | None:
        """Take one job out, wherever it stands; returns the status that it had, None when it stands
        nowhere."""
        due = (fate or record).due
        if due is not None and (key := dueKey(record.priority, due, jobid)) in self.delayed:
            del self.delayed[key]
            return DELAYED
        line: Line | None = self.queues.get(record.queue)
        if line is None:
            return None
        # one with a fate stands alone
        for each in range(jobid, segment.first - 1 if fate is None else jobid - 1, -1):
            if each not in segment.entries:
                continue
            key = standing(each, record if each == jobid else segment.entries[each], fate)
            last = line.waiting.get(key, 0)
            if last >= jobid:
                found = Stretch(line, key, last, segment, fates, segment.size)
                at = found.ids.index(jobid)
                found.leave(at + 1)
                if at:
                    line.waiting[key] = found.ids[at - 1]
                return QUEUED
        return None

    def ripen(self, now: float, most: int) -> list[str]:
        """Let at most so many jobs wait that have become due; returns their queues."""
        due = list(islice(self.delayed.items(None, dueLimit(now)), most))
        if due:
            self._p_changed = True
        for key, queue in due:
            del self.delayed[key]
            self.join(queue, ripened(key))
        return [queue for _, queue in due]

    def trim(self, queues: Iterable[str]) -> None:
        """Have the bounds of these lines where their first jobs stand, and remove those that are
        empty."""
        for queue in queues:
            line: Line = self.queues[queue]
            head = next(iter(line.waiting.keys()), None)
            if head != line.bound:
                self._p_changed = line._p_changed = True
                if head is not None:
                    self.bind(queue, line, head)
                else:
                    del self.heads[line.bound], self.queues[queue]

    def oldest(self) -> float | None:
        """Since when the oldest job waits, in POSIX seconds: exact for lines that are looked at,
        which are few."""
        found, bound = [], 0
        while (head := next(iter(self.heads.items(bound)), None)) is not None:
            bound, queue = head
            waiting = self.queues[queue].waiting
            key = next(iter(waiting.keys()), None)
            # all lines behind it begin with younger jobs or lower priorities
            bound = behind(bound) if key == bound else bound + 1
            while key is not None:
                found.append(sinceOf(key))
                key = next(iter(waiting.keys(behind(key))), None)
        return min(found, default=None)

    def nextDue(self) -> float | None:
        """When the next delayed job is due, in POSIX seconds."""
        key = next(iter(self.delayed.keys()), None)
        return None if key is None else dueOf(key)


def alike(job: tuple[int, Record]) -> tuple[Any, ...]:
    """What neighbours in a stretch have in common: queue, priority, due."""
    return job[1][3:6]


def members(jobid: int, last: int, segment: Segment, fates: Known) -> Iterator[int]:
    """The ids of a stretch."""
    if jobid == last:
        return iter((jobid,))
    return (each for each in range(jobid, last + 1) if each in segment.entries
            and each not in fates)


def standing(jobid: int, record: Record, fate: Pending | None) -> int:
    """The key of a job that waits."""
    due = (fate or record).due
    if due is not None:
        return waitingKey(record.priority, due, jobid)
    return waitingKey(record.priority, record.created, jobid) if fate is None else fate.key
