# SPDX-License-Identifier: ZPL-2.1
"""Plain values kept in segments: what was asked, what came of it, what still waits. Their fields
and defaults are schema."""
from __future__ import annotations

from typing import Any, NamedTuple

QUEUED, DELAYED, PROCESSING = 'queued', 'delayed', 'processing'
COMPLETED, ERROR, CANCELLED = 'completed', 'error', 'cancelled'
FINISHED = (COMPLETED, ERROR, CANCELLED)
# attempts of a job that are remembered, however many there were
FIRSTATTEMPTS, LASTATTEMPTS = 3, 12
TRACES = 20_000         # characters of all their traces and logs
LOGKEPT = 4_000            # characters of the log of a run that are kept
BRIEFREASON = 200             # characters of the reason of one whose trace is gone


class Record(NamedTuple):
    """A job as it was enqueued; never changed afterwards. Instants are POSIX seconds."""

    name: str
    input: Any                          # see payload.pack
    created: float
    queue: str = 'default'
    priority: int = 0
    due: float | None = None            # not before
    extras: dict[str, Any] | None = None  # rare options: unique, expires


def lasting(record: Record) -> dict[str, Any]:
    """The rare options of a job that does not expire any more."""
    return {name: value for name, value in (record.extras or {}).items() if name != 'expires'}


class Attempt(NamedTuple):
    """One failed run. The trace is bounded, see ground.foreign."""

    number: int
    started: float
    ended: float
    worker: str
    reason: str
    trace: str = ''
    said: Said | None = None


def remembered(attempts: tuple[Attempt, ...], attempt: Attempt) -> tuple[Attempt, ...]:
    """The attempts of a job after one more, bounded in sum: the first ones and the last ones, the
    newest with their traces.

    Which ones are missing show the numbers of those that are there.
    """
    kept = (*attempts, attempt)
    if len(kept) > FIRSTATTEMPTS + LASTATTEMPTS:
        kept = kept[:FIRSTATTEMPTS] + kept[-LASTATTEMPTS:]
    room, found = TRACES, list(kept)
    # the last one matters most, then the first one
    for place in (len(kept) - 1, 0, *range(len(kept) - 2, 0, -1)):
        each = kept[place]
        room -= len(each.trace) + (len(each.said.log) if each.said is not None else 0)
        if room < 0:
            found[place] = each._replace(reason=each.reason[:BRIEFREASON], trace='', said=None)
    return tuple(found)


class Pending(NamedTuple):
    """Why a job that ran before waits again, and where it stands."""

    key: int                            # in the queue's waiting tree, or in its delayed tree
    due: float | None
    runs: int
    attempts: tuple[Attempt, ...] = ()
    deaths: int = 0
    # its worker died and nobody knows on which job: run it alone
    suspect: bool = False


class Claim(NamedTuple):
    """A job in a worker's hands."""

    queue: str
    # its waiting key, to go back to the same place; None: its record says where
    key: int | None = None
    runs: int = 0                       # runs that counted before this claim
    attempts: tuple[Attempt, ...] = ()
    deaths: int = 0
    suspect: bool = False

    def after(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """The attempts when one more has failed."""
        return remembered(self.attempts, attempt)


class Conflicts(NamedTuple):
    """How often one run was repeated because others had changed what it changed, and the last
    object that they met on."""

    number: int
    object: str


class Progress(NamedTuple):
    """How far a job is."""

    done: float
    total: float | None         # None when nobody knows
    text: str

    def words(self) -> str:
        """For people: 30 % reading, 12 of 40, 7 so far."""
        if self.total is None:
            return f'{self.done:g} so far {self.text}'.rstrip()
        share = f'{self.done / self.total:.0%} ' if self.total else ''
        return f'{share}{self.text}'.strip() or f'{self.done:g} of {self.total:g}'


class Said(NamedTuple):
    """What a run has said: how far it came, the end of its log, and how many bytes that had in
    all."""

    progress: Progress | None
    log: str = ''
    written: int = 0


class Asked(NamedTuple):
    """That a job that runs is to end: who asked, when, and how many seconds it gets for that."""

    who: str
    when: float
    grace: float


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
    # the transaction that ended it together with what it changed
    tid: bytes | None = None
    asked: Asked | None = None          # who had it cancelled while it ran
    said: Said | None = None            # by its last run

    @property
    def seconds(self) -> float | None:
        """How long its last run took; None where nobody knows."""
        return None if self.started is None else self.completed - self.started


def toStored(record: Record) -> tuple[Any, ...]:
    """The fields without those with a default, when all of these have it, as in most."""
    return record[:-len(FIELDDEFAULTS)] if record[-len(FIELDDEFAULTS):] == FIELDDEFAULTS \
        else tuple(record)


def fromStored(fields: tuple[Any, ...]) -> Record:
    """The record of these fields: Record(*fields), in half the time."""
    return tuple.__new__(Record, fields + FIELDDEFAULTS[len(fields) - NEEDEDFIELDS:])


FIELDDEFAULTS = tuple(Record._field_defaults.values())
NEEDEDFIELDS = len(Record._fields) - len(FIELDDEFAULTS)
