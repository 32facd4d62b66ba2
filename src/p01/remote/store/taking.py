# SPDX-License-Identifier: ZPL-2.1
"""How jobs get into line and from there into a worker's hands."""
from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import count as naturals
from itertools import filterfalse, islice

from p01.remote.exceptions import JobNotFound
from p01.remote.store import writer
from p01.remote.store.keys import dueKey, idOf, rankOf, shardOf, sinceOf, waitingKey
from p01.remote.store.look import Look
from p01.remote.store.records import CANCELLED, DELAYED, FINISHED, PROCESSING, QUEUED, Claim, Outcome, Pending, Record
from p01.remote.store.seats import Hand
from p01.remote.store.segments import brief
from p01.remote.store.settings import Settings
from p01.remote.store.shards import Line, Shard, uniqueShard

GRACE = 1.0         # seconds that a job of another worker's shard may wait longer than ours
INTAKE = 2_000      # jobs that one shard takes in at once: more than one claim, so that order holds; few enough for memory


class Taking(Look):
    """The half of a store that takes in and hands out."""

    settings: Settings

    # -- unique keys

    def holder(self, key: str, now: float) -> int | None:
        """The job that holds a unique key."""
        if not writer.isLocal(self):
            mine = writer.writerOf(self)
            mine.meet(self._p_jar)
            if key in mine.keys and self.keeps(mine.keys[key]):
                return mine.keys[key]
        found = self.shards[uniqueShard(key)].uniques.get(key)
        if found is None or (found[1] <= now if found[1] is not None else self.over(found[0])):
            return None
        return int(found[0])

    def over(self, jobid: int) -> bool:
        """Whether a job has ended; its worker gives the key back with its next bookkeeping only."""
        try:
            return self.view(jobid).status in FINISHED
        except JobNotFound:
            return True

    def keeps(self, jobid: int) -> bool:
        """Whether a job of this transaction keeps its key: no savepoint was rolled back before it, nobody took it in."""
        try:
            first, _ = self.entry(jobid)
            return not self.shards[shardOf(first)].taken(first, jobid) and self.fate(jobid) is None
        except JobNotFound:
            return False

    def free(self, jobid: int, record: Record, ended: bool) -> None:
        """Give a unique key back, when the job's rule says so at its start or at its end."""
        unique = (record.extras or {}).get('unique')
        if unique is None or unique[1] == 'period' or unique[1] == 'finish' and not ended:
            return      # one that ends without having started is freed at its end, whatever the rule
        uniques = self.shards[uniqueShard(unique[0])].uniques
        found = uniques.get(unique[0])
        if found is not None and found[0] == jobid:
            del uniques[unique[0]]

    # -- in line

    def takeIn(self, shard: Shard, owner: Hand, now: float) -> None:
        """Put a shard's new jobs, and those that became due, in line; of many only the first INTAKE."""
        came: list[tuple[str, str]] = []
        lines: dict[str, Line] = {}
        for jobid, record in shard.news(self, INTAKE):
            _, _, created, queue, priority, due, extras = record
            if extras is not None and not self.admits(owner, jobid, record, now):
                came.append((queue, CANCELLED))
                continue
            line = lines.get(queue) or lines.setdefault(queue, shard.line(queue))
            if due is not None and due > now:
                line.delayed.add(dueKey(priority, due, jobid))
                came.append((queue, DELAYED))
            else:
                line.waiting.add(waitingKey(priority, created if due is None else due, jobid))
                came.append((queue, QUEUED))
        moved = shard.ripen(now, INTAKE)
        if came or moved:
            owner.touch()
            owner.tally.add(Counter(came))
            owner.tally.add(moved)

    def admits(self, owner: Hand, jobid: int, record: Record, now: float) -> bool:
        """Whether a new job may get in line, whose unique key it then holds; else it has ended as a duplicate."""
        unique = (record.extras or {}).get('unique')
        if unique is None:
            return True
        key, _, until = unique
        holder = self.holder(key, record.created)
        if holder is not None and holder != jobid:
            reason = f'A duplicate of job {holder}, which holds the unique key {key!r}.'
            self.note(jobid, owner, Outcome(CANCELLED, None, reason, 0, None, now))
            return False
        self.shards[uniqueShard(key)].uniques[key] = (jobid, until)
        return True

    def note(self, jobid: int, owner: Hand, outcome: Outcome) -> None:
        """End a job that nobody claims."""
        first = self.floor(jobid)
        owner.touch()
        owner.outcomes.append({jobid: brief(outcome, owner.name)})
        self.shards[shardOf(first)].page(first).end((jobid,), owner.outcomes, outcome.completed)

    # -- claim

    def claim(self, owner: Hand, count: int, now: float, queues: Collection[str] | None = None,
              rank: tuple[int, int] = (0, 1), wide: bool = False) -> list[int]:
        """Take up to so many jobs that are due, of these queues (None: of all); returns their ids in order.

        rank (r, n) says that this is the r-th of n workers: it takes from its own shards first, from others when these
        are empty, or when jobs wait there that have a higher priority or are older by more than GRACE. wide says to take
        in the others' news as well, so that nobody starves behind a worker that is busy with one long job.
        """
        claimed = self.grant(owner, count, now, queues, rank, wide)
        for queue, number in Counter(owner.claims[jobid].queue for jobid in claimed).items():
            owner.tally.move(queue, QUEUED, PROCESSING, number)
        return claimed

    def grant(self, owner: Hand, count: int, now: float, queues: Collection[str] | None, rank: tuple[int, int],
              wide: bool) -> list[int]:
        """Move jobs from their lines to their owner."""
        claimed: list[int] = []
        expired = True
        while expired and len(claimed) < count:
            expired, near, queue = False, 0, ''
            keys = self.picks(owner, count - len(claimed), now, queues, rank, wide)
            if keys:
                owner.touch()       # before the change: what fails amidst must be undone
            taken = {claim.place for claim in owner.claims.values()}
            places = filterfalse(taken.__contains__, naturals())
            jobids = list(map(idOf, keys))
            for key, jobid, (first, record) in zip(keys, jobids, self.entries(jobids), strict=True):
                if first != near or record.queue != queue:
                    near, queue, shard = first, record.queue, self.shards[shardOf(first)]
                    page, waiting = shard.pages.get(first), shard.lines[queue].waiting
                fate = page.fates.get(jobid) if page is not None else None      # a Pending, if any: it waits
                alone = fate is not None and fate.suspect   # it must run alone, so that the next death tells
                if alone and owner.claims:
                    return claimed
                waiting.remove(key)
                if record.extras is not None and not self.starts(owner, jobid, record, fate, now):
                    expired = True      # nobody's job is left behind because the one before it was too late
                    continue
                if fate is None:
                    owner.claims[jobid] = Claim(key, queue, next(places))
                else:
                    owner.forget(jobid)
                    owner.claims[jobid] = Claim(key, queue, next(places), fate.runs, fate.attempts, fate.deaths, fate.suspect)
                claimed.append(jobid)
                if alone:
                    return claimed
        return claimed

    def picks(self, owner: Hand, count: int, now: float, queues: Collection[str] | None,
              rank: tuple[int, int], wide: bool) -> list[int]:
        """The keys to claim next."""
        own = [shard for shard in self.shards if shard.number % rank[1] == rank[0]]
        foreign = [shard for shard in self.shards if shard not in own]
        for shard in self.shards if wide else own:
            self.takeIn(shard, owner, now)
        keys = self.first(own, count, now, queues)
        if len(keys) < count:
            for shard in () if wide else foreign:
                self.takeIn(shard, owner, now)
            keys += self.first(foreign, count - len(keys), now, queues)
        elif foreign:
            head = keys[0]
            urgent = [key for key in self.first(foreign, count, now, queues) if rankOf(key) < rankOf(head)
                      or rankOf(key) == rankOf(head) and sinceOf(key) < sinceOf(head) - GRACE]
            keys = sorted(urgent + keys)[:count] if urgent else keys
        return keys

    def first(self, shards: Iterable[Shard], count: int, now: float, queues: Collection[str] | None) -> list[int]:
        """The first waiting keys of these shards, merged."""
        paused = {queue for queue, until in self.settings.paused.items() if until is None or until > now}
        heads = [islice(line.waiting.keys(), count) for shard in shards for queue, line in shard.lines.items()
                 if (queues is None or queue in queues) and queue not in paused and line.waiting]
        return list(islice(heapq.merge(*heads), count))

    def starts(self, owner: Hand, jobid: int, record: Record, fate: Pending | None, now: float) -> bool:
        """Whether a job that left its line may start; else it has expired. What it holds until its start, it gives back."""
        extras = record.extras or {}
        expires = extras.get('expires')
        if expires is not None and expires < now and fate is None:
            owner.tally.move(record.queue, QUEUED, CANCELLED)
            self.free(jobid, record, True)
            self.note(jobid, owner, Outcome(CANCELLED, None, 'It expired before it could start.', 0, None, now))
            return False
        self.free(jobid, record, False)
        return True
