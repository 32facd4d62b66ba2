# SPDX-License-Identifier: ZPL-2.1
"""How jobs get into line and from there into a worker's hands."""
from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import groupby, islice
from operator import attrgetter

from p01.remote.exceptions import JobNotFound
from p01.remote.store import uniques
from p01.remote.store.keys import SHARDS, idOf, laneOf, rankOf, shardOf, sinceOf, waitingKey
from p01.remote.store.lanes import adopted, heads, shared
from p01.remote.store.lines import Lines, Stretch, alike
from p01.remote.store.look import Lane, Look
from p01.remote.store.records import CANCELLED, DELAYED, FINISHED, PROCESSING, QUEUED, Claim, Outcome, Pending, Record
from p01.remote.store.seats import Holder, Seat
from p01.remote.store.segments import Segment, brief
from p01.remote.store.settings import Settings
from p01.remote.store.shards import Shard, uniqueShard
from p01.remote.store.writer import ASTRAY

GRACE = 1.0         # seconds that a job of another worker's shard may wait longer than ours
SEGMENTS = 9        # neighbours that are asked when jobs were enqueued whose own clock was wrong
END = float('inf')  # behind all keys
queueOf = attrgetter('queue')
FEW = 8             # lines of a shard that are looked at in vain, rather than to write where they stand
EXPIRED = 'It expired before it could start.'
WITHDRAWN = 'Cancelled.'
# jobs that one shard takes in at once: more than one claim, so that order holds; few enough for
# memory
INTAKE = 2_000


