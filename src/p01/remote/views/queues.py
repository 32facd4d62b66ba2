# SPDX-License-Identifier: ZPL-2.1
"""The queues: how their jobs stand, which are paused, which nobody serves, which exist at all."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from p01.remote.app import App
from p01.remote.ground import checks
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.words import shown
from p01.remote.options import DEFAULTQUEUE
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import QUEUED
from p01.remote.store.store import Store
from p01.remote.views import figures
from p01.remote.views.filters import STATI, Filter
from p01.remote.views.workers import Worker


class Queue(NamedTuple):
    """How a queue stands."""

    name: str
    counts: dict[str, int]      # status → number of jobs; every status is there
    paused: bool
    until: float | None         # when the pause ends by itself, in POSIX seconds


class Queues(NamedTuple):
    """All queues that have jobs or are paused, by name.

    reckoned: of the jobs that no worker has noticed, the numbers were reckoned from a part of them.
    """

    all: dict[str, Queue]
    reckoned: bool

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many jobs of each have which status."""
        return {name: queue.counts for name, queue in self.all.items()}


def queuesOf(store: Store, now: float) -> Queues:
    """The queues, sorted by name."""
    counts, paused = figures.reckoned(store), store.settings.pausedAt(now)
    names = sorted({*counts.queues, *paused})
    return Queues({name: Queue(name, {status: counts.queues.get(name, {}).get(status, 0)
                                      for status in STATI},
                               name in paused, paused.get(name)) for name in names},
                  counts.reckoned)


def totalOf(which: Filter, queues: Queues) -> int | None:
    """How many jobs a filter has, where the counts say so: it names stati and queues alone."""
    if which._replace(stati=STATI, queue=Filter().queue, limit=None, below=None) != Filter():
        return None
    meant = [queue for queue in queues.all.values() if which.queue.takes(queue.name)]
    return sum(queue.counts[status] for queue in meant for status in which.stati)


def unserved(queues: Queues, workers: Iterable[Worker]) -> dict[str, int]:
    """How many jobs wait in queues that are not paused and that no worker serves, though some
    work."""
    alive = [worker for worker in workers if worker.alive]
    return {} if not alive else {
        queue.name: queue.counts[QUEUED] for queue in queues.all.values()
        if queue.counts[QUEUED] and not queue.paused
        and not any(worker.serves(queue.name) for worker in alive)}


def knownQueues(app: App, processor: RemoteProcessor, queues: Queues) -> set[str]:
    """The queues that jobs have been in, or may come to be in, as far as can be seen from here."""
    known = {DEFAULTQUEUE, *(job.prototype.queue for job in app.jobs.values()),
             *(queue.name for queue in queues.all.values() if any(queue.counts.values()))}
    looks: tuple[Callable[[], list[object]], ...] = (
        lambda: [job.queue for job in processor.jobs.values()],
        lambda: [processor.scheduler[key].queue for key in processor.scheduler])
    for look in looks:
        found = guarded(look)
        known.update(name for name in ([] if isinstance(found, Raised) else found)
                     if isinstance(name, str))
    return known


def unknown(queue: str, known: Iterable[str]) -> str:
    """What to say of a queue that is not among those known."""
    near = checks.nearest(queue, known)
    hint = f'; did you mean {shown(near)}?' if near else ''
    return f'no job has ever been in queue {shown(queue)}, nor names it{hint}'
