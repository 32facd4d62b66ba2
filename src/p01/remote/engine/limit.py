# SPDX-License-Identifier: ZPL-2.1
"""Time limits of jobs: where a job stood that ran too long, and what becomes of it.

A worker process is killed by its supervisor. A thread of another process cannot be: there the run
has failed as soon as the limit is over, others may have the job, and whatever it still does to the
database is refused.
"""
from __future__ import annotations

import faulthandler
import os
import re
import sys
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from p01.remote.engine import presence
from p01.remote.engine.stacks import THREAD, answer
from p01.remote.ground import blackbox
from p01.remote.ground.question import STACKSIGNAL
from p01.remote.store.seats import Seat

# seconds that a job on an event loop has to end behind its limit, and a supervisor to end a process
SLACK = 5.0
FRAMES = 30
OURPARTS = tuple(os.path.join('p01', 'remote', part) for part in ('engine' + os.sep, 'job.py'))
STACKLINE = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')


class Frame(NamedTuple):
    """One call."""

    file: str
    line: int
    name: str


Stack = list[Frame]                 # of a job, its innermost call first


def text(timeout: float | None, stack: Stack) -> str:
    """That a job ran longer than its timeout, and where it stood."""
    return f'it ran longer than its timeout of {timeout or 0:g} s{where(stack)}'


def where(stack: Stack) -> str:
    """Where it stood, as the end of a sentence; '' when nobody knows."""
    return f', and stood in {stack[0].name} ({stack[0].file}, line {stack[0].line})' if stack \
        else ''


def trace(stack: Stack) -> str:
    """A stack as tracebacks show it."""
    return ''.join(f'  File "{frame.file}", line {frame.line}, in '
                   f'{frame.name}\n' for frame in reversed(stack))


def cut(frames: Iterable[Frame]) -> Stack:
    """The calls of the job, without ours that called it."""
    found: Stack = []
    for frame in frames:
        if any(part in frame.file for part in OURPARTS) or len(found) == FRAMES:
            break
        found.append(frame)
    return found


# -- of this process

def standing(thread: int) -> Stack:
    """Where a thread of this process stands."""
    frame = sys._current_frames().get(thread)
    if frame is None:
        return []
    return cut(Frame(each.filename, each.lineno or 0, each.name)
               for each in reversed(traceback.extract_stack(frame)))


# -- of another process

def register(box: presence.Box, loops: Collection[Any]) -> None:
    """Have this process write down where its threads stand whenever it is asked to, even by code
    that holds on to the GIL; and where its loops' jobs do, asked gently."""
    if box.file is not None:
        path = box.path.with_suffix(blackbox.STACK)
        with suppress(OSError):             # somebody removes the folder just now
            box.stack = open(path, 'ab', buffering=0)   # noqa: SIM115 - as long as the process
            faulthandler.register(STACKSIGNAL, box.stack, all_threads=True, chain=False)
            threading.Thread(target=answer, args=(box.stack, loops), daemon=True,
                             name='p01-stacks').start()


def left(seat: Seat, jobid: int) -> Stack:
    """Where the thread of a worker stood that ran a job, when its process was asked; nothing where
    that cannot be read."""
    path = seat.path
    try:
        slots = blackbox.read(path).slots
        # its own slot comes last: it may be amidst handing the job to the thread that runs it
        slots.append(slots.pop(seat.slot))
        thread = next((slot.thread for slot in slots if slot.jobid == jobid and slot.thread), 0)
        lines = path.with_suffix(blackbox.STACK).read_text(errors='replace').splitlines()
    except (OSError, IndexError):
        return []
    return cut(framesOf(thread, lines))


def framesOf(thread: int, lines: list[str]) -> Iterator[Frame]:
    """The calls of one thread, as faulthandler wrote them."""
    here = False
    for line in lines:
        if found := THREAD.match(line):
            here = int(found[1], 16) == thread
        elif here and (found := STACKLINE.match(line)):
            yield Frame(found[1], int(found[2]), found[3])
