# SPDX-License-Identifier: ZPL-2.1
"""Runs what is due in the caller's own transaction, each job in a savepoint: for tests, scripts and one's own loop."""
from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import Any

import transaction
from transaction.interfaces import InvalidSavepointRollbackError, TransientError

from p01.remote.engine import ticker
from p01.remote.engine.context import Running, within
from p01.remote.engine.surroundings import Surroundings
from p01.remote.engine.verdict import Failed, Task, failure
from p01.remote.store.payload import packOutput, unpack
from p01.remote.store.seats import Hand
from p01.remote.store.segments import success


def runDue(processor: Any, now: float | None, most: int | None = None) -> int:
    """Run due jobs one by one, as of now or of the clock, at most so many; returns how many runs there were.

    Raises TransientError when a job meets a conflict: the caller's transaction must then be repeated as a whole.
    """
    hand, clock, count = Hand(), ticker.Ticker(), 0
    jar = processor._p_jar
    manager = jar.transaction_manager if jar is not None else transaction.manager
    while most is None or count < most:
        instant = time.time() if now is None else now
        ticker.tick(processor, instant, clock, manager)
        claimed = processor.store.claim(hand, 1, instant)
        if not claimed:
            break
        runOne(processor, hand, claimed[0], now, manager)
        count += 1
    processor.store.absorb(hand)
    return count


def runOne(processor: Any, hand: Hand, jobid: int, now: float | None, manager: Any) -> None:
    """Run a claimed job in a savepoint, and write down what came of it."""
    store = processor.store
    task = Task(jobid, store.entry(jobid)[1], hand.claims[jobid])
    behaviour = processor.behaviour(task.record.name)
    savepoint = manager.savepoint(optimistic=True)
    started = time.time() if now is None else now
    try:
        output = call(processor, behaviour, task, started, manager)
        kept = packOutput(output, f'The output of job {jobid} ({task.record.name})', processor.outputLimit,
                          processor._p_jar)
    except (TransientError, KeyboardInterrupt):
        raise
    except BaseException as error:
        with suppress(InvalidSavepointRollbackError):   # old code that commits for itself: there is nothing to take back
            savepoint.rollback()
        verdict = failure(task, behaviour.policy, error, started, time.time() if now is None else now, hand.name,
                          random.random())
        if isinstance(verdict, Failed):
            store.settle(hand, {jobid: verdict.outcome})
        else:
            store.retry(hand, jobid, verdict.due, verdict.attempt)
        return
    ended = time.time() if now is None else now
    store.settle(hand, {jobid: success(kept, task.claim.runs + 1, started, ended, hand.name, task.claim.attempts)})


def call(processor: Any, behaviour: Any, task: Task, started: float, manager: Any) -> Any:
    """Call the behaviour, with the job's surroundings."""
    job = Running(processor, behaviour, task, unpack(task.record.input), started, Hand.name)
    around = Surroundings(processor, manager)
    try:
        around.enter()
        return within(job, behaviour.ready())
    finally:
        around.leave()
