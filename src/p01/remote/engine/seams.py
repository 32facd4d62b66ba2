# SPDX-License-Identifier: ZPL-2.1
"""The inner seams: what the engine asks of those who stand above it, or beside it, as types.
Nothing here runs."""
from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from BTrees.OOBTree import OOBTree
from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.presence import Box
from p01.remote.engine.verdict import Task
from p01.remote.ground.boards import Area
from p01.remote.ground.clocks import Clock
from p01.remote.job import Job, JobRun
from p01.remote.options import Retention, Span, WorkerOptions
from p01.remote.scheduler import Scheduler
from p01.remote.store.outcomes import Stored
from p01.remote.store.records import Said
from p01.remote.store.store import Store
from p01.remote.store.views import View


class Processor(Protocol):
    """A RemoteProcessor."""

    jobs: OOBTree[str, Job]
    store: Store
    scheduler: Scheduler
    inputLimit: int
    outputLimit: int
    retention: Retention
    _p_oid: bytes | Any
    _p_jar: Connection | Any

    def registered(self, name: str) -> Job:
        """The job that is registered or imports under this name. Raises UnknownJob."""

    def behaviour(self, name: str) -> Job:
        """The same, or one that raises UnknownJob when it is called. Raises what the storage
        does."""

    def getJob(self, jobid: int) -> Job:
        """See IRemoteProcessor."""

    def getJobStatus(self, jobid: int) -> str:
        """See IRemoteProcessor."""

    def cancelJob(self, jobid: int, running: bool = ..., grace: Span = ..., who: str = ...) -> bool:
        """See IRemoteProcessor."""

    def filled(self, view: View) -> Job:
        """A job from its view."""


Locate: TypeAlias = Callable[[Connection], Processor]       # finds the processor in a connection
# does work(processor) in a transaction of its own
Do: TypeAlias = Callable[[Callable[[Processor], Any]], Any]


class Function(Protocol):
    """What @app.job makes of a function."""

    @property
    def function(self) -> Callable[..., Any]:
        """The function."""


class Surrounding(Protocol):
    """The hooks and ambients of an App; false without any."""

    def captured(self, jar: Connection | None, limit: int) -> dict[str, Any] | None:
        """What of the caller's context travels with jobs, as their records keep it."""


class Application(Protocol):
    """An App, as its jobs and their handles know it."""

    @property
    def hooks(self) -> Surrounding:
        """What surrounds its jobs."""

    @property
    def jobs(self) -> Mapping[str, Function]:
        """Its jobs by name."""

    @property
    def db(self) -> DB:
        """The open database."""

    @property
    def locate(self) -> Locate:
        """Finds its processor."""

    def reading(self) -> AbstractContextManager[Processor]:
        """The processor as of now, in a short transaction that is aborted."""

    def joined(self) -> Connection | None:
        """The connection of the transaction around the caller; None when there is none."""

    def near(self, connection: Connection) -> Processor:
        """The processor in a connection, looked up once a transaction."""


class Hired(Protocol):
    """A worker that runs in a thread of this process."""

    @property
    def queuePath(self) -> Sequence[str]:
        """The path of its processor."""

    @property
    def name(self) -> str:
        """The name of its thread."""

    def __call__(self) -> None:
        """Work until stop is called."""

    def stop(self) -> None:
        """End after the running jobs; for other threads."""


class Posted(Protocol):
    """A Post, as those see it who look after its worker."""

    alone: bool
    slot: int
    supervised: bool
    box: Box
    running: int
    began: float
    deadline: float
    thread: int
    round: int
    hand: tuple[int, deque[Task]]

    def end(self) -> float:
        """Until when the run at hand may go on, on the monotonic clock; 0 for ever."""


class Beside(Protocol):
    """A Handed: what a Loop has handed to its event loop."""

    def stop(self, jobids: Iterable[int]) -> set[int]:
        """Have jobs end at their next await; returns those that are there."""

    def running(self) -> list[int]:
        """The jobs that run just now."""

    def waiting(self) -> int:
        """How many have not begun, or have just ended."""

    def late(self, now: float) -> dict[int, int]:
        """Those that have run longer than they may, and the thread of one that holds the event
        loop, 0 for others."""


class Handing(Protocol):
    """An Asynchronous, as executors know it."""

    given: set[int]     # jobs that were cancelled to be given back

    @property
    def post(self) -> Posted:
        """Whose jobs they are."""


class Attempted(JobRun, Protocol):
    """An Attempt, as executors know it."""

    behaviour: Job
    task: Task
    started: float
    worker: str
    thread: int
    db: DB | None
    area: Area | None   # where it says something
    slot: int           # of the box
    began: float        # on the monotonic clock, as is
    soft: float         # when it is told that it runs long, 0 for never

    @property
    def home(self) -> Handing:
        """Where it was handed to."""

    @property
    def asked(self) -> Callable[[int], bool]:
        """Whether the run of a job is to end, given its id."""

    def place(self) -> Area | None:
        """Where it says something; None where nobody could hear it."""

    def silence(self) -> Said | None:
        """It runs no more; returns what is kept of what it has said."""

    def ends(self) -> float:
        """Until when it may go on, at most; infinite for ever."""


# waits for where jobs stand until an instant of the monotonic clock; a text for each thread or job
Hearing: TypeAlias = Callable[[float], list[str]]


class Contact(Protocol):
    """How a job in a process that knows no database is heard, and hears."""

    def area(self, jobid: int) -> Area | None:
        """Where it says something; None where nobody could hear it."""

    def asked(self, slot: int, jobid: int, began: float) -> bool:
        """Whether it is to end: the run that began then in a slot of its worker's box."""


class Executor(Protocol):
    """Where jobs run beside their worker."""

    slots: int          # so many at once

    async def run(self, job: Attempted) -> object:
        """What a job returns, waited for on an event loop. Raises what it does, and WorkerDied."""

    def standing(self, jobs: Collection[Attempted]) -> Hearing:
        """Ask where these of its jobs stand, as far as threads of this process do not show it. For
        any thread, one at a time."""

    def close(self) -> None:
        """End."""


class Working(Protocol):
    """A Loop, as those see it who look after it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def db(self) -> DB:
        """Its database."""

    @property
    def locate(self) -> Locate:
        """Finds its processor."""

    @property
    def options(self) -> WorkerOptions:
        """How it works."""

    @property
    def clock(self) -> Clock:
        """What it goes by."""

    @property
    def post(self) -> Posted:
        """What it runs."""

    @property
    def handed(self) -> Beside:
        """What it has handed to its event loop."""

    @property
    def gone(self) -> threading.Event:
        """Whether it has left."""

    @property
    def stopping(self) -> threading.Event:
        """Whether it is to end."""

    @property
    def known(self) -> dict[int, Stored]:
        """Outcomes of jobs that have ended and that are known in this process alone, as they are
        now; without those that refer to objects, which are the loop's connection's."""

    def forget(self, known: Mapping[int, Stored]) -> None:
        """These outcomes are in the database."""

    done: int           # jobs
    working: bool
    dismissed: bool
    quiet: bool
    leave: Callable[[], None] | None

    def stop(self) -> None:
        """End after the running job."""
