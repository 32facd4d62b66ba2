# SPDX-License-Identifier: ZPL-2.1
"""Commits without jobs, lone enqueues against them, worker processes whose jobs change something,
an old snapshot."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import get_native_id

import transaction

from bench import effects, hands
from bench.place import Place
from bench.plan import Plan, alternate
from bench.table import Row, perSecond
from bench.tasks import OBJECTS

CLIENTS = 4
HELD = 20.0, 5.0        # seconds that an old snapshot is held, and in a quick run


def measure(plan: Plan) -> Iterator[Row]:
    """sqlite: and postgresql:."""
    for kind in ('sqlite', 'postgresql'):
        lack = plan.lack(kind)
        if lack:
            yield Row(f'commits, {kind}:', '', lack)
            continue
        yield from lone(plan, kind)
        yield processes(plan, kind)
        yield held(plan, kind)


def lone(plan: Plan, kind: str) -> Iterator[Row]:
    """Enqueues with nothing around them against bare commits, by one client and by several
    threads."""
    count, rounds = plan.few(1_000, 200), plan.few(11, 5)
    with plan.place(kind, objects=count) as place:
        for clients in (1, CLIENTS):
            ways: list[Callable[[],
                                float]] = [
                                    lambda clients=clients: together(
                                        clients, lambda: enqueues(place, count)),
                                               lambda clients=clients: together(
                                                   clients, lambda: bare(place, count))]
            jobs, commits = alternate(rounds, *ways)
            yield Row(f'enqueue one by one, {kind}:, {clients} at once',
                      perSecond(clients * count / jobs),
                      f'bare commits: {perSecond(clients * count / commits)}', commits / jobs,
                      '≥ 0.8')


def together(clients: int, work: Callable[[], object]) -> float:
    """Seconds that so many threads need, each for the same work."""
    with ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        for done in [pool.submit(work) for _ in range(clients)]:
            done.result()
        return time.perf_counter() - began


def enqueues(place: Place, count: int) -> None:
    """So many of them, each a transaction of its own."""
    for number in range(count):
        place.nothing.enqueue(number)


def bare(place: Place, count: int) -> None:
    """So many commits, each of an object of this thread."""
    manager = transaction.TransactionManager(explicit=True)
    connection = place.app.db.open(manager)
    with manager:
        counter = connection.root()[OBJECTS][get_native_id() % count]
    for _ in range(count):
        manager.begin()
        counter.value += 1
        manager.commit()
    connection.close()


def processes(plan: Plan, kind: str) -> Row:
    """Two worker processes against one, with jobs that change something."""
    count, rounds = plan.few(8_000, 2_000), plan.few(5, 3)
    one, two = alternate(rounds,
                         *(lambda number=number: paced(plan, kind, count, number)
                           for number in (1, 2)))
    return Row(f'jobs that change an object, {kind}:, two worker processes', perSecond(two),
               f'one: {perSecond(one)}', two / one, '≥ 1')


def paced(plan: Plan, kind: str, count: int, number: int) -> float:
    """Jobs per second in a fresh database."""
    with plan.place(kind, objects=count) as place:
        place.enqueue(count, job=place.bump)
        return hands.pace(hands.work(place.address, number))


def held(plan: Plan, kind: str) -> Row:
    """Commits of one object while somebody holds an old snapshot, the last second against the
    first."""
    with plan.place(kind, objects=1) as place:
        reader = place.app.db.open(transaction.TransactionManager(explicit=True))
        manager = transaction.TransactionManager(explicit=True)
        connection = place.app.db.open(manager)
        for _ in range(5):
            effects.commits(connection, manager, 1)
        reader.transaction_manager.begin()
        len(reader.root())
        seconds, rates = HELD[plan.quick], []
        while len(rates) < seconds:
            done, began = 0, time.perf_counter()
            while time.perf_counter() < began + 1:
                effects.commits(connection, manager, 1)
                done += 1
            rates.append(done / (time.perf_counter() - began))
        reader.transaction_manager.abort()
        reader.close()
        connection.close()
    return Row(f'commits beside a snapshot held for {seconds:.0f} s, {kind}:', perSecond(rates[-1]),
               f'in its first second: {perSecond(rates[0])}', rates[-1] / rates[0], '≥ 0.85')
