# SPDX-License-Identifier: ZPL-2.1
"""Jobs that change an object, one commit each, against bare commits of the same change to the same
objects."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import transaction
from ZODB.Connection import Connection

from bench import hands
from bench.place import Place
from bench.plan import Plan, alternate
from bench.table import Row, perSecond
from bench.tasks import OBJECTS
from p01.remote.engine.loop import Loop


def measure(plan: Plan) -> Iterator[Row]:
    """file: and sqlite:."""
    # on file: a commit is little more than its fsync, which takes now longer, now shorter
    for kind, rounds in (('file', plan.few(31, 7)), ('sqlite', plan.few(11, 7))):
        yield against(plan, kind, rounds)


def against(plan: Plan, kind: str, rounds: int) -> Row:
    """Jobs against bare commits, in one kind of storage."""
    count = plan.few(2_000, 200)        # enough that the empty look at the end does not count
    jobs, bare = taken(plan, kind, count, rounds)
    return row(kind, count, jobs, bare)


def row(kind: str, count: int, jobs: float, bare: float) -> Row:
    """The row of the seconds that so many jobs and so many bare commits took."""
    return Row(f'jobs that change an object, one commit each, {kind}:', perSecond(count / jobs),
               f'bare commits: {count / bare:,.0f}/s', bare / jobs, '≥ 0.8')


def taken(plan: Plan, kind: str, count: int, rounds: int,
          *others: Callable[[], float]) -> list[float]:
    """The seconds for so many jobs and bare commits, and what others return, all in turn.

    Two databases alike, in this process: one for the jobs, one for the bare commits. The garbage
    collector does to both what it does in a worker process.
    """
    with hands.collecting(), plan.place(kind,
                                        objects=count) as plain, plan.place(kind,
                                                                            objects=count) as place:
        manager = transaction.TransactionManager(explicit=True)
        connection = plain.app.db.open(manager)
        # so that the application's own connections are there as well: each commit tells all of them
        plain.enqueue(1)
        loop = hands.looped(place)
        try:
            return alternate(rounds, lambda: work(place, loop,
                                                  count), lambda: commits(connection, manager,
                                                                          count), *others)
        finally:
            loop.close()
            connection.close()


def work(place: Place, loop: Loop, count: int) -> float:
    """Seconds for so many jobs, with all bookkeeping; enqueuing them is not counted."""
    place.enqueue(count, job=place.bump)
    samples = hands.drain(loop, count)      # no samples in between: each takes its time
    assert samples[-1].done - samples[0].done == count
    return samples[-1].instant - samples[0].instant


def commits(connection: Connection, manager: transaction.TransactionManager, count: int) -> float:
    """Seconds for so many bare commits."""
    began = time.perf_counter()
    for number in range(count):
        manager.begin()
        connection.root()[OBJECTS][number].value += 1
        manager.commit()
    return time.perf_counter() - began
