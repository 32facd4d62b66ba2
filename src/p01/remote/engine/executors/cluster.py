# SPDX-License-Identifier: ZPL-2.1
"""Jobs on a Dask cluster; what runs there is in bound.

Dask runs again what a worker had that died, as often as it likes; here that is for the policy of
the job. So each run is bound to one Dask worker, and to one life of it: it goes nowhere else, and
is lost when that one dies.
"""
from __future__ import annotations

import asyncio
import os
import pickle
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from distributed import Client
from tornado.ioloop import IOLoop

from p01.remote import events
from p01.remote.engine.executors import remote
from p01.remote.engine.executors.bound import LOST, SAYS, Answer, Sent, standing, stop
from p01.remote.engine.executors.ends import heard
from p01.remote.engine.seams import Attempted, Hearing
from p01.remote.engine.stacks import ANSWERS, jobText
from p01.remote.exceptions import WorkerDied
from p01.remote.ground import subscribers
from p01.remote.ground.boards import Words
from p01.remote.ground.foreign import Raised, guarded, reasonOf

CLUSTERLOOK = 0.5       # seconds between two looks at which Dask workers there are
CONNECTS = 5            # seconds that the scheduler has to answer


class Place(NamedTuple):
    """A life of a Dask worker."""

    address: str
    pid: int            # of its process; a new one may have its address


class Run:
    """A run of a job there, as the event loop knows it that waits for it."""

    def __init__(self, job: Attempted) -> None:
        self.job = job
        self.key = uuid.uuid4().hex
        self.events = asyncio.get_running_loop()
        self.done: asyncio.Future[bytes | BaseException | None] = self.events.create_future()
        self.place: Place | None = None
        self.written = 0                    # bytes of its log that were heard
        self.told = False                   # that it is to end

    def end(self, value: Answer | BaseException | None) -> None:
        """This has come of it; None when nobody knows. For any thread."""
        self.soon(self.settle, value)

    def hear(self, words: Words) -> None:
        """It says this. For any thread."""
        self.soon(self.take, words)

    def soon(self, work: Callable[[Any], None], value: Any) -> None:
        """Do this on the event loop."""
        with suppress(RuntimeError):            # it has ended
            self.events.call_soon_threadsafe(work, value)

    def settle(self, value: Answer | BaseException | None) -> None:
        """See end."""
        answer, words = value if isinstance(value, tuple) else (value, None)
        if words is not None:
            self.take(words)
        if not self.done.done():
            self.done.set_result(answer)

    def take(self, words: Words) -> None:
        """See hear."""
        area = None if self.done.done() else self.job.place()
        if area is None:
            return
        if words.progress is not None:
            area.tell(*words.progress)
        new, self.written = words.written - self.written, words.written
        for line in words.log[-new:].decode(errors='replace').split('\n')[:-1] if new > 0 else ():
            area.write(line)


