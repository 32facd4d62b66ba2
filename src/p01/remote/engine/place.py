# SPDX-License-Identifier: ZPL-2.1
"""A place that a worker hands jobs to: an event loop, and perhaps an executor behind it; what is
there, and how fast it ends."""
from __future__ import annotations

import time
from collections.abc import Callable

from p01.remote.engine.asynchronous import Asynchronous
from p01.remote.engine.runner import Runner
from p01.remote.engine.seams import Hearing


class Place:
    """An event loop with its room. executor: of the jobs there, '' for those that are an async
    def."""

    def __init__(self, runner: Runner, executor: str, wake: Callable[[], None]) -> None:
        session, post = runner.session, runner.post
        self.aio = Asynchronous(post, session.db, session.locate, wake)
        if executor:
            from p01.remote.engine.executors import executorOf

            self.aio.most = 0
            self.aio.executor = executorOf(executor, post.options, self.turned)
            self.turned()
        self.lasting = bool(executor) and executor == post.options.executor   # what it is for
        self.load = 0                       # jobs that are there
        self.recent = True                  # whether any was handed over lately
        self.rate, self.counted = 0.0, time.monotonic()     # ends a second, and until when

    def turned(self) -> None:
        """The executor has other slots than before. For any thread."""
        if self.aio.executor is not None:
            self.aio.most = self.aio.executor.slots
        self.aio.soon(self.aio.fill)

    def room(self, aim: float) -> int:
        """How many jobs to claim: as there is room, and so many more as end in so many seconds."""
        self.aio.reserve = int(self.rate * aim)
        return self.aio.most + self.aio.reserve - self.load

    def matters(self) -> bool:
        """Whether jobs that are claimed are likely for this place."""
        return self.lasting or self.recent or self.load > 0

    def count(self, ends: int) -> None:
        """Reckon with so many more ends."""
        now = time.monotonic()
        lasted = now - self.counted
        if ends or lasted > 1.0:
            self.counted = now
            self.rate += (ends / max(lasted, 0.001) - self.rate) / 4
            self.recent = self.recent and bool(ends or self.load)

    def standing(self) -> Hearing:
        """Ask where its jobs stand, see Handed."""
        jobs = list(self.aio.running.values())
        if self.aio.executor is not None:
            return self.aio.executor.standing(jobs)
        texts = [job.standing() for job in jobs]
        return lambda until: texts

    def close(self) -> None:
        """End it, and what runs there."""
        self.aio.close()
        if self.aio.executor is not None:
            self.aio.executor.close()