class Taking(Look):
    """The half of a store that takes in and hands out."""

    settings: Settings

    # -- unique keys

    def over(self, jobid: int) -> bool:
        """Whether a job has ended; its worker gives the key back with its next bookkeeping only."""
        try:
            return self.view(jobid).status in FINISHED
        except JobNotFound:
            return True

    def free(self, jobid: int, record: Record, ended: bool, now: float = 0.0) -> None:
        """Give a unique key back, when the job's rule says so at its start, at its end, or by now."""
        unique = (record.extras or {}).get('unique')
        if unique is None or unique[1] == 'period' and unique[2] > now or unique[1] == 'finish' and not ended:
            return      # one that ends without having started is freed at its end, whatever the rule
        holders = self.shards[uniqueShard(unique[0])].uniques
        found = holders.get(unique[0])
        if found is not None and found[0] == jobid:
            del holders[unique[0]]

    # -- in line

    def takeIn(self, shard: Shard, owner: Holder, now: float, workers: int = 0) -> None:
        """Put a shard's new jobs, and those that became due, in line; of many only the first
        INTAKE. workers: see deal."""
        came: Counter[tuple[str, str]] = Counter()
        lanes = shard.deal(self, workers)
        for first, new in shard.news(self, INTAKE):
            if not new:
                continue
            shard.kinds.came(first, new)
            lines = shard.lanes[laneOf(first, lanes)]
            if new[-1][1].created > now + ASTRAY or self.segment(first).astray:
                new = self.rightened(shard, lines, first, new, owner, now)
            for (queue, _, due), group in groupby(new, alike):
                jobs = list(group)
                admitted = [job for job in jobs if job[1].extras is None or self.admits(owner, *job, now)]
                if len(admitted) < len(jobs):
                    came[queue, CANCELLED] += len(jobs) - len(admitted)
                if admitted:
                    came[queue, QUEUED if due is None or due <= now else DELAYED] += len(admitted)
                    lines.enter(queue, admitted, now)
        moved = shard.ripen(now, INTAKE)
        if came or moved:
            owner.touch()
            owner.tally.add(came)
            owner.tally.add(moved)

    def rightened(self, shard: Shard, lines: Lines, first: int, new: list[tuple[int, Record]], owner: Holder,
                  now: float) -> list[tuple[int, Record]]:
        """Put new jobs in line whose clock was ahead, at their place by what stands around them;
        returns the others."""
        others = []
        births = (min([each.born, *(record.created for record in islice(each.entries.values(), 1))])
                  for each in islice(self.segments.values(first), SEGMENTS))
        last = next((born for born in births if born <= now), now) - 0.000_002
        for jobid, record in new:
            if record.due is not None or record.created <= now + ASTRAY:
                others.append((jobid, record))
                last = max(last, min(record.created, now))
            elif record.extras is None or self.admits(owner, jobid, record, now):
                key = waitingKey(record.priority, last, jobid)
                shard.page(first).note(jobid, Pending(key, None, 0))
                lines.join(record.queue, key)._p_changed = True
                owner.touch()
                owner.tally.move(record.queue, None, QUEUED)
            else:
                owner.tally.move(record.queue, None, CANCELLED)
        return others

    def admits(self, owner: Holder, jobid: int, record: Record, now: float) -> bool:
        """Whether a new job may get in line, whose unique key it then holds; else it has ended as a
        duplicate."""
        unique = (record.extras or {}).get('unique')
        if unique is None:
            return True
        key, _, until = unique
        holder = uniques.held(self, key, record.created)
        if holder is not None and holder != jobid:
            reason = f'A duplicate of job {holder}, which holds the unique key {key!r}.'
            self.note(jobid, owner, Outcome(CANCELLED, None, reason, 0, None, now, holder=holder))
            return False
        self.shards[uniqueShard(key)].uniques[key] = (jobid, until)
        return True

    def note(self, jobid: int, owner: Holder, outcome: Outcome) -> None:
        """End a job that nobody claims."""
        first, record = self.entry(jobid)
        shard = self.shards[shardOf(first)]
        page = shard.page(first)
        owner.touch()
        owner.outcomes.append({jobid: brief(outcome, owner.name)})
        page.end((jobid,), owner.outcomes, outcome.completed, outcome.completed)
        shard.kinds.turned(first, page, record, None, outcome.status)

    # -- claim

    def claim(self, owner: Holder, count: int, now: float, queues: Collection[str] | None = None,
              rank: tuple[int, int] = (0, 1), wide: bool = False) -> list[int]:
        """Take up to so many jobs that are due, of these queues (None: of all); returns their ids
        in order.

        rank (r, n) says that this is the r-th of n workers: it takes from its own shards first,
        from others when these are empty, or when jobs wait there that have a higher priority or are
        older by more than GRACE. wide says to take in the others' news as well, so that nobody
        starves behind a worker that is busy with one long job.
        """
        claimed: list[int] = []
        looked: dict[Lines, set[str]] = {}
        expired = True
        while expired and len(claimed) < count:
            ids, stretches = self.picks(owner, count - len(claimed), now, queues, rank, wide, looked)
            for stretch in stretches:
                if stretch.fate is not None and stretch.fate.suspect and stretch.ids[0] in ids:
                    at = ids.index(stretch.ids[0])      # it must run alone, so that the next death tells
                    del ids[at if at or owner.claims else 1:]
            if ids:
                owner.touch()       # before the change: what fails amidst must be undone
            chosen = set(ids)
            taken: dict[int, Claim] = {}
            for stretch in stretches:
                number = sum(map(chosen.__contains__, stretch.ids))
                if number:
                    self.take(owner, stretch, number, taken, now)
            started = {jobid: taken[jobid] for jobid in ids if jobid in taken}
            for queue, number in Counter(map(queueOf, started.values())).items():
                owner.tally.move(queue, QUEUED, PROCESSING, number)
            # nobody's job is left behind because the one before it was too late
            expired = len(started) < len(ids)
            owner.claims.update(started)
            claimed += started
        for lines, seen in looked.items():
            if len(seen) > FEW and queues is None:      # else it costs less to look again
                lines.trim(seen)
        return claimed

    def take(self, owner: Holder, stretch: Stretch, count: int, taken: dict[int, Claim], now: float) -> None:
        """Take so many jobs out of their line; those of them that start, with their claims, are
        added to what is taken."""
        stretch.leave(count)
        ids, fate = stretch.ids[:count], stretch.fate
        if fate is None:
            taken.update(dict.fromkeys(ids, Claim(stretch.queue)))
        else:
            owner.forget(ids[0])
            taken[ids[0]] = Claim(stretch.queue, stretch.key, fate.runs, fate.attempts, fate.deaths, fate.suspect)
        for jobid in ids:
            record = stretch.entries[jobid]
            if record.extras is not None and not self.starts(owner, jobid, record, fate, now):
                del taken[jobid]

    def picks(self, owner: Holder, count: int, now: float, queues: Collection[str] | None, rank: tuple[int, int],
              wide: bool, looked: dict[Lines, set[str]]) -> tuple[list[int], list[Stretch]]:
        """The jobs to claim next in order, and the stretches that these are the heads of.

        looked gets the queues whose lines were looked at in the worker's own lanes.
        """
        number, workers = rank
        for shard in self.shards:
            if wide or shard.number % workers == number:
                self.takeIn(shard, owner, now, workers)
        own, foreign = shared(self, rank)
        for _, lines in own:
            looked.setdefault(lines, set())
        ids, stretches = self.ahead(own, count, now, queues, looked)
        if len(ids) < count:
            for shard in self.shards:
                if not wide and shard.number % workers != number:
                    self.takeIn(shard, owner, now, workers)
            if workers > SHARDS:        # some of it may be for this worker
                own, foreign = shared(self, rank)
                if not any(lines.heads for _, lines in own):
                    own, foreign = adopted(foreign, number)
                ids, stretches = self.ahead(own, count, now, queues, looked)
        if len(ids) < count:
            others, more = self.ahead(foreign, count - len(ids), now, queues, {})
            return ids + others, stretches + more
        urgent = rankOf(stretches[0].key), sinceOf(stretches[0].key) - GRACE

        def sooner(key: int) -> bool:
            return (rankOf(key), sinceOf(key)) < urgent

        first = next(heads(self, foreign, now, queues, {}), None)
        if first is not None and sooner(first[0]):
            others, more = self.ahead(foreign, count, now, queues, {})
            soon = sum(sooner(stretch.keyOf(jobid)) for stretch in more for jobid in stretch.ids[:stretch.at])
            return (others[:soon] + ids)[:count], stretches + more
        return ids, stretches

    def ahead(self, lanes: Iterable[Lane], count: int, now: float, queues: Collection[str] | None,
              looked: dict[Lines, set[str]]) -> tuple[list[int], list[Stretch]]:
        """The first jobs that wait in these lanes in order, and the stretches that these are the heads of."""
        coming = heads(self, lanes, now, queues, looked)
        ids: list[int] = []
        stretches: list[Stretch] = []
        # a heap of stretches that are picked from in turn, by the key of the next job
        mixed: list[tuple[int, Stretch]] = []
        head = next(coming, None)
        here: Segment | None = None
        while len(ids) < count and (head or mixed):
            if head and (not mixed or head[0] < mixed[0][0]):
                key, last, line, shard = head
                jobid = idOf(key)
                if here is None or jobid not in here.entries:
                    here = self.home(jobid)
                    fates = shard.fates(here.first)
                stretch = Stretch(line, key, last, here, fates, count)
                stretches.append(stretch)
                head = next(coming, None)
            else:
                _, stretch = heapq.heappop(mixed)
            limit = head[0] if head else END
            ids += stretch.pick(min(limit, mixed[0][0]) if mixed else limit)
            if stretch.at < len(stretch.ids):
                heapq.heappush(mixed, (stretch.keyOf(stretch.ids[stretch.at]), stretch))
        return ids[:count], stretches

    def starts(self, owner: Holder, jobid: int, record: Record, fate: Pending | None, now: float) -> bool:
        """Whether a job that left its line may start; else it has expired. What it holds until its
        start, it gives back."""
        extras = record.extras or {}
        expires = extras.get('expires')
        if expires is not None and expires < now and fate is None:
            owner.tally.move(record.queue, QUEUED, CANCELLED)
            self.free(jobid, record, True)
            self.note(jobid, owner, Outcome(CANCELLED, None, EXPIRED, 0, None, now))
            owner._v_expired = (*owner._v_expired, (jobid, record.name))
            return False
        self.free(jobid, record, False)
        return True

    # -- taken back

    def recall(self, seat: Seat, jobid: int, record: Record, now: float) -> bool:
        """End a job that a worker has claimed; whether it had not begun.

        The worker may begin it meanwhile: then what the job's own commit writes meets the fence.
        """
        if jobid not in seat.waiting(anew=True):
            return False
        seat.fence()
        claim = seat.claims.pop(jobid)
        self.free(jobid, record, True)
        self.note(jobid, Holder(), Outcome(CANCELLED, None, WITHDRAWN, claim.runs, None, now, '', claim.attempts))
        seat.tally.move(claim.queue, PROCESSING, CANCELLED)
        return True
