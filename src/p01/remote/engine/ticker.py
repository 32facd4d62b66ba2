# SPDX-License-Identifier: ZPL-2.1
"""Enqueues what schedules have due, many in a transaction; one that fails is told of once, and
stops nobody else.

Any worker may fire any schedule: each is one object, so that of two who try the same tick one
commits. So that they rarely try, each looks at its own part of them first; at another's when that
one does not come.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import transaction
from transaction.interfaces import TransientError

from p01.remote import events
from p01.remote.engine.declaring import Declaring
from p01.remote.engine.firing import ASTRAY, found, passedOver, prepared, reckoned, strayed
from p01.remote.engine.seams import Do, Processor
from p01.remote.exceptions import NotLoaded, NoZone
from p01.remote.ground import subscribers
from p01.remote.ground.foreign import Raised, guarded, reasonOf
from p01.remote.storage.origin import contained, fromStorage
from p01.remote.store.dues import NEVER, PARTS, Dues, partOf
from p01.remote.store.store import Store

LOOKAGAIN = 30.0        # seconds until a schedule that could not be advanced is looked at again
LEFTTOOTHERS = 10.0     # seconds that what this host alone may lack is left to others
# schedules of a part that are fired in one transaction, and between two looks for jobs
FIREDATONCE = 200
STAGGER = 0.05      # seconds that each worker leaves a part to those before it
LONGESTSTAGGER = 1.0       # and at most

Pair = tuple[float, str]                                # when to look at it, and its key
Step = Callable[..., Any]                               # of processor, pair, now, reason


class Look(NamedTuple):
    """What a look has found: the schedules to fire, the parts whose clock was put back, and when to
    look again."""

    ready: list[Pair]
    astray: list[int]
    coming: float | None

    def __bool__(self) -> bool:
        return bool(self.ready or self.astray)


class Ticker:
    """Fires the schedules for one worker, or for one caller, who has no name."""

    def __init__(self, name: str = '') -> None:
        self.name = name
        self.declaring: Declaring | None = None     # of the application, in one loop of its process
        # by key: since when, and for how long, schedules are left alone that failed here, in POSIX
        # seconds
        self.failed: dict[str, tuple[float, float]] = {}

    def look(self, processor: Processor, now: float) -> Look:
        """The schedules to fire now, and when to look again."""
        scheduler = processor.scheduler
        if scheduler.idle():
            return Look([], [], None)
        for key in [key for key, (since, pause) in self.failed.items()
                    if abs(now - since) >= pause]:
            del self.failed[key]
        ready: list[Pair] = []
        coming = [since + pause for since, pause in self.failed.values()]
        rows = places(processor.store, self.name) if self.name else [0] * PARTS
        for part, place in zip(scheduler.parts, rows, strict=True):
            ready += self.share(part, place, now, coming)
        if len(ready) <= FIREDATONCE:
            ready.sort()            # more are fired part by part: neighbours are written together
        astray = [number for number, part in enumerate(scheduler.parts)
                  if part.latest > now + ASTRAY]
        return Look(ready, astray, min(coming, default=None))

    def share(self, part: Dues, place: int, now: float, coming: list[float]) -> list[Pair]:
        """What a worker fires of a part who has this place in its row; when to look again is added
        to what is coming."""
        wait = min(place * STAGGER, LONGESTSTAGGER)
        head = next(part.after(now), None)
        if head is not None and head[0] != NEVER:
            coming.append(head[0] + wait)
        pairs = [pair for pair in part.ready(now, (place + 1) * FIREDATONCE + len(self.failed))
                 if pair[1] not in self.failed]
        if not pairs:
            return []
        until = max(pairs[0][0], min(part.latest, now)) + wait
        if not place or now >= until:
            return pairs[:FIREDATONCE]
        coming.append(until)            # whoever is before us is at it, from the front
        return pairs[place * FIREDATONCE:(place + 1) * FIREDATONCE]

    def fire(self, look: Look, now: float, do: Do,
             tell: Callable[[object], None] = subscribers.notify) -> int:
        """Fire schedules; returns how many jobs were enqueued.

        do(work) does work(processor) in a transaction or savepoint of its own, which is undone when
        it raises; tell is told of failures. Raises conflicts that do does not repeat, and what the
        storage raises.
        """
        for number in look.astray:
            do(partial(mend, number=number, now=now))
        count = 0
        for at in range(0, len(look.ready), FIREDATONCE):
            pairs = look.ready[at:at + FIREDATONCE]
            done = guarded(do, partial(several, pairs=pairs, now=now))
            if isinstance(done, Raised):
                passOn(done.error)
                alone = pairs           # one of them cannot be stored
            else:
                number, alone = done
                count += number
            count += sum(self.one(pair, now, do, tell) for pair in alone)
        return count

    def one(self, pair: Pair, now: float, do: Do, tell: Callable[[object], None]) -> int:
        """Fire one that may fail: without its job, or without anything but a note of why."""
        reason, (when, key) = '', pair
        steps: list[Step] = [enqueue, skip, note]
        for step in steps:
            done = guarded(do, partial(step, pair=pair, now=now, reason=reason))
            if not isinstance(done, Raised):
                break
            passOn(done.error)
            if step is note:
                raise done.error
            if isinstance(done.error, NoZone | NotLoaded) and now - when < LEFTTOOTHERS:
                self.failed[key] = now, when + LEFTTOOTHERS - now
                return 0
            reason = reason or reasonOf(done.error)
        if isinstance(done, events.ScheduleFailed):
            tell(done)
        return done if step is enqueue else 0       # type: ignore[return-value]


def passOn(error: BaseException) -> None:
    """Raises an error that is no schedule's."""
    if isinstance(error, TransientError | MemoryError) or fromStorage(error):
        raise error


