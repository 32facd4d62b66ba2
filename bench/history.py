# SPDX-License-Identifier: ZPL-2.1
"""What the history costs: bytes of a bookkeeping and of a minute, and how long it takes to read
rings that are full, with an empty cache."""
from __future__ import annotations

import pickle
import random
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.looks import taken
from bench.plan import Plan
from bench.table import Row, millis
from p01.remote.store.history import MINUTE, REACHES, Code
from p01.remote.store.records import Claim, Record
from p01.remote.store.seats import Seat
from p01.remote.verbs import recording, sit
from p01.remote.views.history import everOf, historyOf

NOW = 1_900_000_000.0
SHAPES = (1, 1), (20, 4)        # names, workers
BYTES = 8_000           # of a bookkeeping of many jobs, without: some 20,000
LIMIT = 200             # milliseconds for a month
ROUNDS = 5


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:; a month of jobs that are run all the time, a minute of which stands for several."""
    step = plan.few(7, 35)
    for names, workers in SHAPES:
        with plan.place() as place:
            recent, last = filled(place, names, workers, step)
            shape = f'{names} names, {workers} workers'
            yield Row(f'more in a bookkeeping, {shape}', f'{recent:,.0f} bytes', '',
                      recent / BYTES, '≤ 1')
            for span in REACHES:
                look = partial(points, span=span, now=last)
                took = statistics.median(taken(place, look) for _ in range(ROUNDS))
                yield Row(f'the points of a {span}, {shape}', millis(took), '',
                          1000 * took / LIMIT, '≤ 1')
            took = statistics.median(taken(place, everOf) for _ in range(ROUNDS))
            yield Row(f'the sums since ever, {shape}', millis(took), '', 1000 * took / LIMIT, '≤ 1')


def points(store: Any, span: str, now: float) -> None:
    """What a page of charts asks for."""
    past = historyOf(store, span, now)
    past.points()
    past.queues()


def filled(place: Any, names: int, workers: int, step: int) -> tuple[float, float]:
    """Fill the rings; returns how many bytes the figures of a minute take, and the last instant."""
    chance = random.Random(1)
    with place.app.transaction():
        store = place.app.processor.store
        seats = [Seat(f'worker {number}', 'host', 1, 'process', '', 60.0, NOW)
                 for number in range(workers)]
        for seat in seats:
            sit(store, seat)
        sizes = []
        width, slots = REACHES['month']
        for minute in range(0, width * slots, step):
            now = NOW + MINUTE * minute
            for seat in seats:
                for number in range(names):
                    ran(seat, (f'queue {number % 5}', f'package.module.job{number}'), now, chance)
            sizes.append(len(pickle.dumps(seats[0].recent, 4)))
    return statistics.mean(sizes), now


def ran(seat: Seat, kind: tuple[str, str], now: float, chance: random.Random) -> None:
    """Two hundred jobs of a kind that ended in a minute."""
    figures = seat.figures(kind, now)
    for _ in range(8):
        record = Record(kind[1], None, now - chance.lognormvariate(0, 1))
        ended = now + chance.lognormvariate(-3, 1)
        recording.timed(figures, Claim(kind[0]), record, (now, ended), 25)
    recording.count(figures, Code.DONE, 200)
