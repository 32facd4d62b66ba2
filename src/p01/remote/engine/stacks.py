# SPDX-License-Identifier: ZPL-2.1
"""Where the threads of worker processes stand, for people: of this process, with the jobs that it
has handed elsewhere, and of another one on this host by what it wrote beside its box, which it can
even while it holds on to the GIL."""
from __future__ import annotations

import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from p01.remote.ground import blackbox, fork
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.question import GENTLESIGNAL, ask

# as faulthandler writes it, and threads
THREAD = re.compile(r'^(?:Current thread|Thread) 0x([0-9a-f]+)')
RAW = ' (most recent call first):'      # and nobody else
LONGESTREPLY = 30_000       # characters of the stacks of a process; what is beyond goes
DEEPEST = 60                # calls of a stack, the innermost
ANSWERS = 1.0               # seconds that the places have where jobs run elsewhere

_asking = fork.Lock()       # each place is asked by one thread at a time


def here(loops: Iterable[Any]) -> str:
    """Where the threads of this process stand, with the jobs that its loops run, and where the jobs
    do that run elsewhere, which have ANSWERS seconds to say it."""
    loops = list(loops)
    runs = {slot.thread: jobText(slot.jobid, slot.began) for loop in loops
            for slot in apart(loop.post.box.path) if slot.thread}
    runs |= {loop.post.thread: jobText(loop.post.running, loop.post.began) for loop in loops
             if loop.post.running}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [f'Thread {names.get(ident, hex(ident))}{runs.get(ident, "")}:\n{trace(frame)}'
             for ident, frame in sys._current_frames().items()]
    return '\n'.join(elsewhere(loops) + parts)[:LONGESTREPLY]


def elsewhere(loops: Iterable[Any]) -> list[str]:
    """Where the jobs of loops stand that await, or run in other processes; waits for those at most
    ANSWERS seconds."""
    with _asking:
        hearings = [each for loop in loops for each in loop.handed.standing()]
        until = time.monotonic() + ANSWERS
        found = [guarded(hear, until) for hear in hearings]
    return [text for texts in found if not isinstance(texts, Raised) for text in texts]


def answer(file: BinaryIO, loops: Collection[Any]) -> None:
    """Write into a file where this process stands, whenever GENTLESIGNAL comes, which all threads
    have blocked."""
    while signal.sigwait({GENTLESIGNAL}):
        text = guarded(here, loops)
        with suppress(OSError, ValueError):     # closed
            file.write(b'' if isinstance(text, Raised) else text.encode(errors='replace'))


def threads(but: int) -> bytes:
    """Where the threads of this process stand but one of them, as labelled reads it."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [f'Thread {ident:#x} {names.get(ident, "")}:\n{trace(frame)}'
             for ident, frame in sys._current_frames().items() if ident != but]
    return '\n'.join(parts)[:LONGESTREPLY].encode(errors='replace')


def trace(frame: FrameType) -> str:
    """Where a thread stands, as tracebacks show it; of a deep one the innermost calls."""
    return ''.join(traceback.format_list(traceback.extract_stack(frame, DEEPEST)))


def beside(box: Path) -> str:
    """Where the process of a box stands, see here; while it holds on to the GIL its threads alone,
    innermost call first. '' where it cannot be asked."""
    with suppress(OSError):
        text = ask(blackbox.pidOf(box), box, gently=True)
        if RAW not in text:
            return text
        slots = [slot for slot in blackbox.slots(box) if slot.jobid]
        runs = {slot.thread: jobText(slot.jobid, slot.began) for slot in slots}
        parts = [f'Event loop or executor{jobText(slot.jobid, slot.began)}\n'
                 for slot in apart(box) if not slot.thread]
        return '\n'.join([labelled(text, runs), *parts])[:LONGESTREPLY]
    return ''


def apart(box: Path) -> list[blackbox.Slot]:
    """What runs beside the workers' threads of the process of a box: in threads of its executors,
    which have it, or where its threads do not show it."""
    return [slot for slot in blackbox.running(box) if slot.round == blackbox.FREE]


def labelled(text: str, runs: Mapping[int, str], process: str = '') -> str:
    """Stacks of threads, each with what it runs, by its number, and of which process it is."""
    lines = []
    for line in text.splitlines():
        if found := THREAD.match(line):
            line = (line.removesuffix(RAW).removesuffix(':') + process
                    + runs.get(int(found[1], 16), '') + ':')
        lines.append(line + '\n')
    return ''.join(lines)


def jobText(jobid: int, began: float) -> str:
    """That a thread runs a job."""
    return f', which runs job {jobid} for {time.monotonic() - began:.1f} s'
