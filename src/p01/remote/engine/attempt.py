# SPDX-License-Identifier: ZPL-2.1
"""One run of a job on an event loop: what it says in the box, its fence, its tasks."""
from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from functools import partial
from traceback import StackSummary, format_list
from types import FrameType
from typing import Any, NamedTuple, Protocol

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.awaiting import Awaiting
from p01.remote.engine.context import running
from p01.remote.engine.limit import SLACK
from p01.remote.engine.post import Post
from p01.remote.engine.seams import Executor, Locate
from p01.remote.engine.steps import steps
from p01.remote.engine.verdict import Task
from p01.remote.engine.ways import Way
from p01.remote.store.records import Conflicts, Said


class Home(Protocol):
    """An Asynchronous, as its attempts know it."""

    post: Post
    db: DB
    locate: Locate
    write: Callable[[int, float, float], None]
    parts: asyncio.LifoQueue[int]
    asked: set[int]
    given: set[int]
    lost: set[int]
    executor: Executor | None


class Waiting(NamedTuple):
    """A job that waits for room on an event loop."""

    since: float                        # on the monotonic clock
    task: Task
    way: Way
    slot: int                           # of the box, which says so


class Ended(NamedTuple):
    """A run that has ended; instants are POSIX seconds, 0 for one that did not begin."""

    task: Task
    way: Way
    output: Any
    error: BaseException | None
    started: float
    ended: float
    conflicts: Conflicts | None
    slot: int                           # of the box
    back: bool                          # it was cancelled to be given back
    said: Said | None = None            # what is kept of what it has said


def first(waiting: deque[Waiting]) -> Waiting | None:
    """Take the first of those that wait, if another thread was not quicker."""
    with suppress(IndexError):
        return waiting.popleft()
    return None


def isLate(each: Waiting, now: float) -> bool:
    """Whether a job has expired that waits; of one that has waited before, its next claim knows."""
    _, record, claim = each.task
    return claim.key is None and record.extras is not None \
        and bool(record.extras.get('expires', now) < now)


def unbegun(each: Waiting, back: bool) -> Ended:
    """The end of a job that has not begun."""
    return Ended(each.task, each.way, None, None, 0.0, 0.0, None, each.slot, back)


class Attempt(Awaiting):
    """A run of a job on an event loop."""

    __slots__ = ('home', 'slot', 'began', 'until', 'conflicts', 'tasks')

    def __init__(self, home: Home, task: Task, way: Way, started: float, slot: int) -> None:
        # since when, and until when at most, on the monotonic clock; 0 for ever
        self.began = time.monotonic()
        super().__init__(None, way.behaviour, task, None, started, home.post.name, home.db,
                         partial(asked, home, slot, self.began))
        self.home = home
        self.slot = slot                # of the box
        self.until = self.began + way.timeout + SLACK if way.timeout else 0.0
        self.soft = self.began + way.soft if way.soft else 0.0
        self.conflicts: Conflicts | None = None
        self.tasks: set[asyncio.Task[Any]] = set()      # that its code has begun

    def start(self, work: asyncio.Task[Any]) -> None:
        """See Awaiting. Elsewhere it sees by itself that it runs long."""
        if self.home.executor is None:
            super().start(work)
        else:
            self.work = work

    def told(self) -> bool:
        """See Running."""
        return super().told() or self.task.id in self.home.given | self.home.lost

    def ends(self) -> float:
        """Until when it may go on, at most; infinite for ever."""
        wanted = self.home.post.box.asked(self.slot, self.task.id, self.began)
        return min(self.until or math.inf, wanted or math.inf)

    def standing(self) -> str:
        """Where it awaits, and where its tasks do, as tracebacks show it; for any thread."""
        works = [work for work in (self.work, *list(self.tasks)) if work is not None]
        places = '  and\n'.join(''.join(format_list(StackSummary.extract(frames(work.get_coro()))))
                                for work in works)
        lasts = time.monotonic() - self.began
        return (f'Job {self.task.id} {self.task.record.name}, which awaits, began {lasts:.1f} s '
                f'ago:\n{places}')

    def cancel(self) -> None:
        """Have it end at its next await."""
        if self.work is not None:
            self.work.cancel()

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


def asked(home: Home, slot: int, began: float, jobid: int) -> bool:
    """Whether the run of a job is to end that began then: its box says so at once, also while it
    holds the event loop."""
    return jobid in home.asked or home.post.box.asked(slot, jobid, began) > 0.0


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


def frames(awaits: object) -> Iterator[tuple[FrameType, int]]:
    """The frames of a job in a coroutine that awaits, outermost first, each with its line."""
    ours = True
    while (frame := getattr(awaits, 'cr_frame', None) or getattr(awaits, 'gi_frame', None)):
        if frame.f_code is steps.__code__:
            awaits, ours = frame.f_locals.get('work'), False
            continue
        if not ours:
            yield frame, frame.f_lineno
        awaits = getattr(awaits, 'cr_await', None) or getattr(awaits, 'gi_yieldfrom', None)


async def followed(work: Coroutine[Any, Any, Any], job: Attempt) -> object:
    """What a coroutine returns, whose steps are those of a job."""
    return await steps(work, job)


def nowhere(jobid: int, began: float, until: float) -> None:
    """Where a job says that it is at a step whose worker has left."""
