# SPDX-License-Identifier: ZPL-2.1
"""Whether enqueuing costs the same however many jobs wait."""
from __future__ import annotations

from collections.abc import Iterator

from bench import hands
from bench.plan import Plan, alternate
from bench.table import Row, perSecond

FEW = 1_000


def measure(plan: Plan) -> Iterator[Row]:
    """One commit each, with many jobs waiting and with few, in turn."""
    count, rounds = plan.few(200, 50), plan.few(21, 9)
    with plan.place() as small:
        small.enqueue(FEW)
        hands.work(small.address, what=hands.intake)
        crowd = plan.backlog.place
        for place in (small, crowd):
            place.reopen()          # enqueuing in bulk has left them with large segments
        many, few = alternate(rounds, lambda: crowd.enqueue(count,
                                                            1), lambda: small.enqueue(count, 1))
    yield Row(f'enqueue, one commit each, {plan.jobs:,} waiting', perSecond(count / many),
              f'{FEW:,} waiting: {perSecond(count / few)}', few / many, '≥ 0.9')
