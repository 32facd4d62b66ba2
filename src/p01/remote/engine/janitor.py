# SPDX-License-Identifier: ZPL-2.1
"""Looks after what others left: jobs of workers that died, segments that nobody writes to any
more."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from p01.remote import events, verbs
from p01.remote.engine import death, limit, requests
from p01.remote.engine.death import Death, Silence
from p01.remote.engine.seams import Processor
from p01.remote.engine.verdict import pauseOf
from p01.remote.exceptions import TimedOut
from p01.remote.ground import blackbox
from p01.remote.ground.clocks import CLOCK, Clock
from p01.remote.options import DEATHS, Policy
from p01.remote.store.records import CANCELLED, COMPLETED, ERROR, FINISHED, Attempt, Claim, Outcome
from p01.remote.store.seats import PULLED, Seat
from p01.remote.store.shards import Shard
from p01.remote.store.store import Store
from p01.remote.verbs import registers, upkeep
from p01.remote.verbs.adding import ABANDON
from p01.remote.views import figures

EVERY = 5.0                 # seconds between two rounds of one worker
SWEPT = 4                   # segments that one sweep looks at in each shard
DEFAULT = Policy()
End = events.JobRetried | events.JobErred
Policies = Callable[[int], Policy]      # of a job, by its id


def rescue(store: Store, seat: Seat, now: float, ran: Iterable[int] | None,
           why: str = 'its worker died',
           late: Mapping[int, Policy] = MappingProxyType({}),
           policies: Policies = lambda jobid: DEFAULT) -> list[End]:
    """Give a dead worker's jobs to others, and fence the worker off, should it still live; returns
    what to tell.

    The jobs that ran count a run and a death, after which their policies decide. When nobody knows
    which one ran, all come under suspicion and will run alone, so that the next death tells. Jobs
    for whose time limit the worker was killed come with their policies, and then nothing else is
    blamed.
    """
    verbs.settle(store, seat, {})
    told: list[End] = []
    blamed = set(late) or (None if ran is None else set(ran))
    for jobid, claim in list(seat.claims.items()):
        if jobid in seat.asked:
            told.append(requests.taken(store, seat, jobid, now,
                                       why if jobid in (ran or ()) else ''))
        elif blamed is None:
            verbs.retry(store, seat, jobid, None, None, suspect=True)
        elif jobid not in blamed:
            verbs.release(store, seat, [jobid])
        else:
            policy = late.get(jobid) or policies(jobid)
            told.append(blame(store, seat, jobid, claim, now, why, policy, jobid in late))
    verbs.evict(store, seat)
    return told


def blame(store: Store, seat: Seat, jobid: int, claim: Claim, now: float, why: str, policy: Policy,
          late: bool, stack: limit.Stack | None = None) -> End:
    """A job has taken its worker down, or run beyond its time limit: it runs again, or has failed.
    Returns what to tell.

    stack: where it stood; None: as its process wrote down.
    """
    name, runs, deaths = store.entry(jobid)[1].name, claim.runs + 1, claim.deaths + (not late)
    attempt = Attempt(runs, seat.beat, now, seat.name, f'WorkerDied: {why}')
    pause = 0.0 if survives(policy, runs, deaths) else None
    if late:
        stack = limit.left(seat) if stack is None else stack
        attempt = attempt._replace(reason=f'TimedOut: {limit.text(policy.timeout, stack)}',
                                   trace=limit.trace(stack))
        pause = pauseOf(policy, TimedOut(), runs, random.random())
    if pause is not None:
        due = now + pause if pause else None
        verbs.retry(store, seat, jobid, due, attempt, died=not late)
        return events.JobRetried(jobid, name, runs, seat.name, attempt.reason, due)
    text = attempt.reason if late else f'Put aside: {fatal(deaths)} this job ({why}).'
    verbs.settle(store,
                 seat, {jobid: Outcome(ERROR, None, text, runs, None, now, seat.name,
                                       claim.after(attempt))})
    return events.JobErred(jobid, name, runs, seat.name, text, 'timeout' if late else 'put aside')


def survives(policy: Policy, runs: int, deaths: int) -> bool:
    """Whether a job runs again whose worker died, after so many failed runs, so many of them by
    such deaths."""
    if policy.deaths is not None:
        return deaths <= policy.deaths
    return runs <= policy.retries and deaths < DEATHS


def fatal(deaths: int) -> str:
    """How many workers died, in words."""
    return 'its worker died while it ran' if deaths == 1 \
        else f'{deaths} workers died while they ran'


def bury(processor: Processor, seat: Seat, found: Death, now: float) -> events.WorkerRescued:
    """Rescue the jobs of a worker that ended so; returns what to tell."""
    def policies(jobid: int) -> Policy:
        return death.policyOf(processor, jobid)

    jobs = len(seat.claims)
    late = {jobid: policies(jobid) for jobid in found.late}
    ends = rescue(processor.store, seat, now, found.ran, found.why, late, policies)
    return events.WorkerRescued(seat.name, jobs, tuple(sorted(found.ran or ())), found.why,
                                tuple(ends))


def round(processor: Processor, here: str, now: float,
          silence: Silence | None = None) -> list[events.WorkerRescued]:
    """Rescue the jobs of all dead workers, seal abandoned segments; part of the caller's
    transaction."""
    store: Store = processor.store
    told = []
    for seat in list(store.seats.values()):
        if seat.name == PULLED:
            told += forgotten(processor, seat, now)
            continue
        found = death.deathOf(seat, here, now, silence)
        if found is not None:
            told.append(bury(processor, seat, found, now))
    if silence is not None:
        silence.forget(store.seats)
    verbs.seal(store, now - 2 * ABANDON)
    registers.tidy(store, now)
    return told


def forgotten(processor: Processor, seat: Seat, now: float) -> list[events.WorkerRescued]:
    """Take back the jobs that were pulled by hand and not completed within their lease; each counts
    a failed run."""
    late = {jobid: claim for jobid, claim in seat.claims.items()
            if now - seat.pulled.get(jobid, seat.beat) > seat.lease}
    why = f'nobody completed what was pulled by hand within {seat.lease:g} s'
    ends = tuple(blame(processor.store, seat, jobid, claim, now, why,
                       death.policyOf(processor, jobid), False)
                 for jobid, claim in late.items())
    return [events.WorkerRescued(seat.name, len(late), tuple(late), why, ends)] if late else []


class Janitor:
    """The rounds of one worker: rescues, and removes finished jobs whose time is over, a few
    segments in each commit, round and round through the worker's own shards."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self.clock = clock
        self.at: dict[int, int] = {}        # shard → the segment looked at last
        self.places: dict[int, upkeep.Place] = {}
        self.looked = -EVERY                # when the last round ended, on the monotonic clock
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
        if self.clock.monotonic() - self.looked <= EVERY:
            return []
        near = {seat.name: (seat.path, seat.slot) for seat in processor.store.seats.values()
                if seat.box and seat.host == blackbox.HOST}
        told = round(processor, blackbox.HOST, now, self.silence)
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


def lost(processor: Processor, box: Path) -> tuple[list[events.WorkerRescued], list[int]]:
    """Rescue the jobs of a process that is dead for sure, by its box; returns what to tell, and the
    slots that are settled."""
    told, slots = [], []
    for seat in list(processor.store.seats.values()):
        if seat.box and seat.path == box:
            told.append(bury(processor, seat, death.ended(seat, death.boxOf(seat)), CLOCK.now()))
            slots.append(seat.slot)
    return told, slots


def each(told: Iterable[object]) -> Iterator[object]:
    """What is to be told, behind each rescue what became of its jobs."""
    for event in told:
        yield event
        if isinstance(event, events.WorkerRescued):
            yield from event.ends


def tell(told: Iterable[object]) -> None:
    """Tell of what is committed."""
    for event in each(told):
        events.notify(event)
