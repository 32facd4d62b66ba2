# SPDX-License-Identifier: ZPL-2.1
"""The journals, one writer each: jobs as enqueued, jobs as ended, and the pages that say where."""
from __future__ import annotations

from persistent import Persistent

from p01.remote.store.records import Outcome, Pending, Record


class Segment(Persistent):
    """Jobs with the ids first … first + size - 1, appended to by one connection only.

    Ids of aborted transactions leave holes. When its ids are used up it never changes again.
    """

    def __init__(self, first: int, size: int, born: float) -> None:
        self.first = first
        self.size = size
        self.born = born                            # POSIX seconds
        self.top = first - 1                        # the last id in use
        self.entries: dict[int, Record] = {}

    @property
    def last(self) -> int:
        """The last id that it can hold."""
        return self.first + self.size - 1

    def append(self, jobid: int, record: Record) -> None:
        """Take a job in."""
        self.entries[jobid] = record
        self.top = jobid


class Outcomes(Persistent):
    """Outcomes of jobs, appended to by one worker only; fenced by whoever rescues the jobs of that worker."""

    fenced = False

    def __init__(self) -> None:
        self.entries: dict[int, Outcome] = {}

    def append(self, jobid: int, outcome: Outcome) -> None:
        """Take an outcome in."""
        self.entries[jobid] = outcome
        self._p_changed = True


class Page(Persistent):
    """What became of the jobs of one segment, written by workers: where the outcome is, why it waits again, or None
    when the job was removed."""

    def __init__(self) -> None:
        self.fates: dict[int, Outcomes | Pending | None] = {}

    def note(self, jobid: int, fate: Outcomes | Pending | None) -> None:
        """Set the fate of a job."""
        self.fates[jobid] = fate
        self._p_changed = True

    def forget(self, jobid: int) -> None:
        """The job waits as it was enqueued."""
        if self.fates.pop(jobid, self) is not self:
            self._p_changed = True
