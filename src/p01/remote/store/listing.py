# SPDX-License-Identifier: ZPL-2.1
"""Which jobs: one filter for every face. Looks at as few jobs as it can, and changes nothing."""
from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from itertools import islice
from typing import NamedTuple

from p01.remote.exceptions import InputError, JobNotFound
from p01.remote.store.look import Look, View
from p01.remote.store.records import DELAYED, FINISHED, PROCESSING, QUEUED, Record

STATI = (QUEUED, DELAYED, PROCESSING, *FINISHED)


class Filter(NamedTuple):
    """Which jobs: those that all of this holds for. Instants are POSIX seconds.

    since and before are about when a job ended, or when it was enqueued while it has not: since ≤ instant < before. limit:
    at most so many, the newest.
    """

    stati: Collection[str] = STATI
    queue: str | None = None            # None: of any
    name: str | None = None             # None: of any
    since: float | None = None
    before: float | None = None
    limit: int | None = None

    def check(self) -> None:
        """Raises InputError for a status that there is not."""
        for status in self.stati:
            if status not in STATI:
                raise InputError(f'{status!r} is no status; choose from {", ".join(STATI)}.')

    def asked(self, record: Record) -> bool:
        """Whether queue and name fit."""
        return (self.queue is None or record.queue == self.queue) and (self.name is None or record.name == self.name)

    def fits(self, view: View) -> bool:
        """Whether all fits."""
        at = view.record.created if view.outcome is None else view.outcome.completed
        return view.status in self.stati and self.asked(view.record) \
            and (self.since is None or self.since <= at) and (self.before is None or at < self.before)


EVERY = Filter()


def find(store: Look, which: Filter = EVERY) -> Iterator[View]:
    """The jobs of a filter, the newest first, that is, of the highest id. Raises InputError."""
    which.check()
    return islice(fitting(store, which), which.limit)


def fitting(store: Look, which: Filter) -> Iterator[View]:
    """The jobs of a filter whatever its limit."""
    for jobid in candidates(store, which.stati):
        try:
            if which.asked(store.entry(jobid)[1]):
                view = store.view(jobid)
                if which.fits(view):
                    yield view
        except JobNotFound:
            pass


def candidates(store: Look, wanted: Collection[str]) -> Iterator[int]:
    """The ids of the jobs that may have these stati, the newest first."""
    if set(STATI) <= set(wanted):
        yield from store.ids(newest=True)
        return
    # a worker's newest outcomes stand in its seat, where its claims are too
    found = {jobid for seat in store.seats.values() for jobid in seat.claims}
    if not {QUEUED, DELAYED}.isdisjoint(wanted):
        found.update(store.waiting())
    if not set(FINISHED).isdisjoint(wanted):
        found.update(jobid for jobid, status in store.finished() if status in wanted)
    heap = [-jobid for jobid in found]
    heapq.heapify(heap)         # few of them are asked for, as a rule
    while heap:
        yield -heapq.heappop(heap)
