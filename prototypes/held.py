# SPDX-License-Identifier: ZPL-2.1
"""Jobs that wait for something other than time: the end of other jobs, a signal, room under a key's
limit.

A prototype, not shipped: it shows that the layout carries them, see docs/decisions.md and
prototypes/measure.py. What it
adds to the store are attributes that a database without such jobs does not have (their defaults
stand in the classes), and
what it adds to the verbs are the hooks that `install` puts in place. The extras of a record say
what a job waits for:

    after   ids of jobs that must have ended
    join    so many jobs, which name this one in their own extras as `into`
    until   the name of a signal
    signal  this is no job but the signal of that name: it travels as a job does, and ends when it
    is taken in
    key     (key, limit): at most so many jobs of the key run at once
"""
from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from BTrees.LLBTree import LLTreeSet
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent
from ZODB.POSException import ConflictError

from p01.remote.exceptions import JobNotFound
from p01.remote.store.fates import Fates
from p01.remote.store.journals import Journal
from p01.remote.store.keys import SHARDS, idOf, shardOf
from p01.remote.store.lines import Stretches, standing
from p01.remote.store.records import (
    CANCELLED,
    COMPLETED,
    PROCESSING,
    QUEUED,
    Claim,
    Outcome,
    Record,
)
from p01.remote.store.seats import Holder
from p01.remote.store.shards import Shard, Tally
from p01.remote.store.store import Store
from p01.remote.verbs import claims, ends, intake, people, removal
from p01.remote.verbs.registers import letGo

HELD = 'held'

# What a class has more than today. Nothing of it is written before the first such job.
# id of a job of the segment that is held → why: ('after', ids left), ('join', 0), ('until', name)
Fates.held = {}
Fates.awaited = {}      # id of a job of the segment → LLTreeSet of the ids that wait for its end
Fates.joins = {}        # id of a job of the segment → Join
Shard.signals = None    # name → Signal
Shard.keyed = None      # Keyed


class Join(Persistent):
    """How many jobs another one still waits for. Workers that end some of them at once do not
    conflict, but for the last."""

    def __init__(self, left: int) -> None:
        self.left = left

    def ended(self, count: int) -> bool:
        """So many more have ended; whether all have."""
        self.left -= count
        return self.left == 0

    def _p_resolveConflict(self, old: dict[str, int], saved: dict[str, int],
                           new: dict[str, int]) -> dict[str, int]:
        left = saved['left'] + new['left'] - old['left']
        if left == 0:
            raise ConflictError     # who ends the last one has to see it
        return {'left': left}


class Signal(Persistent):
    """Whether a signal was sent, and who waits for it."""

    sent = False

    def __init__(self) -> None:
        self.waiting = LLTreeSet()


class Gate(Persistent):
    """Which jobs of a key run, of how many that may; whether its line is in the ring."""

    shut = False        # at its limit

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running: frozenset[int] = frozenset()

    def change(self, come: Iterable[int] = (), go: Iterable[int] = ()) -> bool:
        """Jobs begin and end; whether it has opened or shut by that."""
        self.running = (self.running | frozenset(come)) - frozenset(go)
        was, self.shut = self.shut, len(self.running) >= self.limit
        return was != self.shut

    def _p_resolveConflict(self, old: dict[str, Any], saved: dict[str, Any],
                           new: dict[str, Any]) -> dict[str, Any]:
        """Claims and ends of two workers go together, unless the gate opens or shuts by one of
        them, or by both."""
        before = old['running']
        running = saved['running'] - (before - new['running']) | (new['running'] - before)
        if not old.get('shut', False) == saved.get('shut',
                                                   False) == new.get('shut',
                                                                     False) == (
                                                                         len(running) >= old[
                                                                             'limit']):
            raise ConflictError
        return {**saved, 'running': running}


class KeyLine(Persistent):
    """The jobs of one key that wait, with its gate: all of them in the shard of the key."""

    turn: int | None = None     # its place in the ring; None while it has no job or no room

    def __init__(self, limit: int) -> None:
        self.waiting = Stretches()
        self.gate = Gate(limit)


