# SPDX-License-Identifier: ZPL-2.1
"""The ticks of a schedule: which have passed, how many, and which had their job already. Pure.

A tick is the instant that a run stands for, in POSIX seconds. Next is a function that gives the
first tick strictly after an instant, or None. Spans are pairs of ticks: every tick from the first
to the last of a span had its job.
"""
from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from itertools import islice

Next = Callable[[float], float | None]
Spans = tuple[tuple[float, float], ...]

COUNTED = 1_000     # ticks that are counted one by one; more are as many
SPANSKEPT = 64          # spans that a schedule remembers


def walk(following: Next, after: float, until: float) -> Iterable[float]:
    """The ticks after an instant and up to another one."""
    tick = following(after)
    while tick is not None and tick <= until:
        yield tick
        tick = following(tick)


def latest(following: Next, first: float, until: float) -> float:
    """The last tick up to an instant; first is one."""
    low, high = first, until
    while (tick := following(low)) is not None and tick <= until:
        low = tick
        while high - low > 1e-6:
            middle = (low + high) / 2
            tick = following(middle)
            if tick is not None and tick <= until:
                low = tick
                break
            high = middle
    return low


def counted(following: Next, first: float, until: float) -> int:
    """How many ticks there are from the first, which is one, up to an instant; at most COUNTED."""
    return 1 + sum(1 for _ in islice(walk(following, first, until), COUNTED - 1))


def lasts(following: Next, first: float, until: float, most: int) -> list[float]:
    """The last ticks from the first, which is one, up to an instant, at most so many, the oldest
    first."""
    found = [first, *islice(walk(following, first, until), most)]
    if len(found) <= most:
        return found
    # more than there may be lie behind low, fewer behind high
    low, high = first, until
    while high - low > 1e-3:
        middle = (low + high) / 2
        found = list(islice(walk(following, middle, until), most + 1))
        if len(found) == most:
            return found
        low, high = (middle, high) if len(found) > most else (low, middle)
    found = list(walk(following, low, until))
    return found[-most:]


def onward(following: Next, after: float, spans: Spans) -> float | None:
    """The first tick after an instant that had no job."""
    tick = following(after)
    for first, last in sorted(spans):
        if tick is not None and first <= tick <= last:
            tick = following(last)
    return tick


def within(tick: float, spans: Spans) -> bool:
    """Whether a tick had its job."""
    return any(first <= tick <= last for first, last in spans)


def joined(spans: Spans, ticks: Iterable[float], linked: float | None) -> Spans:
    """The spans with some more ticks, each the next one of the one before it; SPANS of them stay,
    those that end last.

    linked is the tick right before the first one, None when nobody knows.
    """
    found = {last: first for first, last in spans}
    for tick in ticks:
        found[tick] = found.pop(linked, tick) if linked is not None else tick
        linked = tick
    return tuple((first, last) for last, first in sorted(found.items()))[-SPANSKEPT:]


def jitter(name: str, tick: float, most: float) -> float:
    """How much later than its tick a run begins, below so many seconds: the same for all who
    ask."""
    return most * (zlib.crc32(f'{name} {tick:.6f}'.encode()) / (1 << 32)) if most else 0.0
