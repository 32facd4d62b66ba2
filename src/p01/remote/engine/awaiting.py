# SPDX-License-Identifier: ZPL-2.1
"""A job that is an async def, while it runs: its steps, and that it is told at an await that it
runs long."""
from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.context import Running, never
from p01.remote.engine.seams import Processor
from p01.remote.engine.verdict import Task
from p01.remote.exceptions import TimeLimit
from p01.remote.job import Job

if TYPE_CHECKING:
    import asyncio


class Awaiting(Running):
    """A job that is an async def, which runs."""

    __slots__ = ('blocks', 'work', 'softened')

    def __init__(self, processor: Processor | None, behaviour: Job, task: Task, input: Any,
                 started: float, worker: str,
                 db: DB | None = None, asked: Callable[[int], bool] = never) -> None:
        super().__init__(processor, behaviour, task, input, started, worker, db, asked)
        self.blocks = 0             # of `with app.transaction()` that it is in
        self.work: asyncio.Task[Any] | None = None
        self.softened = False       # it is told at its await that it runs long

    def start(self, work: asyncio.Task[Any]) -> None:
        """This task runs it: from its soft time limit on it gets a TimeLimit at its await."""
        self.work = work
        if self.soft:
            timer = work.get_loop().call_later(self.soft - monotonic(), self.soften)
            work.add_done_callback(lambda _: timer.cancel())

    def soften(self) -> None:
        """It runs longer than its soft time limit, of which it may have been told by check."""
        if self.soft and self.work is not None and not self.work.cancelling():
            self.softened, self.soft = True, 0.0
            self.work.cancel()

    def instead(self, error: BaseException) -> BaseException:
        """What is raised at an await instead of an error, where that is the cancel of soften."""
        import asyncio  # here: who runs no such job needs none of it

        work = self.work
        if work is None or work is not asyncio.current_task() \
                or not isinstance(error, asyncio.CancelledError):
            return error
        self.softened = False
        return error if work.uncancel() else TimeLimit()    # it was cancelled as well

    def begin(self) -> None:
        """A step of it begins, from one await to the next."""

    def end(self) -> None:
        """A step has ended."""

    def meet(self, connection: Connection, part: int) -> None:
        """Have the commit of a transaction of its own meet whoever has taken the job over. Raises
        ClaimLost. Nobody can where no worker has it."""
