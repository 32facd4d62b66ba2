# SPDX-License-Identifier: ZPL-2.1
"""Jobs that are an async def: many at once on an event loop, in a thread beside that of their
worker's loop.

The loop claims, hands over, and settles what has ended; here jobs begin as there is room, and end.
Both threads meet in deques and a dict only: whoever pops a job has it. What jobs change, they
change in transactions of their own, which pass the fence; their outcomes ride in the loop's
bookkeeping, as those of detached jobs do.
"""
from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, cast

from ZODB.DB import DB

from p01.remote.engine import course
from p01.remote.engine.attempt import Attempt, Ended, Waiting, first, isLate, made, nowhere, unbegun
from p01.remote.engine.limit import SLACK
from p01.remote.engine.post import Post
from p01.remote.engine.seams import Executor, Locate
from p01.remote.engine.verdict import OPENATONCE, Task
from p01.remote.engine.ways import Way
from p01.remote.exceptions import ClaimLost
from p01.remote.ground import clocks
from p01.remote.ground.blackbox import FREE, STEP, UNBEGUN
from p01.remote.ground.foreign import Raised, guarded, interrupts

LONG = 0.5          # seconds that a claimed job waits for room until it goes back
GATHER = 0.005      # seconds that ends are gathered in before the loop is woken, while others run


