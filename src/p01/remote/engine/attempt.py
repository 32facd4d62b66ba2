# SPDX-License-Identifier: ZPL-2.1
"""One run of a job on an event loop: what it says in the box, its fence, its tasks."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, NamedTuple, Protocol

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.context import Awaiting, running
from p01.remote.engine.overtime import SLACK
from p01.remote.engine.post import Post
from p01.remote.engine.seams import Locate
from p01.remote.engine.steps import steps
from p01.remote.engine.verdict import Task
from p01.remote.engine.ways import Way
from p01.remote.store.records import Conflicts, Said

NOSLOT = -1


class Home(Protocol):
    """An Asynchronous, as its attempts know it."""

    post: Post
    db: DB
    locate: Locate
    write: Callable[[int, float, float], None]
    parts: asyncio.LifoQueue[int]
    asked: set[int]


class Ended(NamedTuple):
    """A run that has ended; instants are POSIX seconds."""

    task: Task
    way: Way
    output: Any
    error: BaseException | None
    started: float
    ended: float
    conflicts: Conflicts | None
    slot: int                           # of the box; NOSLOT where it did not begin
    back: bool                          # it was cancelled to be given back
    said: Said | None = None            # what is kept of what it has said


class Attempt(Awaiting):
    """A run of a job on an event loop."""

    __slots__ = ('home', 'slot', 'began', 'until', 'conflicts', 'tasks')

    def __init__(self, home: Home, task: Task, way: Way, started: float, slot: int) -> None:
        super().__init__(None, way.behaviour, task, None, started, home.post.name, home.db,
                         home.asked.__contains__)
        self.home = home
        self.slot = slot                # of the box
        # since when, and until when at most, on the monotonic clock; 0 for ever
        self.began = time.monotonic()
        self.until = self.began + way.timeout + SLACK if way.timeout else 0.0
        self.soft = self.began + way.soft if way.soft else 0.0
        self.conflicts: Conflicts | None = None
        self.tasks: set[asyncio.Task[Any]] = set()      # that its code has begun

    def begin(self) -> None:
        """A step begins: should it take the process down, everybody knows which job did."""
        self.home.write(self.task.id, time.monotonic(), self.until)

    def end(self) -> None:
        """A step has ended."""
        self.home.write(0, 0.0, 0.0)

    def meet(self, connection: Connection, part: int) -> None:
        """Have the commit of a transaction meet whoever has taken the job over. Raises
        ClaimLost."""
        if connection.db() is self.home.db:
            self.home.post.fence(self.home.locate(connection).store, self.task.id, part)

    async def borrow(self) -> int:
        """The number of a part for a transaction that is open across awaits; waits until one is
        free. 0 for one within another, which would wait for itself."""
        if borrowed.get():
            return 0
        part = await self.home.parts.get()
        borrowed.set(part)
        return part

    def giveBack(self, part: int) -> None:
        """The transaction of a part is over."""
        if part:
            borrowed.set(0)
            self.home.parts.put_nowait(part)


# the part that is borrowed around this
borrowed: ContextVar[int] = ContextVar('borrowed', default=0)


def made(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any],
         context: Context | None = None, **options: Any) -> asyncio.Task[Any]:
    """A task on our event loop. What the code of a job begins is the job's as well."""
    job = (copy_context() if context is None else context).get(running)
    if not isinstance(job, Attempt):
        return asyncio.Task(work, loop=loop, context=context, **options)
    task = asyncio.Task(followed(work, job), loop=loop, context=context, **options)
    job.tasks.add(task)
    task.add_done_callback(job.tasks.discard)
    return task


async def followed(work: Coroutine[Any, Any, Any], job: Attempt) -> object:
    """What a coroutine returns, whose steps are those of a job."""
    return await steps(work, job, job.begin, job.end)
