# SPDX-License-Identifier: ZPL-2.1
"""Edge b, and the first half of c: how new jobs, and those that became due, get in line."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter

from p01.remote.store import uniques
from p01.remote.store.keys import LANES, idOf, laneOf, partsOf, shardOf, waitingKey
from p01.remote.store.lines import Lines, alike
from p01.remote.store.records import CANCELLED, DELAYED, QUEUED, Outcome, Pending, Record
from p01.remote.store.seats import Holder
from p01.remote.store.segments import Segment
from p01.remote.store.shards import Shard, uniqueShard
from p01.remote.store.store import Store
from p01.remote.verbs import recording
from p01.remote.verbs.adding import ASTRAY
from p01.remote.verbs.ends import finish

SEGMENTS = 9        # neighbours that are asked when jobs were enqueued whose own clock was wrong
# jobs that one shard takes in at once: more than one claim, so that order holds; few enough for
# memory
INTAKE = 2_000
PIECE = 500         # stretches that are dealt at once


def takeIn(store: Store, shard: Shard, owner: Holder, now: float, workers: int = 0) -> None:
    """Put a shard's new jobs, and those that became due, in line; of many only the first
    INTAKE. workers: see deal."""
    came: Counter[tuple[str, str]] = Counter()
    arrived: Counter[tuple[str, str]] = Counter()
    lanes = deal(store, shard, workers)
    for first, new in news(store, shard, INTAKE):
        if not new:
            continue
        kinds = shard.kinds.came(first, new)
        arrived.update(kinds)
        store.segment(first).knows(kinds)
        lines = shard.lanes[laneOf(first, lanes)]
        if new[-1][1].created > now + ASTRAY or store.segment(first).astray:
            new = rightened(store, shard, lines, first, new, owner, now)
        for (queue, _, due), group in groupby(new, alike):
            jobs = list(group)
            for status, some in parted(store, owner, jobs, now):
                came[queue,
                     status or (QUEUED if due is None or due <= now else DELAYED)] += len(some)
                if not status:
                    lines.enter(queue, some, now)
    moved = shard.ripen(now, INTAKE)
    if came or moved or arrived:
        owner.touch()
        recording.came(owner, arrived, now)
        owner.tally.add(came)
        owner.tally.add(moved)


def parted(store: Store, owner: Holder, jobs: list[tuple[int, Record]],
           now: float) -> Iterator[tuple[str, list[tuple[int, Record]]]]:
    """Neighbours that are alike in runs: '' for those that get in line, or the status of those that
    do not.

    A stretch of the line goes from its first job to its last, so that no other one may be between
    them.
    """
    if all(record.extras is None for _, record in jobs):
        yield '', jobs
        return
    for status, run in groupby(jobs, lambda job: '' if job[1].extras is None
                               else admits(store, owner, job[0], job[1], now)):
        yield status, list(run)


def rightened(store: Store, shard: Shard, lines: Lines, first: int, new: list[tuple[int, Record]],
              owner: Holder,
              now: float) -> list[tuple[int, Record]]:
    """Put new jobs in line whose clock was ahead, at their place by what stands around them;
    returns the others."""
    others = []
    births = (min([each.born, *(record.created for record in islice(each.entries.values(), 1))])
              for each in islice(store.segments.values(first), SEGMENTS))
    last = next((born for born in births if born <= now), now) - 0.000_002
    for jobid, record in new:
        if record.due is not None or record.created <= now + ASTRAY:
            others.append((jobid, record))
            last = max(last, min(record.created, now))
        elif record.extras is None or not (status := admits(store, owner, jobid, record, now)):
            key = waitingKey(record.priority, last, jobid)
            shard.fatesOf(first).note(jobid, Pending(key, None, 0))
            lines.join(record.queue, key)._p_changed = True
            owner.touch()
            owner.tally.move(record.queue, None, QUEUED)
        else:
            owner.tally.move(record.queue, None, status)
    return others


def news(store: Store, shard: Shard, most: int) -> Iterator[tuple[int, list[tuple[int, Record]]]]:
    """Jobs that came since the last call, with their ids, by the first id of their segment;
    they count as taken in.

    At most about so many: the segments that are open already, then new ones until it is enough.
    """
    count, near = 0, shard.intake.near()
    for first, cursor in list(shard.intake.open.items()):
        known = near.get(first)
        if known is not None and known.top == cursor < known.last:
            continue
        new = taking(store, shard, first, cursor)
        count += len(new)
        yield first, new
    newest = store.segments.maxKey() if store.segments else 0
    for first in fresh(store, shard):
        if count >= most:
            return
        shard.intake.open[first] = first - 1
        shard.intake._p_changed = True
        # one beyond is our own, and the snapshot may lack some before it
        if first <= newest:
            shard.intake.seen = first
        new = taking(store, shard, first, first - 1)
        count += len(new)
        yield first, new
    if newest > shard.intake.seen:
        shard.intake.seen = newest
        shard.intake._p_changed = True


def fresh(store: Store, shard: Shard) -> Iterator[int]:
    """The first ids of our segments that were never looked at, in order.

    A transaction's own segments may be missing in its snapshot, and others that were registered
    before them as well.
    """
    intake = shard.intake
    own = [first for first in store.adopted() if first > intake.seen]
    registered = store.segments.keys(intake.seen + 1)
    return (first for first in (sorted({*registered, *own}) if own else registered)
            if shardOf(first) == shard.number and first not in intake.open)


def taking(store: Store, shard: Shard, first: int, cursor: int) -> list[tuple[int, Record]]:
    """The jobs of a segment beyond the cursor, which moves on."""
    intake = shard.intake
    segment: Segment = store.segment(first)
    top, last = segment.top, segment.last
    fates = shard.known(first)       # a job may be cancelled before anybody took it in
    new = [(jobid, record) for jobid, record in segment.entries.items() if jobid > cursor
           and jobid not in fates] \
        if top > cursor else []
    if top < last or first > intake.seen:
        if top != cursor:
            intake.open[first] = top
            intake._p_changed = True
        if first not in store.adopted():     # such a one may be gone with its transaction
            intake.near()[first] = segment
    else:
        intake.shut(first)
    return new


def deal(store: Store, shard: Shard, workers: int) -> int:
    """Have a lane for each of those of so many workers that share this shard, 0 for as many as
    there were; returns to how many lanes jobs go.

    What waits already is dealt anew when there are more of them than before, a piece at a time,
    the oldest first.
    """
    lanes = min(LANES, partsOf(shard.number, workers)) if workers else shard.dealt
    if lanes < shard.dealt:
        shard.dealt = lanes
    elif lanes > shard.dealt:
        if lanes > len(shard.lanes):
            shard.lanes += tuple(Lines() for _ in range(lanes - len(shard.lanes)))
        astray = [(key, last, queue, lines, there) for lines in shard.lanes
                  for queue, line in lines.queues.items()
                  for key, last in line.waiting.items()
                  if (there := shard.lanes[laneOf(store.floor(idOf(key)), lanes)]) is not lines]
        if len(astray) > PIECE:
            astray = sorted(astray, key=itemgetter(0))[:PIECE]
        else:
            shard.dealt = lanes
        for key, last, queue, lines, there in astray:
            del lines.queues[queue].waiting[key]
            there.join(queue, key, last)
            lines._p_changed = there._p_changed = True
    return lanes


def admits(store: Store, owner: Holder, jobid: int, record: Record, now: float) -> str:
    """'' for a new job that may get in line, whose unique key it then holds; else the status that
    it has: it has ended as a duplicate."""
    unique = (record.extras or {}).get('unique')
    if unique is None:
        return ''
    key, _, until = unique
    holder = uniques.held(store, key, record.created)
    if holder is not None and holder != jobid:
        reason = f'A duplicate of job {holder}, which holds the unique key {key!r}.'
        finish(store, jobid, owner, Outcome(CANCELLED, None, reason, 0, None, now, holder=holder))
        return CANCELLED
    store.shards[uniqueShard(key)].uniques[key] = (jobid, until)
    return ''