class Asynchronous:
    """The event loop of one worker, and what is on it. locate(connection) finds the processor;
    wake() wakes the worker."""

    def __init__(self, post: Post, db: DB, locate: Locate, wake: Callable[[], None]) -> None:
        self.post, self.db, self.locate, self.wake = post, db, locate, wake
        self.most = post.options.concurrency
        self.executor: Executor | None = None       # that its jobs are handed to
        self.waiting: deque[Waiting] = deque()
        self.running: dict[int, Attempt] = {}
        self.ended: deque[Ended] = deque()
        self.reserve = 0                # so many may wait for room: a bookkeeping's worth
        self.called = self.told = self.ending = self.leaving = self.over = False
        self.broken: BaseException | None = None    # what it cannot go on after
        self.given: set[int] = set()    # jobs that were cancelled to be given back
        self.lost: set[int] = set()     # those that somebody else has by now
        self.asked: set[int] = set()    # those that somebody has asked to end
        self.taken: list[int] = []      # slots of the box that are ours
        self.slots: list[int] = []      # of them, those that are free
        self.outside = Context()        # of no job
        self.thread: threading.Thread | None = None
        self.write: Callable[[int, float, float], None] = nowhere

    # -- for the worker's thread

    def hand(self, task: Task, way: Way) -> None:
        """Take a job, which begins when there is room."""
        if self.thread is None:
            self.start()
        if not self.slots:
            self.slots.append(self.post.box.take(FREE))
            self.taken += self.slots
        slot = self.slots.pop()
        self.post.box.write(slot, -task.id, 0.0, UNBEGUN)
        self.waiting.append(Waiting(time.monotonic(), task, way, slot))
        if not self.called:
            self.called = True
            self.events.call_soon_threadsafe(self.fill)

    def spare(self, whole: bool = False) -> list[Waiting]:
        """Those that have waited for long, or all that wait; they are ours no more."""
        found: list[Waiting] = []
        if self.waiting and (whole or self.reserve < len(self.waiting) and self.late()):
            with suppress(IndexError):
                while whole or len(self.waiting) > self.reserve:
                    found.append(self.waiting.pop())
        return found

    def late(self) -> bool:
        """Whether the first of those that wait has done so for long."""
        with suppress(IndexError):
            return time.monotonic() - self.waiting[0].since > LONG
        return False

    def cancel(self) -> None:
        """Have all that run end at their next await; they go back."""
        self.soon(self.cancelAll)

    def drop(self, jobids: frozenset[int]) -> None:
        """These are somebody else's by now: they end at their next await, or do not begin."""
        self.soon(partial(self.dropAll, jobids))

    def stop(self, jobids: frozenset[int]) -> None:
        """Somebody has asked for the end of these: they are cancelled once, or do not begin."""
        if not jobids <= self.asked:
            self.soon(partial(self.stopAll, jobids))

    def soon(self, work: Callable[[], object]) -> None:
        """Have this done on the event loop, if there is one. For any thread."""
        with suppress(RuntimeError):            # it has ended
            if self.thread is not None:
                self.events.call_soon_threadsafe(work)

    def close(self) -> None:
        """End the event loop; what does not end at its next await is left where it stands."""
        self.soon(self.leave)
        thread, self.thread = self.thread, None
        if thread is not None:
            thread.join(SLACK)
            self.write = nowhere

    # -- on the event loop

    def start(self) -> None:
        """Have an event loop, in a thread of its own that no end of a process waits for."""
        self.events = asyncio.new_event_loop()
        self.events.set_task_factory(cast(Any, made))
        self.step = self.post.box.take(STEP)
        self.parts = asyncio.LifoQueue[int]()
        for part in range(OPENATONCE, 0, -1):
            self.parts.put_nowait(part)
        self.thread = threading.Thread(target=self.serve, daemon=True,
                                       name=f'p01.remote.async.{self.post.name}')
        self.thread.start()

    def serve(self) -> None:
        """The thread of the event loop."""
        asyncio.set_event_loop(self.events)
        self.post.box.turn(self.step, STEP)
        self.write = self.post.box.writer(self.step)
        try:
            while not self.over:
                # that of a task which a job has begun ends the loop; the job has it as well
                with suppress(SystemExit, KeyboardInterrupt):
                    self.events.run_forever()
        except BaseException as error:
            self.fail(error)
        finally:
            self.events.close()
            for slot in (self.step, *self.taken):
                self.post.box.give(slot)

    def fail(self, error: BaseException) -> None:
        """Nothing can be relied on here any more: the worker ends by this error."""
        self.broken = self.broken or error
        self.told = True
        self.wake()

    def fill(self) -> None:
        """Begin what waits, as far as there is room."""
        self.called = False
        try:
            while self.waiting and len(self.running) < self.most and not self.ending:
                self.begin()
        except BaseException as error:
            self.fail(error)

    def begin(self) -> None:
        """Begin the first of those that wait."""
        each = first(self.waiting)
        if each is None:                # the worker was quicker, and gives it back
            return
        if isLate(each, clocks.now()):
            self.ended.append(unbegun(each, True))      # who claims it next sees that, too
            self.tell()
            return
        _, task, way, slot = each
        job = Attempt(self, task, way, clocks.now(), slot)
        self.post.box.write(slot, task.id, job.until, job.began)
        self.running[task.id] = job
        job.start(work := self.events.create_task(self.perform(job, way), context=Context()))
        work.add_done_callback(partial(self.ensure, job, way))

    async def perform(self, job: Attempt, way: Way) -> None:
        """Run a job. It ends within its last step: each turn of the event loop takes time."""
        try:
            output = await course.output(job, way)
        except GeneratorExit:           # it is thrown away
            raise
        except BaseException as error:
            self.outside.run(self.end, job, way, Raised(error))
        else:
            self.outside.run(self.end, job, way, output)

    def ensure(self, job: Attempt, way: Way, work: asyncio.Task[None]) -> None:
        """The end of a run that was cancelled before its first step, or thrown away."""
        if work.cancelled() or work.exception() is not None:
            self.end(job, way, guarded(work.result))

    def end(self, job: Attempt, way: Way, output: object) -> None:
        """A run has ended; Raised for what it has raised."""
        try:
            if isinstance(output, Raised) and interrupts(output.error):
                raise output.error
            self.settle(job, way, output)
            self.tell()
        except BaseException as error:
            self.fail(error)
        self.fill()
        if self.leaving and not self.running:
            self.finish()

    def settle(self, job: Attempt, way: Way, output: object) -> None:
        """Keep what came of a run."""
        task, error = job.task, output.error if isinstance(output, Raised) else None
        del self.running[task.id]
        self.asked.discard(task.id)
        if task.id in self.lost:
            self.lost.discard(task.id)
            error = ClaimLost()
        back = task.id in self.given and isinstance(error, asyncio.CancelledError)
        self.given.discard(task.id)
        job.work = None                 # which holds what it has raised, and so all that it had
        for left in list(job.tasks):
            left.cancel()
        # one that took all memory may leave none to write down its failure
        runs = task.id if isinstance(error, MemoryError) else -task.id
        self.post.box.write(job.slot, runs, 0.0, 0.0)
        self.ended.append(Ended(task, way, output, error, job.started, clocks.now(), job.conflicts,
                                job.slot, back, job.silence()))

    def tell(self) -> None:
        """Have the worker settle what has ended and claim what is next, soon."""
        if not self.told and len(self.waiting) <= self.reserve // 2:
            self.told = True
            if self.running:
                self.events.call_later(GATHER, self.wake)
            else:
                self.wake()

    def leave(self) -> None:
        """See close."""
        self.leaving = True
        self.cancelAll()
        if not self.running or self.broken is not None:
            self.finish()               # else with the last one, see end

    def finish(self) -> None:
        """End the event loop."""
        self.over = True
        self.events.stop()

    def dropAll(self, jobids: frozenset[int]) -> None:
        """See drop."""
        new = jobids & self.running.keys() - self.lost
        self.lost |= new
        for jobid in new:
            self.running[jobid].cancel()
        for _ in range(len(self.waiting)):
            each = first(self.waiting)      # see begin
            if each is not None and each.task.id in jobids:
                self.ended.append(unbegun(each, False))
            elif each is not None:
                self.waiting.append(each)

    def stopAll(self, jobids: frozenset[int]) -> None:
        """See stop."""
        new = jobids & self.running.keys() - self.asked
        self.asked |= new
        for jobid in new:
            self.running[jobid].cancel()
        self.dropAll(jobids - self.running.keys())

    def cancelAll(self) -> None:
        """See cancel."""
        self.ending = True
        self.given.update(self.running)
        for job in self.running.values():
            job.cancel()
