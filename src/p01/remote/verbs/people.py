# SPDX-License-Identifier: ZPL-2.1
"""Edges g, h and i, as people walk them: cancel, revive, remove; and the queues that they pause."""
from __future__ import annotations

from p01.remote.store import uniques
from p01.remote.store.audit import Audit, Line
from p01.remote.store.journals import Journal
from p01.remote.store.keys import shardOf, waitingKey
from p01.remote.store.records import (
    CANCELLED,
    ERROR,
    PROCESSING,
    QUEUED,
    Asked,
    Outcome,
    Pending,
    Record,
    lasting,
)
from p01.remote.store.seats import Holder, Seat
from p01.remote.store.shards import Tally, uniqueShard
from p01.remote.store.store import Store
from p01.remote.verbs.ends import finish, settle
from p01.remote.verbs.intake import takeIn
from p01.remote.verbs.lanes import END
from p01.remote.verbs.registers import letGo
from p01.remote.verbs.requests import ask, withdrawn
from p01.remote.verbs.workers import absorb

WITHDRAWN = 'Cancelled.'


def cancel(store: Store, jobid: int, now: float) -> bool:
    """End a job that waits; whether it did wait. Raises JobNotFound."""
    first, record = store.entry(jobid)
    for seat in store.seats.values():
        if jobid in seat.claims:
            return recall(store, seat, jobid, record, now)
    shard, hand = store.shards[shardOf(first)], noticed(store, first, now)
    fate = store.fate(jobid)
    if isinstance(fate, Journal):
        return False
    old = None
    if shard.taken(first, jobid):
        old = shard.withdraw(jobid, record, fate, store.segment(first))
        if old is None:
            return False
    runs, attempts = (fate.runs, fate.attempts) if isinstance(fate, Pending) else (0, ())
    letGo(store, jobid, record, True, now if runs else END)
    finish(store, jobid, hand, Outcome(CANCELLED, None, WITHDRAWN, runs, None, now, '', attempts))
    hand.tally.move(record.queue, old, CANCELLED)
    shard.count(hand.tally)
    return True


def noticed(store: Store, first: int, now: float) -> Holder:
    """Take in what is new in the shard of a segment; returns hands that are empty again."""
    shard, hand = store.shards[shardOf(first)], Holder()
    takeIn(store, shard, hand, now)
    absorb(store, hand, shard)
    hand.tally = Tally()
    return hand


def interrupt(store: Store, jobid: int, asked: Asked) -> Seat | None:
    """Ask the worker of a job that runs to end it; returns the worker's seat, None for a job that
    does not run. One in the hands of a caller who pulled it has no worker, and ends at once."""
    for seat in store.seats.values():
        if jobid in seat.claims and seat.outcome(jobid) is None:
            ask(seat, jobid, asked)
            if seat.byHand:
                seat.fence()
                settle(store, seat, {jobid: withdrawn(seat, jobid, asked.when)})
            return seat
    return None


def recall(store: Store, seat: Seat, jobid: int, record: Record, now: float) -> bool:
    """End a job that a worker has claimed; whether it had not begun.

    The worker may begin it meanwhile: then what the job's own commit writes meets the fence.
    """
    if jobid not in seat.waiting(anew=True):
        return False
    seat.fence()
    claim = seat.claims.pop(jobid)
    letGo(store, jobid, record, True)
    finish(store, jobid, Holder(),
           Outcome(CANCELLED, None, WITHDRAWN, claim.runs, None, now, '', claim.attempts))
    seat.tally.move(claim.queue, PROCESSING, CANCELLED)
    return True


def revive(store: Store, jobid: int, now: float) -> bool:
    """Let a job that failed or was cancelled run again, with all its attempts before it;
    whether it could.

    Not while another job holds its unique key. Its attempts so far stay on record and no longer
    count.
    """
    first, record = store.entry(jobid)
    fate = store.fate(jobid)
    if not isinstance(fate, Journal):
        return False
    outcome = fate.outcome(jobid)
    if outcome.status not in (ERROR, CANCELLED):
        return False
    unique = (record.extras or {}).get('unique')
    if unique is not None:
        if uniques.holder(store, unique[0], now) not in (None, jobid):
            return False
        if unique[2] is None or unique[2] > now:
            store.shards[uniqueShard(unique[0])].uniques[unique[0]] = jobid, unique[2]
    shard, tally = store.shards[shardOf(first)], Tally()
    key = waitingKey(record.priority, now, jobid)
    fates = shard.fatesOf(first)
    fates.note(jobid, Pending(key, None, 0, outcome.attempts))
    shard.kinds.turned(first, fates, record, outcome.status, None)
    shard.back(first, record.queue, key)
    if store.edits is not None and jobid in store.edits and 'expires' in (record.extras or {}):
        store.edit(jobid, {'extras': lasting(record)})
    tally.move(record.queue, outcome.status, QUEUED)
    shard.count(tally)
    return True


def pause(store: Store, queue: str, until: float | None = None) -> None:
    """Let no more jobs of a queue start, until an instant or until resume."""
    store.settings.paused[queue] = until
    store.settings._p_changed = True


def resume(store: Store, queue: str) -> bool:
    """Let the jobs of a queue start again; whether it was paused."""
    was = store.settings.paused.pop(queue, store) is not store
    if was:
        store.settings._p_changed = True
    return was


def note(store: Store, line: Line) -> None:
    """Write down what is done in this transaction."""
    if store.audit is None:
        store.audit = Audit()
    store.audit.note(line)
