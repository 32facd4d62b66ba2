# SPDX-License-Identifier: ZPL-2.1
"""Edges d and e: what a worker does with its claims. Each is conditional on the claim being its own
still.

An owner is a Seat, or the Holder of a caller who runs jobs in his own transaction.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from p01.remote.store.keys import SHARDS, dueKey, shardOf
from p01.remote.store.lines import standing
from p01.remote.store.outcomes import Stored, endOf, statusOf, toStored
from p01.remote.store.records import (
    COMPLETED,
    DELAYED,
    PROCESSING,
    QUEUED,
    Attempt,
    Outcome,
    Pending,
)
from p01.remote.store.seats import BRIEFJOURNAL, FULL, Holder, Seat
from p01.remote.store.shards import Tally
from p01.remote.store.store import Store
from p01.remote.verbs import recording
from p01.remote.verbs.registers import letGo
from p01.remote.verbs.requests import applied, withdrawn

MANYENTRIES = 64           # entries of a seat's tally


def complete(store: Store, owner: Seat, outcomes: Mapping[int, Outcome | Stored],
             part: int = 0) -> None:
    """Write the outcomes of jobs in their own transaction: one small object of ours. settle does
    the rest later. Raises ClaimLost when a job is no longer the owner's.

    part: which one this is of the attempts that may commit at once, see Seat.prepare.
    """
    for jobid in outcomes:
        owner.held(jobid)
    owner.slip(part).write({jobid: toStored(each, owner.name) for jobid, each in outcomes.items()},
                           owner.claims)


def settle(store: Store, owner: Holder, outcomes: Mapping[int, Outcome | Stored]) -> None:
    """End the claims whose outcomes are known: those given, and those that complete has written
    before.

    Given outcomes of jobs that the owner no longer holds are left out: someone else has them
    now. A failure of one that was asked to end says that it was cancelled. Doing it again changes
    nothing.
    """
    if owner.asked:
        outcomes = applied(owner, outcomes)
    known = {jobid: toStored(outcome, owner.name) for jobid, outcome in outcomes.items()
             if jobid in owner.claims}
    known.update(owner.written())
    if not known:
        return
    owner.touch()           # before the change: what fails amidst must be undone
    ends = list(map(endOf, known.values()))
    since, until = min(ends), max(ends)
    odd, homes = list(telling(known)), store.homes(known)
    recording.ended(owner, homes, known, odd, until, store.edits)
    for segment, jobids in homes:
        for jobid in jobids:
            if segment.entries[jobid].extras is not None:
                letGo(store, jobid, segment.entries[jobid], True)
        fates = store.shards[shardOf(segment.first)].fatesOf(segment.first)
        while jobids:
            if len(owner.outcomes.entries) >= FULL:
                owner.turn()
            room = FULL - len(owner.outcomes.entries)
            owner.outcomes.append({jobid: known[jobid] for jobid in jobids[:room]})
            fates.end(jobids[:room], owner.outcomes, since, until)
            jobids = jobids[room:]
        if len(fates.entries) == len(segment.entries):
            segment._p_deactivate()     # nobody asks for it soon
    if len(owner.outcomes.entries) >= BRIEFJOURNAL:
        owner.turn()
    for (queue, status), count in Counter(zip(owner.end(known), map(statusOf, known.values()),
                                              strict=True)).items():
        owner.tally.move(queue, PROCESSING, status, count)
    turned(store, {jobid: statusOf(known[jobid]) for jobid in odd})
    if isinstance(owner, Seat) and len(owner.tally) > MANYENTRIES:     # it is written each time
        keep(store, owner)


def telling(known: Mapping[int, Stored]) -> Iterator[int]:
    """The jobs with more to tell than what they returned."""
    return (jobid for jobid, fields in known.items() if len(fields) > 3
            and (len(fields[3]) > 1 or 'output' not in fields[3]))


def turned(store: Store, stati: Mapping[int, str]) -> None:
    """Jobs have ended so; those that completed cost nothing."""
    for jobid, status in stati.items():
        if status == COMPLETED:
            continue
        first, record = store.entry(jobid)
        shard = store.shards[shardOf(first)]
        shard.kinds.turned(first, shard.fatesOf(first), record, None, status)


def retry(store: Store, owner: Holder, jobid: int, due: float | None, attempt: Attempt | None, *,
          died: bool = False,
          suspect: bool = False) -> None:
    """Put a claimed job back, due at an instant, None for its old place in line.

    An attempt counts as a run; None means that it has not run, or did not fail. One that was asked
    to end is cancelled instead. Raises ClaimLost.
    """
    claim = owner.held(jobid)
    if jobid in owner.asked:
        ended = owner.asked[jobid].when if attempt is None else attempt.ended
        settle(store, owner, {jobid: withdrawn(owner, jobid, ended, attempt)})
        return
    owner.touch()           # before the change: what fails amidst must be undone
    del owner.claims[jobid]
    first, record = store.entry(jobid)
    shard = store.shards[shardOf(first)]
    runs, attempts = claim.runs, claim.attempts
    if attempt is not None:
        runs, attempts = runs + 1, claim.after(attempt)
        recording.retried(owner, claim, record, attempt.started, attempt.ended)
    key = standing(jobid, record, None) if claim.key is None else claim.key
    fate = Pending(key, due, runs, attempts, claim.deaths + died, suspect)
    if due is None:
        shard.back(first, claim.queue, key)
        if runs or suspect or fate.deaths or store.fate(jobid) is not None:
            shard.fatesOf(first).note(jobid, fate)
        owner.tally.move(claim.queue, PROCESSING, QUEUED)
    else:
        shard.delay(first, claim.queue, dueKey(record.priority, due, jobid))
        shard.fatesOf(first).note(jobid, fate)
        owner.tally.move(claim.queue, PROCESSING, DELAYED)


def release(store: Store, owner: Holder, jobids: Iterable[int]) -> None:
    """Put claimed jobs back that have not begun."""
    for jobid in list(jobids):
        if jobid in owner.claims:
            retry(store, owner, jobid, None, None, suspect=owner.claims[jobid].suspect)


def finish(store: Store, jobid: int, owner: Holder, outcome: Outcome) -> None:
    """End a job that nobody claims."""
    first, record = store.entry(jobid)
    shard = store.shards[shardOf(first)]
    fates = shard.fatesOf(first)
    owner.touch()
    owner.outcomes.append({jobid: toStored(outcome, owner.name)})
    fates.end((jobid,), owner.outcomes, outcome.completed, outcome.completed)
    shard.kinds.turned(first, fates, record, None, outcome.status)
    recording.dropped(owner, record, outcome.status, outcome.completed)


def keep(store: Store, seat: Seat) -> None:
    """Have a worker's counts with those of a shard."""
    store.shards[hash(seat.pid) % SHARDS].count(seat.tally)
    seat.tally = Tally()
