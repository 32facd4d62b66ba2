# SPDX-License-Identifier: ZPL-2.1
"""The right to write to a database: one thread of one process at a time.

SQLite's own lock makes those who wait sleep, for up to 100 ms a time. Here threads wait for a lock
of Python's, which wakes one of them at once, and processes for flock(2) on a file beside the
database, which they try again after 50 µs, less than the other one needs between two commits, and
slowly less often, down to once in a millisecond. The kernel lets go of it when its holder dies.
"""
from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import NoReturn

from p01.remote.storage.faults import LockTimeout, Midst

FIRSTWAIT, GROWTH, LONGESTWAIT = 0.000_05, 1.05, 0.001      # seconds between two tries


class Gate:
    """Held by one thread at a time, of all processes that have the file open."""

    def __init__(self, path: Path, wait: float) -> None:
        self.path, self.wait = path, wait
        self.lock = threading.Lock()
        self.holder = 0             # the thread, while one has it
        self.handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def acquire(self) -> None:
        """Raises LockTimeout, and Midst."""
        if not self.lock.acquire(False):
            self.queue()
        self.holder = threading.get_ident()
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.knock()
        except BaseException:
            self.leave()
            raise

    def queue(self) -> None:
        """Wait for the other threads."""
        if self.holder == threading.get_ident():
            raise Midst()
        if not self.lock.acquire(timeout=self.wait):
            self.late('thread')

    def knock(self) -> None:
        """Wait for the other processes."""
        try:
            deadline, pause = time.monotonic() + self.wait, FIRSTWAIT
            while True:
                time.sleep(pause)
                try:
                    fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        self.late('process')
                    pause = min(GROWTH * pause, LONGESTWAIT)
        except BaseException:
            self.leave()
            raise

    def late(self, who: str) -> NoReturn:
        """Nobody lets us in."""
        raise LockTimeout(f'{self.path.parent} has been locked for {self.wait:g} seconds by '
                          f'another {who} that commits; see what hangs there.')

    def release(self) -> None:
        """Let others in."""
        try:
            fcntl.flock(self.handle, fcntl.LOCK_UN)
        finally:
            self.leave()

    def leave(self) -> None:
        """Let other threads in."""
        self.holder = 0
        self.lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def close(self) -> None:
        """End. In a forked child this does not free what the parent holds."""
        os.close(self.handle)
