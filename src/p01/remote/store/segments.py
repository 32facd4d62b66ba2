# SPDX-License-Identifier: ZPL-2.1
"""The journals, one writer each: jobs as enqueued, jobs as ended, and the pages that say where."""
from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from persistent import Persistent

from p01.remote.store.payload import Payload
from p01.remote.store.records import Outcome, Pending, Record


class Packed(Persistent):
    """Keeps one dict of named tuples as a pickle of its own within its state, as plain tuples.

    The database's pickler asks of each value whether it is persistent, which took half of the time of a commit; a named
    tuple takes three times as long to pickle as a plain one; and one value that fails to load would take all others with
    it. A dict that holds Payloads stays as it is.
    """

    _packed = 'entries'
    _kind: Callable[..., Any]       # makes a value of the fields of a plain tuple

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is not None and self.plain():
            state[self._packed] = pickle.dumps(self.bare(state[self._packed]), 4)
        return state

    def __setstate__(self, state: Any) -> None:
        kept = state.get(self._packed)
        if isinstance(kept, bytes):
            state = {**state, self._packed: self.full(pickle.loads(kept))}
        super().__setstate__(state)

    def bare(self, entries: dict[int, Any]) -> dict[int, Any]:
        """The entries as they are stored."""
        return {key: tuple(value) for key, value in entries.items()}

    def full(self, entries: dict[int, Any]) -> dict[int, Any]:
        """The entries of what is stored."""
        kind = self._kind
        return {key: kind(*fields) for key, fields in entries.items()}

    def plain(self) -> bool:
        """Whether the dict holds no persistent objects."""
        return True


class Segment(Packed):
    """Jobs with the ids first … first + size - 1, appended to by one connection only.

    Ids of aborted transactions leave holes. When its ids are used up it never changes again.
    """

    _kind = Record
    references = False

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
        if isinstance(record.input, Payload):
            self.references = True

    def plain(self) -> bool:
        return not self.references


class Outcomes(Packed):
    """Outcomes of jobs, appended to by one worker only; fenced by whoever rescues the jobs of that worker."""

    _kind = Outcome
    fenced = False
    references = False

    def __init__(self) -> None:
        self.entries: dict[int, Outcome] = {}

    def append(self, jobid: int, outcome: Outcome) -> None:
        """Take an outcome in."""
        self.entries[jobid] = outcome
        if isinstance(outcome.output, Payload):
            self.references = True
        self._p_changed = True

    def plain(self) -> bool:
        return not self.references


class Page(Packed):
    """What became of the jobs of one segment, written by workers: in which journal the outcome is, why it waits again, or
    that it was removed."""

    _packed = 'fates'

    def __init__(self) -> None:
        self.fates: dict[int, int | Pending | None] = {}    # the number of a journal; None for a removed job
        self.journals: dict[int, Outcomes] = {}

    def bare(self, entries: dict[int, Any]) -> dict[int, Any]:
        return entries      # most are numbers

    def full(self, entries: dict[int, Any]) -> dict[int, Any]:
        return entries

    def note(self, jobid: int, fate: Outcomes | Pending | None) -> None:
        """Set the fate of a job."""
        old = self.fates.get(jobid)
        if isinstance(fate, Outcomes):
            number = next(reversed(self.journals), 0)
            if self.journals.get(number) is not fate:
                number += 1
                self.journals[number] = fate
            self.fates[jobid] = number
        else:
            self.fates[jobid] = fate
        self._p_changed = True
        if isinstance(old, int) and old not in self.fates.values():
            del self.journals[old]

    def fate(self, jobid: int) -> Outcomes | Pending | None:
        """The fate of a job that has one."""
        fate = self.fates[jobid]
        return self.journals[fate] if isinstance(fate, int) else fate
