# SPDX-License-Identifier: ZPL-2.1
"""Whether each page of the dashboard is there within 100 ms, in a database with many jobs: a fifth
failed, of 500 kinds, a tenth waiting, in 1,000 queues; and 10,000 schedules."""
from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from typing import Any

from bench.place import Place
from bench.plan import Plan
from bench.table import Row, millis
from p01.remote import verbs
from p01.remote.clock.schedule import Schedule
from p01.remote.store.outcomes import success
from p01.remote.store.payload import pack
from p01.remote.store.records import Attempt, Outcome, Record
from p01.remote.store.seats import Seat
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find
from p01.remote.web import ALL, Visitor, wsgi

FAILEDKINDS, QUEUES, SCHEDULED = 500, 1_000, 10_000
CHUNK, HOUR = 2_000, 3600.0
PAGELIMIT, TURNS = 100, 9       # milliseconds, and how often each page is asked for
OBJECTS, BYTES = 10_000, 64 << 20       # that a connection keeps, as p01-remote dash has it
NAME = 'bench:1:1'
TRACE = ('Traceback (most recent call last):\n  File "/srv/shop/mail.py", line {0}, in send{0}\n'
         '    boom()\n  File "/usr/lib/python3.11/smtplib.py", line 3, in send\n'
         'ValueError: no {0}\n')


def measure(plan: Plan) -> Iterator[Row]:
    """Each page, as a browser that comes again asks for it."""
    with plan.place() as place:
        fill(place, plan.jobs)
        place.app.db.setCacheSize(OBJECTS)
        place.app.db.setCacheSizeBytes(BYTES)
        browser = wsgi(place.app, target='bench:app',
                       access=lambda environ: Visitor('ann', ALL)).test_client()
        for what, path in paths(place, browser):
            took = [seconds(browser, path) for _ in range(TURNS)]
            middle = statistics.median(took)
            yield Row(f'{what}, {plan.jobs:,} jobs', millis(middle), f'slowest {millis(max(took))}',
                      1000 * middle / PAGELIMIT, '≤ 1')


def seconds(browser: Any, path: str) -> float:
    """Seconds until a page is there."""
    began = time.perf_counter()
    answer = browser.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return time.perf_counter() - began


def paths(place: Place, browser: Any) -> list[tuple[str, str]]:
    """What is asked for."""
    with place.app.reading() as processor:
        failed = next(find(processor.store, Filter(('error',)))).id
        waits = next(find(processor.store, Filter(('queued',)))).id
    kind = re.search(r'/errors/(\w+)"', browser.get('/errors').text)
    assert kind is not None
    return [('overview', '/'), ('overview of a month', '/?span=month'), ('jobs', '/jobs'),
            ('failed jobs', '/jobs?filter=status:error'),
            ('waiting jobs', '/jobs?filter=status:queued'),
            ('completed jobs of a queue', '/jobs?filter=status:completed queue:queue-7'),
            ('jobs of a name', '/jobs?filter=job:shop.mod7.task'),
            ('a text that no job has', '/jobs?filter=nothing'),
            ('a failed job', f'/jobs/{failed}'), ('a waiting job', f'/jobs/{waits}'),
            ('errors', '/errors'), ('a kind of failure', f'/errors/{kind[1]}'),
            ('queues', '/queues'), ('workers', '/workers'), ('schedules', '/schedules'),
            ('a schedule', '/schedules/schedule-00007'), ('system', '/system')]


def fill(place: Place, jobs: int) -> None:
    """Have an hour of so many jobs, written as workers would have written them."""
    app, now = place.app, time.time()
    given = pack((('order-1',), {'copies': 1}), 'x')
    with app.transaction():
        verbs.sit(app.processor.store, Seat(NAME, 'bench', 0, '', '', 60.0, now - HOUR))
    for first in range(0, jobs, CHUNK):
        with app.transaction():
            for number in range(first, min(jobs, first + CHUNK)):
                verbs.add(app.processor.store, Record(
                    f'shop.mod{number % FAILEDKINDS}.task', given,
                    now - HOUR + HOUR * number / jobs, f'queue-{number % QUEUES}'))
        if first < jobs * 9 // 10:
            with app.transaction():
                end(app.processor.store, now - HOUR + HOUR * (first + CHUNK) / jobs)
    with app.transaction():
        verbs.rise(app.processor.store, app.processor.store.seats[NAME], {})
    for first in range(0, SCHEDULED, CHUNK):
        with app.transaction():
            for number in range(first, first + CHUNK):
                item = Schedule({'cron': f'{number % 60} {number % 24} * * *', 'job': 'nothing'})
                app.processor.scheduler.add(item, now, f'schedule-{number:05d}')


def end(store: Any, at: float) -> None:
    """Some jobs end; every fifth fails."""
    seat, known = store.seats[NAME], {}
    for jobid in verbs.claim(store, seat, CHUNK, at):
        kind = jobid % FAILEDKINDS
        reason = f'ValueError: no {kind}'
        known[jobid] = success(None, 1, at - 0.2, at, ()) if jobid % 5 else Outcome(
            'error', None, reason, 1, at - 1, at, NAME,
            (Attempt(1, at - 1, at, NAME, reason, TRACE.format(kind)),))
    verbs.settle(store, seat, known)
