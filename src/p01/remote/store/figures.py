# SPDX-License-Identifier: ZPL-2.1
"""How many jobs there are, for people: at the same cost however many no worker has noticed yet; changes nothing."""
from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from p01.remote.store.look import LOOK, Look, nested
from p01.remote.store.records import DELAYED, QUEUED

PART = 50       # segments that the others are reckoned from


class Counts(NamedTuple):
    """How many jobs of each queue have which status.

    reckoned: how many of them no worker has noticed was reckoned from a part of them. What a worker has taken in is exact.
    """

    queues: dict[str, dict[str, int]]
    reckoned: bool = False


def counts(store: Look) -> Counts:
    """The counts; exact while the jobs that no worker has noticed are in at most LOOK segments, 3,000 to 50,000 jobs."""
    segments = list(store.unnoticed())
    if len(segments) <= LOOK:
        return Counts(store.counts())
    total, found = store.tallied(), Counter[tuple[str, str]]()
    step = len(segments) / PART
    for _, record in store.untaken(segments[int(number * step)] for number in range(PART)):
        found[record.queue, QUEUED if record.due is None else DELAYED] += 1
    total.add({kind: round(number * step) for kind, number in found.items()})
    return Counts(nested(total), True)
