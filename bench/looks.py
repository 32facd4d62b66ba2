# SPDX-License-Identifier: ZPL-2.1
"""Whether lists and counts cost the same however many jobs there are: not taken in, waiting,
completed."""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import hands
from bench.place import Place
from bench.plan import Plan
from bench.table import Row, millis
from p01.remote import verbs
from p01.remote.store.records import Outcome
from p01.remote.views import figures
from p01.remote.views.filters import Filter, Part
from p01.remote.views.listing import find

FEW = 1_000
ROUNDS = 7
LIMIT = 100             # milliseconds: nobody waits for a page
COUNTS = 'counts', lambda store: figures.reckoned(store)
OLDEST = 'the oldest that waits', lambda store: figures.oldest(store)
NEWEST = 'the newest 50', lambda store: list(find(store, Filter(limit=50)))
RARE = '3 of a queue', lambda store: list(find(store, Filter(('queued',), Part(('rare',)))))
NAMED = '3 of a name', lambda store: list(find(store, Filter(('queued',), name=Part(('echo',)))))
FAILED = '3 that failed', lambda store: list(find(store, Filter(('error',))))
COMPLETED = 'the newest 50 completed', lambda store: list(find(store,
                                                               Filter(('completed',), limit=50)))


def measure(plan: Plan) -> Iterator[Row]:
    """Many and few, in turn; each look with an empty cache."""
    with plan.place() as few, plan.place() as many:
        both = (few, FEW), (many, plan.jobs)
        for place, count in both:
            place.enqueue(count)
        yield from rows(few, many, f'{plan.jobs:,} that no worker has noticed', COUNTS, OLDEST,
                        NEWEST)
        for place, _ in both:
            with place.app.transaction():
                for number in range(3):
                    place.echo.using(queue='rare').enqueue(number)
            hands.work(place.address, what=hands.intake)
        yield from rows(few, many, f'{plan.jobs:,} waiting', COUNTS, OLDEST, NEWEST, RARE, NAMED)
        for place, _ in both:
            hands.work(place.address)
            with place.app.transaction():
                for number in range(3):
                    place.nothing.enqueue(number)
            fail(place)
        yield from rows(few, many, f'{plan.jobs:,} completed', COUNTS, NEWEST, FAILED, COMPLETED)


def fail(place: Place) -> None:
    """Have what waits end as an error."""
    loop = hands.looped(place)

    def work(store: Any, seat: Any, now: float) -> None:
        ids = verbs.claim(store, seat, 10, now)
        verbs.settle(store,
                     seat, {jobid: Outcome('error', None, 'no', 1, now, now) for jobid in ids})
    loop.booking.write(work)
    loop.close()


def rows(few: Place, many: Place, what: str,
         *looks: tuple[str, Callable[[Any], Any]]) -> Iterator[Row]:
    """A row for each look."""
    for name, look in looks:
        figures = [[taken(place, look) for place in (few, many)] for _ in range(ROUNDS)]
        small, large = (statistics.median(each) for each in zip(*figures, strict=True))
        yield Row(f'{name}, {what}', millis(large), f'{FEW:,}: {millis(small)}',
                  1000 * large / LIMIT, '≤ 1')


def taken(place: Place, look: Callable[[Any], Any]) -> float:
    """Seconds for a look."""
    with place.app.reading() as processor:
        processor._p_jar.cacheMinimize()
        store = processor.store
        began = time.perf_counter()
        look(store)
        return time.perf_counter() - began
