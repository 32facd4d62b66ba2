# SPDX-License-Identifier: ZPL-2.1
"""A job as it is at one moment, as a plain value."""
from __future__ import annotations

from typing import NamedTuple

from p01.remote.store.records import Attempt, Outcome, Record


class View(NamedTuple):
    """A job as it is now. Instants are POSIX seconds."""

    id: int
    record: Record
    status: str
    runs: int = 0
    due: float | None = None
    attempts: tuple[Attempt, ...] = ()
    outcome: Outcome | None = None
    worker: str = ''

    @property
    def error(self) -> str:
        """The text of its error, of its last failed run while it is retried; '' without one."""
        if self.outcome is not None:
            return self.outcome.error
        return self.attempts[-1].reason if self.attempts else ''


def ended(jobid: int, record: Record, outcome: Outcome) -> View:
    """The view of a finished job."""
    return View(jobid, record, outcome.status, outcome.runs, None, outcome.attempts, outcome,
                outcome.worker)
