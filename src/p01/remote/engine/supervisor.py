# SPDX-License-Identifier: ZPL-2.1
"""The supervisor of `p01-remote worker`. It imports neither the application nor a database, which
only its processes need.

What asks for them is done there: the first one says whether the application can be served, those
that live give back what the dead held, and for what nobody is left to do a process goes on an
errand.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from p01.remote import events, logs  # noqa: F401 - logs subscribes itself
from p01.remote.engine import orphans, stacks
from p01.remote.engine.channel import QUIT, SIGNALS, TELL, Child, Wait
from p01.remote.engine.notices import Notices
from p01.remote.engine.starts import FAULT, Starts
from p01.remote.exceptions import RemoteError
from p01.remote.ground import blackbox, subscribers
from p01.remote.ground.blackbox import howOf
from p01.remote.ground.folders import listed
from p01.remote.options import WorkerOptions
from p01.remote.views.leftovers import Left

HASTE = 1.0         # seconds; a process that dies younger than this is not replaced at once
# seconds between two looks at what runs; the end of a time limit that was seen is waited for
LOOKEVERY = 0.5
ERRANDLASTS = 10.0     # seconds that an errand gets


class Supervisor:
    """Keeps worker processes running, and replaces those that die."""

    def __init__(self, target: str, options: WorkerOptions) -> None:
        self.target = target
        self.options = options
        # by number, with the start on the monotonic clock
        self.children: dict[int, tuple[Child, float]] = {}
        # those that have died, of which something may be left
        self.fallen: set[int] = set()
        self.starts = Starts()
        self.restarts = 0
        self.stopping = False
        # where the database is, safe to print; '' before anybody has opened it
        self.place = ''
        self.folder: Path | None = None             # where boxes lie
        self.refusal = ''                           # why the application cannot be served
        self.left: Left | None = None               # what a drain has left,
        self.leftAt = 0.0                           # and when, on the monotonic clock
        self.rest = Wait()
        self.notices = Notices()
        self.asked: list[int] = []                  # signals that ask where all stand

    def start(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Start the worker processes; returns when the first one has opened the database, or is to
        end before that.

        Raises RemoteError when it cannot.
        """
        self.spawn(1)
        while not (self.place or self.refusal or self.starts.reason or ended()):
            self.pause(self.poll(time.time()))
        if self.refusal:
            raise RemoteError(self.refusal)
        for number in range(2, self.options.processes + 1) if self.place else ():
            self.spawn(number)

    def spawn(self, number: int) -> None:
        """Start one."""
        self.starts.begins(number)
        self.children[number] = self.child(number), time.monotonic()

    def child(self, number: int, errand: bool = False) -> Child:
        """A new process."""
        return Child(number, {'target': self.target, 'options': asdict(self.options),
                              'first': not self.place,
                              'errand': errand})

    def pids(self) -> list[int]:
        """The living worker processes."""
        return [child.pid for child in self.alive()]

    def poll(self, now: float) -> float:
        """Hear what the processes say, and replace those that died; returns the seconds until the
        next look."""
        wait = LOOKEVERY
        for number, (child, began) in list(self.children.items()):
            alive = child.alive()
            self.hear(child)
            if alive:
                wait = min(wait, self.watch(child))
            else:
                wait = min(wait, self.ended(number, child, began))
        return wait

    def hear(self, child: Child) -> None:
        """Hear what a process says."""
        for word, value in child.said():
            match word:
                case 'checked':
                    self.place, self.folder = value['place'], Path(value['folder'])
                case 'works':
                    child.box = value
                    self.starts.works.add(child.number)
                case 'fault' if self.place:
                    self.starts.said[child.number] = value
                case 'fault':
                    self.refusal = value
                case 'runs':
                    child.names = {int(jobid): name for jobid, name in value.items()}
                case 'leaves':
                    child.leaves = time.monotonic() + self.options.grace
                case 'ended':
                    child.ended = True
                    # the last one who looked saw what all left
                    if value[1] is not None and value[0] > self.leftAt:
                        self.leftAt, self.left = value[0], Left(*value[1])

    def ended(self, number: int, child: Child, began: float) -> float:
        """Replace a process that has ended, where that is to be; returns the seconds until it is
        time for it."""
        leaves = self.stopping or child.leaves > 0
        if self.refusal or child.ended and child.code == 0 and (self.options.drain or leaves):
            self.forget(number)
            return 0.0
        self.fallen.add(child.pid)
        for box in self.boxes(child.pid):           # whoever gives back its jobs wants to know
            blackbox.tellCode(box, child.code)
        if leaves:
            self.forget(number)
            return 0.0
        pause = self.starts.pause(number, child.code, howOf(child.code))
        young = HASTE - (time.monotonic() - began)
        if pause or young > 0 and self.restarts > 3:
            return pause or young
        self.restarts += 1
        self.forget(number)
        self.spawn(number)
        return LOOKEVERY

    def forget(self, number: int) -> None:
        """A process is over."""
        self.children.pop(number)[0].close()

    def pause(self, seconds: float) -> None:
        """Wait until a process says something, or a signal comes, at most so many seconds; then do
        what is asked for meanwhile."""
        seconds = min(seconds, self.notices.beat(time.monotonic()))
        self.rest.wait([child.line for child, _ in self.children.values() if child.line >= 0],
                       seconds)
        orphans.reap([child.pid for child, _ in self.children.values()])
        if self.asked:
            self.asked.clear()
            self.show()

    def show(self) -> None:
        """Print where all processes stand, and which jobs they run."""
        for child in self.alive():
            for box in self.boxes(child.pid):
                text = ('Worker process '
                        f'{child.pid}\n{stacks.beside(box) or "does not say where it stands"}')
                with suppress(OSError, ValueError):     # closed, or nobody reads it
                    print(text, file=sys.stderr, flush=True)

    def boxes(self, pid: int) -> list[Path]:
        """The boxes of a process; it takes them along when it ends in good order."""
        return [] if self.folder is None else listed(self.folder, '.box', f'{pid}-')

    def watch(self, child: Child) -> float:
        """Kill a process one of whose jobs has run longer than its timeout; returns the seconds
        until that may be so."""
        if child.leaves and time.monotonic() > child.leaves:
            subscribers.notify(events.WorkersEnded(self.running(child)))
            child.process.kill()
        if not child.box:
            return LOOKEVERY
        if blackbox.respite(child.box) < 0:
            blackbox.ask(child.pid, Path(child.box))
            if blackbox.respite(child.box) < 0:     # else it has ended meanwhile
                blackbox.tell(child.box, blackbox.KILLED)
                child.process.kill()
                child.box = ''              # it is not asked again, which forgets what it has said
                return LOOKEVERY
        return max(0.01, blackbox.respite(child.box))

    def alive(self) -> list[Child]:
        """The living worker processes."""
        return [child for child, _ in self.children.values() if child.alive()]

    def stop(self) -> None:
        """Ask all to end after their running jobs."""
        self.stopping = True
        for child in self.alive():
            for box in self.boxes(child.pid):
                blackbox.tell(box, blackbox.TOLD)   # it may be busy with code that hears no signal
            child.process.terminate()

    def join(self, grace: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Wait for all to end, and kill what remains after so many seconds, or when there is a
        hurry; it goes back."""
        began, told = time.monotonic(), False
        errand: Child | None = None
        while (alive := self.alive()) and not hurried() \
                and (lasts := time.monotonic() - began) < grace:
            for child in alive:
                self.hear(child)
                self.watch(child)
            deaf = [child for child in alive if child.names is None]
            if not told and lasts > TELL and (not deaf or lasts > 2 * TELL):
                told = True
                subscribers.notify(events.WorkersStopping(self.running(), grace))
                # other hosts, which do not see their boxes, shall know that they were told
                if deaf:
                    errand = self.child(0, errand=True)
            self.pause(0.05)
        left = self.alive()
        if left:
            subscribers.notify(events.WorkersEnded(self.running()))
        for child in left:
            child.process.kill()
        for child in left:
            child.process.wait()
        self.poll(time.time())
        if errand is not None:
            self.finish(errand)
        if any(self.boxes(pid) for pid in self.fallen) or self.options.drain \
                and self.left is None and self.place:
            self.finish(self.child(0, errand=True))

    def finish(self, errand: Child) -> None:
        """Wait for a process that gives back what ours held and says what is left, but not for
        long: others do so, too."""
        until = time.monotonic() + ERRANDLASTS
        while errand.alive() and time.monotonic() < until:
            self.hear(errand)
            self.rest.wait([errand.line] if errand.line >= 0 else [], 0.05)
        self.hear(errand)
        errand.process.kill()
        errand.process.wait()
        errand.close()

    def running(self, *children: Child) -> tuple[tuple[int, str, float], ...]:
        """The jobs that run, in these processes or all, by their ids, with their names, where these
        are known, and for how many seconds they do."""
        found: list[tuple[int, str, float]] = []
        for child in children or self.alive():
            for box in self.boxes(child.pid):
                found += [(slot.jobid, (child.names or {}).get(slot.jobid, ''),
                           time.monotonic() - slot.began)
                          for slot in blackbox.running(box)]
        return tuple(found)

    def run(self, begun: Callable[[], Any] = lambda: None) -> int:
        """The command: work until TERM, INT or HUP, or with options.drain until nothing is due;
        returns the exit status.

        Calls begun when the database is open. Raises RemoteError when the application cannot be
        served.
        """
        flagged: list[int] = []
        with self.rest.signals(SIGNALS, flagged), self.rest.signals({QUIT}, self.asked):
            try:
                self.start(lambda: bool(flagged))
                if self.place:
                    begun()
                    self.notices.tell('READY=1', f'STATUS=works on {self.place}')
                while self.children and not flagged and not self.starts.reason:
                    self.pause(self.poll(time.time()))
            finally:
                self.notices.tell('STOPPING=1')
                self.stop()
                self.join(self.options.grace, lambda: len(flagged) > 1)
        if self.starts.reason:
            return FAULT
        return 1 if self.left is not None and (self.left.due or self.left.paused) else 0
