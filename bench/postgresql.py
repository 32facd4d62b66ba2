# SPDX-License-Identifier: ZPL-2.1
"""Jobs on PostgreSQL with fsync, against bare commits, PgQueuer and Procrastinate on the same
server, in turn."""
from __future__ import annotations

from collections.abc import Callable, Iterator

from bench import effects, hands, pgpeers
from bench.plan import Plan, alternate
from bench.table import Row, perSecond

KIND = 'postgresql'


def measure(plan: Plan) -> Iterator[Row]:
    """Jobs without effects, then such as change an object; none is being enqueued meanwhile."""
    lack = plan.lack(KIND)
    if lack:
        yield Row(f'jobs, {KIND}:', '', lack)
        return
    yield from without(plan)
    yield from changing(plan)


def without(plan: Plan) -> Iterator[Row]:
    """Jobs that do nothing: one worker process and two, each against as many of PgQueuer.

    The clock starts with the end of the first job. PgQueuer's stops with the end of the last one,
    ours with its commit.
    """
    count, rounds = plan.few(60_000, 20_000), plan.few(5, 3)
    ways: list[Callable[[], float]] = [lambda processes=processes: once(plan, count, processes)
                                       for processes in (1, 2)]
    lack = pgpeers.lack('pgqueuer')
    if not lack:
        server = plan.server(KIND)
        ways += [lambda processes=processes: pgpeers.pgqueuerRate(server, count, processes)
                 for processes in (1, 2)]
    one, two, *peer = alternate(rounds, *ways)
    for number, (words, ours) in enumerate((('one worker process',
                                             one), ('two worker processes', two))):
        what = f'jobs without effects, {KIND}:, {words}'
        if peer:
            yield Row(what, perSecond(ours), f'PgQueuer: {perSecond(peer[number])}',
                      ours / peer[number], '≥ 1.5')
        else:
            yield Row(what, perSecond(ours), f'PgQueuer: {lack}')


def once(plan: Plan, count: int, processes: int) -> float:
    """Jobs per second in a fresh database."""
    with plan.place(KIND) as place:
        place.enqueue(count)
        return hands.pace(hands.work(place.address, processes))


def changing(plan: Plan) -> Iterator[Row]:
    """Jobs that change an object, one commit each and one process, against Procrastinate, one job
    after the other."""
    # short blocks: what else the machine does comes and goes
    count, few, rounds = 100, 300, plan.few(21, 9)
    others: list[Callable[[], float]] = []
    lack = pgpeers.lack('procrastinate')
    if not lack:
        server = plan.server(KIND)
        others = [lambda update=update: pgpeers.procrastinateRate(server, few, update)
                  for update in (True, False)]
    jobs, bare, *peer = effects.taken(plan, KIND, count, rounds, *others)
    yield effects.row(KIND, count, jobs, bare)
    if lack:
        yield Row('the same against Procrastinate', '', lack)
    for words, theirs in zip(('an UPDATE each', 'doing nothing'), peer):
        yield Row(f'the same against Procrastinate, its jobs {words}', perSecond(count / jobs),
                  f'Procrastinate: {perSecond(theirs)}', count / jobs / theirs, '≥ 1')
