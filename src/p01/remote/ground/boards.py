# SPDX-License-Identifier: ZPL-2.1
"""What the running jobs of a process say, for whoever reads it: beside its box a file that is
mapped to memory, with an area for each job that says something.

To say something is a write to memory, whoever reads sees it at once, and it stays when the process
is killed. Of what a job logs an area keeps the end.
"""
from __future__ import annotations

import mmap
import os
import struct
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

AREAS, AREA = 1024, 16 * 1024       # how many there are, and their bytes
TOP = NUMBER = struct.Struct('<q')  # what the first one says: how many were used
AREAHEAD = struct.Struct('<qq')         # of an area: its job, and how many bytes that ever logged
# serial, kind, done, total, bytes of the text, the text, serial again. There are two, written in
# turn: one is whole, whoever is killed or reads amidst it
FRONT = struct.Struct('<qqddq800sq')
TEXTBYTES = 800                          # bytes
pack = FRONT.pack_into
SILENT, BOUNDED, OPEN = range(3)    # kinds: no progress was said; with a total; without one
LOGBEGINS = AREAHEAD.size + 2 * FRONT.size    # where the end of the log begins: a ring
RING = AREA - LOGBEGINS
LINE = 2_000                        # bytes of a line; so many may just be written over

# the boards of this process, by the names of their files
near: weakref.WeakValueDictionary[str, mmap.mmap] = weakref.WeakValueDictionary()


class Words(NamedTuple):
    """What a job has said: (done, total or None, text), None for nothing; how many bytes it has
    logged, and the last of them."""

    progress: tuple[float, float | None, str] | None
    written: int
    log: bytes


class Board:
    """What the jobs of this process say, and of processes of its own, which map its file as well.
    At a path; not shared: nobody else can read it, by that name. Raises OSError."""

    def __init__(self, path: Path, shared: bool) -> None:
        self.path = path
        self.file = open(path, 'w+b') if shared else anonymous()    # noqa: SIM115 - for its life
        self.file.truncate(AREAS * AREA)            # room is taken by those that are written only
        self.map = mmap.mmap(self.file.fileno(), AREAS * AREA)
        near[path.name] = self.map
        self.lock = threading.Lock()
        self.free = list(range(AREAS - 1, 0, -1))
        self.top = 0

    def take(self, jobid: int) -> Area | None:
        """An area for a job; None when all are in use."""
        number = self.lend()
        return Area(self.map, number, jobid, self.give) if number else None

    def lend(self) -> int:
        """The number of an area, 0 when all are in use."""
        with self.lock:
            if not self.free:
                return 0
            number = self.free.pop()
            if number > self.top:
                self.top = number
                self.map[:TOP.size] = TOP.pack(number)
            return number

    def clear(self, number: int) -> None:
        """The job of an area has ended."""
        if not self.map.closed:
            AREAHEAD.pack_into(self.map, number * AREA, 0, 0)

    def give(self, number: int) -> None:
        """An area is free again."""
        self.clear(number)
        with self.lock:
            self.free.append(number)
            self.free.sort(reverse=True)


class Area:
    """Where one running job says something; over(number), if given, is called when it has ended."""

    def __init__(self, map: mmap.mmap, number: int, jobid: int,
                 over: Callable[[int], None] | None = None) -> None:
        self.number, self.jobid, self.over = number, jobid, over
        self.map, self.at = map, number * AREA
        self.fronts = self.at + AREAHEAD.size, self.at + AREAHEAD.size + FRONT.size
        self.serial = self.written = 0
        self.lock = threading.Lock()
        self.map[self.at:self.at + LOGBEGINS] = bytes(LOGBEGINS)
        self.map[self.at:self.at + NUMBER.size] = NUMBER.pack(jobid)

    def tell(self, done: float, total: float | None, text: str) -> None:
        """Say how far the job is."""
        self.serial = serial = self.serial + 1
        data = text.encode('utf-8', 'replace') if text else b''
        pack(self.map, self.fronts[serial & 1], serial, OPEN if total is None else BOUNDED, done,
             total or 0.0, len(data), data, serial)

    def write(self, line: str) -> None:
        """Log a line."""
        data = line.encode(errors='replace')[:LINE - 1] + b'\n'
        with self.lock:
            place = self.written % RING
            room, start = RING - place, self.at + LOGBEGINS
            self.map[start + place:start + min(RING, place + len(data))] = data[:room]
            if len(data) > room:
                self.map[start:start + len(data) - room] = data[room:]
            self.written += len(data)
            # pack_into would clear it first
            self.map[self.at + NUMBER.size:self.at + AREAHEAD.size] = NUMBER.pack(self.written)

    def said(self) -> Words | None:
        """What was said here."""
        found = words(self.map, self.at)
        return found[1] if found is not None else None

    def close(self) -> None:
        """The job has ended."""
        if self.over is not None:
            self.over(self.number)


def anonymous() -> BinaryIO:
    """A file in memory that only this process and those that it hands it to can read."""
    return open(os.memfd_create('p01.remote'), 'w+b')


def words(data: mmap.mmap, at: int) -> tuple[int, Words] | None:
    """The job of the area at a place, and what it has said; None for none."""
    jobid, written = AREAHEAD.unpack_from(data, at)
    if not jobid:
        return None
    last, progress = 0, None
    for front in (at + AREAHEAD.size, at + AREAHEAD.size + FRONT.size):
        # backwards to how it is written: what was whole and has not begun anew since, is whole
        [end] = NUMBER.unpack_from(data, front + FRONT.size - NUMBER.size)
        _, kind, done, total, length, text, _ = FRONT.unpack_from(data, front)
        [serial] = NUMBER.unpack_from(data, front)
        if serial == end and serial > last and kind:
            said = text[:length].decode(errors='replace')
            last, progress = serial, (done, None if kind == OPEN else total, said)
    return jobid, Words(progress, written, logged(data, at, written) if written else b'')


def logged(data: mmap.mmap, at: int, written: int) -> bytes:
    """The end of the log of an area to which so many bytes were written, in whole lines."""
    kept, place = data[at + LOGBEGINS:at + AREA], written % RING
    since = AREAHEAD.unpack_from(data, at)[1] - written
    log = kept[:written] if written <= RING else kept[place:] + kept[:place]
    over = max(since, 0) + LINE - max(RING - written, 0)        # of the oldest were written over
    if over <= 0:
        return log
    return log[log.find(b'\n', over) + 1:] if b'\n' in log[over:] else b''


def read(path: Path) -> dict[int, Words]:
    """What the jobs of a process say, or said when it died, by the path of its board; nothing where
    that cannot be read."""
    with suppress(OSError, ValueError, struct.error):
        mapped = near.get(path.name)
        if mapped is not None:
            return found(mapped)
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0,
                                                 access=mmap.ACCESS_READ) as mapped:
            return found(mapped)
    return {}


def found(data: mmap.mmap) -> dict[int, Words]:
    """What is said in all areas."""
    [top] = TOP.unpack_from(data, 0)
    return dict(each for number in range(1, top + 1)
                if (each := words(data, number * AREA)) is not None)
