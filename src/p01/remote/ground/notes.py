# SPDX-License-Identifier: ZPL-2.1
"""Notes in boxes: that the job that runs in a slot is to end. Whoever is on the host may write one;
the worker and its supervisor read it. And which thread a slot is lent to."""
from __future__ import annotations

import contextlib
import mmap
import os
import time
from pathlib import Path

from p01.remote.ground.blackbox import BOXHEAD, FREE, NOTE, SLOTSIZE, TURN, near, read

# seconds that a process has to end one of many jobs by itself, before all of it is ended
HEARS = 2.0


def note(path: str | Path, number: int, jobid: int, until: float) -> None:
    """Note that the job of a slot is to end until an instant, if it runs just now, there or on the
    event loop beside it. Of two notes the earlier end counts."""
    with contextlib.suppress(OSError, IndexError):
        slots = read(path).slots
        if slots[number].jobid != jobid:
            number = next((other for other, each in enumerate(slots)
                           if (each.jobid, each.round) == (jobid, FREE)), number)
        found = slots[number]
        if found.round == FREE:         # its event loop ends it, which must hear of it first
            until = max(until, time.monotonic() + HEARS)
        again = (found.asked, found.since) == (jobid, found.began)
        if found.jobid != jobid or again and found.until <= until:
            return
        data, at = NOTE.pack(jobid, found.began, until), placeOf(number)
        mapped = near.get(Path(path).name)
        if mapped is not None and not mapped.closed:
            mapped[at:at + NOTE.size] = data
        else:
            with open(path, 'r+b') as file:
                os.pwrite(file.fileno(), data, at)


def asked(data: mmap.mmap, number: int, jobid: int, began: float) -> float:
    """Until when the run of a job that began then in a slot of a box is to end; 0 when nobody wants
    that."""
    found = NOTE.unpack_from(data, placeOf(number))
    return float(found[2]) if found[:2] == (jobid, began) else 0.0


def lend(data: mmap.mmap, number: int, thread: int) -> None:
    """Note in our own box which thread runs the job of a slot that no worker's thread has."""
    if not data.closed:
        TURN.pack_into(data, placeOf(number) - TURN.size, FREE, thread)


def placeOf(number: int) -> int:
    """Where the note of a slot stands in its box."""
    return BOXHEAD.size + (number + 1) * SLOTSIZE - NOTE.size