class Keyed(Persistent):
    """The keys of one shard: lines by key, and the ring of those that have both a job and room, by
    whose turn it is."""

    def __init__(self) -> None:
        self.lines = OOBTree()      # key → KeyLine
        self.ring = LOBTree()       # turn → key

    def line(self, key: str, limit: int) -> KeyLine:
        """The line of a key."""
        found = self.lines.get(key)
        if found is None:
            found = self.lines[key] = KeyLine(limit)
        return found

    def place(self, key: str, line: KeyLine, served: bool = False) -> None:
        """Have a line where it belongs: in the ring behind all others when it was served or comes
        anew, or not at all."""
        wanted = bool(line.waiting) and not line.gate.shut
        if line.turn is not None and (served or not wanted):
            del self.ring[line.turn]
            line.turn = None
        if wanted and line.turn is None:
            line.turn = self.ring.maxKey() + 1 if self.ring else 1
            self.ring[line.turn] = key


def shardOfName(store: Store, name: str) -> Shard:
    """The shard of a key or signal."""
    return store.shards[zlib.crc32(name.encode()) % SHARDS]


def pageOf(store: Store, jobid: int) -> Fates:
    """The page of a job."""
    first = store.floor(jobid)
    return store.shards[shardOf(first)].fatesOf(first)


def put(store: Store, page: Fates, which: str, jobid: int, value: Any) -> Any:
    """Note something of a job in one of the dicts of its page; None forgets it."""
    entries = dict(getattr(page, which))
    if value is None:
        entries.pop(jobid, None)
    else:
        entries[jobid] = value
    setattr(page, which, entries)
    return value


# -- held: by the end of jobs, by a signal

def admit(store: Store, owner: Holder, jobid: int, record: Record, now: float) -> str:
    """Where a new job goes that does not get in line: the status that it then has; '' for the
    line."""
    extras = record.extras or {}
    if 'signal' in extras:
        send(store, owner, extras['signal'])
        ends.finish(store, jobid, owner, Outcome(COMPLETED, None, '', 1, now, now))
        return COMPLETED
    if 'key' in extras:
        joinKey(store, jobid, record)
        return QUEUED
    reason = waits(store, jobid, extras)
    if reason is None:
        return _admits(store, owner, jobid, record, now)
    put(store, pageOf(store, jobid), 'held', jobid, reason)
    return HELD


def waits(store: Store, jobid: int, extras: dict[str, Any]) -> tuple[str, Any] | None:
    """Why a new job is held, noted with what it waits for; None when nothing holds it."""
    if 'after' in extras:
        left = tuple(each for each in extras['after'] if not over(store, each))
        for each in left:
            # this page is what the end of that job writes: both cannot miss each other
            page = pageOf(store, each)
            held = page.awaited.get(each) or put(store, page, 'awaited', each, LLTreeSet())
            held.insert(jobid)
        return ('after', left) if left else None
    if 'join' in extras:
        page = pageOf(store, jobid)
        join = page.joins.get(jobid) or put(store, page, 'joins', jobid, Join(0))
        return None if join.ended(-extras['join']) else ('join', 0)
    if 'until' in extras:
        signal = signalOf(store, extras['until'])
        if not signal.sent:
            signal.waiting.insert(jobid)
            return 'until', extras['until']
    return None


def over(store: Store, jobid: int) -> bool:
    """Whether a job has ended, and its claim with it: then nobody will release who waits for it."""
    try:
        return isinstance(store.fate(jobid), Journal)
    except JobNotFound:
        return True


def signalOf(store: Store, name: str) -> Signal:
    """A signal, made when it is missing."""
    shard = shardOfName(store, name)
    if shard.signals is None:
        shard.signals = OOBTree()
    found = shard.signals.get(name)
    if found is None:
        found = shard.signals[name] = Signal()
    return found


def send(store: Store, owner: Holder, name: str) -> None:
    """A signal is taken in."""
    signal = signalOf(store, name)
    signal.sent = True
    release(store, owner, list(signal.waiting))
    signal.waiting.clear()


