# SPDX-License-Identifier: ZPL-2.1
"""Jobs that change an object and share commits, against such as have one each, and against bare
commits."""
from __future__ import annotations

from collections.abc import Iterator

import transaction

from bench import effects, hands
from bench.plan import SERVED, Plan, alternate
from bench.table import Row, perSecond

KINDS = {'file': '≥ 4', 'sqlite': '≥ 4', 'postgresql': '≥ 4'}


def measure(plan: Plan) -> Iterator[Row]:
    """Each kind of storage by itself."""
    for kind, target in KINDS.items():
        what = f'jobs that change an object, together, {kind}:'
        lack = plan.lack(kind) if kind in SERVED else ''
        if lack:
            yield Row(what, '', lack)
            continue
        count, few = plan.few(10_000, 2_000), plan.few(2_000, 200) if kind not in SERVED else 200
        together, alone, bare = (size / seconds for size, seconds in
                                 zip((count, few, few), taken(plan, kind, count, few), strict=True))
        yield Row(what, perSecond(together), f'one commit each: {perSecond(alone)}',
                  together / alone, target)
        yield Row('', perSecond(together), f'bare commits: {bare:,.0f}/s', together / bare)


def taken(plan: Plan, kind: str, count: int, few: int) -> list[float]:
    """The seconds for so many jobs together, for a few one by one, and for as many bare commits, in
    turn; see effects.taken."""
    with hands.collecting(), plan.place(kind,
                                        objects=few) as plain, plan.place(kind,
                                                                          objects=count) as place:
        manager = transaction.TransactionManager(explicit=True)
        connection = plain.app.db.open(manager)
        plain.enqueue(1)
        loops = [hands.looped(place, together=together) for together in (True, False)]
        try:
            return alternate(plan.few(11, 5), lambda: effects.work(place, loops[0], count),
                             lambda: effects.work(place, loops[1],
                                                  few), lambda: effects.commits(connection,
                                                                                manager, few))
        finally:
            for loop in loops:
                loop.close()
            connection.close()
