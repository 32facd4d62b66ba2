# SPDX-License-Identifier: ZPL-2.1
"""What a drain has left: jobs that nobody was to run, or not yet."""
from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from p01.remote.store.records import DELAYED, PROCESSING, QUEUED


class Left(NamedTuple):
    """How many jobs have not ended.

    due: could run now; elsewhere: run in other workers; paused, unserved: are due, in queues that are paused or that the drain
    did not serve, by queue; delayed: are not due yet, the first of them at next, in POSIX seconds.
    """

    due: int
    elsewhere: int
    paused: dict[str, int]
    unserved: dict[str, int]
    delayed: int
    next: float | None


def leftOf(processor: Any, queues: tuple[str, ...], now: float) -> Left:
    """What is left for workers that serve these queues; () for all."""
    store = processor.store
    paused: Counter[str] = Counter()
    unserved: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for queue, counts in store.counts().items():
        waiting = counts.get(QUEUED, 0)
        until = store.settings.paused.get(queue, 0.0)
        if queues and queue not in queues:
            unserved[queue] += waiting
        elif until is None or until > now:
            paused[queue] += waiting
        else:
            total[QUEUED] += waiting
        for status in (PROCESSING, DELAYED):
            total[status] += counts.get(status, 0)
    return Left(total[QUEUED], total[PROCESSING], dict(+paused), dict(+unserved), total[DELAYED], store.nextDue(noticed=False))
