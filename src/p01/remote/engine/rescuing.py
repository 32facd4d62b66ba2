# SPDX-License-Identifier: ZPL-2.1
"""Gives back what dead workers held, and what was pulled by hand and forgotten."""
from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from p01.remote import events, verbs
from p01.remote.engine import death, limit, requests
from p01.remote.engine.death import Death, Silence
from p01.remote.engine.progress import left
from p01.remote.engine.seams import Processor
from p01.remote.engine.verdict import fatal, pauseOf, survives
from p01.remote.exceptions import TimedOut
from p01.remote.ground import subscribers
from p01.remote.ground.clocks import CLOCK
from p01.remote.ground.notes import note
from p01.remote.options import Policy
from p01.remote.store.records import ERROR, Attempt, Claim, Outcome
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store
from p01.remote.verbs import registers
from p01.remote.verbs.adding import ABANDON

DEFAULTPOLICY = Policy()
End = events.JobRetried | events.JobErred
Policies = Callable[[int], Policy]      # of a job, by its id


def rescue(store: Store, seat: Seat, now: float, ran: Iterable[int] | None,
           why: str = 'its worker died',
           late: Mapping[int, Policy] = MappingProxyType({}),
           policies: Policies = lambda jobid: DEFAULTPOLICY,
           among: Collection[int] = ()) -> list[End]:
    """Give a dead worker's jobs to others, and fence the worker off, should it still live; returns
    what to tell.

    The jobs that ran count a run and a death, after which their policies decide. When nobody knows
    which one ran, all come under suspicion and will run alone, so that the next death tells. Jobs
    for whose time limit the worker was killed come with their policies, and then nothing else is
    blamed. Where it was one among several, each has a death noted, and who was at one before comes
    under suspicion: whoever kills a process with 1,000 jobs that await has them not run one by one.
    """
    verbs.settle(store, seat, {})
    told: list[End] = []
    blamed = set(late) or (None if ran is None else set(ran))
    for jobid, claim in list(seat.claims.items()):
        if jobid in seat.asked:
            told.append(requests.taken(store, seat, jobid, now,
                                       why if jobid in (ran or ()) else ''))
        elif blamed is None or jobid in among:
            verbs.retry(store, seat, jobid, None, None, died=jobid in among,
                        suspect=blamed is None or claim.deaths > 0)
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
    record = store.entry(jobid)[1]
    name, queue, runs = record.name, record.queue, claim.runs + 1
    deaths = claim.deaths + (not late)
    attempt = Attempt(runs, seat.beat, now, seat.name, f'WorkerDied: {why}', '',
                      left(seat, jobid))
    pause = 0.0 if survives(policy, runs, deaths) else None
    if late:
        stack = limit.left(seat, jobid) if stack is None else stack
        attempt = attempt._replace(reason=f'TimedOut: {limit.text(policy.timeout, stack)}',
                                   trace=limit.trace(stack))
        pause = pauseOf(policy, TimedOut(), runs, random.random())
    if pause is not None:
        due = now + pause if pause else None
        verbs.retry(store, seat, jobid, due, attempt, died=not late)
        return events.JobRetried(jobid, name, runs, seat.name, attempt.reason, due, queue)
    text = attempt.reason if late else f'Put aside: {fatal(deaths)} this job ({why}).'
    verbs.settle(store,
                 seat, {jobid: Outcome(ERROR, None, text, runs, None, now, seat.name,
                                       claim.after(attempt))})
    return events.JobErred(jobid, name, runs, seat.name, text, 'timeout' if late else 'put aside',
                           queue)


def bury(processor: Processor, seat: Seat, found: Death, now: float) -> events.WorkerRescued:
    """Rescue the jobs of a worker that ended so; returns what to tell."""
    def policies(jobid: int) -> Policy:
        return death.policyOf(processor, jobid)

    jobs = len(seat.claims)
    late = {jobid: policies(jobid) for jobid in found.late}
    ends = rescue(processor.store, seat, now, found.ran, found.why, late, policies,
                  found.among)
    return events.WorkerRescued(seat.name, jobs, tuple(sorted(found.ran or ())), found.why,
                                tuple(ends))


def rescueAll(processor: Processor, here: str, now: float,
          silence: Silence | None = None) -> list[events.WorkerRescued]:
    """Rescue the jobs of all dead workers, seal abandoned segments; part of the caller's
    transaction."""
    store: Store = processor.store
    told = []
    for seat in list(store.seats.values()):
        if seat.byHand:
            told += forgotten(processor, seat, now)
            continue
        for jobid, asked in seat.asked.items() if seat.host == here and seat.box else ():
            # its own process may hold on to the interpreter, and not see it
            note(seat.path, seat.slot, jobid, CLOCK.monotonic() + asked.grace)
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


def rescueProcess(processor: Processor, box: Path) -> tuple[list[events.WorkerRescued], list[int]]:
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
        subscribers.notify(event)
