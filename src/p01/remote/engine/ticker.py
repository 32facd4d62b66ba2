# SPDX-License-Identifier: ZPL-2.1
"""Enqueues what schedules have due. Several workers may try the same tick: each item is one object, so that one commits."""
from __future__ import annotations

from typing import Any


def tick(processor: Any, now: float) -> int:
    """Enqueue the jobs of all items that are due; returns how many. Part of the caller's transaction."""
    items = processor.scheduler.due(now)
    for item in items:
        processor.scheduler.advance(item, now)
        processor.processJob(item.jobName, item.input, queue=item.queue, priority=item.priority)
    return len(items)
