# SPDX-License-Identifier: ZPL-2.1
"""Outcomes as they are stored: what most have in common takes no room. Pure."""
from __future__ import annotations

from typing import Any

from p01.remote.store.payload import Payload
from p01.remote.store.records import COMPLETED, Attempt, Conflicts, Outcome

Fields = tuple[Any, ...]                    # of an outcome; toStored leaves out what need not be stored
SUCCESS = (COMPLETED, None, '', 1)          # what most outcomes begin with, and does not need storing


def success(output: Any, runs: int, started: float | None, ended: float, worker: str,
            attempts: tuple[Attempt, ...], conflicts: Conflicts | None = None) -> Fields:
    """What toStored makes of the outcome of a job that completed, without the way there."""
    if conflicts:
        return COMPLETED, output, '', runs, started, ended, worker, attempts, conflicts
    if attempts:
        return COMPLETED, output, '', runs, started, ended, worker, attempts
    return (started, ended) if output is None and runs == 1 else (COMPLETED, output, '', runs, started, ended)


def toStored(outcome: Outcome | Fields, worker: str) -> Fields:
    """The fields of a worker's outcome that need storing; those that toStored or success has made stay."""
    if not isinstance(outcome, Outcome):
        return outcome
    if outcome[6:] != (worker, (), None, None):
        return outcome[:8] if outcome[8:] == (None, None) else tuple(outcome)
    return outcome[4:6] if outcome[:4] == SUCCESS else outcome[:6]


def fromStored(fields: Fields, worker: str) -> Outcome:
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