def ended(store: Store, owner: Holder, page: Fates, jobids: Iterable[int]) -> None:
    """Jobs of a page have ended: release who waited for them. In the commit of their end."""
    if page.awaited:
        for jobid in jobids:
            held = page.awaited.get(jobid)
            if held is not None:
                put(store, page, 'awaited', jobid, None)
                release(store, owner, list(held), jobid)


def endedInto(store: Store, owner: Holder, jobids: Iterable[int], target: int) -> None:
    """Jobs have ended that another one joins."""
    page = pageOf(store, target)
    join = page.joins.get(target) or put(store, page, 'joins', target, Join(0))
    if join.ended(len(list(jobids))) and target in page.held:
        release(store, owner, [target])


def release(store: Store, owner: Holder, jobids: Iterable[int], by: int | None = None) -> None:
    """Let held jobs wait in line, those that wait for nothing else."""
    moved = Tally()
    for jobid in jobids:
        first, record = store.entry(jobid)
        shard = store.shards[shardOf(first)]
        page = shard.fatesOf(first)
        reason = page.held.get(jobid)
        if reason is None:
            continue
        left = tuple(each for each in reason[1] if each != by) if reason[0] == 'after' else ()
        put(store, page, 'held', jobid, (reason[0], left) if left else None)
        if not left:
            shard.back(first, record.queue, standing(jobid, record, None))
            moved.move(record.queue, HELD, QUEUED)
    owner.touch()
    owner.tally.add(moved)


def cancel(store: Store, jobid: int, now: float) -> bool:
    """people.cancel, of held jobs and of those in the line of a key as well."""
    first, record = store.entry(jobid)
    page = store.shards[shardOf(first)].fates.get(first)
    reason = page.held.get(jobid) if page is not None else None
    if reason is None:
        return cancelKeyed(store, jobid, record,
                           now) if 'key' in (record.extras or {}) else _cancel(store, jobid, now)
    for each in reason[1] if reason[0] == 'after' else ():
        pageOf(store, each).awaited[each].remove(jobid)
    if reason[0] == 'until':
        signalOf(store, reason[1]).waiting.remove(jobid)
    put(store, page, 'held', jobid, None)
    over_(store, jobid, record, HELD, now)
    return True


def over_(store: Store, jobid: int, record: Record, old: str, now: float) -> None:
    """End a job that nobody claims."""
    hand = Holder()
    ends.finish(store, jobid, hand, Outcome(CANCELLED, None, people.WITHDRAWN, 0, None, now))
    hand.tally.move(record.queue, old, CANCELLED)
    store.shards[0].count(hand.tally)


# -- a line for each key

def keyOf(record: Record) -> tuple[str, int] | None:
    """The key and limit of a job."""
    return (record.extras or {}).get('key')


def keyedOf(store: Store, key: str) -> Keyed:
    """Where a key is."""
    shard = shardOfName(store, key)
    if shard.keyed is None:
        shard.keyed = Keyed()
    return shard.keyed


def joinKey(store: Store, jobid: int, record: Record, key: int | None = None) -> None:
    """Let a job wait in the line of its key."""
    name, limit = record.extras['key']
    keyed = keyedOf(store, name)
    line = keyed.line(name, limit)
    line.waiting[standing(jobid, record, None) if key is None else key] = jobid
    keyed.place(name, line)


def leaveGate(store: Store, jobid: int, record: Record) -> None:
    """A job of a key runs no more: its line may be back in the ring."""
    name, _ = record.extras['key']
    keyed = keyedOf(store, name)
    line = keyed.lines[name]
    if jobid in line.gate.running:
        if line.gate.change(go=(jobid,)):
            keyed.place(name, line)
        if not line.gate.running and not line.waiting:
            line._p_changed = True          # who lets a job wait in it meanwhile conflicts
            del keyed.lines[name]


def cancelKeyed(store: Store, jobid: int, record: Record, now: float) -> bool:
    """Cancel a job in the line of a key."""
    name, _ = record.extras['key']
    keyed = keyedOf(store, name)
    line, key = keyed.lines.get(name), standing(jobid, record, None)
    if line is None or key not in line.waiting:
        return _cancel(store, jobid, now)
    del line.waiting[key]
    keyed.place(name, line)
    over_(store, jobid, record, QUEUED, now)
    return True


