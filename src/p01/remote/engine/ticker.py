# SPDX-License-Identifier: ZPL-2.1
"""Enqueues what schedules have due, each item on its own: one that fails is told of once, skipped,
and stops nobody else.

Several workers may try the same tick: each item is one object, so that one commits.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import transaction
from transaction.interfaces import TransientError
from ZODB.broken import Broken

from p01.remote import events
from p01.remote.exceptions import InputError, NotLoaded
from p01.remote.ground.foreign import Raised, guarded, reasonOf, shown
from p01.remote.instants import seconds
from p01.remote.storage.classes import reasonFor
from p01.remote.storage.origin import contained, fromStorage

AGAIN = 30.0        # seconds until a worker looks again at an item that it could not advance
ASTRAY = 1.0        # seconds that clocks may differ
ALL = '*'           # as the key: that there is no getting at the items at all

Step = Callable[..., events.ScheduleFailed | None]      # of processor, key, now, reason


class Ticker:
    """Fires the schedules for one worker, or for one caller."""

    def __init__(self) -> None:
        # items that could not be advanced, and when that was seen, in POSIX seconds
        self.failed: dict[str, float] = {}

    def look(self, processor: Any, now: float) -> tuple[list[str], float | None]:
        """The keys of the items to fire, in the order in which they became due, and the POSIX
        seconds of the next one."""
        ready: list[tuple[float, str]] = []
        coming: list[float] = []
        items = contained(lambda: list(processor.scheduler.items()))
        for key, item in [(ALL, items)] if isinstance(items, Raised) else items:
            due = contained(dueOf, item)
            since = self.failed.get(key)
            if since is not None and abs(now - since) < AGAIN:
                coming.append(since + AGAIN)
            elif isinstance(due, Raised):
                ready.append((now, key))
            elif due is not None and (due <= now or strayed(item, now)):
                ready.append((due, key))
            elif due is not None:
                coming.append(due)
        return [key for _, key in sorted(ready)], min(coming, default=None)

    def fire(self, keys: list[str], now: float, do: Callable[[Callable[[Any], Any]], Any],
             tell: Callable[[object], None] = events.notify) -> int:
        """Fire items; returns how many jobs were enqueued.

        do(work) does work(processor) in a transaction or savepoint of its own, which is undone when
        it raises; tell is told of failures. Raises conflicts that do does not repeat, and what the
        storage raises.
        """
        count = 0
        for key in keys:
            reason = ''
            steps: list[Step] = [enqueue, skip, note]
            for step in steps:
                done = guarded(do, partial(step, key=key, now=now, reason=reason))
                if not isinstance(done, Raised):
                    break
                if isinstance(done.error, TransientError | MemoryError) or fromStorage(done.error) or step is note:
                    raise done.error
                reason = reason or reasonOf(done.error)
            if step is note:
                self.failed[key] = now
            else:
                self.failed.pop(key, None)
            if isinstance(done, events.ScheduleFailed):
                tell(done)
            count += step is enqueue
        return count


def dueOf(item: Any) -> float | None:
    """When an item is due, None for one that is paused. Raises whatever its class does."""
    if isinstance(item, Raised):
        raise item.error
    if isinstance(item, Broken):
        raise NotLoaded(f'The schedule cannot be loaded, {reasonFor(item)}.')
    return None if not item.active or item.due is None else float(item.due)


def strayed(item: Any, now: float) -> bool:
    """Whether an item's due time was computed by a clock that was ahead of this one."""
    return item.reckoned is not None and item.reckoned > now + ASTRAY


def enqueue(processor: Any, key: str, now: float, reason: str) -> None:
    """Advance an item that is still due, and enqueue its job."""
    item = found(processor, key)
    due = dueOf(item)
    if strayed(item, now):
        processor.scheduler.reschedule(item, now)
        item.reckoned = now
    if due is None or due > now:
        return                  # somebody else was here, or the clock had gone astray
    advance(processor, item, now)
    processor.processJob(item.jobName, item.input, queue=item.queue, priority=item.priority)
    processor.scheduler.mended(key)


def skip(processor: Any, key: str, now: float, reason: str) -> events.ScheduleFailed | None:
    """Advance an item whose job cannot be enqueued, and note why. Raises what advancing does."""
    advance(processor, found(processor, key), now)
    return note(processor, key, now, reason)


def note(processor: Any, key: str, now: float, reason: str) -> events.ScheduleFailed | None:
    """Note why an item fails; what is to be told, None when that is known already."""
    if not processor.scheduler.failed(key, reason, now):
        return None
    name = contained(lambda: str(found(processor, key).jobName))
    return events.ScheduleFailed(key, '' if isinstance(name, Raised) else name, reason)


def found(processor: Any, key: str) -> Any:
    """An item, as it is now. Raises whatever its loading does."""
    if key == ALL:
        list(processor.scheduler.items())       # raises, or all are back
    return processor.scheduler[key]


def advance(processor: Any, item: Any, now: float) -> None:
    """Set an item's next due time. Raises InputError for one that is no instant after now."""
    due = processor.scheduler.advance(item, now)
    if seconds(due, f'The next time of schedule {item.__name__}') <= now:
        raise InputError(f'Schedule {item.__name__}: next({now!r}) must give a later instant, not '
                         f'{shown(due, 60)}.')


def tick(processor: Any, now: float, ticker: Ticker | None = None, manager: Any = None) -> int:
    """Enqueue the jobs of all items that are due; returns how many. Part of the caller's
    transaction, in savepoints."""
    ticker = ticker or Ticker()
    keys, _ = ticker.look(processor, now)
    if not keys:
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

    return ticker.fire(keys, now, do, lambda event: events.notifyAfter(manager.get(), event))
