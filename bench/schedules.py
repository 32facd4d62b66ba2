# SPDX-License-Identifier: ZPL-2.1
"""What schedules cost a worker, with few of them and with many: at rest, for a tick, when all are
due at once; and how late jobs start."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.place import BULK, Place
from bench.plan import Plan, alternate
from bench.table import Row, micros, millis, perSecond
from bench.wake import note, until, worker
from p01.remote import JobFunction
from p01.remote.engine.loop import Loop

FEW = 10
BEGIN = 1_900_000_000.0     # an instant of a clock that the loops are told; no real time passes
LAG = 0.050                 # seconds
STEP = 0.05                 # between two ticks of all schedules
LIMITS = {'memory': 'in one process', 'sqlite': 'sqlite:', 'postgresql': 'postgresql:',
          'zeo': 'zeo:'}


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:, with few and with many in turn; the lag on each kind of storage."""
    many = plan.few(10_000, 1_000)
    with plan.place() as small, plan.place() as large:
        for place, count in ((small, FEW), (large, many)):
            add(place, place.nothing, count, every=float(count))     # one due each second
        with looking(small) as little, looking(large) as much:
            few, lots = alternate(plan.few(41, 15), lambda: little.rest(50), lambda: much.rest(50))
            yield Row(f'bookkeeping at rest, {many:,} schedules', micros(lots),
                      f'{FEW}: {micros(few)}', lots / few, '≤ 1.2')
            few, lots = alternate(plan.few(21, 9), lambda: little.ticks(10), lambda: much.ticks(10))
            yield Row(f'a tick, one a second, {many:,} schedules', micros(lots),
                      f'{FEW}: {micros(few)}', lots / few, '≤ 1.2')
    with plan.place() as place:
        bulk = BULK / place.enqueue(BULK)
        add(place, place.nothing, many, apart=0.0)
        with looking(place) as burst:
            rate = many / burst.all(many)
    yield Row(f'{many:,} schedules due in the same second', perSecond(rate),
              f'in bulk: {perSecond(bulk)}', rate / bulk)
    for kind, where in LIMITS.items():
        lack = plan.lack(kind)
        if lack:
            yield Row(f'tick to start, {where}', '', lack)
            continue
        ordered = lags(plan, kind)
        for name, part in (('median', 0.5), ('99th percentile', 0.99)):
            figure = ordered[min(int(len(ordered) * part), len(ordered) - 1)]
            yield Row(f'tick to start, {where}, {name}', millis(figure), millis(LAG), figure / LAG,
                      '≤ 1')


def add(place: Place, job: JobFunction, count: int, apart: float = 1.0, begin: float = BEGIN,
        every: float = 3600.0,
        args: tuple[int, ...] = (1,)) -> None:
    """Have so many schedules, the first ticks of which are so many seconds apart."""
    for at in range(0, count, 1000):
        with place.app.transaction():
            for number in range(at, min(at + 1000, count)):
                place.app.schedules.add(f'schedule {number}', job, every=every, aligned=False,
                                        overlap='queue', args=args,
                                        start=begin + 1 + number * apart)


class Looking:
    """A worker that is told what the clock shows, and runs no job."""

    def __init__(self, place: Place) -> None:
        self.loop = Loop(place.app.db, place.app.locate, 'bench')
        self.loop.ready()
        self.loop.stopping.set()
        self.now = BEGIN
        self.rest(1)

    def rest(self, count: int) -> float:
        """The seconds of a bookkeeping that finds nothing to do."""
        began = time.perf_counter()
        for _ in range(count):
            self.loop.book(self.now, 0)
        return (time.perf_counter() - began) / count

    def ticks(self, count: int) -> float:
        """The seconds of a bookkeeping that fires a schedule."""
        began = time.perf_counter()
        for _ in range(count):
            self.now += 1
            self.loop.book(self.now, 0)
        return (time.perf_counter() - began) / count

    def all(self, count: int) -> float:
        """The seconds until so many schedules have fired that are due at once."""
        began, fired = time.perf_counter(), 0
        while fired < count:
            look = self.loop.booking.change(
                lambda processor: self.loop.booking.ticker.look(processor, BEGIN + 2))
            fired += self.loop.booking.ticker.fire(look, BEGIN + 2, self.loop.booking.change)
        return time.perf_counter() - began


@contextmanager
def looking(place: Place) -> Iterator[Looking]:
    """A worker that looks, and is closed at the end."""
    found = Looking(place)
    try:
        yield found
    finally:
        found.loop.close()


def lags(plan: Plan, kind: str) -> list[float]:
    """The seconds from ticks to the starts of their jobs, sorted."""
    count = plan.few(400, 100)
    with plan.place(kind) as place:
        job = place.app.job(note)
        with place.app.transaction():
            place.app.processor.addJob(job.name, job)       # the worker's App does not know it
        with worker(place, kind == 'memory') as line:
            begin = time.time() + 5.0           # all are there by then
            add(place, job, count, STEP, begin, args=())
            found = [until(line, 'start').wall - (begin + 1 + number * STEP)
                     for number in range(count)]
    return sorted(found)
