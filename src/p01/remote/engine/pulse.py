# SPDX-License-Identifier: ZPL-2.1
"""The heartbeat of workers whose job runs long: without it, workers elsewhere would think them dead after a lease.

A worker with short jobs shows that it lives by its own commits. Databases of one process need no heartbeat at all.
"""
from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Any

from p01.remote.storage.transactions import systematic
from p01.remote.store.seats import PULSE

logger = logging.getLogger('p01.remote')


class Pulse(threading.Thread):
    """One thread for all loops of a process. It is a daemon, and stops beating when the process is stopped, as it should."""

    def __init__(self) -> None:
        super().__init__(name='p01-pulse', daemon=True)
        self.loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self.beaten: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()

    def run(self) -> None:
        """Beat as long as there are loops."""
        while True:
            time.sleep(self.poll(time.monotonic()))
            with _lock:
                if not self.loops:
                    _pulse.clear()
                    return

    def poll(self, now: float) -> float:
        """Beat for loops that need it; returns seconds until the next look."""
        wait = 1.0
        with _lock:
            loops = list(self.loops)
        for loop in loops:
            every = loop.options.lease / PULSE
            if loop.began and now - max(loop.began, self.beaten.get(loop, 0.0)) > every:
                try:
                    beat(loop)
                    self.beaten[loop] = now
                except Exception as error:      # the storage is away: the next beat may reach it
                    logger.warning('Worker %s: no heartbeat: %s', loop.name, error)
            wait = min(wait, every / 2)
        return wait


def beat(loop: Any) -> None:
    """Write one heartbeat, if the worker still has its seat."""
    def work(connection: Any) -> None:
        seat = loop.locate(connection).store.seats.get(loop.name)
        if seat is not None:
            seat.beat = time.time()

    systematic(loop.db, work)


_lock = threading.Lock()
_pulse: list[Pulse] = []


def watch(loop: Any) -> None:
    """Beat for a loop from now on, as long as it is there."""
    with _lock:
        if not _pulse or not _pulse[0].is_alive():
            _pulse[:] = [Pulse()]
            _pulse[0].loops.add(loop)
            _pulse[0].start()
        _pulse[0].loops.add(loop)


def unwatch(loop: Any) -> None:
    """Beat for a loop no more."""
    with _lock:
        for pulse in _pulse:
            pulse.loops.discard(loop)


def _forked() -> None:
    """A forked process has no thread that beats, and its lock may be held by one that was not forked."""
    global _lock
    _lock = threading.Lock()
    _pulse.clear()


os.register_at_fork(after_in_child=_forked)
