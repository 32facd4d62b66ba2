# SPDX-License-Identifier: ZPL-2.1
"""Jobs in threads of the worker's own process."""
from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection
from contextlib import suppress
from contextvars import copy_context

from p01.remote.engine.executors.ends import heard
from p01.remote.engine.seams import Attempted, Hearing
from p01.remote.ground import fork
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.notes import lend


class Threads:
    """A thread for each job. It cannot be ended: of one that was given up nobody waits for what it
    still does."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    async def run(self, job: Attempted) -> object:
        """What a job returns. Raises what it does."""
        events, context, mark = asyncio.get_running_loop(), copy_context(), fork.mark
        done: asyncio.Future[object] = events.create_future()

        def settle(found: object) -> None:
            if not done.done():
                done.set_result(found)

        def work() -> None:
            job.thread = threading.get_ident()
            found = guarded(lambda: context.run(lambda: job.behaviour.ready()(job)))
            if fork.mark is not mark:
                fork.end(found.error if isinstance(found, Raised) else None,
                         f'job {job.task.id} {job.task.record.name}')
            with suppress(RuntimeError):            # the event loop has ended
                events.call_soon_threadsafe(settle, found)

        thread = threading.Thread(target=work, daemon=True, name=f'p01.remote.job.{job.task.id}')
        thread.start()
        lend(job.home.post.box.map, job.slot, thread.ident or 0)
        found = await heard(done, job)
        if isinstance(found, Raised):
            raise found.error
        return found

    def standing(self, jobs: Collection[Attempted]) -> Hearing:
        """See seams.Executor."""
        return lambda until: []

    def close(self) -> None:
        """End."""
