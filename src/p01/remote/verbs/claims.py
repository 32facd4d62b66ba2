# SPDX-License-Identifier: ZPL-2.1
"""Edge c: which jobs a worker takes into its hands."""
from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

from p01.remote.store.keys import SHARDS, idOf, rankOf, sinceOf
from p01.remote.store.lines import Lines, Stretch
from p01.remote.store.records import CANCELLED, PROCESSING, QUEUED, Claim, Outcome, Pending, Record
from p01.remote.store.seats import Holder
from p01.remote.store.segments import Segment
from p01.remote.store.shards import Lane
from p01.remote.store.store import Store
from p01.remote.verbs.ends import finish
from p01.remote.verbs.intake import takeIn
from p01.remote.verbs.lanes import END, adopted, heads, shared
from p01.remote.verbs.registers import letGo

ASIDEGRACE = 1.0         # seconds that a job of another worker's shard may wait longer than ours
# lines of a shard that are looked at in vain, rather than to write where they stand
FEWLINES = 8
EXPIRED = 'It expired before it could start.'
queueOf = attrgetter('queue')


def claimInTurn(store: Store, owner: Holder, shares: Sequence[tuple[str, int]], count: int,
                now: float, rank: tuple[int, int] = (0, 1), wide: bool = False) -> list[int]:
    """Take up to so many jobs as claim does: of each queue its share first, in their order, then
    what is left from any of them; returns the ids.

    Nobody takes in others' news before all queues were asked: who serves a queue that is mostly
    empty would meet the others all the time.
    """
    claimed: list[int] = []
    rest = [(queue, count) for queue, _ in shares]
    # in strict order each has all for its share
    own = [(True, shares)] if rest == list(shares) else [(True, shares), (True, rest)]
    for narrow, parts in (*own, (False, rest)):
        for queue, number in parts:
            number = min(number, count - len(claimed))
            if number and not alone(owner):
                claimed += claim(store, owner, number, now, (queue,), rank, wide, narrow)
                wide = False
    return claimed


def alone(owner: Holder) -> bool:
    """Whether a worker has a job that must run alone."""
    return len(owner.claims) == 1 and next(iter(owner.claims.values())).suspect


def claim(store: Store, owner: Holder, count: int, now: float,
          queues: Collection[str] | None = None,
          rank: tuple[int, int] = (0, 1), wide: bool = False, narrow: bool = False) -> list[int]:
    """Take up to so many jobs that are due, of these queues (None: of all); returns their ids
    in order.

    rank (r, n) says that this is the r-th of n workers: it takes from its own shards first,
    from others when these are empty, or when jobs wait there that have a higher priority or are
    older by more than ASIDEGRACE. wide says to take in the others' news as well, so that nobody
    starves behind a worker that is busy with one long job; narrow, not to.
    """
    claimed: list[int] = []
    looked: dict[Lines, set[str]] = {}
    expired = True
    while expired and len(claimed) < count:
        ids, stretches = picks(store, owner, count - len(claimed), now, queues, rank, wide, looked,
                               narrow)
        for stretch in stretches:
            if stretch.fate is not None and stretch.fate.suspect and stretch.ids[0] in ids:
                # it must run alone, so that the next death tells
                at = ids.index(stretch.ids[0])
                del ids[at if at or owner.claims else 1:]
        if ids:
            owner.touch()       # before the change: what fails amidst must be undone
        chosen = set(ids)
        taken: dict[int, Claim] = {}
        for stretch in stretches:
            number = sum(map(chosen.__contains__, stretch.ids))
            if number:
                take(store, owner, stretch, number, taken, now)
        started = {jobid: taken[jobid] for jobid in ids if jobid in taken}
        for queue, number in Counter(map(queueOf, started.values())).items():
            owner.tally.move(queue, QUEUED, PROCESSING, number)
        # nobody's job is left behind because the one before it was too late
        expired = len(started) < len(ids)
        owner.claims.update(started)
        claimed += started
    for lines, seen in looked.items():
        if len(seen) > FEWLINES and queues is None:      # else it costs less to look again
            lines.trim(seen)
    return claimed


