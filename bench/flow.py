# SPDX-License-Identifier: ZPL-2.1
"""How long jobs wait while others keep coming: four processes enqueue at a steady pace, one commit
each, and two work.

With long jobs among them half of the workers' time is taken, and short ones stand behind long ones:
nobody may starve.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench import hands, tasks
from bench.place import Place
from bench.plan import Plan
from bench.table import Row, millis
from p01.remote import App
from p01.remote.views import listing

ENQUEUERS, WORKERS = 4, 2
PACE = 50           # jobs per second of each enqueuer
# seconds of a long job; every so many is one, so that they take half of the workers' time
LONG = 0.5
LONGS = ENQUEUERS * PACE * LONG / (WORKERS / 2)
# seconds that the oldest may wait beside long jobs: what workers grant each other, see
# verbs.claims.GRACE
LIMIT = 1.0


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite:."""
    seconds = plan.few(30, 8)
    for name, every in (('short jobs', 0), ('short and long jobs', int(LONGS))):
        with plan.place() as place:
            waits = sorted(flow(place, seconds, every))
        what = f'wait in a flow of {name}, {len(waits) / seconds:,.0f}/s'
        late = waits[len(waits) * 99 // 100]
        yield Row(f'{what}, median', millis(statistics.median(waits)),
                  f'99th percentile: {millis(late)}')
        longest = waits[-1]
        limit = LONG + LIMIT if every else LIMIT
        yield Row(f'{what}, longest', millis(longest), millis(limit), longest / limit, '≤ 1')


def flow(place: Place, seconds: int, every: int) -> list[float]:
    """The seconds that each job waited between its enqueue and its start."""
    hosts = [hands.spawn.Process(target=enqueue, args=(place.address, number, seconds, every),
                                 daemon=True)
             for number in range(ENQUEUERS)]
    for host in hosts:
        host.start()
    hands.work(place.address, WORKERS, hands.attend, seconds + 5)
    for host in hosts:
        host.join()
    with place.app.reading() as processor:
        views = [processor.store.view(jobid) for jobid in listing.ids(processor.store)]
    ended = [view for view in views if view.outcome is not None
             and view.outcome.started is not None]
    if len(ended) < len(views):
        raise RuntimeError(f'{len(views) - len(ended)} of {len(views)} jobs never started.')
    return [view.outcome.started - view.record.created for view in ended if view.outcome
            and view.outcome.started]


def enqueue(address: str, number: int, seconds: int, every: int) -> None:
    """One process that enqueues."""
    app = App(address)
    short, long = app.job(tasks.nothing), app.job(tasks.doze)
    began = time.monotonic()
    for count in range(seconds * PACE):
        with app.transaction():
            if every and (count * ENQUEUERS + number) % every == 0:
                long.enqueue(LONG)
            else:
                short.enqueue(count)
        time.sleep(max(0.0, began + (count + 1) / PACE - time.monotonic()))
    app.close()
