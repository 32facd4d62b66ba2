# SPDX-License-Identifier: ZPL-2.1
"""What is left of a database when many jobs have passed through, were pruned by a worker, and it
was packed."""
from __future__ import annotations

import time
from collections.abc import Iterator

from bench import hands
from bench.plan import Plan
from bench.table import Row, mebibytes, perSecond
from p01.remote.options import Retention

LIMIT = 5 << 20         # bytes


def measure(plan: Plan) -> Iterator[Row]:
    """The sizes before and after, and how fast it went."""
    backlog = plan.backlog
    done, place = backlog.passage[-1].done, backlog.place
    before = place.size()
    with place.app.transaction():
        place.app.processor.retention = Retention(0, 0, 0)
    [samples] = hands.work(place.address, what=hands.sweep)
    yield Row(f'prune {done:,} jobs', perSecond(done / (samples[-1].instant - samples[0].instant)))
    began = time.perf_counter()
    place.app.db.pack()
    taken = time.perf_counter() - began
    place.app.close()
    after = place.size()
    yield Row(f'database after {done:,} jobs, packed in {taken:.1f} s', mebibytes(after),
              f'before: {mebibytes(before)}')
    yield Row(f'database after {done:,} jobs, against its limit', mebibytes(after),
              mebibytes(LIMIT), after / LIMIT, '< 1')