def take(store: Store, owner: Holder, stretch: Stretch, count: int, taken: dict[int, Claim],
         now: float) -> None:
    """Take so many jobs out of their line; those of them that start, with their claims, are
    added to what is taken."""
    stretch.leave(count)
    ids, fate = stretch.ids[:count], stretch.fate
    if fate is None:
        taken.update(dict.fromkeys(ids, Claim(stretch.queue)))
    else:
        owner.forget(ids[0])
        taken[ids[0]] = Claim(stretch.queue, stretch.key, fate.runs, fate.attempts, fate.deaths,
                              fate.suspect)
    for jobid in ids:
        record = stretch.entries[jobid]
        if fate is not None:
            record = store.edited(jobid, record)
        if record.extras is not None and not starts(store, owner, jobid, record, fate, now):
            del taken[jobid]


def picks(store: Store, owner: Holder, count: int, now: float, queues: Collection[str] | None,
          rank: tuple[int, int],
          wide: bool, looked: dict[Lines, set[str]],
          narrow: bool) -> tuple[list[int], list[Stretch]]:
    """The jobs to claim next in order, and the stretches that these are the heads of.

    looked gets the queues whose lines were looked at in the worker's own lanes.
    """
    number, workers = rank
    for shard in store.shards:
        if wide or shard.number % workers == number:
            takeIn(store, shard, owner, now, workers)
    own, foreign = shared(store, rank)
    for _, lines in own:
        looked.setdefault(lines, set())
    ids, stretches = ahead(store, own, count, now, queues, looked)
    if len(ids) < count:
        for shard in store.shards:
            if not (wide or narrow) and shard.number % workers != number:
                takeIn(store, shard, owner, now, workers)
        if workers > SHARDS:        # some of it may be for this worker
            own, foreign = shared(store, rank)
            if not any(lines.heads for _, lines in own):
                own, foreign = adopted(foreign, number)
            ids, stretches = ahead(store, own, count, now, queues, looked)
    if len(ids) < count:
        others, more = ahead(store, foreign, count - len(ids), now, queues, {})
        return ids + others, stretches + more
    urgent = rankOf(stretches[0].key), sinceOf(stretches[0].key) - ASIDEGRACE

    def sooner(key: int) -> bool:
        return (rankOf(key), sinceOf(key)) < urgent

    first = next(heads(store, foreign, now, queues, {}), None)
    if first is not None and sooner(first[0]):
        others, more = ahead(store, foreign, count, now, queues, {})
        soon = sum(sooner(stretch.keyOf(jobid)) for stretch in more
                   for jobid in stretch.ids[:stretch.at])
        return (others[:soon] + ids)[:count], stretches + more
    return ids, stretches


def ahead(store: Store, lanes: Iterable[Lane], count: int, now: float,
          queues: Collection[str] | None,
          looked: dict[Lines, set[str]]) -> tuple[list[int], list[Stretch]]:
    """The first jobs that wait in these lanes in order, and the stretches that these are the heads
    of."""
    coming = heads(store, lanes, now, queues, looked)
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
                here = store.home(jobid)
                fates = shard.known(here.first)
            stretch = Stretch(line, key, last, here, fates, count)
            if stretch.fate is not None:
                stretch.queue = store.edited(jobid, here.entries[jobid]).queue
            stretches.append(stretch)
            head = next(coming, None)
        else:
            _, stretch = heapq.heappop(mixed)
        limit = head[0] if head else END
        ids += stretch.pick(min(limit, mixed[0][0]) if mixed else limit)
        if stretch.at < len(stretch.ids):
            heapq.heappush(mixed, (stretch.keyOf(stretch.ids[stretch.at]), stretch))
    return ids[:count], stretches


def starts(store: Store, owner: Holder, jobid: int, record: Record, fate: Pending | None,
           now: float) -> bool:
    """Whether a job that left its line may start; else it has expired. What it holds until its
    start, it gives back."""
    expires = store.expires(jobid, record, fate)
    if expires is not None and expires < now:
        owner.tally.move(record.queue, QUEUED, CANCELLED)
        letGo(store, jobid, record, True)
        finish(store, jobid, owner, Outcome(CANCELLED, None, EXPIRED, 0, None, now))
        owner._v_expired = (*owner._v_expired, (jobid, record.name))
        return False
    letGo(store, jobid, record, False)
    return True
