# SPDX-License-Identifier: ZPL-2.1
"""That a job that runs is to end: how it is asked for, and how it ends that does not end itself.

A request is in the database, see verbs.requests. On the worker's own host it is noted in its box at
once; elsewhere the worker looks every second while a job runs. The job sees the note; when its
grace is over, its process is killed as for a time limit, or, in a thread that nobody can end, it is
taken from its worker.
"""
from __future__ import annotations

import getpass
import time
from contextlib import suppress

from p01.remote import events, verbs
from p01.remote.engine import limit
from p01.remote.engine.progress import left
from p01.remote.engine.seams import Processor
from p01.remote.ground import blackbox
from p01.remote.ground.foreign import guarded
from p01.remote.ground.notes import note
from p01.remote.store.records import CANCELLED, Asked, Attempt, Outcome, Record
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store
from p01.remote.verbs.requests import withdrawn

GRACE = 10.0        # seconds that a job gets to end, unless who asks says otherwise


def asker() -> str:
    """Who asks here, when nobody says so."""
    name = guarded(getpass.getuser)
    return f'{name if isinstance(name, str) else "somebody"}@{blackbox.HOST.partition("/")[0]}'


# -- who asks

def interrupt(processor: Processor, jobid: int, asked: Asked) -> bool:
    """Ask for the end of a job that runs; whether it runs. Part of the caller's transaction, behind
    whose commit the worker's box says so, where that is of this host."""
    seat = verbs.interrupt(processor.store, jobid, asked)
    if seat is None:
        return False
    if seat.box and seat.host == blackbox.HOST:
        path, slot, jar = seat.path, seat.slot, processor._p_jar

        def committed(success: bool) -> None:
            if success:
                note(path, slot, jobid, time.monotonic() + asked.grace)

        if jar is not None:
            jar.transaction_manager.get().addAfterCommitHook(committed)
    return True


# -- who ends it

def taken(store: Store, seat: Seat, jobid: int, now: float, why: str = '',
          stack: limit.Stack | None = None) -> events.JobStopped:
    """Cancel a job that was asked to end, and whose worker died or is to lose it; returns what to
    tell.

    why: how its worker died while it ran, '' for one that did not run. stack: where it stands in a
    thread that nobody can end.
    """
    stack = stood(seat, jobid) if stack is None else stack
    if stack is not None:
        why = f'it did not end within {seat.asked[jobid].grace:g} s{limit.where(stack)}'
    attempt = Attempt(seat.claims[jobid].runs + 1, seat.asked[jobid].when, now, seat.name,
                      f'Cancelled: {why}', limit.trace(stack or []),
                      left(seat, jobid)) if why else None
    return end(store, seat, jobid, withdrawn(seat, jobid, now, attempt))


def stood(seat: Seat, jobid: int) -> limit.Stack | None:
    """Where a job stood for which its process was killed; None for one that has another end."""
    with suppress(OSError, IndexError):
        said = blackbox.read(seat.path)
        if said.head.end == blackbox.KILLED and any(
                slot.jobid == jobid and slot.end() <= said.head.beat for slot in said.slots):
            return limit.left(seat, jobid)
    return None


def end(store: Store, seat: Seat, jobid: int, outcome: Outcome) -> events.JobStopped:
    """End a claimed job so; returns what to tell."""
    verbs.settle(store, seat, {jobid: outcome})
    return told(store.entry(jobid)[1], jobid, outcome)


def told(record: Record, jobid: int, outcome: Outcome) -> events.JobStopped:
    """What to tell of a job that was cancelled while it ran."""
    assert outcome.status == CANCELLED
    return events.JobStopped(jobid, record.name, outcome.runs, outcome.worker, outcome.error,
                             queue=record.queue, seconds=outcome.seconds)
