# SPDX-License-Identifier: ZPL-2.1
"""Where the jobs of one queue stand: in runs of neighbours, so that an intake and a claim cost little for each job."""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from BTrees.OOBTree import OOBTree, OOTreeSet
from persistent import Persistent

from p01.remote.door import Closed
from p01.remote.store.keys import dueKey, dueLimit, idOf, ripened, waitingKey
from p01.remote.store.records import DELAYED, QUEUED, Pending, Record
from p01.remote.store.segments import Segment

Fates = Mapping[int, Any]           # of a segment's jobs, see segments.Page


class Runs(Closed, OOBTree):
    """The waiting key of a run's first job → the id of its last.

    A run is one job, or jobs of one segment that stand in line in the order of their ids: those from the first to the last that
    have no fate. Whoever takes one of them out replaces the run's entry, so that two who do so at once conflict.
    """

    max_leaf_size = 120             # larger leaves than by default: where runs are short, hundreds of neighbours change at once
    max_internal_size = 500


class Keys(Closed, OOTreeSet):
    """Due keys, in larger leaves for the same reason."""

    max_leaf_size = 120
    max_internal_size = 500


class Run:
    """The jobs at the head of a run, at most so many, with the one behind them."""

    __slots__ = ('at', 'entries', 'fate', 'ids', 'key', 'last', 'line', 'queue')

    def __init__(self, line: Line, key: int, last: int, segment: Segment, fates: Fates, most: int) -> None:
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
        else:                                       # the limit is near, as a rule: steps that double
            low, step = begin, 1
            while low + step < len(ids) and self.keyOf(ids[low + step]) < limit:
                low, step = low + step, 2 * step
            self.at = bisect_left(ids, limit, low + 1, min(low + step, len(ids)), key=self.keyOf)
        return ids[begin:self.at]

    def leave(self, count: int) -> None:
        """Take so many jobs out of the line."""
        del self.line.waiting[self.key]
        if count < len(self.ids):
            self.line.join(self.keyOf(self.ids[count]), self.last)


class Line(Closed, Persistent):
    """The jobs of one queue that wait in one shard, and those not yet due."""

    def __init__(self) -> None:
        self.waiting = Runs()
        self.delayed = Keys()

    def join(self, key: int, last: int | None = None) -> None:
        """Let a job wait, or all of a run up to its last."""
        self.waiting[key] = idOf(key) if last is None else last

    def enter(self, jobs: list[tuple[int, Record]], now: float) -> None:
        """Take in neighbours that are alike, with their ids."""
        due = jobs[0][1].due
        if due is None:
            self.join(standing(*jobs[0], None), jobs[-1][0])
            return
        for jobid, record in jobs:
            if due > now:
                self.delayed.add(dueKey(record.priority, due, jobid))
            else:
                self.join(standing(jobid, record, None))

    def delays(self, jobid: int, record: Record, fate: Pending | None) -> bool:
        """Whether a job is among those not yet due."""
        due = (fate or record).due
        return due is not None and dueKey(record.priority, due, jobid) in self.delayed

    def withdraw(self, jobid: int, record: Record, fate: Pending | None, segment: Segment, fates: Fates) -> str | None:
        """Take one job out, wherever it stands; returns the status that it had, None when it is not in this line."""
        due = (fate or record).due
        if due is not None and (key := dueKey(record.priority, due, jobid)) in self.delayed:
            self.delayed.remove(key)
            return DELAYED
        for each in range(jobid, segment.first - 1 if fate is None else jobid - 1, -1):     # one with a fate stands alone
            if each not in segment.entries:
                continue
            key = standing(each, segment.entries[each], fate)
            last = self.waiting.get(key, 0)
            if last >= jobid:
                run = Run(self, key, last, segment, fates, segment.size)
                at = run.ids.index(jobid)
                run.leave(at + 1)
                if at:
                    self.join(key, run.ids[at - 1])
                return QUEUED
        return None

    def ripen(self, now: float, most: int) -> int:
        """Let at most so many jobs wait that have become due; returns how many did."""
        due = list(islice(self.delayed.keys(None, dueLimit(now)), most))
        for key in due:
            self.delayed.remove(key)
            self.join(ripened(key))
        return len(due)


def alike(job: tuple[int, Record]) -> tuple[Any, ...]:
    """What neighbours in a run have in common: queue, priority, due."""
    return job[1][3:6]


def members(jobid: int, last: int, segment: Segment, fates: Fates) -> Iterator[int]:
    """The ids of a run."""
    if jobid == last:
        return iter((jobid,))
    return (each for each in range(jobid, last + 1) if each in segment.entries and each not in fates)


def standing(jobid: int, record: Record, fate: Pending | None) -> int:
    """The key of a job that waits."""
    due = (fate or record).due
    if due is not None:
        return waitingKey(record.priority, due, jobid)
    return waitingKey(record.priority, record.created, jobid) if fate is None else fate.key
