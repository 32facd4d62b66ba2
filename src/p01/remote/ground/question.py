# SPDX-License-Identifier: ZPL-2.1
"""Where a worker process of this host stands: it is asked by a signal, and writes it into a file
beside its box."""
from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

from p01.remote.ground.blackbox import STACK

# have a process write down where it stands: by faulthandler, which does not wait for the GIL, so
# that it may read what is no more and end it; and in Python. Nobody else has a use for them
STACKSIGNAL, GENTLESIGNAL = signal.SIGRTMAX - 3, signal.SIGRTMAX - 4
ANSWERWAIT, GENTLEWAIT = 0.5, 1.5           # seconds that it has for that


def ask(pid: int, path: Path, gently: bool = False) -> str:
    """Have a worker process write down where its threads stand, and wait until it has, but not for
    long; what it wrote by then. Those who ask at once do so one after the other. Unless it is asked
    gently it may die of it."""
    stack, ways = path.with_suffix(STACK), [(STACKSIGNAL, ANSWERWAIT)]
    if gently and waits(pid):
        ways.insert(0, (GENTLESIGNAL, GENTLEWAIT))
    # without the file the signal would end it: it does not know it yet, or ends just now, and
    # others take its box away
    with contextlib.suppress(OSError), open(stack, errors='replace') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for number, seconds in ways:
            os.truncate(stack, 0)           # of what was asked for before
            os.kill(pid, number)
            until, size = time.monotonic() + seconds, 0
            while time.monotonic() < until:
                time.sleep(0.01)
                old, size = size, stack.stat().st_size
                if size and size == old:
                    return file.read()
        return file.read()
    return ''


def waits(pid: int) -> bool:
    """Whether a process waits for GENTLESIGNAL, which would end others."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        words = Path(f'/proc/{pid}/status').read_text().split()
        return int(words[words.index('SigBlk:') + 1], 16) >> GENTLESIGNAL - 1 & 1 == 1
    return False