def turns(store: Store, rank: tuple[int, int] = (0, 1)) -> Iterator[tuple[Keyed, str]]:
    """The keys that have both a job and room, in turn; looks at no other one."""
    for shard in store.shards:
        if shard.keyed is not None and shard.number % rank[1] == rank[0]:
            yield from ((shard.keyed, key) for key in list(shard.keyed.ring.values()))


def claimKeyed(store: Store, owner: Holder, count: int,
               rank: tuple[int, int] = (0, 1)) -> list[int]:
    """Take up to so many jobs from the lines of keys, one of each in turn."""
    claimed: list[int] = []
    while len(claimed) < count:
        began = len(claimed)
        coming: list[tuple[Keyed, str]] = []
        for keyed, key in turns(store, rank):
            coming.append((keyed, key))
            if len(coming) == count - len(claimed):
                break
        for keyed, key in coming:
            line: KeyLine = keyed.lines[key]
            at = line.waiting.minKey()
            jobid = idOf(at)
            del line.waiting[at]
            record = store.entry(jobid)[1]
            owner.touch()
            owner.claims[jobid] = Claim(record.queue, at)
            owner.tally.move(record.queue, QUEUED, PROCESSING)
            line.gate.change(come=(jobid,))
            keyed.place(key, line, True)
            claimed.append(jobid)
        if len(claimed) == began:
            break
    return claimed


# -- hooks: what the verbs would say themselves

_admits, _cancel, _end = intake.admits, people.cancel, Fates.end
_settle, _retry = ends.settle, ends.retry


def letGoToo(store: Store, jobid: int, record: Record, ending: bool, now: float = 0.0) -> None:
    """letGo is asked of each job with extras that ends."""
    letGo(store, jobid, record, ending, now)
    if ending and 'key' in record.extras:
        leaveGate(store, jobid, record)


def settle(store: Store, owner: Holder, outcomes: Any) -> None:
    """ends.settle, with the release of who waits: in production a line behind page.end."""
    known = {*(jobid for jobid in outcomes if jobid in owner.claims), *owner.written()}
    _settle(store, owner, outcomes)
    released(store, owner, known)


def released(store: Store, owner: Holder, known: Iterable[int]) -> None:
    """Release who waits for jobs that have ended."""
    into: dict[int, list[int]] = {}
    for segment, jobids in store.homes(known):
        page = store.shards[shardOf(segment.first)].fates.get(segment.first)
        if page is not None:
            ended(store, owner, page, jobids)
        for jobid in jobids:
            extras = segment.entries[jobid].extras
            if extras is not None and 'into' in extras:
                into.setdefault(extras['into'], []).append(jobid)
    for target, jobids in into.items():
        endedInto(store, owner, jobids, target)


def finish(store: Store, jobid: int, owner: Holder, outcome: Outcome) -> None:
    """ends.finish, with the release of who waits."""
    _finish(store, jobid, owner, outcome)
    released(store, owner, [jobid])


def retry(store: Store, owner: Holder, jobid: int, due: float | None, attempt: Any,
          **how: Any) -> None:
    """ends.retry, of a job with a key: back into the line of its key, and its place at the gate is
    free."""
    record = store.entry(jobid)[1]
    if record.extras is None or 'key' not in record.extras or due is not None:
        _retry(store, owner, jobid, due, attempt, **how)
        return
    claim = owner.held(jobid)
    owner.touch()
    del owner.claims[jobid]
    joinKey(store, jobid, record, claim.key)
    leaveGate(store, jobid, record)
    owner.tally.move(claim.queue, PROCESSING, QUEUED)


_finish = ends.finish


def install() -> None:
    """Put the hooks in place."""
    intake.admits, ends.letGo = admit, letGoToo
    ends.retry = retry
    ends.finish = intake.finish = claims.finish = people.finish = finish


__all__ = ['HELD', 'cancel', 'claimKeyed', 'install', 'keyedOf', 'removal', 'retry', 'settle']
