# SPDX-License-Identifier: ZPL-2.1
"""Jobs on a Dask cluster.

Dask runs again what a worker had that died, as often as it likes; here that is for the policy of
the job. So each run is bound to one Dask worker, and to one life of it: it goes nowhere else, and
is lost when that one dies.
"""
from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

from distributed import Client

from p01.remote import events
from p01.remote.engine.executors import remote
from p01.remote.engine.seams import Attempted
from p01.remote.exceptions import WorkerDied
from p01.remote.ground import subscribers
from p01.remote.ground.foreign import Raised, guarded, reasonOf

CLUSTERLOOK = 0.5       # seconds between two looks at which Dask workers there are
CONNECTS = 5            # seconds that the scheduler has to answer
LOST = 'its Dask worker died'


class Place(NamedTuple):
    """A life of a Dask worker."""

    address: str
    pid: int            # of its process; a new one may have its address


class Cluster:
    """What the scheduler at an address has; at most so many jobs at once, 0 for as many as there
    are threads."""

    def __init__(self, address: str, most: int, changed: Callable[[], None]) -> None:
        self.address, self.most, self.changed = address, most, changed
        self.slots = 0
        self.client: Client | None = None
        self.places: dict[Place, int] = {}          # with how many threads
        self.runs: dict[int, tuple[Place, Callable[[BaseException | None], None]]] = {}
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.reason = ''                            # why it cannot be reached, as it was told
        threading.Thread(target=self.watch, daemon=True, name='p01.remote.dask').start()

    # -- in a thread of its own

    def watch(self) -> None:
        """See which Dask workers come and go."""
        while not self.over.is_set():
            found = guarded(self.look)
            reason = reasonOf(found.error) if isinstance(found, Raised) else ''
            if reason and not self.reason:
                subscribers.notify(events.WorkerFailed(f'on {self.address}', reason,
                                                       'it waits for the Dask cluster'))
            self.reason = reason
            self.take({} if isinstance(found, Raised) else found, bool(reason))
            self.over.wait(CLUSTERLOOK)
        if self.client is not None:
            guarded(self.client.close, CONNECTS)

    def look(self) -> dict[Place, int]:
        """The Dask workers, with their threads. Raises what distributed does."""
        if self.client is None or self.client.status == 'closed':
            self.client = Client(self.address, timeout=CONNECTS, set_as_default=False,
                                 name='p01.remote')
        if self.client.status != 'running':
            raise ConnectionError('its scheduler does not answer')
        known = self.client.scheduler_info(n_workers=-1).get('workers', {})
        found = {place: threads for place, threads in self.places.items()
                 if place.address in known}
        new = sorted(known.keys() - {place.address for place in found})
        pids = self.client.run(os.getpid, workers=new, on_error='ignore') if new else {}
        return found | {Place(address, pid): int(known[address]['nthreads'])
                        for address, pid in pids.items()}

    def take(self, places: dict[Place, int], away: bool) -> None:
        """These are there now; what ran elsewhere is lost, or goes back when all are away."""
        with self.lock:
            self.places = places
            lost = [(place, end) for place, end in self.runs.values() if place not in places]
            beside = Counter(place for place, _ in lost)
        for place, end in lost:
            number = beside[place] - 1
            end(None if away else WorkerDied(
                LOST + (f', with {number} more jobs on it' if number else '')))
        slots = sum(places.values())
        slots = min(slots, self.most) if self.most else slots
        if slots != self.slots:
            self.slots = slots
            self.changed()

    # -- on the event loop

    async def run(self, job: Attempted) -> object:
        """What a job returns. Raises what it does, and WorkerDied. One that is cancelled is given
        up: where it runs, it runs on."""
        here = asyncio.get_running_loop()
        done: asyncio.Future[object] = here.create_future()

        def settle(value: bytes | BaseException | None) -> None:
            if not done.done():
                done.set_result(value)

        def end(value: bytes | BaseException | None) -> None:
            with suppress(RuntimeError):            # the event loop has ended
                here.call_soon_threadsafe(settle, value)

        data, future = remote.pack(job), None
        try:
            future = self.submit(job.task.id, data, end)
            value = await done if future is not None else None
        finally:
            with self.lock:
                self.runs.pop(job.task.id, None)
            if future is not None and not future.done():
                future.cancel()
        if isinstance(value, bytes):
            return remote.result(value)
        if isinstance(value, BaseException):
            raise value
        job.home.given.add(job.task.id)             # nobody could run it: it goes back
        raise asyncio.CancelledError

    def submit(self, jobid: int, data: bytes,
               end: Callable[[bytes | BaseException | None], None]) -> Future[bytes] | None:
        """Have it run where most is free; end gets what comes of it, None when nobody knows. None
        where nobody is."""
        with self.lock:
            busy = Counter(place for place, _ in self.runs.values())
            place = max(self.places, key=lambda each: self.places[each] - busy[each], default=None)
            if place is None or self.client is None:
                return None
            self.runs[jobid] = place, end
        future: Future[bytes] | Raised = guarded(
            self.client.get_executor(pure=False, retries=0, workers=[place.address],
                                     allow_other_workers=False).submit, bound, data, place.pid)
        if isinstance(future, Raised):              # its client has given up just now
            self.take({}, True)
            return None
        future.add_done_callback(lambda each: end(
            None if each.cancelled() else each.exception() or each.result()))
        return future

    def close(self) -> None:
        """End."""
        self.over.set()


def bound(data: bytes, pid: int) -> bytes:
    """Run a job in this process of a Dask worker only. Raises WorkerDied in another one."""
    if os.getpid() != pid:
        raise WorkerDied(LOST)
    return remote.call(data)
