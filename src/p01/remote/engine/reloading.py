# SPDX-License-Identifier: ZPL-2.1
"""Worker processes that are replaced when the source of their application changes: one after the
other, each when the new one works. What does not load is told in one line, and the old ones go on.

The files of all modules that processes have imported are looked at, by their times: 400 of them
cost 1 ms, and nothing needs to be installed.
"""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from p01.remote import events
from p01.remote.engine.channel import Child
from p01.remote.engine.crew import Crew
from p01.remote.ground import subscribers

SOURCELOOK = 0.5        # seconds between two looks; what changes goes on changing within that


class Sources:
    """The files of an application, and how they stood when they were seen last."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[int, int] | None] = {}
        self.changed = ''           # one that has changed, and perhaps others with it
        self.last = 0.0             # when they were looked at, on the monotonic clock

    def take(self, paths: Iterable[str], since: float) -> None:
        """Look at these, too. One that has changed since an instant, in POSIX seconds, may have
        been read before."""
        for path in paths:
            if path not in self.known:
                found = self.known[path] = stamp(path)
                if found is not None and found[0] > since * 1e9:
                    self.changed = path

    def look(self, now: float) -> str:
        """One that has changed, once nothing changes any more; '' for none."""
        if now - self.last < SOURCELOOK:
            return ''
        self.last = now
        calm = self.changed
        for path, before in self.known.items():
            found = stamp(path)
            if found != before:
                self.known[path] = found
                self.changed, calm = path, ''
        if calm:
            self.changed = ''
        return calm


def stamp(path: str) -> tuple[int, int] | None:
    """When a file was changed, and its size; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def filesOf(error: BaseException | None = None) -> list[str]:
    """The files of all modules that this process has imported, and of what it could not import."""
    found = {file for module in list(sys.modules.values())
             if isinstance(file := getattr(module, '__file__', None), str)}
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            found.add(error.filename)
        trace = error.__traceback__
        while trace is not None:
            found.add(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return sorted(found)


class Reloading:
    """Replaces the processes of a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.sources = Sources()
        self.behind: list[int] = []         # numbers of those that have the old code
        self.fresh = False                  # it has changed since the last one was tried

    def look(self) -> list[Child]:
        """See what has changed, and what came of it; returns the processes that are to end, since
        others work in their place."""
        for child in self.crew.every():
            self.sources.take(child.files, child.born)
            child.files = []
        path = self.sources.look(time.monotonic())
        if path:
            subscribers.notify(events.SourceChanged(Path(path).name))
            self.behind, self.fresh = sorted(self.crew.children), True
            self.crew.starts.hurry()
        over = self.judged()
        while self.crew.trial is None and self.behind:
            number = self.behind.pop(0)
            if number in self.crew.children and self.crew.children[number][0].alive():
                self.crew.trial, self.fresh = self.crew.child(number), False
        return over

    def judged(self) -> list[Child]:
        """What came of the process that is tried; returns the one that it replaces."""
        child = self.crew.trial
        if child is None or child.alive() and not child.works:
            return []
        self.crew.trial = None
        if child.works:
            old, _ = self.crew.children.get(child.number, (None, 0.0))
            over = [old] if old is not None and self.crew.release(old) else []
            with suppress(ValueError):      # the old one has ended just now, too
                self.crew.due.remove(child.number)
            self.crew.children[child.number] = child, time.monotonic()
            return over
        child.close()
        if not self.fresh:
            self.behind.clear()
        subscribers.notify(events.WorkerFailed(
            str(child.number), child.reason.rstrip('.') or 'the new code cannot be served',
            'the old code goes on until the source changes again'))
        return []
