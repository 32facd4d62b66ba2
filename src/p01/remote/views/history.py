# SPDX-License-Identifier: ZPL-2.1
"""What came of jobs over an hour, a day, a month: how many, how long they waited and ran, what
failed, how deep the queues were; as plain values.

Workers write it down with their bookkeeping, see store.history; jobs count when a worker takes them
in, and when an attempt ends. Beyond the busiest queues and names, all others are ELSE together,
which no queue or job can be called.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from p01.remote.store.history import (
    BOUNDS,
    MINUTE,
    REACHES,
    REST,
    Code,
    Figures,
    History,
    Kind,
    Slot,
    add,
    weight,
)
from p01.remote.store.store import Store
from p01.remote.verbs.recording import depths
from p01.remote.views.figures import reckoned

ELSE = REST[0]         # queue and name of what is beyond the busiest ones: '', as none is called


class Times(NamedTuple):
    """How long something took, in seconds. Percentiles are at most 41 % off, mostly a few: times
    are counted in buckets whose bounds grow by the root of 2."""

    number: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class Depth(NamedTuple):
    """How many jobs there were, the mean of one look a minute."""

    queued: float
    running: float
    delayed: float


class Point(NamedTuple):
    """What came of jobs from an instant on, in POSIX seconds, for so many seconds.

    came: jobs that workers took in. completed, failed, cancelled: jobs that ended so, by what
    workers made of them; those that people cancelled while they waited are not among them. retried:
    attempts that failed and were followed by others; repeated: runs that met others on the same
    objects, and were repeated at once. runs: times of attempts that ended; waits:
    from when they could start until they did; None where there were none. depth: None where nobody
    has counted yet; while nothing happens, what was counted last.
    """

    start: float
    seconds: float
    came: int
    completed: int
    failed: int
    cancelled: int
    retried: int
    repeated: int
    runs: Times | None
    waits: Times | None
    depth: Depth | None

    @property
    def rate(self) -> float:
        """Jobs that completed, a second."""
        return self.completed / self.seconds if self.seconds else 0.0


class Past:
    """The history of a span, as of one snapshot; see historyOf."""

    def __init__(self, span: str, now: float, slots: Mapping[int, Slot]) -> None:
        self.span = span
        self.now = now                                      # POSIX seconds
        self.width = REACHES[span].width * MINUTE             # seconds of a point
        newest = int(now // self.width)
        self.numbers = range(newest - REACHES[span].slots + 1, newest + 1)
        self.slots = slots

    def points(self, queue: str | None = None, name: str | None = None) -> list[Point]:
        """The points, the oldest first, the last one being that of now: of a queue, of a job name,
        of both, or of all."""
        meant = kinds(queue, name)
        found, depth = [], None
        for number in self.numbers:
            slot = self.slots.get(number, {})
            depth = depthOf(slot, queue) or depth
            start = number * self.width
            found.append(pointOf(total(slot, meant), start, min(self.width, self.now - start),
                                 None if name is not None else depth))
        return found

    @cached_property
    def whole(self) -> Slot:
        """The figures of all of the span."""
        slot: Slot = {}
        for number in self.numbers:
            add(slot, self.slots.get(number, {}))
        return slot

    def sum(self, queue: str | None = None, name: str | None = None) -> Point:
        """All of the span as one point. Its depth is the mean."""
        start = self.numbers[0] * self.width
        return pointOf(total(self.whole, kinds(queue, name)), start, self.now - start,
                       None if name is not None else depthOf(self.whole, queue))

    def queues(self) -> list[str]:
        """The queues in which something happened, the busiest first; ELSE is the last."""
        return self.ranked(lambda kind: kind[0])

    def names(self) -> list[str]:
        """The names of jobs of which some were at work, the busiest first; ELSE is the last."""
        return self.ranked(lambda kind: kind[1])

    def ranked(self, part: Callable[[Kind], str]) -> list[str]:
        """What kinds have as this part, the busiest first."""
        busy: Counter[str] = Counter()
        for kind, figures in self.whole.items():
            busy[part(kind)] += weight(figures)
        del busy[ELSE]
        found = [each for each, number in busy.most_common() if number]
        return [*found, ELSE] if weight(self.whole.get(REST, {})) else found


def historyOf(store: Store, span: str, now: float,
              counts: Mapping[str, Mapping[str, int]] | None = None) -> Past:
    """What came of jobs in the last hour, day or month, as of now in POSIX seconds.

    span: 'hour' (points of a minute), 'day' (of ten minutes), 'month' (31 days, of four hours).
    counts: how many jobs of each queue have which status, where somebody has counted already.
    Raises ValueError for another span.
    """
    if span not in REACHES:
        raise ValueError(f'There is no history of {span!r}; ask for one of {", ".join(REACHES)}.')
    width, slots = REACHES[span]
    since = int(now // (width * MINUTE)) - slots + 1
    found: dict[int, Slot] = {}
    for past, minute, recent in pasts(store):
        for number, slot in past.slots(span, since):
            add(found.setdefault(number, {}), slot)
        if recent and minute // width >= since:
            add(found.setdefault(minute // width, {}), recent)
    last = found.setdefault(since + slots - 1, {})
    if not looks(last):
        add(last, depths(reckoned(store).queues if counts is None else counts))
    return Past(span, now, found)


def pasts(store: Store) -> Iterable[tuple[History, int, Slot]]:
    """All histories, with the minute at hand of those whose worker is there, and its figures."""
    yield store.past, 0, {}
    for each in store.pasts.values():
        yield each, 0, {}
    for seat in store.seats.values():
        yield seat.history, seat.minute, seat.recent


def everOf(store: Store) -> Slot:
    """The sums of each queue and name since ever, by the codes of store.history; none ever gets
    smaller."""
    found: Slot = {}
    for past, _, recent in pasts(store):
        add(found, past.sums(recent))
    return found


def kinds(queue: str | None, name: str | None) -> Callable[[Kind], bool]:
    """Whether a kind is meant by a queue and a name, None for any."""
    return lambda kind: queue in (None, kind[0]) and name in (None, kind[1])


def total(slot: Slot, meant: Callable[[Kind], bool]) -> Figures:
    """The sum of the kinds of a slot that are meant."""
    found: Figures = {}
    for kind, figures in slot.items():
        if meant(kind):
            for code, number in figures.items():
                found[code] = found.get(code, 0) + number
    return found


def pointOf(figures: Figures, start: float, seconds: float, depth: Depth | None) -> Point:
    """What figures say."""
    get = figures.get
    return Point(start, max(0.0, seconds), get(Code.CAME, 0), get(Code.DONE, 0),
                 get(Code.FAILED, 0), get(Code.CANCELLED, 0), get(Code.RETRIED, 0),
                 get(Code.CONFLICTED, 0),
                 timesOf(figures, Code.RUNS, Code.RUNTIME),
                 timesOf(figures, Code.WAITS, Code.WAITTIME), depth)


def depthOf(slot: Slot, queue: str | None) -> Depth | None:
    """How many jobs there were in a queue, or in all; None where nobody has counted."""
    number = looks(slot)
    if not number:
        return None
    found = total(slot, kinds(queue, ''))
    if queue is not None and not found and Code.QUEUED in slot[REST]:
        return None             # it may be among the others
    return Depth(*(found.get(code, 0) / number
                   for code in (Code.QUEUED, Code.RUNNING, Code.DELAYED)))


def looks(slot: Slot) -> int:
    """How often the jobs of a slot were counted."""
    return slot.get(REST, {}).get(Code.LOOKS, 0)


def timesOf(figures: Mapping[int, int], first: int, whole: int) -> Times | None:
    """The times in buckets that begin with this code, and whose sum has that code; None without
    any."""
    numbers = [figures.get(first + place, 0) for place in range(len(BOUNDS) + 1)]
    count = sum(numbers)
    if not count:
        return None
    return Times(count, figures.get(whole, 0) / 1_000_000 / count,
                 *(quantile(numbers, count * part) for part in (0.5, 0.9, 0.95, 0.99)))


def quantile(numbers: list[int], rank: float) -> float:
    """The duration that so many of those in buckets do not exceed, in seconds; within a bucket they
    are taken to lie evenly by their logarithms."""
    below = 0
    for place, number in enumerate(numbers):
        if number and below + number >= rank:
            low, high = BOUNDS[max(place - 1, 0)], BOUNDS[min(place, len(BOUNDS) - 1)]
            return float(low * (high / low) ** ((rank - below) / number))
        below += number
    return BOUNDS[-1]
