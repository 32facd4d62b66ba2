# SPDX-License-Identifier: ZPL-2.1
"""The journals, one writer each: jobs as enqueued, jobs as ended, and the pages that say where."""
from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import islice
from typing import Any

from persistent import Persistent

from p01.remote.ground.door import Closed
from p01.remote.store.payload import Payload
from p01.remote.store.records import COMPLETED, Attempt, Conflicts, Outcome, Pending, Record, full, trimmed

Kind = tuple[str, str, str]                 # status, queue, name
Fields = tuple[Any, ...]                    # of an outcome; brief leaves out what need not be stored
SUCCESS = (COMPLETED, None, '', 1)          # what most outcomes begin with, and does not need storing
PROTOCOL, LIST, APPEND, END = b'\x80\x03', pickle.EMPTY_LIST, pickle.APPEND, pickle.STOP
HEAD = PROTOCOL + LIST


class Packed(Closed, Persistent):
    """Keeps one dict as a pickle of its own within its state.

    The database's pickler asks of each value whether it is persistent, which took half of the time of a commit; and one
    value that fails to load would take all others with it. The named tuples in it are stored as plain ones, which takes a
    third of the time.
    """

    _packed: str        # which attribute

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is not None:
            state[self._packed] = pickle.dumps(self.bare(state[self._packed]), 4)
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__({**state, self._packed: self.full(pickle.loads(state[self._packed]))})

    def bare(self, values: dict[int, Any]) -> dict[int, Any]:
        """The dict as it is stored."""
        return values

    def full(self, stored: dict[int, Any]) -> dict[int, Any]:
        """The dict of what is stored."""
        return stored


def piece(value: Any) -> bytes:
    """A value as an item of the pickle of a list, which is HEAD, such pieces and END.

    Of protocol 3: in later ones, what a piece memorizes would have other numbers behind other pieces.
    """
    return pickle.dumps(value, 3)[len(PROTOCOL):-len(END)] + APPEND


