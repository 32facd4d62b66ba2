# SPDX-License-Identifier: ZPL-2.1
"""Where the threads of worker processes stand, for people: of this process, and of another one on
this host by what it wrote beside its box, which it can even while it holds on to the GIL."""
from __future__ import annotations

import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from p01.remote.ground import blackbox

THREAD = re.compile(r'^(?:Current thread|Thread) 0x([0-9a-f]+)')     # as faulthandler writes it
LONGESTREPLY = 30_000       # characters of the stacks of a process; what is beyond goes


def here(loops: Iterable[Any]) -> str:
    """Where the threads of this process stand, with the jobs that its loops run, and where the jobs
    on its event loops do."""
    loops = list(loops)
    runs = {loop.post.thread: jobText(loop.post.running, loop.post.began) for loop in loops
            if loop.post.running}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f'Thread {names.get(ident, hex(ident))}{runs.get(ident, "")}:\n'
                     + ''.join(traceback.format_list(traceback.extract_stack(frame))))
    parts += [text for loop in loops for text in loop.handed.standing()]
    return '\n'.join(parts)[:LONGESTREPLY]


def beside(box: Path) -> str:
    """Where the threads of the process of a box stand, innermost call first, with the jobs that
    they run; '' where it cannot be asked."""
    with suppress(OSError):
        text = blackbox.ask(blackbox.pidOf(box), box)
        slots = [slot for slot in blackbox.slots(box) if slot.jobid]
        runs = {slot.thread: jobText(slot.jobid, slot.began) for slot in slots}
        lines = []
        for line in text.splitlines():
            found = THREAD.match(line)
            lines.append(line.removesuffix(' (most recent call first):') + runs.get(int(found[1],
                                                                                        16),
                                                                                    '') + ':'
                         if found
                         else line)
        lines += [f'Event loop{jobText(slot.jobid, slot.began)}' for slot in slots
                  if slot.round == blackbox.FREE]
        return '\n'.join(lines)[:LONGESTREPLY]
    return ''


def jobText(jobid: int, began: float) -> str:
    """That a thread runs a job."""
    return f', which runs job {jobid} for {time.monotonic() - began:.1f} s'
