# SPDX-License-Identifier: ZPL-2.1
"""Enqueues what schedules have due. Several workers may try the same tick: each item is one object, so that one commits."""
from __future__ import annotations

from typing import Any

from p01.remote import events
from p01.remote.exceptions import RemoteError


def tick(processor: Any, now: float) -> int:
    """Enqueue the jobs of all items that are due; returns how many. Part of the caller's transaction.

    An item that fails never stops the others: it is told of, and skips this time; one that has no next time is switched off.
    """
    count = 0
    for item in processor.scheduler.due(now):
        try:
            processor.scheduler.advance(item, now)
        except RemoteError as error:
            item.active = False
            events.notify(events.ScheduleFailed(item.__name__, item.jobName, f'{error} It is switched off.'))
            continue
        try:
            processor.processJob(item.jobName, item.input, queue=item.queue, priority=item.priority)
            count += 1
        except RemoteError as error:
            events.notify(events.ScheduleFailed(item.__name__, item.jobName, str(error)))
    return count
