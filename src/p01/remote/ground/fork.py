# SPDX-License-Identifier: ZPL-2.1
"""Which process this is: a forked child is another one, and must touch nothing that its parent has
open."""
from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import Any, NoReturn

from p01.remote.ground.foreign import reasonOf


class Mark:
    """One for each process; to be compared by identity, which costs nothing."""


class Lock:
    """A lock that a forked child has free: its parent's may be held by a thread that was not
    forked.

    Its own thread may take it again: what comes between, as a signal handler, may do all that
    others may.
    """

    def __init__(self) -> None:
        self.lock = self.taken = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        lock = self.lock
        lock.acquire()
        self.taken = lock

    def __exit__(self, *error: object) -> None:
        self.taken.release()        # the parent's, in who was forked meanwhile


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()
mark = Mark()
since = 0.0         # when this process was forked, in POSIX seconds; 0 for one that was not


def leave(parents: Any) -> None:
    """Let something of the parent's be, for ever: to close it, or to have it collected, would be
    felt by the parent."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(parents))       # also when the interpreter ends


def end(error: BaseException | None, parent: str) -> NoReturn:
    """End this child, which has come to the end of what its parent does: all that follows is the
    parent's alone.

    As with multiprocessing, an error ends it with status 1, unless it is a SystemExit with another
    one.
    """
    code = error.code if isinstance(error, SystemExit) else 0 if error is None else 1
    status = code if isinstance(code, int) else code is not None
    if status:
        logging.getLogger('p01.remote').warning(
            'A process that %s had forked ended with status %d: %s', parent, status,
            '' if error is None else reasonOf(error))
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):       # closed, or a pipe that nobody reads
            stream.flush()
    os._exit(status & 0xff)


def _forked() -> None:
    global mark, since
    mark, since = Mark(), time.time()
    for each in list(_locks):
        each.lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)
