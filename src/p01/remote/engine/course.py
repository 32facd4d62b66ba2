# SPDX-License-Identifier: ZPL-2.1
"""The course of a run on an event loop, from a job's input to what it returns."""
from __future__ import annotations

import asyncio
from contextlib import nullcontext

from transaction.interfaces import TransientError

from p01.remote.engine import tracing
from p01.remote.engine.attempt import Attempt
from p01.remote.engine.capture import captured
from p01.remote.engine.clashes import FIRSTPAUSE, LONGESTPAUSE, hotOf
from p01.remote.engine.context import running
from p01.remote.engine.outage import pauseAfter
from p01.remote.engine.overtime import clockOf, limited
from p01.remote.engine.steps import steps
from p01.remote.engine.verdict import began
from p01.remote.engine.ways import Way
from p01.remote.exceptions import ClaimLost
from p01.remote.ground import subscribers
from p01.remote.ground.foreign import Raised
from p01.remote.options import CONFLICTS
from p01.remote.store.payload import unpack
from p01.remote.store.records import Conflicts


async def output(job: Attempt, way: Way) -> object:
    """What a job returns."""
    task = job.task
    running.set(job)
    if task.record.extras is not None:
        tracing.enter(task.record.extras)
    if subscribers.heard():
        subscribers.notify(began(task, job.worker))
    if isinstance(task.record.input, Raised):
        raise task.record.input.error
    job.input = unpack(task.record.input)
    with captured(job.note) if getattr(way.behaviour, 'capture', False) else nullcontext():
        return await repeated(job, way)


async def repeated(job: Attempt, way: Way) -> object:
    """What a job returns; after a conflict it runs again, and that costs no attempt until there
    are many."""
    clock = clockOf(way.timeout)
    while True:
        try:
            return await limited(steps(way.perform(job), job), clock, way.timeout)
        except ClaimLost:
            raise
        except TransientError as error:
            count = 1 if job.conflicts is None else job.conflicts.number + 1
            job.conflicts = Conflicts(count, hotOf(error, None))
            if count >= getattr(way.policy, 'conflicts', CONFLICTS):
                raise
        await steps(asyncio.sleep(pauseAfter(count, FIRSTPAUSE, LONGESTPAUSE)), job)
