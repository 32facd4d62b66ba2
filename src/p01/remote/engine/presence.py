# SPDX-License-Identifier: ZPL-2.1
"""The black box of this process: a locked file that says that it lives, and which jobs it runs; see
blackbox."""
from __future__ import annotations

import atexit
import contextlib
import fcntl
import mmap
import os
import signal
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from types import FrameType
from typing import Any

from ZODB.DB import DB

from p01.remote import storage
from p01.remote.ground import fork, notes
from p01.remote.ground.blackbox import (
    BEAT,
    BOXHEAD,
    ENDING,
    ENDS,
    RUN,
    SAID,
    SLOTSIZE,
    STACK,
    TAKEN,
    TOLD,
    TOP,
    TURN,
    UNKNOWN,
    WORKS,
    died,
    near,
    remove,
    started,
)
from p01.remote.ground.boards import anonymous
from p01.remote.ground.folders import folderFor, listed, prove

ALONEKINDS = 'memory', 'file'             # kinds of storage that are open in one process only
# threads, and jobs on event loops, of a process that can be told apart
MOSTSLOTS = 16_384
# seconds after which the box of a dead process goes whose jobs nobody has given back
BOXLASTS = 24 * 3600.0

PROCESS = uuid.uuid4().hex          # this process; pids are used again
live: set[str] = set()              # names of the loops of this process
parent = 0                          # the supervisor of this process; 0 for none


class Box:
    """The black box of this process, in a folder; None for one that nobody else can read. Raises
    OSError when the folder cannot be written, or could be by others, FileNotFoundError when
    somebody tidied up just then.
    """

    def __init__(self, folder: Path | None) -> None:
        size = BOXHEAD.size + MOSTSLOTS * SLOTSIZE
        self.file: Any = None
        self.memory: Any = None         # in its place where nobody else can read it
        self.stack: Any = None          # see engine.limit
        self.path = (folder or Path()) / f'{os.getpid()}-{uuid.uuid4().hex[:8]}.box'
        if folder is None:
            self.memory = anonymous()
            self.memory.truncate(size)
            self.map = mmap.mmap(self.memory.fileno(), size)
        else:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            prove(folder)
            fresh = self.path.with_suffix('.new')   # nobody may see it before it is locked
            self.file = open(fresh, 'w+b')      # noqa: SIM115 - as long as the process
            fcntl.flock(self.file, fcntl.LOCK_EX)
            self.file.truncate(size)
            self.map = mmap.mmap(self.file.fileno(), size)
        since = started(parent) if parent else 0
        BOXHEAD.pack_into(self.map, 0, WORKS, time.monotonic(), started(os.getpid()), parent, since,
                       UNKNOWN, 0)
        if folder is not None:
            fresh.rename(self.path)
        near[self.path.name] = self.map
        self.lock = threading.Lock()
        self.free = list(range(MOSTSLOTS))      # a heap
        self.taken: set[int] = set()
        self.top = 0

    def take(self, kind: int = TAKEN) -> int:
        """A slot for a thread, or of another kind; the last one is shared by all beyond."""
        with self.lock:
            slot = heappop(self.free) if len(self.free) > 1 else self.free[0]
            self.taken.add(slot)
            self.top = max(self.top, slot + 1)
            TOP.pack_into(self.map, BOXHEAD.size - TOP.size, self.top)
            TURN.pack_into(self.map, BOXHEAD.size + slot * SLOTSIZE + RUN.size, kind, 0)
            return slot

    def give(self, slot: int) -> None:
        """Give a slot back."""
        self.turn(slot, 0)
        with self.lock:
            if slot in self.taken and slot < MOSTSLOTS - 1:         # that one is never taken out
                heappush(self.free, slot)
            self.taken.discard(slot)

    def write(self, slot: int, jobid: int, deadline: float, began: float = 0.0) -> None:
        """Say what a thread runs: until when at most, 0 for ever, and since when; a negative id has
        ended."""
        if not self.map.closed:
            RUN.pack_into(self.map, BOXHEAD.size + slot * SLOTSIZE, jobid, began, deadline)

    def writer(self, slot: int) -> Callable[[int, float, float], None]:
        """What writes into a slot, given a job's id, since when it runs and until when it may; for
        each job, without a look."""
        return partial(RUN.pack_into, self.map, BOXHEAD.size + slot * SLOTSIZE)

    def turn(self, slot: int, number: int) -> None:
        """Say which round of its seat's claims a thread, this one, works on, of which none has
        begun."""
        self.write(slot, 0, 0.0)
        if not self.map.closed:
            TURN.pack_into(self.map, BOXHEAD.size + slot * SLOTSIZE + RUN.size, number,
                           threading.get_ident())

    def job(self, slot: int) -> int:
        """What runs in a slot; 0 for nothing."""
        return 0 if self.map.closed \
            else max(0, RUN.unpack_from(self.map, BOXHEAD.size + slot * SLOTSIZE)[0])

    def asked(self, slot: int, jobid: int, began: float) -> float:
        """Until when the run of a job that began then in a slot is to end, see ground.notes; 0 when
        nobody wants that."""
        return 0.0 if self.map.closed else notes.asked(self.map, slot, jobid, began)

    def handle(self) -> int:
        """A handle to read it by, for a process of ours: with that of our own it would hold our
        lock. It is opened anew though somebody has removed its file. Raises OSError."""
        own = self.memory if self.file is None else self.file
        return os.open(f'/proc/self/fd/{own.fileno()}', os.O_RDONLY)

    def beat(self, now: float) -> None:
        """Give a sign of life, at an instant of the monotonic clock."""
        BEAT.pack_into(self.map, ENDING.size, now)

    def end(self, how: int) -> None:
        """Say how this process ends."""
        ENDING.pack_into(self.map, 0, how)

    def leave(self) -> None:
        """Hold nothing of it any more; its file stays. What a thread still says that could not end
        goes nowhere."""
        near.pop(self.path.name, None)
        if not self.map.closed:
            self.map.close()
        for file in (self.file, self.memory, self.stack):
            if file is not None:
                file.close()

    def close(self) -> None:
        """This process works no more."""
        if self.file is not None:
            remove(self.path)
        self.leave()

    def __del__(self) -> None:
        """Its database was dropped without being closed."""
        with contextlib.suppress(Exception):
            self.leave()


