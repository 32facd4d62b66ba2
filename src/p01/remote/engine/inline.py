# SPDX-License-Identifier: ZPL-2.1
"""Runs what is due in the caller's own transaction, each job in a savepoint: for tests, scripts and
one's own loop."""
from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import transaction
from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.engine import ticker
from p01.remote.engine.aside import aside
from p01.remote.engine.awaiting import Awaiting
from p01.remote.engine.context import Running, within
from p01.remote.engine.limit import text as limitText
from p01.remote.engine.seams import Processor
from p01.remote.engine.surroundings import Surroundings
from p01.remote.engine.verdict import Failed, Task, ends, expired, failure, policyOf
from p01.remote.exceptions import TimedOut, TransactionOver
from p01.remote.ground import clocks, subscribers
from p01.remote.ground.foreign import interrupts, spend
from p01.remote.ground.upstream import over
from p01.remote.job import Job
from p01.remote.storage.insides import turn
from p01.remote.store.outcomes import success
from p01.remote.store.payload import packOutput, portable, unpack
from p01.remote.store.seats import Holder


def runDue(processor: Processor, now: float | None, most: int | None = None) -> int:
    """Run due jobs one by one, as of now or of the clock, at most so many; returns how many runs
    there were.

    Raises TransientError when a job meets a conflict: the caller's transaction must then be
    repeated as a whole.
    """
    hand, clock, count = Holder(), ticker.Ticker(), 0
    jar = processor._p_jar
    manager = jar.transaction_manager if jar is not None else transaction.manager
    # those that asked to run later ran here once, however soon that is
    later: set[int] = set()
    while most is None or count < most:
        instant = clocks.now() if now is None else now
        ticker.tick(processor, instant, clock, manager)
        claimed = verbs.claim(processor.store, hand, 1, instant)
        for event in expired(hand):
            subscribers.notifyAfter(manager.get(), event)
        if not claimed:
            break
        if claimed[0] in later:
            continue
        if runOne(processor, hand, claimed[0], now, manager):
            later.add(claimed[0])
        count += 1
    verbs.release(processor.store, hand, list(hand.claims))
    verbs.absorb(processor.store, hand, processor.store.shards[0])
    return count


class Kept:
    """A transaction that is its caller's while a job runs in it: part of it can be no run, and the
    claim is in it, too."""

    @over(transaction.Transaction)
    def commit(self) -> None:
        """Raises TransactionOver."""
        raise TransactionOver('The job runs in the transaction of its caller, who ends it; let a '
                              'worker run a job that commits or aborts in the middle.')

    abort = commit


@cache
def keptOf(kind: type) -> type:
    """The class of a transaction as Kept."""
    return type(kind.__name__, (Kept, kind), {})


@contextmanager
def kept(current: Any) -> Iterator[None]:
    """Keep a transaction for its caller, whoever has a way to it."""
    kind: Any = type(current)
    turn(current, keptOf(kind))
    try:
        yield
    finally:
        turn(current, kind)


def runOne(processor: Processor, hand: Holder, jobid: int, now: float | None, manager: Any) -> bool:
    """Run a claimed job in a savepoint, and write down what came of it; whether it asked to run
    later.

    Raises TransientError for a conflict.
    """
    store, current = processor.store, manager.get()
    task = Task(jobid, store.entry(jobid)[1], hand.claims[jobid])
    behaviour = processor.behaviour(task.record.name)
    savepoint = manager.savepoint(optimistic=True)
    started = clocks.now() if now is None else now
    try:
        with kept(current):
            output = call(processor, behaviour, task, started, manager)
        packed = packOutput(output, f'The output of job {jobid} ({task.record.name})',
                            processor.outputLimit,
                            processor._p_jar)
    except TransientError:
        raise
    except BaseException as error:
        if interrupts(error):
            raise
        savepoint.rollback()
        ended = clocks.now() if now is None else now
        verdict = failure(task, policyOf(behaviour), error, started, ended, hand.name,
                          random.random())
        spend(error)
        for event in ends(task, verdict, hand.name):
            subscribers.notifyAfter(current, event)
        if isinstance(verdict, Failed):
            verbs.settle(store, hand, {jobid: verdict.outcome})
            return False
        verbs.retry(store, hand, jobid, verdict.due, verdict.attempt)
        return verdict.attempt is None
    ended = clocks.now() if now is None else now
    verbs.settle(store,
                 hand, {jobid: success(packed, task.claim.runs + 1, started, ended,
                                       task.claim.attempts)})
    return False


def call(processor: Processor, behaviour: Job, task: Task, started: float, manager: Any) -> Any:
    """Call the behaviour, with the job's surroundings; one that is an async def has a thread of its
    own."""
    if behaviour.asynchronous:
        plain = behaviour.filled({})        # which belongs to no connection
        kept = portable(task.record.input, f'The input of job {task.id} ({task.record.name})')
        later = Awaiting(None, plain, task, unpack(kept), started, Holder.name)
        soft = getattr(behaviour.policy, 'soft', None)
        later.soft = time.monotonic() + soft if soft else 0.0
        return aside(later, plain.ready(), behaviour.policy.timeout)
    job = Running(processor, behaviour, task, unpack(task.record.input), started, Holder.name)
    around = Surroundings(processor, manager)
    try:
        around.enter()
        perform, limit, began = behaviour.ready(), behaviour.policy.timeout, time.monotonic()
        soft = getattr(behaviour.policy, 'soft', None)
        job.soft = began + soft if soft else 0.0
        output = within(job, perform)
    finally:
        around.leave()
    if limit and time.monotonic() - began > limit:
        raise TimedOut(limitText(limit, []))
    return output
