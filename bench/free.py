# SPDX-License-Identifier: ZPL-2.1
"""Jobs without effects: one worker process, two of them, and Huey, in turn.

Huey keeps nothing of a job that returns None, so it is measured with such jobs and with others that
return a number.
"""
from __future__ import annotations

from collections.abc import Iterator

from bench import hands, peers, tasks
from bench.plan import Plan, alternate
from bench.table import Row, perSecond

RATE = 20_000       # jobs per second


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:; the start of the processes is not counted."""
    count, few, rounds = plan.few(100_000, 15_000), plan.few(4_000, 1_000), plan.few(5, 3)
    ways = [lambda: once(plan, count, 1), lambda: once(plan, count,
                                                       2), lambda: once(plan, count, 1, True)]
    if peers.available():
        ways += [lambda: peers.hueyRate(plan.folder, few,
                                        tasks.nothing), lambda: peers.hueyRate(plan.folder, few,
                                                                               tasks.echo)]
    one, two, result, *peer = alternate(rounds, *ways)
    yield Row(f'{count:,} jobs without effects, one worker process', perSecond(one),
              perSecond(RATE), one / RATE, '≥ 1')
    yield Row('the same, two worker processes', perSecond(two), f'one: {perSecond(one)}',
              two / one, '≥ 1.7')
    for kind, ours, theirs in zip(('no result', 'a result'), (one, result), peer):
        yield Row(f'the same, {kind}, one worker, against Huey with fsync', perSecond(ours),
                  f'Huey: {perSecond(theirs)}',
                  ours / theirs, '≥ 8')
    if not peer:
        yield Row('the same against Huey', '', 'not installed: pip install huey')


def once(plan: Plan, count: int, processes: int, result: bool = False) -> float:
    """Jobs per second in a fresh database."""
    with plan.place() as place:
        place.enqueue(count, job=place.echo if result else place.nothing)
        return hands.rate(hands.work(place.address, processes))
