# SPDX-License-Identifier: ZPL-2.1
"""Looks after what others left, now and then: dead workers, finished jobs whose time is over,
segments that nobody writes to any more."""
from __future__ import annotations

from pathlib import Path

from p01.remote import events, verbs
from p01.remote.engine import rescuing
from p01.remote.engine.death import Silence
from p01.remote.engine.seams import Processor
from p01.remote.ground import blackbox
from p01.remote.ground.clocks import CLOCK, Clock
from p01.remote.store.records import CANCELLED, COMPLETED, ERROR, FINISHED
from p01.remote.store.shards import Shard
from p01.remote.store.store import Store
from p01.remote.verbs import upkeep
from p01.remote.views import figures

ROUNDEVERY = 5.0            # seconds between two rounds of one worker
SWEPT = 4                   # segments that one sweep looks at in each shard


class Janitor:
    """The rounds of one worker: rescues, and removes finished jobs whose time is over, a few
    segments in each commit, round and round through the worker's own shards."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self.clock = clock
        self.at: dict[int, int] = {}        # shard → the segment looked at last
        self.places: dict[int, upkeep.Place] = {}
        self.looked = -ROUNDEVERY                # when the last round ended, on the monotonic clock
        # jobs removed in the transaction that is open, None for no round
        self.swept: int | None = None
        self.silence = Silence(clock)
        # boxes and slots of those rescued in the transaction that is open
        self.settled: list[tuple[Path, int]] = []

    def poll(self, processor: Processor, rank: tuple[int, int],
             now: float) -> list[events.WorkerRescued]:
        """A round, if it is time for one; returns what to tell when the caller's transaction has
        committed."""
        self.swept = None
        self.settled = []
        if self.clock.monotonic() - self.looked <= ROUNDEVERY:
            return []
        near = {seat.name: (seat.path, seat.slot) for seat in processor.store.seats.values()
                if seat.box and seat.host == blackbox.HOST}
        told = rescuing.rescueAll(processor, blackbox.HOST, now, self.silence)
        self.settled = [near[event.worker] for event in told if event.worker in near]
        self.swept = self.sweep(processor, rank, now)
        return told

    def committed(self) -> None:
        """The caller's transaction has committed. When there is more to sweep, the next round
        follows at once."""
        if self.swept == 0:
            self.looked = self.clock.monotonic()
        for path, slot in self.settled:
            if blackbox.died(path):
                blackbox.settle(path, slot)

    def sweep(self, processor: Processor, rank: tuple[int, int], now: float) -> int:
        """One commit's worth; returns how many jobs and unique keys went. Part of the caller's
        transaction."""
        store: Store = processor.store
        own = [shard for shard in store.shards if shard.number % rank[1] == rank[0]]
        count = 0
        for shard in own:
            place = self.places.get(shard.number, upkeep.Place())
            gone, self.places[shard.number] = upkeep.sweep(store, shard, place, now)
            count += gone
        if rank[0] == 0:
            upkeep.balance(store, now)
        return count + self.prune(processor, own, rank[1], now)

    def prune(self, processor: Processor, own: list[Shard], workers: int, now: float) -> int:
        """Remove finished jobs whose time is over from these shards; returns how many went."""
        store: Store = processor.store
        keep = processor.retention
        limits = {status: None if value is None else now - value for status, value in
                  ((COMPLETED, keep.completed), (CANCELLED, keep.cancelled), (ERROR, keep.error))}
        excess = 0
        if keep.most is not None:
            finished = sum(count for (_, status), count in figures.tallied(store).items()
                           if status in FINISHED)
            excess = max(0, finished - keep.most) // workers
        elif all(limit is None for limit in limits.values()):
            return 0
        count = 0
        for shard in own:
            after = self.at.get(shard.number, 0)
            gone, self.at[shard.number] = verbs.prune(store, shard, after, limits, SWEPT,
                                                      excess - count)
            count += gone
        return count
