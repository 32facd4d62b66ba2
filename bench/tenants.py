# SPDX-License-Identifier: ZPL-2.1
"""A queue for each tenant: what a claim costs with many of them waiting, and an idle look after all
have been used."""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench import hands
from bench.plan import Plan
from bench.table import Row, millis, perSecond
from p01.remote.engine.loop import Loop

MANY = 1_000
CLAIM = 20              # jobs
ROUNDS = 20


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:, one worker in this process."""
    count = plan.few(20_000, 5_000)
    one, many = once(plan, count, 1), once(plan, count, MANY)
    yield Row(f'{CLAIM} jobs claimed, run and settled, {MANY:,} queues waiting', millis(many[0]),
              f'1: {millis(one[0])}',
              many[0] / one[0], '≤ 10')
    yield Row(f'an idle look after {MANY:,} queues were used', millis(many[1]),
              f'1: {millis(one[1])}', many[1] / one[1],
              '≤ 1.5')
    yield Row(f'{count:,} jobs of {MANY:,} queues, one worker', perSecond(many[2]),
              f'1: {perSecond(one[2])}', many[2] / one[2])


def once(plan: Plan, count: int, queues: int) -> tuple[float, float, float]:
    """Seconds for a small claim, and for an idle look when all is done; jobs per second."""
    with plan.place() as place:
        jobs = [place.nothing.using(queue=f'tenant {number}') for number in range(queues)]
        for first in range(0, count, MANY):
            with place.app.transaction():
                for number in range(first, first + MANY):
                    jobs[number % queues].enqueue(number)
        loop = hands.looped(place)
        hands.intake(loop)
        try:
            small = statistics.median(claim(loop) for _ in range(ROUNDS))
            began, done = time.perf_counter(), loop.done
            hands.drain(loop, count)
            rate = (loop.done - done) / (time.perf_counter() - began)
            claim(loop)
            return small, statistics.median(claim(loop) for _ in range(ROUNDS)), rate
        finally:
            loop.close()


def claim(loop: Loop) -> float:
    """Seconds for one claim and its jobs."""
    began = time.perf_counter()
    for task in loop.book(time.time(), CLAIM)[0]:
        loop.act(task)
    return time.perf_counter() - began
