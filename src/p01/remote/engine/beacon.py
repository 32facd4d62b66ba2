# SPDX-License-Identifier: ZPL-2.1
"""The black box of a worker process: a locked file that says that it lives, and which jobs it runs.

The kernel frees the lock when the process ends, however it ends, and what was written to the mapped file stays. So the
others on this host know at once that it died, and on which jobs, at the cost of two writes to memory for each job.
"""
from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import tempfile
import threading
import uuid
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from ZODB.DB import DB

from p01.remote import storage

SLOTS = 64                          # threads of a process that can be told apart
SLOT = struct.Struct('<qd')         # id of the job or 0, deadline on the monotonic clock or 0


BOOT = Path('/proc/sys/kernel/random/boot_id')
PROCESS = uuid.uuid4().hex          # this process; pids are used again
live: set[str] = set()              # names of the loops of this process


def host() -> str:
    """This host and its boot; pids mean nothing beyond."""
    try:
        boot = BOOT.read_text().strip()[:8]
    except OSError:
        boot = ''
    return f'{socket.gethostname()}/{boot}'


HOST = host()


class Slot(NamedTuple):
    """What one thread of a process runs."""

    jobid: int
    deadline: float                 # seconds of time.monotonic, 0 for none


class Box:
    """The black box of this process. Raises OSError when the folder cannot be written, FileNotFoundError when somebody
    tidied up just then."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f'{os.getpid()}-{uuid.uuid4().hex[:8]}.box'
        fresh = self.path.with_suffix('.new')   # nobody may see it before it is locked
        self.file = open(fresh, 'w+b')          # noqa: SIM115 - stays open as long as the process
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.truncate(SLOTS * SLOT.size)
        self.map = mmap.mmap(self.file.fileno(), SLOTS * SLOT.size)
        fresh.rename(self.path)
        self.lock = threading.Lock()
        self.free = list(range(SLOTS))

    def take(self) -> int:
        """A slot for a thread; the last one is shared by all beyond."""
        with self.lock:
            return self.free.pop(0) if len(self.free) > 1 else self.free[0]

    def give(self, slot: int) -> None:
        """Give a slot back."""
        self.write(slot, 0, 0.0)
        with self.lock:
            if slot not in self.free:
                self.free.append(slot)

    def write(self, slot: int, jobid: int, deadline: float) -> None:
        """Say what a thread runs."""
        SLOT.pack_into(self.map, slot * SLOT.size, jobid, deadline)

    def close(self) -> None:
        """This process works no more."""
        self.path.unlink(missing_ok=True)
        self.map.close()
        self.file.close()

    def __del__(self) -> None:
        """Its database was dropped without being closed."""
        with contextlib.suppress(Exception):
            self.map.close()
            self.file.close()


def tidy(folder: Path) -> None:
    """Remove what processes left that were killed while they made their box."""
    for fresh in folder.glob('*.new'):
        if died(fresh):
            fresh.unlink(missing_ok=True)


def read(path: str | Path) -> list[Slot]:
    """What the threads of a process run, or ran when it died. Raises OSError."""
    data = Path(path).read_bytes()
    return [Slot(*SLOT.unpack_from(data, at)) for at in range(0, len(data) - SLOT.size + 1, SLOT.size)]


def died(path: str | Path) -> bool:
    """Whether the process of this box is dead for sure: its file is there and nobody holds its lock."""
    try:
        with open(path, 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def folderFor(place: Path | None) -> Path:
    """Where the boxes of a database lie: beside it, or, when it is elsewhere, in a folder of this user on this host."""
    if place is not None:
        return place / 'workers'
    return Path(tempfile.gettempdir()) / f'p01.remote-{os.getuid()}'


def boxOf(seat: Any) -> Path:
    """Where the box of a worker's seat lies. In a folder that was moved or copied, beside the database as it is here: a copy
    has boxes that nobody holds, as is right, while the workers of the original live."""
    place = storage.folder(seat._p_jar.db()) if seat._p_jar is not None else None
    return Path(seat.box) if place is None else folderFor(place) / Path(seat.box).name


_boxes: weakref.WeakKeyDictionary[DB, Box] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _forked() -> None:
    """A forked process is another process: its parent's workers are not its own, nor may it hold their locks."""
    global PROCESS, _lock
    PROCESS = uuid.uuid4().hex
    _lock = threading.Lock()        # the one we had may be held by a thread that was not forked
    live.clear()
    for box in list(_boxes.values()):
        box.map.close()
        box.file.close()
    _boxes.clear()


os.register_at_fork(after_in_child=_forked)


def mine(db: DB) -> Box | None:
    """This process's box for a database; None where none can be made."""
    with _lock:
        box = _boxes.get(db)
        if box is None:
            try:
                box = _boxes[db] = made(folderFor(storage.folder(db)))
            except OSError:
                return None
        return box


def made(folder: Path) -> Box:
    """A box of this process; another one when somebody tidied up while it was made. Raises OSError."""
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
