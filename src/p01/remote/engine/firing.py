# SPDX-License-Identifier: ZPL-2.1
"""Fires one schedule: what its due tick becomes, and the jobs for it, as part of the caller's
transaction."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ZODB.broken import Broken

from p01.remote.clock import ticks
from p01.remote.clock.item import SchedulerItem
from p01.remote.clock.schedule import Schedule
from p01.remote.clock.settings import MADEUP
from p01.remote.engine.enqueuing import packed, put
from p01.remote.engine.seams import Processor
from p01.remote.exceptions import InputError, JobNotFound, NotLoaded
from p01.remote.ground import clocks
from p01.remote.ground.foreign import shown
from p01.remote.instants import seconds
from p01.remote.options import DEFAULTQUEUE
from p01.remote.scheduler import Scheduler
from p01.remote.storage.classes import reasonFor
from p01.remote.store.dues import Dues, partOf
from p01.remote.store.records import FINISHED, Record
from p01.remote.store.store import Store

TOOLATE = 60.0         # seconds after which missed='none' lets a tick go
HISTORY = 20        # firings that are remembered
ASTRAY = 1.0        # seconds that clocks may differ

BYHAND, BACKFILL = 'by hand', 'backfill'
UNWANTED = 'skipped by hand'


class Firing(NamedTuple):
    """What became of a tick: a job, or why there is none. Instants are POSIX seconds."""

    tick: float
    fired: float
    jobid: int          # 0: none
    why: str = ''


class Decision(NamedTuple):
    """What a due schedule does: the ticks that get a job, the number missed, the one that is left
    out and why, the next tick and the one right before it."""

    ticks: list[float]
    missed: int
    left: float | None
    why: str
    tick: float | None
    linked: float | None


def decide(item: SchedulerItem, now: float, held: str) -> Decision:
    """What a schedule that is due does now; held: why no other job of it may start, '' when one
    may. Pure."""
    tick = item.due if item.tick is None else item.tick
    assert tick is not None         # it is due
    if not item.nominal:
        found, missed, last, coming = [tick], 0, None, item.coming(now)
    else:
        found, missed, last, coming = passed(item, tick, now)
    if coming is not None \
            and seconds(coming, f'The next time of schedule {item.__name__}') <= now \
            and not item.nominal:
        raise InputError(f'Schedule {item.__name__}: next({now!r}) must give a later instant, not '
                         f'{shown(coming, 60)}.')
    left, why = None, ''
    if found and item.skips:
        left, why, found = found[0], UNWANTED, found[1:]
    if found and held and item.overlap == 'skip':
        left, why, found = found[-1], held, []
    return Decision(found, missed, left, why, coming, last if found and found[-1] == last else None)


def passed(item: SchedulerItem, tick: float,
           now: float) -> tuple[list[float], int, float, float | None]:
    """Of the ticks up to now, the first of which is this one: those that get a job, how many were
    missed, the last one; and the next one."""
    def following(after: float) -> float | None:
        return ticks.onward(item.coming, after, item.spans)

    last, coming, missed, found = tick, following(tick), 0, [tick]
    if coming is not None and item.dueOf(coming) <= now:
        last = ticks.latest(following, tick, now)
        if item.dueOf(last) > now:              # by its jitter
            last = ticks.latest(following, tick, last - 1e-6)
        many = item.missed if isinstance(item.missed,
                                         int) else {'one': 1, 'none': 1, 'all': MADEUP}[item.missed]
        found = ticks.lasts(following, tick, last, many)
        missed = ticks.counted(following, tick, last) - len(found)
        coming = following(last)
    if item.missed == 'none' and now - item.dueOf(found[-1]) > TOOLATE:
        found, missed = [], missed + 1
    return [each for each in found if not ticks.within(each, item.spans)], missed, last, coming


def held(store: Store, item: SchedulerItem) -> str:
    """Why no other job of a schedule should start: one before it still waits or runs; '' when none
    does."""
    for jobid in earlier(item):
        try:
            status = store.view(jobid).status
        except JobNotFound:
            continue
        if status not in FINISHED:
            return f'job {jobid} is {status}'
    return ''


def earlier(item: SchedulerItem) -> list[int]:
    """The jobs of a schedule that may still wait or run, the last one first."""
    firings = [Firing(*each) for each in reversed(item.history)]
    if item.overlap == 'skip' and any(each.why in (BYHAND, BACKFILL) for each in firings):
        # those stand beside its times, and may have ended before one that runs for long
        return [each.jobid for each in firings if each.jobid]
    return [] if item.lastJob is None else [item.lastJob]


def records(processor: Processor, item: SchedulerItem, instants: Iterable[float]) -> list[Record]:
    """The jobs for some ticks. Raises what the job's own code raises, UnknownJob, InputError."""
    instants = list(instants)
    if not instants:
        return []
    # proven when it was made; a worker needs none of the job's code for it
    if isinstance(item, Schedule):
        kept, queue = item.packed, item.queue
    else:
        behaviour = processor.registered(item.jobName)
        [kept] = packed(processor, item.jobName, behaviour, (item.input,))
        queue = item.queue or behaviour.queue
    created = clocks.now()
    return [Record(item.jobName, kept, created, queue or DEFAULTQUEUE, item.priority, None,
                   {'tick': tick, 'schedule': str(item.__name__)}) for tick in instants]


