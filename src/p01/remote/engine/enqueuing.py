# SPDX-License-Identifier: ZPL-2.1
"""Enqueuing: everything is checked first, then the records are handed to the store."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from p01.remote import events
from p01.remote.engine import tracing
from p01.remote.engine.behaviours import prepared
from p01.remote.engine.pledge import pledge
from p01.remote.engine.seams import Processor
from p01.remote.exceptions import InputError
from p01.remote.ground import checks, clocks, subscribers
from p01.remote.instants import duration, seconds
from p01.remote.job import Job
from p01.remote.options import DEFAULTQUEUE, Span, Unique
from p01.remote.store import payload
from p01.remote.store.records import Record
from p01.remote.verbs import adding


def enqueue(processor: Processor, name: str, behaviour: Job, inputs: Sequence[Any], *,
            queue: str | None = None, priority: int = 0, delay: Span | None = None,
            at: datetime | float | None = None, unique: str | Unique | None = None,
            expires: Span | datetime | None = None,
            travels: dict[str, Any] | None = None) -> list[int]:
    """Enqueue a job for each of these inputs in the processor's transaction; returns their ids.

    travels: what of the caller's context goes with them, see front.hooks. Raises InputError
    and what the job's own code raises, before anything is enqueued.
    """
    now = clocks.now()
    due = dueOf(delay, at, now)
    priority = checks.priorityOf(priority)
    queue = checks.nameOf(queue or behaviour.queue or DEFAULTQUEUE, 'A queue')
    extras = rare(unique, expires, now) if unique is not None or expires is not None else None

    def done() -> list[int]:
        headers, more = tracing.captured(), extras
        if travels is not None or headers is not None:
            more = {**(extras or {}), **(travels or {}), **(headers or {})}
        processor.store.check()
        return [put(processor, Record(name, kept, now, queue, priority, due, more))
                for kept in packed(processor, name, behaviour, inputs)]

    if tracing.sender is None:
        return done()
    with tracing.sender(name, queue, len(inputs)) as told:
        jobids = done()
        told(jobids)
    return jobids


def packed(processor: Processor, name: str, behaviour: Job, inputs: Sequence[Any]) -> list[Any]:
    """The inputs as they are stored; an error says which of several it is about."""
    what, limit, jar = f'The input of {name!r}', processor.inputLimit, processor._p_jar
    later = getattr(behaviour, 'asynchronous', False)
    found: list[Any] = []
    try:
        for each in inputs:
            kept = payload.pack(prepared(behaviour, each, name), what, limit, jar=jar)
            if later:
                payload.portable(kept, what)
            found.append(kept)
    except InputError as error:
        if len(inputs) == 1:
            raise
        raise type(error)(f'Call {len(found) + 1} of {len(inputs):,}: {error}') from error
    return found


def put(processor: Processor, record: Record) -> int:
    """Hand one to the store; returns its id."""
    jobid, count = adding.put(processor.store, record)
    if count:
        if count == 1 and processor._p_jar is not None:
            pledge(processor._p_jar, jobid, record.name)
        if subscribers.heard():
            subscribers.notify(events.JobQueued(jobid, record.name, record.queue))
    return jobid


def dueOf(delay: Span | None, at: datetime | float | None, now: float) -> float | None:
    """When jobs are due, None for at once. Raises InputError."""
    if delay is not None and at is not None:
        raise InputError('Give delay or at, not both.')
    if delay is not None:
        return seconds(now + duration(delay, 'delay'), 'now + delay')
    return None if at is None else seconds(at, 'at')


def rare(unique: str | Unique | None, expires: Span | datetime | None,
         now: float) -> dict[str, Any]:
    """The options that few jobs have, as the record keeps them."""
    extras: dict[str, Any] = {}
    if unique is not None:
        rule = unique if isinstance(unique, Unique) else Unique(unique)
        extras['unique'] = (rule.key, 'period' if rule.period else rule.until,
                            now + rule.period if rule.period else None)
    if expires is not None:
        extras['expires'] = seconds(expires, 'expires') if isinstance(expires, datetime) \
            else seconds(now + duration(expires, 'expires'), 'now + expires')
    return extras