def tidy(folder: Path) -> None:
    """Remove what processes left that were killed while they made their box, or after it was
    removed."""
    for fresh in listed(folder, '.new'):
        with contextlib.suppress(OSError):      # others tidy up as well
            if died(fresh):
                fresh.unlink()
    for box in listed(folder, '.box'):
        with contextlib.suppress(OSError):
            if died(box) and box.stat().st_mtime < time.time() - BOXLASTS:
                remove(box)
    for suffix in (STACK, SAID):
        for beside in listed(folder, suffix):
            with contextlib.suppress(OSError):
                if not beside.with_suffix('.box').exists():
                    beside.unlink()


_boxes: weakref.WeakKeyDictionary[DB, Box] = weakref.WeakKeyDictionary()
_lock = fork.Lock()


def _forked() -> None:
    """A forked process is another process: its parent's workers are not its own, nor may it hold
    their locks."""
    global PROCESS, parent
    PROCESS, parent = uuid.uuid4().hex, 0
    live.clear()
    for box in list(_boxes.values()):
        box.leave()
    near.clear()
    _boxes.clear()


os.register_at_fork(after_in_child=_forked)


def mine(db: DB) -> Box:
    """This process's box for a database; where none can be made, and in memory, one that only this
    process can read."""
    with _lock:
        box = _boxes.get(db)
        if box is None:
            try:
                box = made(None if storage.kind(db) == 'memory' else folderFor(storage.folder(db)))
            except OSError:
                box = Box(None)
            _boxes[db] = box
        return box


def alone(db: DB) -> bool:
    """Whether a database can be open in one process only."""
    return storage.kind(db) in ALONEKINDS


def made(folder: Path | None) -> Box:
    """A box of this process; another one when somebody tidied up while it was made. Raises
    OSError."""
    try:
        return Box(folder)
    except FileNotFoundError:
        return Box(folder)


def forget(db: DB) -> None:
    """Close this process's box for a database."""
    with _lock:
        box = _boxes.pop(db, None)
        if box is not None:
            box.close()


def beat(now: float) -> None:
    """Give a sign of life in all boxes of this process, at an instant of the monotonic clock."""
    with _lock:
        for box in _boxes.values():
            box.beat(now)


def end(how: int) -> None:
    """Say in all boxes of this process how it ends."""
    for box in list(_boxes.values()):
        box.end(how)


def _ending() -> None:
    """This process ends by itself, as a server does that was told to: nobody shall think that a job
    took it down."""
    end(ENDS)


atexit.register(_ending)


def heed() -> None:
    """Have the boxes say so when a signal is to end this process that nobody handles: it is for
    processes of others, as web servers are, and they end by it as ever."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if not handled(number):
            with contextlib.suppress(ValueError):       # another thread than the main one calls
                signal.signal(number, _told)


def handled(number: int) -> bool:
    """Whether anybody handles or ignores a signal; Python does not see what a server in C does."""
    if signal.getsignal(number) != signal.SIG_DFL:
        return True
    with contextlib.suppress(OSError, ValueError):
        words = Path('/proc/self/status').read_text().split()
        return any(int(words[words.index(name) + 1], 16) >> number - 1 & 1
                   for name in ('SigIgn:', 'SigCgt:'))
    return False


def _told(number: int, frame: FrameType | None) -> None:
    """See heed."""
    try:
        end(TOLD)
    finally:                # another thread may close a box just now
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
