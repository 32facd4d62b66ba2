# SPDX-License-Identifier: ZPL-2.1
"""Outcomes of jobs whose claims have ended, in journals with one writer each."""
from __future__ import annotations

from p01.remote.store.outcomes import Stored, fromStored, refers
from p01.remote.store.packed import Appended
from p01.remote.store.records import Outcome


class Journal(Appended):
    """Outcomes of jobs, appended to by one worker only."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.entries: dict[int, Stored] = {}

    def append(self, entries: dict[int, Stored]) -> None:
        """Take outcomes in, as outcomes.toStored makes them."""
        self.entries.update(entries)
        self.references = self.references or any(map(refers, entries.values()))
        self._p_changed = True

    def outcome(self, jobid: int) -> Outcome:
        """How a job ended. Raises KeyError for one that is not here."""
        return fromStored(self.entries[jobid], self.worker)
