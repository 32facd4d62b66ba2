# SPDX-License-Identifier: ZPL-2.1
"""Enqueue and process jobs without effects, over each storage, in one process."""
from __future__ import annotations

from collections.abc import Iterator

from bench import hands
from bench.plan import Plan
from bench.table import Row, perSecond


def measure(plan: Plan) -> Iterator[Row]:
    """A row for each storage, number of jobs in a commit, and number of jobs; held against the
    smaller number of jobs."""
    few, many = plan.few(1_000, 300), plan.few(10_000, 3_000)
    for kind in ('file', 'sqlite', 'zeo', 'postgresql'):
        if plan.lack(kind):
            yield Row(f'enqueue and process, {kind}:', '', plan.lack(kind))
            continue
        for each in (1, 100):
            small, large = once(plan, kind, few, each), once(plan, kind, many, each)
            way = 'one commit each' if each == 1 else f'{each} per commit'
            for number, verb in enumerate(('enqueue', 'process')):
                yield Row(f'{verb}, {kind}:, {way}, {few:,} jobs', perSecond(small[number]))
                yield Row(f'{verb}, {kind}:, {way}, {many:,} jobs', perSecond(large[number]),
                          f'{few:,} jobs',
                          large[number] / small[number])


def once(plan: Plan, kind: str, count: int, each: int) -> tuple[float, float]:
    """Jobs per second, enqueued and processed."""
    with plan.place(kind) as place:
        taken = place.enqueue(count, each)
        loop = hands.looped(place)
        try:
            samples = hands.drain(loop)
        finally:
            loop.close()
    return count / taken, hands.rate([samples])
