# SPDX-License-Identifier: ZPL-2.1
"""The verbs: one for each edge of a job's life. Nobody else changes what is in the database.

Each is conditional on the state it starts from, and works within the transaction of the connection
its store came from. An owner is a Seat, or the Hand of a caller who runs jobs in his own
transaction.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree

from p01.remote.exceptions import NewerDatabase, OlderDatabase
from p01.remote.store import adding, uniques, writer
from p01.remote.store.keys import SHARDS, dueKey, shardOf, waitingKey
from p01.remote.store.lines import standing
from p01.remote.store.records import CANCELLED, COMPLETED, DELAYED, ERROR, PROCESSING, QUEUED, Attempt, Outcome, Pending, Record
from p01.remote.store.seats import BRIEF, FULL, Holder, Seat
from p01.remote.store.segments import Fields, Journal, brief, endOf, statusOf
from p01.remote.store.settings import Settings
from p01.remote.store.shards import Shard, Tally, uniqueShard
from p01.remote.store.taking import END, WITHDRAWN, Taking

VERSION = 1
PULLED = 'by hand'
MANY = 64           # entries of a seat's tally
HANDLEASE = 3600.0  # seconds that a pulled job may stay in its caller's hands


class Store(Taking):
    """Everything a processor's jobs need in the database."""

    migrating: tuple[int, Any] | None = None            # see store.migrate

    def __init__(self) -> None:
        self.version = VERSION
        self.counter = writer.LastId()
        self.segments = LOBTree()                       # first id → Segment
        self.shards = tuple(Shard(number) for number in range(SHARDS))
        self.seats = OOBTree()                          # name → Seat
        self.settings = Settings()
        # when it was made, in microseconds → register, see uniques
        self.registers = LOBTree()

    def check(self, migrating: bool = False) -> None:
        """Raises NewerDatabase when this code is too old for the database, OlderDatabase when it
        must be migrated first."""
        if self.version > VERSION:
            raise NewerDatabase(f'The database has layout {self.version}, this p01.remote knows '
                                f'layouts up to {VERSION}; upgrade the package.')
        if not migrating and (self.version < VERSION or self.migrating is not None):
            raise OlderDatabase(f'The database has layout {self.version}, this p01.remote needs '
                                f'layout {VERSION}; start a worker, which brings it forward.')

    # -- add

    def add(self, record: Record) -> int:
        """Enqueue; returns the job's id, or that of the job that holds its unique key. Conflicts
        with nobody."""
        return adding.put(self, record)[0]

    # -- ends of a claim

    def complete(self, owner: Seat, outcomes: Mapping[int, Outcome | Fields]) -> None:
        """Write the outcomes of jobs in their own transaction: one small object of ours. settle does
        the rest later. Raises ClaimLost when a job is no longer the owner's.
        """
        for jobid in outcomes:
            owner.held(jobid)
        owner.slip().write({jobid: brief(each, owner.name) for jobid, each in outcomes.items()}, owner.claims)

    def settle(self, owner: Holder, outcomes: Mapping[int, Outcome | Fields]) -> None:
        """End the claims whose outcomes are known: those given, and those that complete has written
        before.

        Given outcomes of jobs that the owner no longer holds are left out: someone else has them
        now. Doing it again changes nothing.
        """
        known = {jobid: brief(outcome, owner.name) for jobid, outcome in outcomes.items() if jobid in owner.claims}
        known.update(owner.written())
        if not known:
            return
        owner.touch()           # before the change: what fails amidst must be undone
        ends = list(map(endOf, known.values()))
        since, until = min(ends), max(ends)
        for segment, jobids in self.homes(known):
            for jobid in jobids:
                if segment.entries[jobid].extras is not None:
                    self.free(jobid, segment.entries[jobid], True)
            page = self.shards[shardOf(segment.first)].page(segment.first)
            while jobids:
                if len(owner.outcomes.entries) >= FULL:
                    owner.turn()
                room = FULL - len(owner.outcomes.entries)
                owner.outcomes.append({jobid: known[jobid] for jobid in jobids[:room]})
                page.end(jobids[:room], owner.outcomes, since, until)
                jobids = jobids[room:]
            if len(page.fates) == len(segment.entries):
                segment._p_deactivate()     # nobody asks for it soon
        if len(owner.outcomes.entries) >= BRIEF:
            owner.turn()
        for (queue, status), count in Counter(zip(owner.end(known), map(statusOf, known.values()), strict=True)).items():
            owner.tally.move(queue, PROCESSING, status, count)
        for jobid in [jobid for jobid, fields in known.items() if len(fields) > 2 and statusOf(fields) != COMPLETED]:
            first, record = self.entry(jobid)
            shard = self.shards[shardOf(first)]
            shard.kinds.turned(first, shard.page(first), record, None, statusOf(known[jobid]))
        if isinstance(owner, Seat) and len(owner.tally) > MANY:     # it is written each time
            self.keep(owner)

    def retry(self, owner: Holder, jobid: int, due: float | None, attempt: Attempt | None, *, died: bool = False,
              suspect: bool = False) -> None:
        """Put a claimed job back, due at an instant, None for its old place in line.

        An attempt counts as a run; None means that it has not run, or did not fail. Raises ClaimLost.
        """
        claim = owner.held(jobid)
        owner.touch()           # before the change: what fails amidst must be undone
        del owner.claims[jobid]
        first, record = self.entry(jobid)
        shard = self.shards[shardOf(first)]
        runs, attempts = claim.runs, claim.attempts
        if attempt is not None:
            runs, attempts = runs + 1, claim.after(attempt)
        key = standing(jobid, record, None) if claim.key is None else claim.key
        fate = Pending(key, due, runs, attempts, claim.deaths + died, suspect)
        if due is None:
            shard.back(first, claim.queue, key)
            if runs or suspect or claim.deaths or self.fate(jobid) is not None:
                shard.page(first).note(jobid, fate)
            owner.tally.move(claim.queue, PROCESSING, QUEUED)
        else:
            shard.delay(first, claim.queue, dueKey(record.priority, due, jobid))
            shard.page(first).note(jobid, fate)
            owner.tally.move(claim.queue, PROCESSING, DELAYED)

    def release(self, owner: Holder, jobids: Iterable[int]) -> None:
        """Put claimed jobs back that have not begun."""
        for jobid in list(jobids):
            if jobid in owner.claims:
                self.retry(owner, jobid, None, None, suspect=owner.claims[jobid].suspect)

    # -- verbs of people

    def cancel(self, jobid: int, now: float) -> bool:
        """End a job that waits; whether it did wait. Raises JobNotFound."""
        first, record = self.entry(jobid)
        for seat in self.seats.values():
            if jobid in seat.claims:
                return self.recall(seat, jobid, record, now)
        shard, hand = self.shards[shardOf(first)], Holder()
        self.takeIn(shard, hand, now)
        self.count(shard, hand.tally)
        hand.tally = Tally()
        fate = self.fate(jobid)
        if isinstance(fate, Journal):
            return False
        old = None
        if shard.taken(first, jobid):
            old = shard.withdraw(jobid, record, fate, self.segment(first))
            if old is None:
                return False
        runs, attempts = (fate.runs, fate.attempts) if isinstance(fate, Pending) else (0, ())
        self.free(jobid, record, True, now if runs else END)
        self.note(jobid, hand, Outcome(CANCELLED, None, WITHDRAWN, runs, None, now, '', attempts))
        hand.tally.move(record.queue, old, CANCELLED)
        self.count(shard, hand.tally)
        return True

    def revive(self, jobid: int, now: float) -> bool:
        """Let a job that failed or was cancelled run again, with all its attempts before it;
        whether it could.

        Not while another job holds its unique key. Its attempts so far stay on record and no longer
        count.
        """
        first, record = self.entry(jobid)
        fate = self.fate(jobid)
        if not isinstance(fate, Journal):
            return False
        outcome = fate.outcome(jobid)
        if outcome.status not in (ERROR, CANCELLED):
            return False
        unique = (record.extras or {}).get('unique')
        if unique is not None:
            if uniques.holder(self, unique[0], now) not in (None, jobid):
                return False
            if unique[2] is None or unique[2] > now:
                self.shards[uniqueShard(unique[0])].uniques[unique[0]] = jobid, unique[2]
        shard, tally = self.shards[shardOf(first)], Tally()
        key = waitingKey(record.priority, now, jobid)
        page = shard.page(first)
        page.note(jobid, Pending(key, None, 0, outcome.attempts))
        shard.kinds.turned(first, page, record, outcome.status, None)
        shard.back(first, record.queue, key)
        tally.move(record.queue, outcome.status, QUEUED)
        self.count(shard, tally)
        return True

    def remove(self, jobid: int, now: float = 0.0) -> str | None:
        """Forget a finished job; returns the status it had, None when it has not finished. A unique
        key that is over by now goes with it; others go when they are."""
        fate = self.fate(jobid)
        if not isinstance(fate, Journal):
            return None
        first, record = self.entry(jobid)
        shard = self.shards[shardOf(first)]
        status = statusOf(fate.entries[jobid])
        tally = Tally()
        tally.move(record.queue, status, None)
        self.count(shard, tally)
        self.free(jobid, record, True, now)
        page = shard.page(first)
        page.note(jobid, None)
        shard.kinds.turned(first, page, record, status, None)
        self.drop(shard, first)
        return status

    def drop(self, shard: Shard, first: int) -> None:
        """Remove a segment that takes no more jobs, when it has none or all were removed."""
        segment, fates = self.segment(first), shard.fates(first)
        if first not in shard.intake.open and shard.taken(first, segment.last) and len(fates) >= len(segment.entries) \
                and all(fate is None for fate in fates.values()):
            if first in shard.pages:
                del shard.pages[first]
            del self.segments[first]
            shard.kinds.gone(segment)
            segment.entries.clear()         # tells connections that have it near
            segment._p_changed = True

    def pause(self, queue: str, until: float | None = None) -> None:
        """Let no more jobs of a queue start, until an instant or until resume."""
        self.settings.paused[queue] = until
        self.settings._p_changed = True

    def resume(self, queue: str) -> bool:
        """Let the jobs of a queue start again; whether it was paused."""
        was = self.settings.paused.pop(queue, self) is not self
        self.settings._p_changed = True
        return was

    # -- seats

    def sit(self, seat: Seat) -> None:
        """A worker thread begins."""
        self.seats[seat.name] = seat

    def rise(self, seat: Seat, outcomes: Mapping[int, Outcome | Fields]) -> None:
        """A worker thread ends; its claims go back, its counts stay."""
        self.settle(seat, outcomes)
        self.release(seat, list(seat.claims))
        del self.seats[seat.name]
        self.keep(seat)

    def evict(self, seat: Seat) -> None:
        """A worker is dead: fence it off, keep its counts. Whatever it still tries to commit meets
        the fence."""
        seat.fence()
        del self.seats[seat.name]
        self.keep(seat)

    def keep(self, seat: Seat) -> None:
        """Have a worker's counts with those of a shard."""
        self.count(self.shards[hash(seat.pid) % SHARDS], seat.tally)
        seat.tally = Tally()

    def seal(self, before: float) -> None:
        """Close the segments that nobody has written to since; their connections have given them up."""
        for shard in self.shards:
            for first, cursor in list(shard.intake.open.items()):
                segment = self.segment(first)
                newest = segment.entries[segment.top].created if segment.top in segment.entries else segment.born
                if newest < before and segment.top == cursor and first <= shard.intake.seen:
                    segment.size = segment.top - first + 1      # its connection sees it full
                    shard.intake.shut(first)
                    self.drop(shard, first)

    def byHand(self, now: float) -> Seat:
        """The seat of jobs that were pulled by hand."""
        seat = self.seats.get(PULLED)
        if seat is None:
            seat = self.seats[PULLED] = Seat(PULLED, '', 0, '', '', HANDLEASE, now)
        seat.beat = now
        return seat

    def absorb(self, hand: Holder) -> None:
        """Keep the counts of a caller who ran jobs by hand."""
        if hand.tally:
            self.count(self.shards[0], hand.tally)

    def count(self, shard: Shard, tally: Tally) -> None:
        """Add to a shard's counts."""
        if tally:
            shard.tally.add(tally)
            shard._p_changed = True
