# SPDX-License-Identifier: ZPL-2.1
"""A worker that dies at a point, as if its process had been killed there.

What a killed process has sent to the database is there, and nothing else: its open transaction is
gone, its claims and what its black box says stay. So the worker is dropped where it stands, without
its own end; another one then finds it dead, and gives back what it held, by the code that does so
in production.
"""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import CodeType, FrameType
from typing import Any, NamedTuple, NoReturn

import zope.event

from p01.remote.app import App
from p01.remote.engine import closing, heartbeat, presence
from p01.remote.engine.context import Running
from p01.remote.engine.loop import Loop
from p01.remote.engine.seams import Locate
from p01.remote.engine.verdict import Committed, Done, Runs, Task
from p01.remote.engine.ways import Way
from p01.remote.events import WorkerRescued
from p01.remote.exceptions import InputError
from p01.remote.ground.clocks import CLOCK
from p01.remote.ground.foreign import Dying
from p01.remote.job import Job
from p01.remote.options import WorkerOptions
from p01.remote.store.outcomes import Stored
from p01.remote.store.store import Store

CLAIMED, DURING, BEFORE, AFTER = POINTS = 'claimed', 'during', 'before commit', 'after commit'


class Death(NamedTuple):
    """A worker died with a job: which one, at which point, in which of its runs.

    And, once the worker was found dead: the job's status, how many runs it has had, its error, ''
    for none, and what the log says of the worker.
    """

    id: int
    name: str
    at: str
    run: int
    status: str
    runs: int
    error: str
    why: str


