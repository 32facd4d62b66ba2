# SPDX-License-Identifier: ZPL-2.1
"""The worker processes of a supervisor: those that work, those that others replace, and those that
are to begin."""
from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from p01.remote.engine import stacks
from p01.remote.engine.channel import Child
from p01.remote.engine.starts import Starts
from p01.remote.ground import blackbox
from p01.remote.ground.folders import listed
from p01.remote.options import WorkerOptions

CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
STARTLASTS = 5.0        # seconds that a process which begins keeps others from it


class Crew:
    """Processes of an application, by number."""

    def __init__(self, target: str, options: WorkerOptions) -> None:
        self.target, self.options = target, options
        # by number, with the start on the monotonic clock
        self.children: dict[int, tuple[Child, float]] = {}
        self.leaving: list[Child] = []      # they end after their running jobs; others replace them
        self.trial: Child | None = None     # one that does not work yet, see reloading
        self.due: deque[int] = deque()      # numbers of those that are to begin
        self.starts = Starts(options.reload)
        self.opened = False                 # somebody has opened the database
        self.folder: Path | None = None     # where boxes lie

    def fill(self) -> None:
        """Start those that are to begin, as many at once as there are cores: to import an
        application is work, and who works on should not stand still for it."""
        now = time.monotonic()
        begin = sum(not child.works and now - began < STARTLASTS and child.alive()
                    for child, began in self.children.values())
        while self.due and begin < CORES:
            self.spawn(self.due.popleft())
            begin += 1

    def spawn(self, number: int) -> None:
        """Start one."""
        self.starts.begins(number)
        self.children[number] = self.child(number), time.monotonic()

    def child(self, number: int, errand: bool = False) -> Child:
        """A new process."""
        return Child(number, {'target': self.target, 'options': asdict(self.options),
                              'first': not self.opened,
                              'errand': errand})

    def every(self) -> list[Child]:
        """All that have not been taken note of."""
        return [*(child for child, _ in self.children.values()), *self.leaving,
                *([] if self.trial is None else [self.trial])]

    def lasts(self) -> bool:
        """Whether any is there, or is to begin."""
        return bool(self.children or self.leaving or self.due)

    def alive(self) -> list[Child]:
        """The living worker processes."""
        return [child for child in self.every() if child.alive()]

    def forget(self, number: int) -> None:
        """A process is over."""
        self.children.pop(number)[0].close()

    def release(self, child: Child) -> bool:
        """Have another one begin in place of a process, which ends after its running jobs; whether
        it was at work."""
        known, _ = self.children.get(child.number, (None, 0.0))
        if known is not child:
            return False
        del self.children[child.number]
        self.leaving.append(child)
        return True

    def boxes(self, pid: int) -> list[Path]:
        """The boxes of a process; it takes them along when it ends in good order."""
        return [] if self.folder is None else listed(self.folder, '.box', f'{pid}-')

    def running(self, *children: Child) -> Iterator[tuple[int, str, float]]:
        """The jobs that run, in these processes or all, by their ids, with their names, where these
        are known, and for how many seconds they do."""
        for child in children or self.alive():
            for box in self.boxes(child.pid):
                for slot in blackbox.running(box):
                    yield (slot.jobid, (child.names or {}).get(slot.jobid, ''),
                           time.monotonic() - slot.began)

    def show(self) -> None:
        """Print where all processes stand, and which jobs they run."""
        for child in self.alive():
            for box in self.boxes(child.pid):
                text = ('Worker process '
                        f'{child.pid}\n{stacks.beside(box) or "does not say where it stands"}')
                with suppress(OSError, ValueError):     # closed, or nobody reads it
                    print(text, file=sys.stderr, flush=True)
