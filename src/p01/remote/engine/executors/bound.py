# SPDX-License-Identifier: ZPL-2.1
"""What runs in the workers of a Dask cluster: a job, bound to one life of one of them.

What it says, the cluster carries to the client whose job it is, as events of that client, of which
its scheduler keeps some and drops them when the client has gone; that it is to end, it hears by a
function that is run beside it.
"""
from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeAlias

from distributed import Worker, get_worker

from p01.remote.engine.executors import remote
from p01.remote.engine.stacks import trace
from p01.remote.exceptions import WorkerDied
from p01.remote.ground.boards import AREA, Area, Words
from p01.remote.ground.foreign import guarded
from p01.remote.store.records import LOGKEPT

SAYEVERY = 0.5         # seconds between two events of a job that goes on to say something
MOSTTOLD = 1000         # jobs that were to end and are known still: some of them are not here
SAYS = 'p01.remote'     # in an event: which run says what
LOST = 'its Dask worker died'

Answer: TypeAlias = tuple[bytes, Words | None]      # see remote.call; what it has said

told: dict[str, None] = {}      # runs that are to end
threads: dict[str, int] = {}    # in which threads runs are


def bound(data: bytes, pid: int, key: str, client: str) -> Answer:
    """Run a job in this process of a Dask worker only, of which its client hears by this key.
    Raises WorkerDied in another one."""
    if os.getpid() != pid:
        raise WorkerDied(LOST)
    voice = Voice(key, client, get_worker())
    threads[key] = threading.get_ident()
    thread = threading.Thread(target=voice.speak, name=f'p01.remote.says.{key}', daemon=True)
    thread.start()
    try:
        return remote.call(data, voice), voice.words()
    finally:
        voice.over.set()
        told.pop(key, None)
        del threads[key]


class Sent:
    """A call of bound, which is made where this is unpickled. The scheduler unpickles what a task
    calls, and has nothing of ours."""

    def __init__(self, data: bytes, pid: int, key: str, client: str) -> None:
        self.given = data, pid, key, client

    def __reduce__(self) -> tuple[Callable[..., Answer], tuple[bytes, int, str, str]]:
        return bound, self.given


def stop(key: str) -> None:
    """A run is to end; one that is not here is forgotten in time."""
    told[key] = None
    while len(told) > MOSTTOLD:
        told.pop(next(iter(told)))


def standing(keys: list[str]) -> dict[str, str]:
    """Where these runs stand, as tracebacks show it; without those that have not begun here."""
    frames = sys._current_frames()
    return {key: trace(frames[threads[key]]) for key in keys if threads.get(key) in frames}


class Voice:
    """How a run is heard, and hears; see seams.Contact."""

    def __init__(self, key: str, client: str, worker: Worker) -> None:
        self.key, self.client, self.worker = key, client, worker
        self.own: Area | None = None
        self.over = threading.Event()

    def area(self, jobid: int) -> Area | None:
        """See seams.Contact."""
        self.own = Area(mmap.mmap(-1, AREA), 0, jobid)
        return self.own

    def asked(self, slot: int, jobid: int, began: float) -> bool:
        """See seams.Contact."""
        return self.key in told

    def words(self) -> Words | None:
        """What it has said, as much of it as travels; None for nothing."""
        found = None if self.own is None else self.own.said()
        if found is None or not (found.progress or found.written):
            return None
        log = found.log
        if len(log) > LOGKEPT:
            log = log[-LOGKEPT:]
            log = log[log.find(b'\n') + 1:]
        return found._replace(log=log)

    def speak(self) -> None:
        """Send what it says, the last of it now and then; the end goes with its answer."""
        said = None
        while not self.over.wait(SAYEVERY):
            words = self.words()
            if words is not None and words != said:
                said = words
                guarded(self.worker.log_event, self.client, {SAYS: [self.key, *words]})
