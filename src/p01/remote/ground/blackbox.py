# SPDX-License-Identifier: ZPL-2.1
"""The format of a black box: what a worker process says of itself in a mapped file, to whoever
reads it, also after its death.

The kernel frees the file's lock when the process ends, however it ends, and what was written stays.
So the others on this host know at once that it died, whether it was to end, and on which jobs, at
the cost of a write to memory for each job.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import mmap
import os
import signal
import struct
import time
import weakref
from pathlib import Path
from typing import NamedTuple

WORKS, TOLD, ENDS, KILLED = range(4)    # how a process ends, see Head
BOXHEAD = struct.Struct('<qdqqqqq')        # end, beat, start, parent, since, code, top
# the first two of them, which several may write
ENDING, BEAT = struct.Struct('<q'), struct.Struct('<d')
EXITCODE = TOP = struct.Struct('<q')        # the last two
RUN = struct.Struct('<qdd')             # jobid, began, deadline: what a slot says for each job
TURN = struct.Struct('<qQ')             # round, thread: what it says anew for each claim
NOTE = struct.Struct('<qdd')            # jobid, began, until: a job that is to end, see Slot
SLOTSIZE = RUN.size + TURN.size + NOTE.size     # of a slot
UNKNOWN = -1 << 32                      # a code that no process ends with
# when a job began of whose thread nobody knows which it is at, and one that waits for an event loop
BLURRED, UNBEGUN = -1.0, -2.0
# rounds of a slot that no thread has (a job on an event loop may), of one whose thread has claimed
# nothing yet, and of one that says which job's step an event loop is at
FREE, TAKEN, STEP = 0, -1, -2

# seconds that a supervisor has to say how a process of its own has ended
WORD = 0.3

FEWBYTES = BOXHEAD.size + 16 * SLOTSIZE             # bytes; most processes have no more slots

# beside a box: where the threads of its process stood, see engine.limit
STACK = '.stack'
SAID = '.said'                          # and what its running jobs say, see boards
STAT = '/proc/{}/stat'
# states of processes that only wait to be noticed by their parents
DEAD = 'ZXx'
BOOT = Path('/proc/sys/kernel/random/boot_id')

# the boxes of this process, by name: what is mapped of them
near: weakref.WeakValueDictionary[str, mmap.mmap] = weakref.WeakValueDictionary()


def host() -> str:
    """This host and its boot; pids mean nothing beyond."""
    try:
        boot = BOOT.read_text().strip()[:8]
    except OSError:
        boot = ''
    return f'{os.uname().nodename}/{boot}'


HOST = host()


class Head(NamedTuple):
    """What a process says of itself.

    end: WORKS; TOLD to stop, by a signal or its supervisor; ENDS by itself; KILLED for the time
    limit of a job.
    """

    end: int
    # the last sign of life, or the instant of the kill; seconds of time.monotonic
    beat: float
    # when the process began, in ticks since the boot; 0 where nobody knows
    start: int
    parent: int                         # its supervisor; 0 for none
    since: int                          # when that one began
    code: int                           # with which it ended, as its supervisor has seen; UNKNOWN
    top: int                            # how many slots were ever taken


class Slot(NamedTuple):
    """What one thread of a process runs. Instants are seconds of time.monotonic."""

    jobid: int                          # 0 for none
    last: int                           # the job that began last, 0 for none
    began: float
    deadline: float                     # 0 for none
    round: int                          # of its seat, see seats.Seat; FREE, TAKEN, STEP
    thread: int                         # as threading.get_ident tells; 0 for none
    # of the run that somebody asked to end: its job, when it began, and until when it gets
    asked: int = 0
    since: float = 0.0
    until: float = 0.0

    def end(self) -> float:
        """Until when what runs may, at most; infinite for ever."""
        ends = [self.deadline] if self.deadline else []
        if self.asked and (self.asked, self.since) == (self.jobid, self.began):
            ends.append(self.until)
        return min(ends, default=math.inf)


class Saying(NamedTuple):
    """All that a box says."""

    head: Head
    slots: list[Slot]

    def late(self) -> set[int]:
        """The jobs for whose time limit the process was killed."""
        return {slot.jobid for slot in self.slots if slot.jobid
                and 0 < slot.deadline <= self.head.beat} \
            if self.head.end == KILLED else set()


def read(path: str | Path) -> Saying:
    """What the box of a process says. Raises OSError, also for one that is torn."""
    try:
        return said(path)
    except struct.error as error:
        raise OSError(errno.EIO, 'is torn', str(path)) from error


def said(path: str | Path) -> Saying:
    """What the box of a process says. Raises OSError, struct.error."""
    mapped = near.get(Path(path).name)
    if mapped is None or mapped.closed:
        with open(path, 'rb', buffering=0) as file:
            data = file.read(FEWBYTES)
            if (size := sizeOf(data)) > FEWBYTES:
                data += file.read(size - FEWBYTES)
    else:
        data = mapped[:sizeOf(mapped)]
    head = Head(*BOXHEAD.unpack_from(data))
    return Saying(head, [slot(data, BOXHEAD.size + number * SLOTSIZE)
                         for number in range(head.top)])


def sizeOf(data: bytes | mmap.mmap) -> int:
    """How many bytes of a box say something."""
    return BOXHEAD.size + int(TOP.unpack_from(data, BOXHEAD.size - TOP.size)[0]) * SLOTSIZE


def slot(data: bytes, at: int) -> Slot:
    """The slot at a place."""
    jobid, began, deadline = RUN.unpack_from(data, at)
    return Slot(max(jobid, 0), abs(jobid), began, deadline, *TURN.unpack_from(data, at + RUN.size),
                *NOTE.unpack_from(data, at + RUN.size + TURN.size))


def died(path: str | Path) -> bool:
    """Whether the process of this box is dead for sure: its file is there and nobody holds its
    lock."""
    try:
        with open(path, 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def tell(path: str | Path, end: int) -> None:
    """Write into the box of another process how it ends, if it is there; when KILLED, its last sign
    of life is now."""
    with contextlib.suppress(OSError), open(path, 'r+b') as file:
        os.pwrite(file.fileno(), ENDING.pack(end), 0)
        if end == KILLED:
            os.pwrite(file.fileno(), BEAT.pack(time.monotonic()), ENDING.size)


def tellCode(path: str | Path, code: int) -> None:
    """Write into the box of a process with which code it ended, if it is there."""
    with contextlib.suppress(OSError), open(path, 'r+b') as file:
        os.pwrite(file.fileno(), EXITCODE.pack(code), BOXHEAD.size - EXITCODE.size - TOP.size)


def howOf(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f'ended with status {code}'
    try:
        return f'was killed by signal {signal.Signals(-code).name}'
    except ValueError:                      # those for real time have no names
        return f'was killed by signal {-code}'


def heard(path: Path) -> None:
    """Wait until the supervisor of a process that is dead has said how it ended, but not for long,
    nor for a dead one."""
    until = time.monotonic() + WORD
    with contextlib.suppress(OSError):
        while (head := read(path).head).code == UNKNOWN and attended(head) \
                and time.monotonic() < until:
            time.sleep(0.005)


def attended(head: Head) -> bool:
    """Whether the supervisor of a process lives."""
    return 0 < head.since == started(head.parent)


def settle(path: Path, number: int) -> None:
    """The jobs of a slot of a dead process have been given back; when those of all have been, its
    box goes."""
    with contextlib.suppress(OSError):
        with open(path, 'r+b') as file:
            os.pwrite(file.fileno(), TURN.pack(FREE, 0),
                      BOXHEAD.size + number * SLOTSIZE + RUN.size)
        if not any(slot.round not in (FREE, STEP) for slot in read(path).slots):
            remove(path)


def remove(path: Path) -> None:
    """Remove a box, with what lies beside it."""
    for suffix in (STACK, SAID):
        path.with_suffix(suffix).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def slots(path: str | Path) -> list[Slot]:
    """What the threads of a process run; none where that cannot be read."""
    with contextlib.suppress(OSError):
        return read(path).slots
    return []


def running(path: str | Path) -> list[Slot]:
    """The slots of a process that run a job, each once, or did when it died."""
    return [slot for slot in slots(path) if slot.jobid and slot.round != STEP]


def respite(path: str | Path) -> float:
    """Seconds until one of the jobs that run has run longer than it may; infinite for never."""
    return min((slot.end() for slot in running(path)), default=math.inf) - time.monotonic()


def isTold(path: str | Path) -> bool:
    """Whether the process of a box was told to stop."""
    with contextlib.suppress(OSError):
        return read(path).head.end == TOLD
    return False


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
    """Whether the process of a box whose lock is free lives: it runs another program now, as
    servers that reload do."""
    # else it is a box of this program
    return 0 < head.start == started(pidOf(path)) and Path(path).name not in near


def booted() -> float:
    """When this host began, in POSIX seconds."""
    clock = getattr(time, 'CLOCK_BOOTTIME', None)
    return 0.0 if clock is None else time.time() - time.clock_gettime(clock)
