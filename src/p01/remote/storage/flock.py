# SPDX-License-Identifier: ZPL-2.1
"""A lock between processes, by flock(2): the system lets go of it when its holder dies."""
from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

PAUSE = 0.02    # seconds between two tries; flock itself knows no deadline


class FileLock:
    """A lock file, held by one FileLock at a time, be it of this process or of another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, wait: float = 0.0) -> bool:
        """Whether the lock was got within this many seconds. Raises OSError when the file cannot be
        made."""
        deadline = time.monotonic() + wait
        # An open file of its own, so that threads exclude each other too; spawned children do not
        # inherit it.
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        while not _taken(handle):
            if time.monotonic() >= deadline:
                os.close(handle)
                return False
            time.sleep(PAUSE)
        self._handle = handle
        return True

    def release(self) -> None:
        """Let go. The file stays: removed, two could hold locks on two files of the same name."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
