# SPDX-License-Identifier: ZPL-2.1
"""How all stands at one moment: queues, workers, schedules, and what is odd about them."""
from __future__ import annotations

from typing import NamedTuple

from p01.remote.app import App
from p01.remote.engine.fingerprint import fingerprintOf
from p01.remote.engine.standing import Standing, standings
from p01.remote.processor import RemoteProcessor
from p01.remote.views import figures
from p01.remote.views.queues import Queues, knownQueues, queuesOf, unknown, unserved
from p01.remote.views.workers import Worker, outdated, workersOf


class Overview(NamedTuple):
    """How all stands. Instants are POSIX seconds."""

    queues: Queues
    oldest: float | None            # since when the oldest job waits that could start
    due: float | None               # when the next delayed job is due
    workers: list[Worker]
    schedules: list[Standing]
    unserved: dict[str, int]        # jobs that wait where no worker serves, by queue
    # queues that are paused or served, but known to no job: what to say
    unknown: dict[str, str]
    outdated: list[str]             # labels of workers that run other code


def overviewOf(app: App, processor: RemoteProcessor, now: float) -> Overview:
    """How all stands at now, in the snapshot of the processor."""
    store = processor.store
    queues, workers = queuesOf(store, now), workersOf(store, now)
    known = knownQueues(app, processor, queues)
    named = {*(queue.name for queue in queues.all.values() if queue.paused),
             *(name for worker in workers for name in worker.queues)}
    return Overview(queues, figures.oldest(store), figures.nextDue(store, noticed=False), workers,
                    standings(processor, now), unserved(queues, workers),
                    {name: unknown(name, known) for name in sorted(named - known)},
                    outdated(workers, fingerprintOf(app)))
