# SPDX-License-Identifier: ZPL-2.1
"""Many workers at once, in the worst order: each claims before any other has committed; and a job
that fails on and on."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import transaction
from transaction.interfaces import TransientError

from bench import hands, tasks
from bench.plan import Plan
from bench.table import Row
from p01.remote import verbs
from p01.remote.store.records import Outcome
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store

Work = Callable[[Store, Seat, tuple[int, int]], None]
CLAIM = 20              # jobs
ROUNDS = 4
RETRIES = 300
# runs; the first attempts are kept whole, so that these still add some
FIRST, LAST = slice(20, 60), slice(-40, None)


def measure(plan: Plan) -> Iterator[Row]:
    """memory: for claims that meet, file: for what failures write."""
    for what, work in (('claims', claim), ('bookkeepings', book)):
        eight = met(plan, 8, work)
        for count in (16, 64):
            share = met(plan, count, work)
            yield Row(f'{what} that conflict, {count} workers in the worst order', f'{share:.0%}',
                      f'8 workers: {eight:.0%}')
    sizes = written(plan)
    early, late = (sum(sizes[part]) / len(sizes[part]) for part in (FIRST, LAST))
    yield Row(f'bytes that a failed run writes, the last of {RETRIES}', f'{late:,.0f}',
              f'run 20 to 60: {early:,.0f}',
              late / early, '≤ 1.1')


def met(plan: Plan, count: int, work: Work) -> float:
    """The share of transactions that meet a conflict, once each worker has learned how many they
    are."""
    with plan.place('memory') as place:
        place.enqueue(plan.few(20_000, 5_000), 1)
        loop = hands.looped(place)
        hands.intake(loop)
        loop.close()
        parties = []
        for number in range(count):
            manager = transaction.TransactionManager(explicit=True)
            connection = place.app.db.open(manager)
            manager.begin()
            place.app.locate(connection).store.sit(Seat(name(number), 'host', 1, 'process', 'box',
                                                        60.0, time.time()))
            manager.commit()
            parties.append((manager, connection))
        try:
            refused(place, parties, work)
            return sum(refused(place, parties, work) for _ in range(ROUNDS)) / (ROUNDS * count)
        finally:
            for manager, connection in parties:
                manager.begin()
                manager.abort()
                connection.close()


def refused(place: Any, parties: list[tuple[Any, Any]], work: Work) -> int:
    """How many transactions of a round conflict, when each was made before the first of them
    committed."""
    for number, (manager, connection) in enumerate(parties):
        manager.begin()
        store = place.app.locate(connection).store
        work(store, store.seats[name(number)], (number, len(parties)))
    conflicts = 0
    for manager, _ in parties:
        try:
            manager.commit()
        except TransientError:
            manager.abort()
            conflicts += 1
    return conflicts


def claim(store: Store, seat: Seat, rank: tuple[int, int]) -> None:
    """A claim alone."""
    verbs.claim(store, seat, CLAIM, time.time(), None, rank)


def book(store: Store, seat: Seat, rank: tuple[int, int]) -> None:
    """All that a worker writes between its jobs: what it had has completed, and it claims more."""
    now = time.time()
    verbs.settle(store,
                 seat, {jobid: Outcome('completed', None, '', 1, now, now)
                        for jobid in seat.claims})
    claim(store, seat, rank)


def name(number: int) -> str:
    """The name of a worker."""
    return f'worker {number:02}'


def written(plan: Plan) -> list[int]:
    """The bytes by which each run of a job that fails enlarges the file."""
    logging.getLogger('p01.remote').setLevel(logging.CRITICAL)      # each failure is a line
    with plan.place('file') as place:
        failing = place.app.job(tasks.fail, retries=RETRIES, backoff=0)
        with place.app.transaction():
            place.app.processor.addJob(failing.name, failing)
            failing.enqueue()
        loop, sizes = hands.looped(place), [place.size()]
        while tasks_ := loop.book(time.time(), 1)[0]:
            loop.act(tasks_[0])
            sizes.append(place.size())
        loop.close()
        return [after - before for before, after in pairwise(sizes)]
