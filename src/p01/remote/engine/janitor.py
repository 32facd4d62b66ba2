# SPDX-License-Identifier: ZPL-2.1
"""Looks after what others left: jobs of workers that died, segments that nobody writes to any more."""
from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from p01.remote import events
from p01.remote.engine import beacon
from p01.remote.options import Policy
from p01.remote.store import uniques, upkeep
from p01.remote.store.records import CANCELLED, COMPLETED, ERROR, FINISHED, Attempt, Outcome
from p01.remote.store.seats import Seat
from p01.remote.store.shards import Shard
from p01.remote.store.store import BYHAND, Store
from p01.remote.store.writer import ABANDON

DEATHS = 3                  # workers that one job may take down
EVERY = 5.0                 # seconds between two rounds of one worker
PAGES = 4                   # pages that one sweep looks at in each shard
EMPTY = 24 * 3600.0         # seconds after which the seat of a silent worker without jobs goes


def isDead(seat: Seat, here: str, now: float) -> bool:
    """Whether a worker's jobs must go to others."""
    if seat.name == BYHAND:
        return bool(seat.claims) and now - seat.beat > seat.lease
    if seat.process == beacon.PROCESS:
        return seat.name not in beacon.live
    if not seat.box:        # a database that one process alone can open: this one
        return True
    if seat.host == here and beacon.died(beacon.boxOf(seat)):
        return True
    silent = now - seat.beat
    return silent > seat.lease if seat.claims else silent > EMPTY


def running(seat: Seat) -> set[int] | None:
    """The claimed jobs that a dead worker's process ran when it died, by its box; None when nobody knows."""
    if seat.box:
        try:
            return {slot.jobid for slot in beacon.read(beacon.boxOf(seat))} & set(seat.claims)
        except OSError:
            pass
    return set(seat.claims) if len(seat.claims) == 1 else None


def overdue(processor: Any, seat: Seat) -> dict[int, Policy]:
    """The claimed jobs that ran beyond their timeout when the process of this host died, with their policies."""
    try:
        slots = beacon.read(beacon.boxOf(seat))
    except OSError:
        return {}
    return {slot.jobid: processor.behaviour(processor.store.entry(slot.jobid)[1].name).policy for slot in slots
            if slot.jobid in seat.claims and 0 < slot.deadline < time.monotonic()}


def rescue(store: Store, seat: Seat, now: float, ran: Iterable[int] | None, why: str = 'its worker died',
           late: Mapping[int, Policy] = MappingProxyType({})) -> None:
    """Give a dead worker's jobs to others, and fence the worker off, should it still live.

    The jobs that ran count a run and a death; after DEATHS of them a job is put aside. When nobody knows which one ran,
    all come under suspicion and will run alone, so that the next death tells. Jobs for whose timeout the worker was killed
    come with their policies, which decide.
    """
    store.settle(seat, {})
    for jobid, claim in list(seat.claims.items()):
        if ran is None:
            store.retry(seat, jobid, None, None, suspect=True)
            continue
        if jobid not in ran:
            store.release(seat, [jobid])
            continue
        attempt = Attempt(claim.runs + 1, seat.beat, now, seat.name, f'WorkerDied: {why}')
        text, pause = f'Put aside: {DEATHS} workers died while they ran this job ({why}).', None
        again = claim.deaths + 1 < DEATHS
        if jobid in late:
            attempt = attempt._replace(reason='TimedOut: it ran longer than its timeout')
            pause = late[jobid].pause(TimeoutError(), claim.runs + 1, random.random())
            again, text = pause is not None, attempt.reason
        if again:
            store.retry(seat, jobid, now + pause if pause else None, attempt, died=jobid not in late)
        else:
            store.settle(seat, {jobid: Outcome(ERROR, None, text, claim.runs + 1, None, now, seat.name,
                                               claim.attempts + (attempt,))})
    store.evict(seat)


def round(processor: Any, here: str, now: float) -> list[events.WorkerRescued]:
    """Rescue the jobs of all dead workers, seal abandoned segments; part of the caller's transaction."""
    store: Store = processor.store
    told = []
    for seat in list(store.seats.values()):
        if isDead(seat, here, now):
            ran = running(seat) if seat.host == here else None
            if ran is None and len(seat.claims) == 1:
                ran = set(seat.claims)
            told.append(events.WorkerRescued(seat.name, len(seat.claims), None))
            rescue(store, seat, now, ran, late=overdue(processor, seat) if seat.host == here else {})
    store.seal(now - 2 * ABANDON)
    uniques.tidy(store, now)
    return told


class Janitor:
    """The rounds of one worker: rescues, and removes finished jobs whose time is over, a few pages in each commit, round and
    round through the worker's own shards."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}        # shard → the page looked at last
        self.places: dict[int, upkeep.Place] = {}
        self.looked = -EVERY                # when the last round ended, on the monotonic clock
        self.swept: int | None = None       # jobs removed in the transaction that is open, None for no round

    def poll(self, processor: Any, rank: tuple[int, int], now: float) -> list[events.WorkerRescued]:
        """A round, if it is time for one; returns what to tell when the caller's transaction has committed."""
        self.swept = None
        if time.monotonic() - self.looked <= EVERY:
            return []
        told = round(processor, beacon.HOST, now)
        self.swept = self.sweep(processor, rank, now)
        return told

    def committed(self) -> None:
        """The caller's transaction has committed. When there is more to sweep, the next round follows at once."""
        if self.swept == 0:
            self.looked = time.monotonic()

    def sweep(self, processor: Any, rank: tuple[int, int], now: float) -> int:
        """One commit's worth; returns how many jobs and unique keys went. Part of the caller's transaction."""
        store: Store = processor.store
        own = [shard for shard in store.shards if shard.number % rank[1] == rank[0]]
        count = 0
        for shard in own:
            gone, self.places[shard.number] = upkeep.sweep(store, shard, self.places.get(shard.number, upkeep.Place()), now)
            count += gone
        if rank[0] == 0:
            upkeep.balance(store, now)
        return count + self.prune(processor, own, rank[1], now)

    def prune(self, processor: Any, own: list[Shard], workers: int, now: float) -> int:
        """Remove finished jobs whose time is over from these shards; returns how many went."""
        store: Store = processor.store
        keep = processor.retention
        limits = {status: None if value is None else now - value for status, value in
                  ((COMPLETED, keep.completed), (CANCELLED, keep.cancelled), (ERROR, keep.error))}
        excess = 0
        if keep.most is not None:
            finished = sum(count for (_, status), count in store.tallied().items() if status in FINISHED)
            excess = max(0, finished - keep.most) // workers
        elif all(limit is None for limit in limits.values()):
            return 0
        count = 0
        for shard in own:
            after = self.at.get(shard.number, 0)
            gone, self.at[shard.number] = upkeep.prune(store, shard, after, limits, PAGES, excess - count)
            count += gone
        return count


def lost(processor: Any, box: str, why: str) -> list[events.WorkerRescued]:
    """Rescue the jobs of a process that this process saw die."""
    store: Store = processor.store
    told = []
    for seat in list(store.seats.values()):
        if seat.box and str(beacon.boxOf(seat)) == box:
            told.append(events.WorkerRescued(seat.name, len(seat.claims), None))
            rescue(store, seat, time.time(), running(seat), why, overdue(processor, seat))
    return told
