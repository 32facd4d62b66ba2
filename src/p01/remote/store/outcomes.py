# SPDX-License-Identifier: ZPL-2.1
"""Outcomes as they are stored. Pure.

(started, ended) is a job that completed with nothing else to tell, as most do; (started, ended,
tid) the same with the transaction that ended it; what differs from that stands by its name in a
dict behind. A field that is added to Outcome needs a default, and nothing here; one that is not
known here, written by newer code, is passed over.
"""
from __future__ import annotations

from typing import Any

from p01.remote.store.payload import Payload
from p01.remote.store.records import COMPLETED, Attempt, Conflicts, Outcome, Said

Stored = tuple[Any, ...]
USUAL = Outcome(COMPLETED, None, '', 1, None, 0.0)
RARE = {name: getattr(USUAL, name) for name in Outcome._fields
        if name not in ('started', 'completed', 'worker', 'tid')}


def success(output: Any, runs: int, started: float | None, ended: float,
            attempts: tuple[Attempt, ...], conflicts: Conflicts | None = None) -> Stored:
    """What is stored of a job that completed, without the way over an Outcome."""
    if output is None and runs == 1 and not attempts and conflicts is None:
        return started, ended
    rare: dict[str, Any] = {}
    if output is not None:
        rare['output'] = output
    if runs != 1:
        rare['runs'] = runs
    if attempts:
        rare['attempts'] = attempts
    if conflicts is not None:
        rare['conflicts'] = conflicts
    return started, ended, None, rare


def saying(stored: Stored, said: Said) -> Stored:
    """The same of a job that has said something."""
    tid, rare = tidOf(stored), stored[3] if len(stored) > 3 else {}
    return (*stored[:2], tid, {**rare, 'said': said})


def toStored(outcome: Outcome | Stored, worker: str) -> Stored:
    """What is stored of an outcome, in a journal of this worker; what success has made stays."""
    if not isinstance(outcome, Outcome):
        return outcome
    rare = {name: value for name, usual in RARE.items()
            if (value := getattr(outcome, name)) != usual}
    if outcome.worker != worker:
        rare['worker'] = outcome.worker
    if rare:
        return outcome.started, outcome.completed, outcome.tid, rare
    ends = outcome.started, outcome.completed
    return ends if outcome.tid is None else (*ends, outcome.tid)


def fromStored(stored: Stored, worker: str) -> Outcome:
    """The outcome that is stored so in a journal of this worker."""
    found = USUAL._replace(started=stored[0], completed=stored[1], worker=worker, tid=tidOf(stored))
    if len(stored) > 3:
        found = found._replace(**{name: value for name, value in stored[3].items()
                                  if name in Outcome._fields})
    return found


def tidOf(stored: Stored) -> bytes | None:
    """The transaction that ended the job, with what the job changed; None where that is not
    known."""
    return stored[2] if len(stored) > 2 else None


def stamped(stored: Stored, tid: bytes) -> Stored:
    """The same, ended by this transaction."""
    return (*stored[:2], tid, *stored[3:])


def refers(stored: Stored) -> bool:
    """Whether an outcome has its output in an object of its own."""
    return len(stored) > 3 and isinstance(stored[3].get('output'), Payload)


def statusOf(stored: Stored) -> str:
    """The status of an outcome."""
    return str(stored[3].get('status', COMPLETED)) if len(stored) > 3 else COMPLETED


def startOf(stored: Stored) -> float:
    """When the run began that the job ended with, in POSIX seconds."""
    return float(stored[0])


def endOf(stored: Stored) -> float:
    """When the job ended, in POSIX seconds."""
    return float(stored[1])