def places(store: Store, name: str) -> list[int]:
    """The places of a worker in the rows of those who fire the parts; those with nothing else to do
    stand before others."""
    idle: list[str] = []
    busy: list[str] = []
    for each, seat in store.workers():
        (busy if seat.claims else idle).append(each)
    row, before = (idle, 0) if name in idle else (busy, len(idle))
    return [before + (row.index(name) - number) % len(row)
            for number in range(PARTS)] if name in row else [0] * PARTS


def several(processor: Processor, pairs: list[Pair], now: float) -> tuple[int, list[Pair]]:
    """Fire schedules; returns how many jobs that made, and those that failed and were left as they
    are."""
    count, left = 0, []
    for when, key in pairs:
        work = contained(prepared, processor, when, key, now)
        if isinstance(work, Raised):
            left.append((when, key))
        else:
            count += work()
    return count, left


def enqueue(processor: Processor, pair: Pair, now: float, reason: str) -> int:
    """Fire one that is still due; returns how many jobs that made."""
    return prepared(processor, *pair, now)()


def skip(processor: Processor, pair: Pair, now: float, reason: str) -> events.ScheduleFailed | None:
    """Advance one whose job cannot be enqueued, and note why. Raises what advancing does."""
    passedOver(processor, found(processor, pair[1]), now)
    return noted(processor, pair[1], now, reason)


def note(processor: Processor, pair: Pair, now: float, reason: str) -> events.ScheduleFailed | None:
    """Note why one fails, and look at it later; what is to be told, None when that is known
    already."""
    when, key = pair
    part = processor.scheduler.parts[partOf(key)]
    part.leave(when, key)
    part.enter(now + LOOKAGAIN, key)
    return noted(processor, key, now, reason)


def noted(processor: Processor, key: str, now: float, reason: str) -> events.ScheduleFailed | None:
    """Note why one fails; what is to be told, None when that is known already."""
    if not processor.scheduler.failed(key, reason, now):
        return None
    name = contained(lambda: str(found(processor, key).jobName))
    return events.ScheduleFailed(key, '' if isinstance(name, Raised) else name, reason)


def mend(processor: Processor, number: int, now: float) -> None:
    """Reckon anew what was reckoned by a clock that was ahead of this one. No tick has a second job
    for that."""
    part = processor.scheduler.parts[number]
    for key in {key for _, key in part.entries}:
        if isinstance(contained(right, processor, key, now), Raised):
            part.enter(now + LOOKAGAIN, key)        # what this host lacks, another one may have
    part.latest = now


def right(processor: Processor, key: str, now: float) -> None:
    """Reckon one anew, if a clock that was ahead has reckoned it."""
    item = found(processor, key)
    if strayed(item, now):
        processor.scheduler.reschedule(item, now)
        reckoned(processor.scheduler, item, now)


def tick(processor: Processor, now: float, ticker: Ticker | None = None,
         manager: Any = None) -> int:
    """Enqueue the jobs of all schedules that are due; returns how many. Part of the caller's
    transaction, in savepoints."""
    ticker = ticker or Ticker()
    look = ticker.look(processor, now)
    if not look:
        return 0
    jar = processor._p_jar
    manager = manager or (jar.transaction_manager if jar is not None else transaction.manager)

    def do(work: Callable[[Any], Any]) -> Any:
        savepoint = manager.savepoint(optimistic=True)
        try:
            return work(processor)
        except BaseException:
            savepoint.rollback()
            raise

    count = 0
    while look:
        count += ticker.fire(look, now, do,
                             lambda event: subscribers.notifyAfter(manager.get(), event))
        look = ticker.look(processor, now)
    return count
