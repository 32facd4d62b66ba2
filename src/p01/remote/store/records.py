# SPDX-License-Identifier: ZPL-2.1
"""Plain values kept in segments: what was asked, what came of it, what still waits. Their fields and defaults are schema."""
from __future__ import annotations

from typing import Any, NamedTuple

QUEUED, DELAYED, PROCESSING = 'queued', 'delayed', 'processing'
COMPLETED, ERROR, CANCELLED = 'completed', 'error', 'cancelled'
FINISHED = (COMPLETED, ERROR, CANCELLED)


class Record(NamedTuple):
    """A job as it was enqueued; never changed afterwards. Instants are POSIX seconds."""

    name: str
    input: Any                          # see payload.pack
    created: float
    queue: str = 'default'
    priority: int = 0
    due: float | None = None            # not before
    extras: dict[str, Any] | None = None  # rare options: unique, expires


class Attempt(NamedTuple):
    """One failed run. The trace is bounded, see engine.runner."""

    number: int
    started: float
    ended: float
    worker: str
    reason: str
    trace: str = ''


class Pending(NamedTuple):
    """Why a job that ran before waits again, and where it stands."""

    key: int                            # in the queue's waiting tree, or in its delayed tree
    due: float | None
    runs: int
    attempts: tuple[Attempt, ...] = ()
    deaths: int = 0
    suspect: bool = False               # its worker died and nobody knows on which job: run it alone


class Claim(NamedTuple):
    """A job in a worker's hands."""

    queue: str
    key: int | None = None              # its waiting key, to go back to the same place; None: its record says where
    runs: int = 0                       # runs that counted before this claim
    attempts: tuple[Attempt, ...] = ()
    deaths: int = 0
    suspect: bool = False


class Conflicts(NamedTuple):
    """How often one run was repeated because others had changed what it changed, and the last object that they met on."""

    number: int
    object: str


class Outcome(NamedTuple):
    """How a job ended. Instants are POSIX seconds."""

    status: str
    output: Any                         # see payload.pack
    error: str
    runs: int
    started: float | None
    completed: float
    worker: str = ''
    attempts: tuple[Attempt, ...] = ()
    conflicts: Conflicts | None = None      # of its last run
    holder: int | None = None           # the job that it is a duplicate of


def trimmed(record: Record) -> tuple[Any, ...]:
    """The fields without those with a default, when all of these have it, as in most."""
    return record[:-len(DEFAULTS)] if record[-len(DEFAULTS):] == DEFAULTS else tuple(record)


def full(fields: tuple[Any, ...]) -> Record:
    """The record of these fields: Record(*fields), in half the time."""
    return tuple.__new__(Record, fields + DEFAULTS[len(fields) - NEEDED:])


DEFAULTS = tuple(Record._field_defaults.values())
NEEDED = len(Record._fields) - len(DEFAULTS)
