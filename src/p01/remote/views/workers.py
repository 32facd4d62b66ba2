# SPDX-License-Identifier: ZPL-2.1
"""The workers: which live, which jobs each has in hand, and which of them runs."""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from p01.remote.engine.death import deathOf
from p01.remote.engine.progress import saidBy
from p01.remote.exceptions import JobNotFound
from p01.remote.ground import blackbox
from p01.remote.ground.words import labelOf
from p01.remote.store.records import Progress
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store
from p01.remote.verbs.requests import QUIET, STOP


class Worker(NamedTuple):
    """A worker thread. Instants are POSIX seconds."""

    name: str
    label: str                          # how people call it
    host: str
    pid: int
    process: str                        # a token of the process
    state: str                          # alive, quiet, stopping or dead
    alive: bool
    death: str                          # how it ended; '' while it lives
    since: float
    seen: float                         # its last heartbeat
    queues: tuple[str, ...]             # that it serves; () for all
    code: str                           # fingerprint of its application; '' when nobody knows
    jobs: tuple[int, ...]               # in hand, not ended
    running: tuple[int, ...] | None     # of them; None where that cannot be seen, as on other hosts
    progress: dict[int, Progress]       # of them, as far as they say so
    job: str                            # the name of the one that runs; '' for none
    lasts: float                        # for how many seconds it runs

    def meant(self, word: str) -> bool:
        """Whether a word means it: its name or label, its host, its process."""
        return word in (self.name, self.label, self.host, str(self.pid), f'{self.host}:{self.pid}')

    def serves(self, queue: str) -> bool:
        """Whether it takes jobs of a queue: it is alive, and not to claim no more."""
        return self.state == 'alive' and self.isFor(queue)

    def isFor(self, queue: str) -> bool:
        """Whether jobs of a queue are its, now or when it is let claim again."""
        return not self.queues or queue in self.queues


def workersOf(store: Store, now: float) -> list[Worker]:
    """The workers, dead ones too until their jobs are taken back; not who pulled jobs by hand."""
    return [workerOf(store, seat, now) for _, seat in store.workers()]


def workerOf(store: Store, seat: Seat, now: float) -> Worker:
    """The worker of a seat."""
    held = sorted(seat.claims.keys() - seat.written().keys())
    death = deathOf(seat, blackbox.HOST, now)
    slot, begun, silent = seat.seen().slot, seat.seen().begun(), seat.seen().silent
    said = {jobid: said for jobid, said in saidBy(seat).items() if jobid in held}
    runs = None if slot is None else tuple(sorted({slot.jobid, *begun} & set(held)))
    told = seat.told or STOP in seat.orders or bool(seat.box) and seat.host == blackbox.HOST \
        and blackbox.isTold(seat.path)
    state = 'dead' if death is not None else 'stopping' if told else \
        'quiet' if QUIET in seat.orders else 'alive'
    return Worker(seat.name, labelOf(seat.name), seat.host.partition('/')[0], seat.pid,
                  seat.process, state, death is None, '' if death is None else death.why,
                  seat.since, seat.beat if silent is None else max(seat.beat, now - silent),
                  tuple(sorted(seat.queues)), seat.code, tuple(held), runs, said,
                  nameOf(store, runs[0]) if runs else '',
                  lastsOf(slot, begun, runs[0]) if slot is not None and runs else 0.0)


def startedOf(seat: Seat, jobid: int, now: float) -> float | None:
    """When a job that a worker of this host runs began, in POSIX seconds; None where nobody here
    knows."""
    slot = seat.seen().slot
    lasts = 0.0 if slot is None else lastsOf(slot, seat.seen().begun(), jobid)
    return now - lasts if lasts else None


def lastsOf(slot: blackbox.Slot, begun: Mapping[int, float], jobid: int) -> float:
    """For how many seconds a job runs, in a thread or on an event loop."""
    since = slot.began if slot.jobid == jobid else begun.get(jobid, 0.0)
    return time.monotonic() - since if since else 0.0


def nameOf(store: Store, jobid: int) -> str:
    """The name of a job; '' for one that is gone."""
    try:
        return store.entry(jobid)[1].name
    except JobNotFound:
        return ''


def quietOf(workers: Iterable[Worker], queue: str) -> int:
    """How many living workers are for a queue, and are quiet or stopping."""
    return sum(worker.alive and worker.isFor(queue) and not worker.serves(queue)
               for worker in workers)


def outdated(workers: Iterable[Worker], code: str) -> list[str]:
    """The labels of living workers that run other code than this fingerprint is of."""
    return [worker.label for worker in workers
            if worker.alive and worker.code and code and worker.code != code]
