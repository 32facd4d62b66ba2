# SPDX-License-Identifier: ZPL-2.1
"""The supervisor of `p01-remote worker`. It imports neither the application nor a database, which
only its processes need.

What asks for them is done there: the first one says whether the application can be served, those
that live give back what the dead held, and for what nobody is left to do a process goes on an
errand.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from p01.remote import events, logs  # noqa: F401 - logs subscribes itself
from p01.remote.engine import orphans
from p01.remote.engine.channel import QUIT, SIGNALS, TELL, Child, Wait
from p01.remote.engine.crew import Crew
from p01.remote.engine.notices import Notices
from p01.remote.engine.pulse import Pulse
from p01.remote.engine.reloading import SOURCELOOK, Reloading
from p01.remote.engine.starts import FAULT
from p01.remote.exceptions import RemoteError
from p01.remote.ground import blackbox, subscribers
from p01.remote.ground.blackbox import howOf
from p01.remote.ground.question import ask
from p01.remote.options import WorkerOptions
from p01.remote.views.leftovers import Left

HASTE = 1.0         # seconds; a process that dies younger than this is not replaced at once
# seconds between two looks at what runs; the end of a time limit that was seen is waited for
LOOKEVERY = 0.5
TOLDALONE = 'a signal has told its process to end, and not the command'
ERRANDLASTS = 10.0     # seconds that an errand gets


class Supervisor:
    """Keeps worker processes running, and replaces those that die."""

    def __init__(self, target: str, options: WorkerOptions) -> None:
        self.options = options
        self.crew = Crew(target, options)
        self.starts = self.crew.starts
        self.reloading = Reloading(self.crew) if options.reload else None
        # those that have died, of which something may be left
        self.fallen: set[int] = set()
        self.restarts = self.recycled = 0
        self.stopping = False
        # where the database is, safe to print; '' before anybody has opened it
        self.place = ''
        self.refusal = ''                           # why the application cannot be served
        self.left: Left | None = None               # what a drain has left,
        self.leftAt = 0.0                           # and when, on the monotonic clock
        self.rest = Wait()
        self.notices = Notices()
        self.pulse = Pulse(options.healthFile, self.crew)
        self.asked: list[int] = []                  # signals that ask where all stand

    def start(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Start the worker processes, the others when the first one has opened the database;
        returns when all have been started, or are to end before that.

        Raises RemoteError when it cannot.
        """
        self.crew.spawn(1)
        while not (self.place or self.refusal or self.starts.reason or ended()):
            self.pause(self.poll(time.time()))
        if self.refusal:
            raise RemoteError(self.refusal)
        self.crew.due += range(2, self.options.processes + 1) if self.place else ()
        while self.crew.due and not ended():
            self.pause(self.poll(time.time()))

    def pids(self) -> list[int]:
        """The living worker processes."""
        return [child.pid for child in self.crew.alive()]

    def poll(self, now: float) -> float:
        """Hear what the processes say, and replace those that died; returns the seconds until the
        next look."""
        wait = LOOKEVERY
        for child in self.crew.every():
            alive = child.alive()
            self.hear(child)
            if alive:
                wait = min(wait, self.watch(child))
            elif child in self.crew.leaving:
                self.crew.leaving.remove(child)
                self.bury(child)
                child.close()
            elif child is not self.crew.trial:
                wait = min(wait, self.ended(child.number, child))
        if not self.stopping:
            for child in self.reloading.look() if self.reloading else ():
                self.dismiss(child)
            self.crew.fill()
        return min(wait, SOURCELOOK) if self.reloading else wait

    def hear(self, child: Child) -> None:
        """Hear what a process says."""
        for word, value in child.said():
            match word:
                case 'checked':
                    self.place, self.crew.folder = value['place'], Path(value['folder'])
                    self.crew.opened = True
                case 'files':
                    child.files += value
                case 'works':
                    child.box, child.works = value, True
                    self.starts.works.add(child.number)
                case 'full':
                    self.recycle(child)
                case 'fault' if self.place:
                    self.starts.said[child.number] = child.reason = value
                case 'fault':
                    self.refusal = value
                case 'runs':
                    child.names = {int(jobid): name for jobid, name in value.items()}
                case 'leaves':
                    child.leaves = time.monotonic() + self.options.grace
                case 'told':
                    child.told = value
                case 'ended':
                    child.ended = True
                    # the last one who looked saw what all left
                    if value[1] is not None and value[0] > self.leftAt:
                        self.leftAt, self.left = value[0], Left(*value[1])

    def recycle(self, child: Child) -> None:
        """A process has done what one does: another one begins, while its running jobs end."""
        if not self.stopping and self.crew.release(child):
            self.recycled += 1
            self.crew.due.append(child.number)

    def dismiss(self, child: Child) -> None:
        """Have a process end after its running jobs, which get the grace of all that are told to
        stop."""
        self.tell(child)
        child.leaves = time.monotonic() + self.options.grace

    def ended(self, number: int, child: Child) -> float:
        """Replace a process that has ended, where that is to be; returns the seconds until it is
        time for it."""
        leaves = self.stopping or child.leaves > 0
        alone = child.told and not leaves           # somebody else than we has told it to end
        if self.refusal or child.ended and child.code == 0 and (
                self.options.drain and not alone or leaves):
            self.crew.forget(number)
            return 0.0
        self.bury(child)
        if leaves:
            self.crew.forget(number)
            return 0.0
        pause = self.starts.pause(number, child.code, howOf(child.code))
        young = HASTE - (time.monotonic() - self.crew.children[number][1])
        if pause or young > 0 and self.restarts > 3:
            return pause or young
        if alone:
            subscribers.notify(events.WorkerFailed(str(number), TOLDALONE,
                                                   'another one takes its place'))
        self.restarts += 1
        self.crew.forget(number)
        self.crew.due.append(number)
        return LOOKEVERY

    def bury(self, child: Child) -> None:
        """A process has ended; unless that was in good order, something may be left of it."""
        if not child.ended or child.code:
            self.fallen.add(child.pid)
            for box in self.crew.boxes(child.pid):      # whoever gives back its jobs wants to know
                blackbox.tellCode(box, child.code)

    def pause(self, seconds: float) -> None:
        """Wait until a process says something, or a signal comes, at most so many seconds; then do
        what is asked for meanwhile."""
        now = time.monotonic()
        seconds = min(seconds, self.notices.beat(now), self.pulse.beat(now))
        self.rest.wait([child.line for child in self.crew.every() if child.line >= 0], seconds)
        orphans.reap([child.pid for child in self.crew.every()])
        if self.asked:
            self.asked.clear()
            self.crew.show()

    def watch(self, child: Child) -> float:
        """Kill a process one of whose jobs has run longer than its timeout; returns the seconds
        until that may be so."""
        if child.leaves and time.monotonic() > child.leaves:
            subscribers.notify(events.WorkersEnded((*self.crew.running(child),)))
            child.process.kill()
        if not child.box:
            return LOOKEVERY
        if blackbox.respite(child.box) < 0:
            ask(child.pid, Path(child.box))
            if blackbox.respite(child.box) < 0:     # else it has ended meanwhile
                blackbox.tell(child.box, blackbox.KILLED)
                child.process.kill()
                child.box = ''              # it is not asked again, which forgets what it has said
                return LOOKEVERY
        return max(0.01, blackbox.respite(child.box))

    def stop(self) -> None:
        """Ask all to end after their running jobs."""
        self.stopping = True
        self.crew.due.clear()
        for child in self.crew.alive():
            self.tell(child)

    def tell(self, child: Child) -> None:
        """Ask a process to end after its running jobs."""
        for box in self.crew.boxes(child.pid):
            blackbox.tell(box, blackbox.TOLD)       # it may be busy with code that hears no signal
        child.process.terminate()

    def join(self, grace: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Wait for all to end, and kill what remains after so many seconds, or when there is a
        hurry; it goes back."""
        began, told = time.monotonic(), False
        errand: Child | None = None
        while (alive := self.crew.alive()) and not hurried() \
                and (lasts := time.monotonic() - began) < grace:
            for child in alive:
                self.hear(child)
                self.watch(child)
            deaf = [child for child in alive if child.names is None]
            if not told and lasts > TELL and (not deaf or lasts > 2 * TELL):
                told = True
                subscribers.notify(events.WorkersStopping((*self.crew.running(),), grace))
                # other hosts, which do not see their boxes, shall know that they were told
                if deaf:
                    errand = self.crew.child(0, errand=True)
            self.pause(0.05)
        left = self.crew.alive()
        if left:
            subscribers.notify(events.WorkersEnded((*self.crew.running(),)))
        for child in left:
            child.process.kill()
        for child in left:
            child.process.wait()
        self.poll(time.time())
        if errand is not None:
            self.finish(errand)
        if any(self.crew.boxes(pid) for pid in self.fallen) or self.options.drain \
                and self.left is None and self.place:
            self.finish(self.crew.child(0, errand=True))

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
                while self.crew.lasts() and not flagged and not self.starts.reason:
                    self.pause(self.poll(time.time()))
            finally:
                self.notices.tell('STOPPING=1')
                self.stop()
                self.join(self.options.grace, lambda: len(flagged) > 1)
                self.pulse.end()
        if self.starts.reason:
            return FAULT
        return 1 if self.left is not None and (self.left.due or self.left.paused) else 0