class Doomed(Loop):
    """A worker that dies at a point of the first job that comes to it, of a function or any."""

    def __init__(self, app: App, path: str | None, at: str, code: CodeType | None) -> None:
        locate: Locate = app.locate
        super().__init__(app.db, locate, 'killed', WorkerOptions(drain=True))
        self.path, self.at, self.code = path, at, code
        self.victim: Task | None = None
        self.struck = False
        self.missed = ''                    # why a job did not come to the point
        self.original = self.runner.way, self.post.complete, self.post.write
        self.runner.way = self.way          # type: ignore[method-assign]
        self.post.complete = self.complete  # type: ignore[method-assign]
        self.post.write = self.write

    def fits(self, task: Task) -> bool:
        """Whether a job is of those that it may die with."""
        return self.path is None or task.record.name == self.path

    def strike(self) -> NoReturn:
        """Die. Raises Dying."""
        self.struck = True
        raise Dying

    # -- what it does until then

    def book(self, now: float, count: int) -> tuple[list[Task], float]:
        """See Loop."""
        tasks, wait = super().book(now, count)
        if self.at == CLAIMED:
            for task in filter(self.fits, tasks):
                self.victim = task
                self.strike()
        return tasks, wait

    def way(self, task: Task, behaviour: Job) -> Way:
        """A job's way, which it does not come to the end of."""
        found = self.original[0](task, behaviour)
        if self.fits(task):
            found = self.runner.ways[task.record.name] = found._replace(
                perform=self.watched(found))
        return found

    def watched(self, way: Way) -> Callable[[Running], Any]:
        """What performs a job, and dies in the midst of it if it is to."""
        code = self.code or codeOf(way.behaviour)

        async def later(work: Coroutine[Any, Any, object]) -> object:
            with self.traced(code):
                return await work

        def perform(running: Running) -> Any:
            if self.victim is not None:
                return way.perform(running)
            self.victim = running.task
            if self.at in POINTS and self.at != DURING:
                return way.perform(running)
            if way.asynchronous:
                return later(way.perform(running))
            with self.traced(code):
                return way.perform(running)

        return perform

    @contextmanager
    def traced(self, code: CodeType | None) -> Iterator[None]:
        """Have this thread die in a function: behind its first statement, or when it returns."""
        lines = 0

        def within(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal lines
            lines += event == 'line' and self.at == DURING
            if event == 'return' or lines > 1:
                self.strike()
            return within

        before = sys.gettrace()
        sys.settrace(lambda frame, event, _: within if frame.f_code is code else None)
        try:
            yield
        finally:
            sys.settrace(before)

    def complete(self, store: Store, outcomes: Mapping[int, Stored]) -> None:
        """See Post: what follows is the commit."""
        self.original[1](store, outcomes)
        if self.struck or self.victim is not None and self.victim.id in outcomes \
                and self.at == BEFORE:
            self.strike()

    def keep(self, runs: Runs) -> None:
        """See Loop. Outcomes of jobs that have changed nothing are committed behind this."""
        mine = [verdict for task, verdict in runs
                if self.victim is not None and task.id == self.victim.id]
        done = [isinstance(verdict, Done | Committed) for verdict in mine]
        if self.struck or mine and done[0] and self.at == BEFORE:
            self.strike()
        super().keep(runs)
        if mine and done[0] and self.at == AFTER:
            if isinstance(mine[0], Done):
                self.booking.settle()
            self.strike()
        if mine:
            self.missed = 'it completed without' if done[0] else 'it failed before'
            self.stopping.set()

    def write(self, jobid: int, began: float, deadline: float) -> None:
        """See Post: a dead process says nothing more."""
        if not self.struck:
            self.original[2](jobid, began, deadline)

    # -- and then

    def fall(self) -> None:
        """Be dropped, with nothing said or written any more."""
        with suppress(Exception):
            self.runner.end()
        self.session.close()
        presence.live.discard(self.name)
        heartbeat.unwatch(self)
        closing.leave(self)

    def clear(self) -> None:
        """Hold nothing of this process any more."""
        self.handed.close()
        self.post.leave()


def codeOf(behaviour: Job) -> CodeType | None:
    """The code of a job's function, below its decorators; None for one that is not of Python."""
    function = getattr(behaviour, 'function', None) or type(behaviour).__call__
    found: CodeType | None = getattr(inspect.unwrap(function), '__code__', None)
    return found


def die(app: App, path: str | None, at: str | Callable[..., Any]) -> Death:
    """See Jobs.kill."""
    __tracebackhide__ = True
    code = None
    if not isinstance(at, str):
        code = getattr(inspect.unwrap(at), '__code__', None)
        if code is None:
            raise InputError(f'at={at!r} is no function of Python, and where it returns cannot be '
                             f'seen; give one, or a point: {", ".join(POINTS)}.')
    elif at not in POINTS:
        raise InputError(f'at is one of {", ".join(POINTS)}, or a function; not {at!r}.')
    named = at if isinstance(at, str) else getattr(at, '__qualname__', '')
    loop = Doomed(app, path, named, code)
    try:
        loop.work()
    except Dying:
        pass
    finally:
        if loop.struck:
            loop.fall()
        else:
            loop.close()
    task = loop.victim
    if not loop.struck or task is None:
        raise AssertionError(unreached(app, loop, task, named))
    try:
        return found(app, loop, task, named)
    finally:
        loop.clear()


def unreached(app: App, loop: Doomed, task: Task | None, at: str) -> str:
    """Why nothing has died."""
    if task is None:
        what = 'No job' if loop.path is None else f'No job of {loop.path}'
        return (f'{what} is due, so that no worker could die with one at {at!r}; enqueue it, '
                'commit, and if it is delayed go forward with jobs.clock.')
    with app.reading() as processor:
        error = processor.store.view(task.id).error
    error = f': {error}' if error else ''
    return f'Job {task.id} {task.record.name} did not come to {at!r}: {loop.missed}{error}.'


def found(app: App, loop: Doomed, task: Task, at: str) -> Death:
    """Have another worker find one dead, and see what became of a job."""
    told: list[object] = []
    zope.event.subscribers.append(told.append)
    other = Loop(app.db, app.locate, 'drain', WorkerOptions(drain=True))
    try:
        other.book(CLOCK.now(), 0)
    finally:
        zope.event.subscribers.remove(told.append)
        other.close()
    rescued = [each for each in told
               if isinstance(each, WorkerRescued) and each.worker == loop.name]
    why = rescued[0].why if rescued else 'it held nothing'
    with app.reading() as processor:
        view = processor.store.view(task.id)
    return Death(task.id, task.record.name, at, task.claim.runs + 1, view.status, view.runs,
                 view.error, why)
