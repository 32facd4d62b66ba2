# SPDX-License-Identifier: ZPL-2.1
"""Which schedules run next, which are late or fail: found at their heads, however many there
are."""
from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from p01.remote.engine.seams import Processor
from p01.remote.engine.standing import Standing, standing
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.store.dues import NEVER
from p01.remote.views.figures import LATE

LOOKS = 50              # schedules that are looked at, at most
COUNTEDUPTO = 1_000     # schedules; of more nobody counts how many there are


class Coming(NamedTuple):
    """Schedules at a glance: how many there are, COUNTEDUPTO + 1 for more than that; those that run
    next; those that are late; how many could not be fired, and the first of these with why."""

    number: int
    next: tuple[Standing, ...]
    late: tuple[Standing, ...]
    failing: int
    failures: tuple[tuple[str, str], ...]


def comingOf(processor: Processor, now: float, most: int = 5) -> Coming:
    """The schedules at now, POSIX seconds; at most so many of each kind."""
    scheduler = processor.scheduler
    coming, late = list[Standing](), list[Standing]()
    for key in islice(heads(processor), LOOKS):
        found = standing(processor, key, now, 1)
        if not found.active or found.due is None or found.retired is not None:
            continue
        if found.due < now - LATE:
            late.append(found)
        elif len(coming) < most:
            coming.append(found)
        else:
            break
    failures = tuple((key, failed.reason)
                     for key, failed in islice(scheduler.failures.items(), most))
    return Coming(numberOf(processor), tuple(coming), tuple(late[:most]), len(scheduler.failures),
                  failures)


def numberOf(processor: Processor) -> int:
    """How many schedules there are; COUNTEDUPTO + 1 for more than that."""
    return sum(1 for _ in islice(processor.scheduler, COUNTEDUPTO + 1))


def heads(processor: Processor) -> Iterator[str]:
    """The names of schedules in the order in which somebody is to look at them."""
    seen: set[str] = set()
    for when, key in heapq.merge(*(part.entries.keys() for part in processor.scheduler.parts)):
        if when == NEVER:
            return
        if key not in seen and key in processor.scheduler:
            seen.add(key)
            yield key


def ticksOf(processor: Processor, name: str, now: float, until: float, most: int) -> list[float]:
    """The ticks of a schedule from now on until an instant, at most so many; none of one whose
    code fails."""
    def walk() -> list[float]:
        item, after, found = processor.scheduler[name], now, list[float]()
        while len(found) < most and (tick := item.coming(after)) is not None and tick <= until:
            found.append(tick)
            after = tick
        return found

    ticks = guarded(walk)
    return [] if isinstance(ticks, Raised) else ticks