class Cluster:
    """What the scheduler at an address has; at most so many jobs at once, 0 for as many as there
    are threads."""

    def __init__(self, address: str, most: int, changed: Callable[[], None]) -> None:
        self.address, self.most, self.changed = address, most, changed
        self.slots = 0
        self.client: Client | None = None
        self.line: object = None                    # of the client to the scheduler that knows it
        self.places: dict[Place, int] = {}          # with how many threads
        self.runs: dict[str, Run] = {}              # by their keys
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.reason = ''                            # why it cannot be reached, as it was told
        threading.Thread(target=self.watch, daemon=True, name='p01.remote.dask').start()

    # -- in threads of its own

    async def serve(self, begun: threading.Event) -> None:
        """The event loop of all its clients. Each would have one of its own, in a thread, and leave
        it where it reaches nobody."""
        self.loop, self.events = IOLoop.current(), asyncio.get_running_loop()
        self.ends = asyncio.Event()
        begun.set()
        await self.ends.wait()

    def watch(self) -> None:
        """See which Dask workers come and go."""
        begun = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(begun)), daemon=True,
                         name='p01.remote.dask.clients').start()
        begun.wait()
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
        self.loop.add_callback(self.ends.set)

    def look(self) -> dict[Place, int]:
        """The Dask workers, with their threads. Raises what distributed does."""
        if self.client is None or self.client.status == 'closed':
            self.client = Client(self.address, timeout=CONNECTS, set_as_default=False,
                                 name='p01.remote', loop=self.loop)
        if self.client.status != 'running':
            raise ConnectionError('its scheduler does not answer')
        if self.line is not self.client.scheduler_comm:     # a new scheduler knows of nobody
            self.line = self.client.scheduler_comm
            self.client.subscribe_topic(self.client.id, self.hear)
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
            lost = [run for run in self.runs.values() if run.place not in places]
            beside = Counter(run.place for run in lost)
        for run in lost:
            number = beside[run.place] - 1
            run.end(None if away else WorkerDied(
                LOST + (f', with {number} more jobs on it' if number else '')))
        slots = sum(places.values())
        slots = min(slots, self.most) if self.most else slots
        if slots != self.slots:
            self.slots = slots
            self.changed()

    # -- in a thread of its client

    def hear(self, event: tuple[float, Any]) -> None:
        """An event of our client; its scheduler has others of it."""
        message = event[1]
        if isinstance(message, dict) and SAYS in message:
            key, progress, written, log = message[SAYS]
            run = self.runs.get(key)
            if run is not None:
                run.hear(Words(progress, written, log))

    # -- on the event loop

    async def run(self, job: Attempted) -> object:
        """What a job returns. Raises what it does, and WorkerDied. One that is cancelled is told,
        and given up: where it does not look, it runs on."""
        run, future = Run(job), None
        try:
            future = self.submit(run, remote.pack(job))
            value = None if future is None else await heard(run.done, job,
                                                            lambda: self.stop(run))
        finally:
            with self.lock:
                self.runs.pop(run.key, None)
            if future is not None and not future.done():
                future.cancel()
                self.stop(run)
        if isinstance(value, bytes):
            return remote.result(value)
        if isinstance(value, BaseException):
            raise value
        job.home.given.add(job.task.id)             # nobody could run it: it goes back
        raise asyncio.CancelledError

    def submit(self, run: Run, data: bytes) -> Future[Answer] | None:
        """Have it run where most is free; it is told what comes of it. None where nobody is."""
        with self.lock:
            busy = Counter(each.place for each in self.runs.values())
            place = max(self.places, key=lambda each: self.places[each] - busy[each], default=None)
            if place is None or self.client is None:
                return None
            self.runs[run.key], run.place = run, place
        future: Future[Answer] | Raised = guarded(
            self.client.get_executor(pure=False, retries=0, workers=[place.address],
                                     allow_other_workers=False).submit, pickle.loads,
            pickle.dumps(Sent(data, place.pid, run.key, self.client.id), 5))
        if isinstance(future, Raised):              # its client has given up just now
            self.take({}, True)
            return None
        future.add_done_callback(lambda each: self.ended(run, each))
        return future

    def ended(self, run: Run, future: Future[Answer]) -> None:
        """It is known what came of a run. For any thread."""
        error = None if future.cancelled() else future.exception()
        if isinstance(error, WorkerDied):       # a new life has the address of its place
            with self.lock:
                self.places = {each: threads for each, threads in self.places.items()
                               if each != run.place}
        run.end(None if future.cancelled() else error or future.result())

    def stop(self, run: Run) -> None:
        """Tell a run that it is to end, once. In a thread: its Dask worker may be busy."""
        if self.client is not None and run.place is not None and not run.told:
            run.told = True
            threading.Thread(target=guarded, daemon=True, name=f'p01.remote.stop.{run.key}',
                             args=(self.client.run, stop, run.key),
                             kwargs={'workers': [run.place.address],
                                     'on_error': 'ignore'}).start()

    # -- for any thread

    def standing(self, jobs: Collection[Attempted]) -> Hearing:
        """See seams.Executor. All Dask workers are asked at once, each for all of its runs."""
        places: dict[Place, list[Run]] = {}
        with self.lock:
            for run in self.runs.values():
                if run.job in jobs and run.place is not None:
                    places.setdefault(run.place, []).append(run)
        asked = {place: asyncio.run_coroutine_threadsafe(self.ask(place, runs), self.events)
                 for place, runs in places.items()}

        def hear(until: float) -> list[str]:
            wait(asked.values(), max(0.0, until - monotonic()))
            return [text for place, answer in asked.items()
                    for text in described(place, places[place], answer)]

        return hear

    async def ask(self, place: Place, runs: list[Run]) -> dict[str, str]:
        """Where runs stand, as their Dask worker says. Raises TimeoutError, and what distributed
        does."""
        assert self.client is not None
        found = await asyncio.wait_for(
            self.client.run(standing, [run.key for run in runs], workers=[place.address]), ANSWERS)
        return dict(found[place.address])

    def close(self) -> None:
        """End."""
        self.over.set()


def described(place: Place, runs: list[Run], answer: Future[dict[str, str]]) -> list[str]:
    """Where the runs of a Dask worker stand, given what that has said by now."""
    said = guarded(answer.result, 0.0)
    texts = []
    for run in runs:
        where = '  It does not answer: it holds on to the GIL, or is away.\n' \
            if isinstance(said, Raised) else said.get(run.key, '  It has not begun the job.\n')
        texts.append(f'Dask worker {place.address}, process {place.pid}'
                     f'{jobText(run.job.task.id, run.job.began)}:\n{where}')
    return texts
