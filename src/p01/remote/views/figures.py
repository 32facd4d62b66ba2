# SPDX-License-Identifier: ZPL-2.1
"""How many jobs there are, and since when they wait."""
from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import NamedTuple

from p01.remote.store.outcomes import statusOf
from p01.remote.store.records import DELAYED, PROCESSING, QUEUED
from p01.remote.store.shards import Tally
from p01.remote.store.store import Store
from p01.remote.views.leftovers import Left

OPENEDSEGMENTS = 100          # segments that a look at jobs opens which no worker has noticed
RECKONEDFROM = 50           # segments that the others are reckoned from
END = float('inf')
LATE = 300.0            # seconds; what waits longer, or is due since then, is late


class Counts(NamedTuple):
    """How many jobs of each queue have which status.

    reckoned: how many of them no worker has noticed was reckoned from a part of them. What a worker
    has taken in is exact.
    """

    queues: dict[str, dict[str, int]]
    reckoned: bool = False


def reckoned(store: Store) -> Counts:
    """The counts; exact while the jobs that no worker has noticed are in at most OPENEDSEGMENTS,
    3,000 to 50,000 jobs."""
    segments = list(store.unnoticed())
    if len(segments) <= OPENEDSEGMENTS:
        return Counts(exact(store))
    total, found = tallied(store), Counter[tuple[str, str]]()
    step = len(segments) / RECKONEDFROM
    for _, record in store.untaken(segments[int(number * step)] for number in range(RECKONEDFROM)):
        found[record.queue, QUEUED if record.due is None else DELAYED] += 1
    total.add({kind: round(number * step) for kind, number in found.items()})
    return Counts(nested(total), True)


def exact(store: Store) -> dict[str, dict[str, int]]:
    """How many jobs of each queue have which status; exact within one poll of a worker.

    Costs as much as there are workers, jobs in their hands, and jobs that no worker has
    noticed; see reckoned.
    """
    total = tallied(store)
    came = Counter((record.queue, record.due is None) for _, record in store.untaken())
    total.add({(queue, QUEUED if due else DELAYED): number
               for (queue, due), number in came.items()})
    return nested(total)


def tallied(store: Store) -> Tally:
    """How many jobs of each queue have which status, but for those that no worker has noticed."""
    total = Tally()
    for shard in store.shards:
        total.add(shard.tally)
    for seat in store.seats.values():
        total.add(seat.tally)
        for jobid, fields in seat.written().items():
            total.move(seat.claims[jobid].queue, PROCESSING, statusOf(fields))
        for jobid in seat.waiting():
            total.move(seat.claims[jobid].queue, PROCESSING, QUEUED)
    return total


def nested(total: Tally) -> dict[str, dict[str, int]]:
    """Counts by queue, then by status."""
    counts: dict[str, dict[str, int]] = {}
    for (queue, status), count in sorted(total.items()):
        counts.setdefault(queue, {})[status] = count
    return counts


def oldest(store: Store) -> float | None:
    """Since when the oldest job waits that could start, in POSIX seconds; None when none waits.

    Of jobs that no worker has noticed, as many are looked at as are in OPENEDSEGMENTS.
    """
    found = min((instant for shard in store.shards if (instant := shard.oldest()) is not None),
                default=END)
    for first, cursor in islice(store.unnoticed(), OPENEDSEGMENTS):
        segment = store.segment(first)
        if segment.born > found and first > cursor:
            break           # this one, and all that were reserved after it, have younger jobs
        found = min([found,
                     *(record.created for _, record in store.untaken([(first, cursor)])
                       if record.due is None)])
    return None if found == END else found


def nextDue(store: Store, noticed: bool = True) -> float | None:
    """When the next delayed job is due, in POSIX seconds; noticed: of those that a worker has
    noticed, else of the others as well, as many as are in
    OPENEDSEGMENTS."""
    found = [instant for shard in store.shards if (instant := shard.nextDue()) is not None]
    if not noticed:
        found += [record.due
                  for _, record in store.untaken(islice(store.unnoticed(), OPENEDSEGMENTS))
                  if record.due is not None]
    return min(found, default=None)


def behind(store: Store) -> bool:
    """Whether there are segments that no worker has looked at."""
    newest = store.segments.maxKey() if store.segments else 0
    return any(shard.intake.seen < newest for shard in store.shards)


def leftOf(store: Store, queues: tuple[str, ...], now: float) -> Left:
    """What is left for workers that serve these queues; () for all."""
    paused: Counter[str] = Counter()
    unserved: Counter[str] = Counter()
    total: Counter[str] = Counter()
    held = store.settings.pausedAt(now)
    for queue, counts in exact(store).items():
        waiting = counts.get(QUEUED, 0)
        if queues and queue not in queues:
            unserved[queue] += waiting
        elif queue in held:
            paused[queue] += waiting
        else:
            total[QUEUED] += waiting
        for status in (PROCESSING, DELAYED):
            total[status] += counts.get(status, 0)
    return Left(total[QUEUED], total[PROCESSING], dict(+paused), dict(+unserved), total[DELAYED],
                nextDue(store, noticed=False))
