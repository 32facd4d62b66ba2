# SPDX-License-Identifier: ZPL-2.1
"""Edge j: a job that waits goes to another queue or another place in line, or gets another input.

It is taken out of its line and put in again under another key, always: a worker that claims it at
the same time has taken out what we took out, so that one of both is refused; and no two queues ever
have the same bound, see Lines.
"""
from __future__ import annotations

from typing import Any

from p01.remote.store.journals import Journal
from p01.remote.store.keys import dueKey, shardOf, sinceOf, waitingKey
from p01.remote.store.kinds import ANY
from p01.remote.store.lines import standing
from p01.remote.store.records import DELAYED, QUEUED, Pending, Record, lasting
from p01.remote.store.store import Store
from p01.remote.verbs.people import noticed

NUDGE = 0.000_002       # seconds by which a job that keeps its age is younger


def edit(store: Store, jobid: int, changes: dict[str, Any], now: float) -> bool:
    """Change fields of a job that waits, and that nobody has claimed: queue, priority, input, due
    (None: at once); whether it did wait. Who was in line keeps his age. Raises JobNotFound."""
    first, record = store.entry(jobid)
    if any(jobid in seat.claims for seat in store.seats.values()):
        return False
    shard, hand = store.shards[shardOf(first)], noticed(store, first, now)
    seen = -1
    while not shard.taken(first, jobid) and seen != (seen := shard.intake.seen):
        hand = noticed(store, first, now)       # many came before it
    fate = store.fate(jobid)
    old = None if isinstance(fate, Journal) \
        else shard.withdraw(jobid, record, fate, store.segment(first))
    if old is None or isinstance(fate, Journal):
        return False
    new = kept(store, jobid, record, fate, changes)
    due, key = placed(jobid, record, new, fate, old, changes, now)
    before = fate or Pending(0, None, 0)
    shard.fatesOf(first).note(jobid, before._replace(key=key, due=due))
    if new.queue != record.queue:
        shard.kinds.mark((ANY, new.queue, new.name), first)
    hand.tally.move(record.queue, old, None)
    hand.tally.move(new.queue, None, QUEUED if due is None else DELAYED)
    if due is None:
        shard.back(first, new.queue, key)
    else:
        shard.delay(first, new.queue, dueKey(new.priority, due, jobid))
    shard.count(hand.tally)
    return True


def kept(store: Store, jobid: int, record: Record, fate: Pending | None,
         changes: dict[str, Any]) -> Record:
    """Write the changes down; returns the record with them."""
    fields = {name: value for name, value in changes.items() if name != 'due'}
    if fate is not None and store.expires(jobid, record, fate) is None \
            and 'expires' in (record.extras or {}):
        # it had begun, and must not expire by having been changed
        fields['extras'] = lasting(record)
    store.edit(jobid, fields)
    return record._replace(**fields)


def placed(jobid: int, record: Record, new: Record, fate: Pending | None, old: str,
           changes: dict[str, Any], now: float) -> tuple[float | None, int]:
    """Until when a job is delayed, None for one in line, and its key there."""
    before = (fate or record).due if old == DELAYED else None
    due: float | None = changes.get('due', before)
    if due is not None and (due > now or 'due' not in changes):
        due += NUDGE if due == before else 0.0
        return due, waitingKey(new.priority, due, jobid)
    since = now if old == DELAYED else sinceOf(standing(jobid, record, fate)) + NUDGE
    return None, waitingKey(new.priority, since, jobid)
