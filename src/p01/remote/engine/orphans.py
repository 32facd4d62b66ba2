# SPDX-License-Identifier: ZPL-2.1
"""Processes whose parents have died fall to the first process of their host or container. When that
is a supervisor, nobody else is there to take note of their ends, and they would stay as zombies.
And what jobs leave behind in a process that ends."""
from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Collection
from typing import Any

from p01.remote import events
from p01.remote.ground import subscribers


def reap(own: Collection[int]) -> None:
    """Take note of the ends of processes that fell to this one, if it is the first; own ones are
    left to who started them."""
    if os.getpid() != 1:
        return
    try:
        # looking does not take it away; one of ours that stands in front is taken by its owner soon
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid in own:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
    except ChildProcessError:
        return


def linger(patience: float) -> None:
    """Wait for threads and processes that jobs left, at most so many seconds: Python would wait for
    them for ever."""
    several: Any = sys.modules.get('multiprocessing')       # else nobody has started any
    left: list[Any] = [*threading.enumerate(), *(several.active_children() if several else ())]
    left = [each for each in left if not each.daemon and each is not threading.main_thread()]
    if not left:
        return
    subscribers.notify(events.LeftBehind(tuple(each.name for each in left), patience))
    until = time.monotonic() + patience
    for each in left:
        each.join(max(0.0, until - time.monotonic()))
    if any(each.is_alive() for each in left):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):        # closed, or a pipe that nobody reads
                stream.flush()
        os._exit(0)
