# SPDX-License-Identifier: ZPL-2.1
"""What enqueuing adds to a transaction that commits anyway, and how fast it is in bulk."""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.place import BULK, Place
from bench.plan import Plan, alternate
from bench.table import Row, micros, perSecond
from bench.tasks import OBJECTS

OBJECT = 1_000          # objects that the transactions change in turn
MORE = 10
LIMIT = 60e-6           # seconds for one more job
BULKRATE = 25_000       # jobs per second


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:, through the front, as an application would do it."""
    count, rounds = plan.few(50, 30), plan.few(41, 15)
    with plan.place(objects=OBJECT) as place:
        none, one, more = alternate(rounds,
                                    *(lambda jobs=jobs: changes(place, count, jobs)
                                      for jobs in (0, 1, 1 + MORE)))
    each = (more - one) / count / MORE
    yield Row('one more enqueue in a transaction that commits anyway', micros(each), micros(LIMIT),
              each / LIMIT, '≤ 1')
    first = (one - none) / count
    yield Row('the first enqueue in a transaction that commits anyway', micros(first),
              f'{micros(LIMIT)} (commit: '
              f'{micros(none / count)})', first / LIMIT)
    with plan.place() as place:
        taken = statistics.median(place.enqueue(BULK) for _ in range(plan.few(7, 3)))
    yield Row(f'enqueue {BULK:,} jobs in one transaction, sqlite:', perSecond(BULK / taken),
              perSecond(BULKRATE),
              BULK / taken / BULKRATE, '≥ 1')


def changes(place: Place, count: int, jobs: int) -> float:
    """Seconds for so many transactions, each of which changes an object and enqueues so many
    jobs."""
    began = time.perf_counter()
    for number in range(count):
        with place.app.transaction() as root:
            root[OBJECTS][number % OBJECT].value += 1
            for each in range(jobs):
                place.nothing.enqueue(each)
    return time.perf_counter() - began