def found(processor: Processor, key: str) -> SchedulerItem:
    """A schedule, as it is now. Raises KeyError, NotLoaded, and whatever its loading does."""
    item = processor.scheduler[key]
    if isinstance(item, Broken):
        raise NotLoaded(f'The schedule cannot be loaded, {reasonFor(item)}.')
    item._p_activate()
    return item


def prepared(processor: Processor, when: float, key: str, now: float) -> Callable[[], int]:
    """What is to be done with a schedule that was to be looked at; called, it does it, and returns
    how many jobs it has enqueued. Raises what the schedule's code or its job's raises, before
    anything is changed."""
    scheduler = processor.scheduler
    part = scheduler.parts[partOf(key)]
    if key not in scheduler:
        return lambda: moved(part, None, when, key)
    item = found(processor, key)
    if strayed(item, now) or item.when == when and not item.active:     # or its pause is over
        tick, active = ticks.onward(item.coming, now, item.spans), item.active or item.when == when
        return lambda: moved(part, renewed(scheduler, item, tick, active, now), when, key)
    if item.when != when:                       # the hint is old
        return lambda: moved(part, item.when, when, key)
    if item.due is None or item.due > now:
        return lambda: 0
    why = held(processor.store, item)
    decision = decide(item, now, why)
    jobs = records(processor, item, decision.ticks)
    return lambda: fired(processor, item, decision, jobs, now, bool(why))


def moved(part: Dues, when: float | None, was: float, key: str) -> int:
    """Look at a schedule when it says, and not when an old hint does."""
    part.leave(was, key)
    if when is not None:
        part.enter(when, key)
    return 0


def strayed(item: SchedulerItem, now: float) -> bool:
    """Whether a clock that was ahead of this one has reckoned when a schedule is due."""
    return item.reckoned is not None and item.reckoned > now + ASTRAY


def renewed(scheduler: Scheduler, item: SchedulerItem, tick: float | None, active: bool,
            now: float) -> float | None:
    """Have a schedule due for another tick, and active or not; returns when to look at it."""
    if active != item.active:
        item.active = active
    item.plan(tick, None if tick is None else item.dueOf(tick))
    reckoned(scheduler, item, now)
    return item.when


def reckoned(scheduler: Scheduler, item: SchedulerItem, now: float) -> None:
    """When a schedule is due next was reckoned now."""
    item.reckoned = now
    scheduler.parts[partOf(str(item.__name__))].saw(now)


def fired(processor: Processor, item: SchedulerItem, decision: Decision, jobs: list[Record],
          now: float, busy: bool) -> int:
    """Enqueue the jobs of a decision, and have the schedule due for its next tick; returns how
    many."""
    if busy and jobs and item.overlap == 'cancel' and item.lastJob is not None:
        processor.cancelJob(item.lastJob, True, who=f'schedule {item.__name__}')
    if decision.missed:
        item.passed += decision.missed
        most = 'at least ' if decision.missed + len(jobs) >= ticks.COUNTED else ''
        remember(item, Firing(item.tick or now, now, 0, f'{most}{decision.missed:,} missed'))
    before = item.linked if decision.missed == 0 else None
    ids = enqueued(processor, item, jobs, before, now)
    if decision.left is not None:
        remember(item, Firing(decision.left, now, 0, decision.why))
        item.skipped += 1
        if decision.why == UNWANTED:
            item.skips -= 1
    item.plan(decision.tick, None if decision.tick is None else item.dueOf(decision.tick),
              decision.linked)
    reckoned(processor.scheduler, item, now)
    processor.scheduler.mended(str(item.__name__))
    return len(ids)


def enqueued(processor: Processor, item: SchedulerItem, jobs: list[Record], linked: float | None,
             now: float,
             why: str = '') -> list[int]:
    """Enqueue jobs for ticks of a schedule, which remembers them; returns their ids."""
    ids = [put(processor, job) for job in jobs]
    instants = [job.extras['tick'] for job in jobs if job.extras]
    for tick, jobid in zip(instants, ids, strict=True):
        remember(item, Firing(tick, now, jobid, why))
    if ids:
        item.lastJob = ids[-1]
        item.fired += len(ids)
        if item.nominal and why != BYHAND:
            item.spans = ticks.joined(item.spans, instants, linked)
    return ids


def remember(item: SchedulerItem, firing: Firing) -> None:
    """Keep a firing, the newest last."""
    item.history = (*item.history, (*firing,))[-HISTORY:]


def passedOver(processor: Processor, item: SchedulerItem, now: float) -> None:
    """Have a schedule due for its next tick without a job for this one. Raises what its code
    raises."""
    tick = ticks.onward(item.coming, now, item.spans)
    if tick is not None and seconds(tick, f'The next time of schedule {item.__name__}') <= now:
        raise InputError(f'Schedule {item.__name__}: next({now!r}) must give a later instant, not '
                         f'{shown(tick, 60)}.')
    item.plan(tick, None if tick is None else item.dueOf(tick))
    reckoned(processor.scheduler, item, now)
