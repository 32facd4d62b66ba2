# SPDX-License-Identifier: ZPL-2.1
"""The format of a black box: what a worker process says of itself in a mapped file, to whoever reads it, also after its death.

The kernel frees the file's lock when the process ends, however it ends, and what was written stays. So the others on this
host know at once that it died, whether it was to end, and on which jobs, at the cost of a write to memory for each job.
"""
from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from p01.remote.storage.opened import folder

WORKS, TOLD, ENDS, KILLED = range(4)    # how a process ends, see Head
HEAD = struct.Struct('<qdqq')           # end, beat, start, top
END, BEAT = struct.Struct('<q'), struct.Struct('<d')    # the first two of them, which several may write
TOP = struct.Struct('<q')               # the last one
JOB = struct.Struct('<qdd')             # jobid, began, deadline: what a slot says anew for each job
TURN = struct.Struct('<qQ')             # round, thread: what it says anew for each claim
SIZE = JOB.size + TURN.size             # of a slot

STACK = '.stack'                        # beside a box: where the threads of its process stood, see engine.limit
STAT = '/proc/{}/stat'
DEAD = 'ZXx'                            # states of processes that only wait to be noticed by their parents
BOOT = Path('/proc/sys/kernel/random/boot_id')

# the boxes of this process, by name: what is mapped of them
near: weakref.WeakValueDictionary[str, mmap.mmap] = weakref.WeakValueDictionary()


def host() -> str:
    """This host and its boot; pids mean nothing beyond."""
    try:
        boot = BOOT.read_text().strip()[:8]
    except OSError:
        boot = ''
    return f'{socket.gethostname()}/{boot}'


HOST = host()


class Head(NamedTuple):
    """What a process says of itself.

    end: WORKS; TOLD to stop, by a signal or its supervisor; ENDS by itself; KILLED for the time limit of a job.
    """

    end: int
    beat: float                         # the last sign of life, or the instant of the kill; seconds of time.monotonic
    start: int                          # when the process began, in ticks since the boot; 0 where nobody knows
    top: int                            # how many slots were ever taken


class Slot(NamedTuple):
    """What one thread of a process runs. Instants are seconds of time.monotonic."""

    jobid: int                          # 0 for none
    last: int                           # the job that began last, 0 for none
    began: float
    deadline: float                     # 0 for none
    round: int                          # of its seat, see seats.Seat
    thread: int                         # as threading.get_ident tells


class Saying(NamedTuple):
    """All that a box says."""

    head: Head
    slots: list[Slot]

    def late(self) -> set[int]:
        """The jobs for whose time limit the process was killed."""
        return {slot.jobid for slot in self.slots if slot.jobid and 0 < slot.deadline <= self.head.beat} \
            if self.head.end == KILLED else set()


def read(path: str | Path) -> Saying:
    """What the box of a process says. Raises OSError."""
    path = Path(path)
    mapped = near.get(path.name)
    data = path.read_bytes() if mapped is None or mapped.closed else mapped[:]
    head = Head(*HEAD.unpack_from(data))
    return Saying(head, [slot(data, HEAD.size + number * SIZE) for number in range(head.top)])


def slot(data: bytes, at: int) -> Slot:
    """The slot at a place."""
    jobid, began, deadline = JOB.unpack_from(data, at)
    return Slot(max(jobid, 0), abs(jobid), began, deadline, *TURN.unpack_from(data, at + JOB.size))


def died(path: str | Path) -> bool:
    """Whether the process of this box is dead for sure: its file is there and nobody holds its lock."""
    try:
        with open(path, 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def tell(path: str | Path, end: int) -> None:
    """Write into the box of another process how it ends, if it is there; when KILLED, its last sign of life is now."""
    with contextlib.suppress(OSError), open(path, 'r+b') as file:
        os.pwrite(file.fileno(), END.pack(end), 0)
        if end == KILLED:
            os.pwrite(file.fileno(), BEAT.pack(time.monotonic()), END.size)


def pidOf(path: str | Path) -> int:
    """The process of a box, by its name."""
    return int(Path(path).name.partition('-')[0])


def started(pid: int) -> int:
    """When a process began that lives, in ticks since the boot; 0 where nobody knows."""
    try:
        state, *fields = Path(STAT.format(pid)).read_text().rpartition(')')[2].split()
        return 0 if state in DEAD else int(fields[18])
    except (OSError, IndexError, ValueError):
        return 0


def replaced(path: str | Path, head: Head) -> bool:
    """Whether the process of a box whose lock is free lives: it runs another program now, as servers that reload do."""
    return 0 < head.start == started(pidOf(path)) and Path(path).name not in near      # else it is a box of this program


def booted() -> float:
    """When this host began, in POSIX seconds."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, 'CLOCK_BOOTTIME') else 0.0


def folderFor(place: Path | None) -> Path:
    """Where the boxes of a database lie: beside it, or, when it is elsewhere, in a folder of this user on this host."""
    if place is not None:
        return place / 'workers'
    return Path(tempfile.gettempdir()) / f'p01.remote-{os.getuid()}'


def boxOf(seat: Any) -> Path:
    """Where the box of a worker's seat lies. In a folder that was moved or copied, beside the database as it is here: a copy
    has boxes that nobody holds, as is right, while the workers of the original live."""
    place = folder(seat._p_jar.db()) if seat._p_jar is not None else None
    return Path(seat.box) if place is None else folderFor(place) / Path(seat.box).name