class Appended(Closed, Persistent):
    """Entries that are only appended: each is pickled once, however often the journal is written.

    The pickles of all entries since the last writing make one piece; the pieces together are the pickle of a list. A
    journal with Payloads in it is left to the database's pickler, which makes references of them.
    """

    entries: dict[int, Any]
    references = False
    _v_kept: tuple[dict[int, Any], int, bytes] | None = None    # of which entries the first so many are in these pieces

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is not None and not self.references:
            state['entries'] = self.kept()
        return state

    def __setstate__(self, state: Any) -> None:
        entries = state['entries']
        if isinstance(entries, bytes):
            super().__setstate__({**state, 'entries': {}})
            for piece in pickle.loads(HEAD + entries + END):
                self.entries.update(self.full(piece))
        else:
            super().__setstate__(state)

    def kept(self) -> bytes:
        """All entries, in pieces."""
        of, count, pieces = self._v_kept or (None, 0, b'')
        if of is not self.entries or count > len(self.entries):
            count, pieces = 0, b''
        new = self.bare(islice(self.entries.items(), count, None))
        if new:
            pieces += piece(new)
            self._v_kept = self.entries, len(self.entries), pieces
        return pieces

    def bare(self, entries: Iterable[tuple[int, Any]]) -> list[tuple[int, Any]]:
        """The entries as they are stored."""
        return list(entries)

    def full(self, stored: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
        """The entries of what is stored."""
        return stored


class Segment(Appended):
    """Jobs with the ids first … first + size - 1, appended to by one connection only.

    Ids of aborted transactions leave holes. When its ids are used up it never changes again.
    """

    astray = False          # whether jobs in it are younger than the next ones, by a clock that was put back

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

    def bare(self, entries: Iterable[tuple[int, Record]]) -> list[tuple[int, tuple[Any, ...]]]:
        return [(jobid, trimmed(record)) for jobid, record in entries]

    def full(self, stored: list[tuple[int, tuple[Any, ...]]]) -> list[tuple[int, Record]]:
        return [(jobid, full(fields)) for jobid, fields in stored]


class Journal(Appended):
    """Outcomes of jobs, appended to by one worker only."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.entries: dict[int, Fields] = {}

    def append(self, entries: dict[int, Fields]) -> None:
        """Take outcomes in, as brief makes them."""
        self.entries.update(entries)
        self.references = self.references or any(map(refers, entries.values()))
        self._p_changed = True

    def outcome(self, jobid: int) -> Outcome:
        """How a job ended. Raises KeyError for one that is not here."""
        return whole(self.entries[jobid], self.worker)


def success(output: Any, runs: int, started: float | None, ended: float, worker: str,
            attempts: tuple[Attempt, ...], conflicts: Conflicts | None = None) -> Fields:
    """What brief makes of the outcome of a job that completed, without the way there."""
    if conflicts:
        return COMPLETED, output, '', runs, started, ended, worker, attempts, conflicts
    if attempts:
        return COMPLETED, output, '', runs, started, ended, worker, attempts
    return (started, ended) if output is None and runs == 1 else (COMPLETED, output, '', runs, started, ended)


def brief(outcome: Outcome | Fields, worker: str) -> Fields:
    """The fields of a worker's outcome that need storing; those that brief or success has made stay."""
    if not isinstance(outcome, Outcome):
        return outcome
    if outcome[6:] != (worker, (), None, None):
        return outcome[:8] if outcome[8:] == (None, None) else tuple(outcome)
    return outcome[4:6] if outcome[:4] == SUCCESS else outcome[:6]


def whole(fields: Fields, worker: str) -> Outcome:
    """The outcome of these fields."""
    if len(fields) == 2:
        fields = SUCCESS + fields
    return Outcome(*fields if len(fields) > 6 else (*fields, worker))


def refers(fields: Fields) -> bool:
    """Whether an outcome has its output in an object of its own."""
    return len(fields) > 2 and isinstance(fields[1], Payload)


def statusOf(fields: Fields) -> str:
    """The status of these fields' outcome."""
    return COMPLETED if len(fields) == 2 else str(fields[0])


def startOf(fields: Fields) -> float:
    """When the run began that these fields' job ended with, in POSIX seconds."""
    return float(fields[0] if len(fields) == 2 else fields[4])


def endOf(fields: Fields) -> float:
    """When these fields' job ended, in POSIX seconds."""
    return float(fields[1] if len(fields) == 2 else fields[5])


class Fates(Packed):
    """What became of the jobs of one segment, written by workers: in which journal the outcome is, why it waits again, or
    that it was removed."""

    _packed = 'fates'
    oldest = float('inf')       # none of its jobs has ended before, in POSIX seconds
    newest = float('-inf')      # none has ended after

    def __init__(self) -> None:
        self.fates: dict[int, int | Pending | None] = {}    # the number of a journal; None for a removed job
        self.journals: dict[int, Journal] = {}
        self.kinds: dict[Kind, int] = {}    # how many of its jobs there are, of those that kinds.Kinds keeps

    def end(self, jobids: Iterable[int], journal: Journal, since: float, until: float) -> None:
        """Jobs whose outcomes are in this journal have ended, none of them before the one instant or after the other."""
        number = next(reversed(self.journals), 0)
        if self.journals.get(number) is not journal:
            number += 1
            self.journals[number] = journal
        self.fates.update(dict.fromkeys(jobids, number))
        self.oldest, self.newest = min(self.oldest, since), max(self.newest, until)
        self._p_changed = True

    def note(self, jobid: int, fate: Pending | None) -> None:
        """Set the fate of a job that waits again, or was removed."""
        old = self.fates.get(jobid)
        self.fates[jobid] = fate
        self._p_changed = True
        if isinstance(old, int) and old not in self.fates.values():
            del self.journals[old]

    def fate(self, jobid: int) -> Journal | Pending | None:
        """The fate of a job that has one."""
        fate = self.fates[jobid]
        return self.journals[fate] if isinstance(fate, int) else fate
