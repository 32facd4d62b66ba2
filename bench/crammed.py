# SPDX-License-Identifier: ZPL-2.1
"""A database with an hour of many jobs in it: a fifth failed, in 500 kinds, a tenth waiting, in
1,000 queues; and 10,000 schedules."""
from __future__ import annotations

import time
from typing import Any

from bench.place import Place
from p01.remote import verbs
from p01.remote.clock.schedule import Schedule
from p01.remote.store.outcomes import success
from p01.remote.store.payload import pack
from p01.remote.store.records import Attempt, Outcome, Record
from p01.remote.store.seats import Seat
from p01.remote.verbs import recording
from p01.remote.views import figures

NAMES, FAILEDKINDS, QUEUES, SCHEDULED = 500, 500, 1_000, 10_000
CHUNK, HOUR = 2_000, 3600.0
NAME = 'bench:1:1'
TRACE = ('Traceback (most recent call last):\n  File "/srv/shop/mail.py", line {0}, in send{0}\n'
         '    boom()\n  File "/usr/lib/python3.11/smtplib.py", line 3, in send\n'
         'ValueError: no {0}\n')


def fill(place: Place, jobs: int) -> None:
    """Have an hour of so many jobs, written as workers would have written them; those that wait
    are in line."""
    app, now = place.app, time.time()
    given = pack((('order-1',), {'copies': 1}), 'x')
    with app.transaction():
        verbs.sit(app.processor.store, Seat(NAME, 'bench', 0, '', '', 60.0, now - HOUR))
    for first in range(0, jobs, CHUNK):
        with app.transaction():
            for number in range(first, min(jobs, first + CHUNK)):
                verbs.add(app.processor.store, Record(
                    f'shop.mod{number % NAMES}.task', given,
                    now - HOUR + HOUR * number / jobs, f'queue-{number % QUEUES}'))
        over = min(CHUNK, jobs * 9 // 10 - first)
        if over > 0:
            with app.transaction():
                end(app.processor.store, over, now - HOUR + HOUR * (first + over) / jobs)
    while takenIn(app, now):
        pass
    with app.transaction():
        verbs.rise(app.processor.store, app.processor.store.seats[NAME], {})
    for first in range(0, SCHEDULED, CHUNK):
        with app.transaction():
            for number in range(first, first + CHUNK):
                item = Schedule({'cron': f'{number % 60} {number % 24} * * *', 'job': 'nothing'})
                app.processor.scheduler.add(item, now, f'schedule-{number:05d}')


def end(store: Any, number: int, at: float) -> None:
    """So many jobs end; every fifth fails."""
    seat, known = store.seats[NAME], {}
    for jobid in verbs.claim(store, seat, number, at):
        kind = jobid // 5 % FAILEDKINDS
        reason = f'ValueError: no {kind}'
        known[jobid] = success(None, 1, at - 0.2, at, ()) if jobid % 5 else Outcome(
            'error', None, reason, 1, at - 1, at, NAME,
            (Attempt(1, at - 1, at, NAME, reason, TRACE.format(kind)),))
    verbs.settle(store, seat, known)
    recording.looked(seat, figures.exact(store), at)


def takenIn(app: Any, now: float) -> bool:
    """Take some of what was enqueued into line; whether there is more."""
    with app.transaction():
        store = app.processor.store
        for shard in store.shards:
            verbs.takeIn(store, shard, store.seats[NAME], now)
        return figures.behind(store)
