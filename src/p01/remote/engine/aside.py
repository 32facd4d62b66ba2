# SPDX-License-Identifier: ZPL-2.1
"""One job that is an async def, run to its end where no worker has an event loop: in a thread of
its own."""
from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from p01.remote.engine import tracing
from p01.remote.engine.awaiting import Awaiting
from p01.remote.engine.context import Running, running
from p01.remote.engine.steps import steps
from p01.remote.ground.foreign import Raised, guarded


def aside(job: Awaiting, perform: Callable[[Running], Any], timeout: float | None) -> object:
    """What a job returns; waits for that. Raises what it raises, TimedOut."""
    import asyncio  # here: most callers have no such jobs

    from p01.remote.engine.overtime import clockOf, limited

    async def work() -> object:
        job.thread = threading.get_ident()
        running.set(job)
        task = asyncio.current_task()
        assert task is not None
        job.start(task)
        tracing.enter(job.task.record.extras or {})
        return await limited(steps(perform(job), job), clockOf(timeout), timeout)

    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(guarded(Context().run, asyncio.run,
                                                                  work())), name='p01.remote.aside')
    thread.start()
    thread.join()
    job.work = None             # see Asynchronous.settle
    if isinstance(found[0], Raised):
        raise found[0].error
    return found[0]
