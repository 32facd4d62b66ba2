# SPDX-License-Identifier: ZPL-2.1
"""What became of the jobs of a segment."""
from __future__ import annotations

from collections.abc import Iterable

from p01.remote.store.journals import Journal
from p01.remote.store.packed import Packed
from p01.remote.store.records import Pending

Kind = tuple[str, str, str]                 # status, queue, name


class Fates(Packed):
    """What became of the jobs of one segment, written by workers: in which journal the outcome is,
    why it waits again, or that it was removed."""

    _packed = 'entries'
    oldest = float('inf')       # none of its jobs has ended before, in POSIX seconds
    newest = float('-inf')      # none has ended after

    def __init__(self) -> None:
        # the number of a journal; None for a removed job
        self.entries: dict[int, int | Pending | None] = {}
        self.journals: dict[int, Journal] = {}
        # how many of its jobs there are, of those that kinds.Kinds keeps
        self.kinds: dict[Kind, int] = {}

    def end(self, jobids: Iterable[int], journal: Journal, since: float, until: float) -> None:
        """Jobs whose outcomes are in this journal have ended, none of them before the one instant
        or after the other."""
        number = next(reversed(self.journals), 0)
        if self.journals.get(number) is not journal:
            number += 1
            self.journals[number] = journal
        self.entries.update(dict.fromkeys(jobids, number))
        self.oldest, self.newest = min(self.oldest, since), max(self.newest, until)
        self._p_changed = True

    def note(self, jobid: int, fate: Pending | None) -> None:
        """Set the fate of a job that waits again, or was removed."""
        old = self.entries.get(jobid)
        self.entries[jobid] = fate
        self._p_changed = True
        if isinstance(old, int) and old not in self.entries.values():
            del self.journals[old]

    def fate(self, jobid: int) -> Journal | Pending | None:
        """The fate of a job that has one."""
        fate = self.entries[jobid]
        return self.journals[fate] if isinstance(fate, int) else fate
