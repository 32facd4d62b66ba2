# SPDX-License-Identifier: ZPL-2.1
"""How schedules stand, as plain values for those who show them. Looking at a bad one never hides
the others."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

from ZODB.broken import Broken

from p01.remote.clock.item import SchedulerItem
from p01.remote.clock.schedule import Schedule
from p01.remote.engine.firing import HISTORY, Firing
from p01.remote.engine.seams import Processor
from p01.remote.exceptions import JobNotFound
from p01.remote.ground.foreign import Raised, guarded, reasonOf, shown
from p01.remote.job import FunctionJob, Gone
from p01.remote.store.store import Store

COMPONENT = 'component'     # where a Delay or Cron comes from


class Past(NamedTuple):
    """What became of a tick, and of its job: its status, '' when there is none, or it is
    forgotten."""

    tick: float
    fired: float
    jobid: int
    why: str
    status: str


class Standing(NamedTuple):
    """How a schedule stands. Instants are POSIX seconds."""

    name: str
    job: str = ''
    when: str = ''              # in words
    tz: str = 'UTC'
    source: str = COMPONENT     # code, hand, or component
    title: str = ''
    description: str = ''
    settings: dict[str, Any] = {}
    edited: tuple[str, ...] = ()        # the settings that an operator has changed, and 'paused'
    active: bool = True
    until: float | None = None          # when its pause ends
    retired: float | None = None
    due: float | None = None            # when it is fired next, None for never
    tick: float | None = None           # what that run stands for
    skips: int = 0                      # of the ticks to come, so many have no job
    fired: int = 0
    missed: int = 0
    skipped: int = 0
    history: tuple[Past, ...] = ()      # the newest first
    # that it enqueues nothing, or what cannot run here, and why; '' when all is well
    fault: str = ''

    @property
    def state(self) -> str:
        """broken, retired, paused, over or active."""
        if self.retired is not None:
            return 'retired'
        if self.fault:
            return 'broken'
        return 'paused' if not self.active else 'over' if self.due is None else 'active'


def standings(processor: Processor, now: float) -> list[Standing]:
    """How all schedules stand, each with its last firing; nothing is fired."""
    # once for each job: to import one in vain costs more than all the rest
    seek = cache(partial(lost, processor))
    return [standing(processor, name, now, 1, seek) for name in list(processor.scheduler)]


def standing(processor: Processor, name: str, now: float, most: int = HISTORY,
             seek: Callable[[str], str] | None = None) -> Standing:
    """How one schedule stands, with so many of its last firings. seek: lost, of the name of a
    job."""
    found = guarded(look, processor, name, now, most, seek or partial(lost, processor))
    return Standing(name, fault=idle(reasonOf(found.error))) if isinstance(found, Raised) else found


def look(processor: Processor, name: str, now: float, most: int,
         seek: Callable[[str], str]) -> Standing:
    """How one schedule stands. Raises what its code does."""
    item: SchedulerItem = processor.scheduler[name]
    if isinstance(item, Broken):
        cls = type(item)
        return Standing(name, fault=idle(f'its class {cls.__module__}.{cls.__name__} is gone'))
    item._p_activate()
    job, active = str(item.jobName), bool(item.active)
    failed = processor.scheduler.failures.get(name)
    fault = '' if item.retired is not None else active and faultOf(item, now, seek(job)) \
        or ('' if failed is None else idle(failed.reason))
    words = guarded(item.explain)
    settings, edits = (dict(item.settings),
                       tuple(item.edits)) if isinstance(item, Schedule) else ({}, ())
    return Standing(
        name, job, '' if isinstance(words, Raised) else words, str(getattr(item, 'tz', 'UTC')),
        getattr(item, 'source', COMPONENT), item.title, item.description,
        {key: value for key, value in settings.items() if key != 'input'},
        edits + (() if active else ('paused',)),
        active, item.until, item.retired, item.due, item.tick, item.skips, item.fired, item.passed,
        item.skipped,
        tuple(past(processor.store, Firing(*each)) for each in item.history[:-most - 1:-1]), fault)


def idle(reason: str) -> str:
    """That a schedule does nothing."""
    return f'enqueues nothing: {reason}'


def faultOf(item: SchedulerItem, now: float, gone: str) -> str:
    """What is wrong with a schedule whose job cannot be found for this reason, '' where it can;
    '' for nothing."""
    # it has all that a job needs: enqueuing loads nothing of the application
    if gone and isinstance(item, Schedule) and not unfit(item, now):
        return f'enqueues what cannot run here: {gone}'
    reason = gone or unfit(item, now)
    return idle(reason) if reason else ''


def unfit(item: SchedulerItem, now: float) -> str:
    """Why a schedule cannot say when it runs; '' when it can."""
    coming = guarded(item.coming, now)
    return reasonOf(coming.error) if isinstance(coming, Raised) else ''


def past(store: Store, firing: Firing) -> Past:
    """What became of a tick, and of its job."""
    try:
        status = store.view(firing.jobid).status if firing.jobid else ''
    except JobNotFound:
        status = ''
    return Past(*firing, status)


def lost(processor: Processor, name: str) -> str:
    """Why a worker here would not find the behaviour of this name; '' when it would."""
    def seek() -> str:
        behaviour = processor.behaviour(name)
        if isinstance(behaviour, Gone):
            return f'{shown(name)[1:-1]} cannot be found'
        if isinstance(behaviour, FunctionJob):
            _ = behaviour.function
        return ''

    found = guarded(seek)
    return reasonOf(found.error) if isinstance(found, Raised) else found
