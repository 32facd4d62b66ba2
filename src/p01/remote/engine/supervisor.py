# SPDX-License-Identifier: ZPL-2.1
"""Assembly: the one place that builds the running parts of `p01-remote worker`, processes and the loops within them."""
from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from p01.remote import events, storage
from p01.remote.app import App, loadApp
from p01.remote.engine import beacon, janitor, limit
from p01.remote.engine.bell import bellOf
from p01.remote.engine.left import Left, leftOf
from p01.remote.engine.outage import Outage
from p01.remote.engine.process import serve
from p01.remote.engine.starts import FAULT, Starts
from p01.remote.foreign import Raised, guarded
from p01.remote.options import WorkerOptions
from p01.remote.storage import blackbox
from p01.remote.storage.transactions import systematic

HASTE = 1.0         # seconds; a process that dies younger than this is not replaced at once
TELL = 0.5          # seconds after which a stop says what it waits for
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}        # each asks a supervisor to end
spawn = multiprocessing.get_context('spawn')    # never fork with an open database


class Supervisor:
    """Keeps worker processes running, replaces those that die, and gives their jobs to the others at once."""

    def __init__(self, target: str, options: WorkerOptions) -> None:
        self.target = target
        self.options = options
        self.app: App = loadApp(target)
        self.processes: dict[int, tuple[BaseProcess, float]] = {}   # by number, with the start on the monotonic clock
        self.starts = Starts()
        self.restarts = 0
        self.stopping = False
        self.drained: set[int] = set()
        self.left: Left | None = None               # what a drain has left

    def start(self) -> None:
        """Spawn the worker processes."""
        self.app.open()         # a fault of the database is told here, once
        place = storage.folder(self.app.db)
        folder = blackbox.folderFor(place)
        beacon.tidy(folder)
        if place is not None:   # else databases share the folder
            for box in folder.glob('*.box'):
                self.bury(box, 'it was killed with its supervisor')
        bellOf(self.app.db).tell()      # which removes what listeners left that were killed
        for number in range(1, self.options.processes + 1):
            self.spawn(number)

    def spawn(self, number: int) -> None:
        """Spawn one."""
        line = self.starts.line(number)
        process = spawn.Process(target=serve, args=(self.target, self.options, number, line), name=f'p01.remote.{number}')
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)     # until it has said what it does with them
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        line.close()
        self.processes[number] = process, time.monotonic()

    def pids(self) -> list[int]:
        """The living worker processes."""
        return [process.pid for process in self.alive() if process.pid]

    def poll(self, now: float) -> float:
        """Replace the processes that died; returns the seconds until the next look."""
        wait = 1.0
        for number, (process, began) in list(self.processes.items()):
            if process.is_alive():
                self.starts.listen(number)
                self.watch(process)
                continue
            ends = self.options.drain or self.stopping
            if process.exitcode == 0 and ends and not self.boxes(process):      # else a job ended it with os._exit(0)
                self.drained.add(number)
                del self.processes[number]
                continue
            try:
                self.rescue(process)
            except Exception as error:      # as a rule the storage is away; the janitors of the others will find the box
                Outage('supervisor').failed(error)
            if self.stopping:
                del self.processes[number]
                continue
            pause = self.starts.pause(number, process.exitcode or 0, howOf(process.exitcode or 0))
            if pause:
                wait = min(wait, pause)
                continue
            young = HASTE - (time.monotonic() - began)
            if young > 0 and self.restarts > 3:
                wait = min(wait, young)
                continue
            self.restarts += 1
            self.spawn(number)
        return wait

    def rescue(self, process: BaseProcess) -> None:
        """Give the jobs of a process that died to the others."""
        for box in self.boxes(process):
            self.bury(box, howOf(process.exitcode or 0))

    def bury(self, box: Path, why: str) -> None:
        """Rescue the jobs of a process that is dead by its box, and remove the box."""
        if blackbox.died(box):
            janitor.tell(systematic(self.app.db, lambda connection: janitor.lost(self.app.locate(connection), str(box), why)))
            beacon.remove(box)

    def boxes(self, process: BaseProcess) -> list[Path]:
        """The boxes of a process; it takes them along when it ends in good order."""
        return list(blackbox.folderFor(storage.folder(self.app.db)).glob(f'{process.pid}-*.box'))

    def watch(self, process: BaseProcess) -> None:
        """Kill a process one of whose jobs has run longer than its timeout."""
        for box in self.boxes(process):
            if process.pid and overdue(box):
                limit.ask(process.pid, box)
                if overdue(box):                    # else it has ended meanwhile
                    blackbox.tell(box, blackbox.KILLED)
                    process.kill()

    def alive(self) -> list[BaseProcess]:
        """The living worker processes."""
        return [process for process, _ in self.processes.values() if process.is_alive()]

    def stop(self) -> None:
        """Ask all to end after their running jobs."""
        self.stopping = True
        for process in self.alive():
            for box in self.boxes(process):
                blackbox.tell(box, blackbox.TOLD)   # it may be busy with code that hears no signal
            process.terminate()

    def join(self, grace: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Wait for all to end, and kill what remains after so many seconds, or when there is a hurry; it goes back."""
        began, told = time.monotonic(), False
        while self.alive() and not hurried() and time.monotonic() - began < grace:
            if not told and time.monotonic() - began > TELL:
                told = True
                events.notify(events.WorkersStopping(self.running(), grace))
                threading.Thread(target=self.note, name='p01-note', daemon=True).start()
            for process in self.alive():
                self.watch(process)                 # not join: what a job forked may hold on to the pipe that it waits for
            multiprocessing.connection.wait([process.sentinel for process in self.alive()], 0.05)
        left = self.alive()
        if left:
            events.notify(events.WorkersEnded(self.running()))
        for process in left:
            process.kill()
        while self.alive():
            time.sleep(0.01)
        self.poll(time.time())

    def note(self) -> None:
        """Say in the database that our workers were told to stop: other hosts do not see their boxes."""
        boxes = {str(box) for process in self.alive() for box in self.boxes(process)}

        def work(connection: Any) -> None:
            for seat in self.app.locate(connection).store.seats.values():
                if seat.box and str(blackbox.boxOf(seat)) in boxes:
                    seat.told = True

        with contextlib.suppress(Exception):        # the storage is away
            systematic(self.app.db, work)

    def running(self) -> tuple[tuple[int, str, float], ...]:
        """The jobs that run, by their ids, with their names and for how many seconds they do."""
        found = {}
        for process in self.alive():
            for box in self.boxes(process):
                with contextlib.suppress(OSError):
                    found.update({slot.jobid: slot.began for slot in blackbox.read(box).slots if slot.jobid})
        now, names = time.monotonic(), dict.fromkeys(found, '')
        with contextlib.suppress(Exception), self.app.reading() as processor:      # without names when the storage is away
            names.update((jobid, processor.store.entry(jobid)[1].name) for jobid in found)
        return tuple((jobid, names[jobid], now - began) for jobid, began in found.items())

    def run(self) -> int:
        """The command: work until TERM, INT or HUP, or with options.drain until nothing is due; returns the exit status."""
        flagged: list[int] = []

        def flag(number: int, frame: Any) -> None:
            flagged.append(number)          # only a flag: a handler that raises could break a commit

        old = {number: signal.signal(number, flag) for number in SIGNALS
               if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}      # ignored: nohup started us
        try:
            self.start()
            while self.processes and not flagged and not self.starts.reason:
                wait = self.poll(time.time())
                sentinels = [process.sentinel for process in self.alive()]
                multiprocessing.connection.wait(sentinels, min(wait, 0.2))
            self.stop()
            self.join(self.options.grace, lambda: len(flagged) > 1)
            if self.options.drain:
                with self.app.reading() as processor:
                    self.left = leftOf(processor, self.options.queues, time.time())
        finally:
            for number, handler in old.items() if not flagged else ():      # told to end, it does, whatever comes yet
                signal.signal(number, handler)
        if self.starts.reason:
            return FAULT
        return 1 if self.left is not None and (self.left.due or self.left.paused) else 0


def howOf(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f'ended with status {code}'
    name = guarded(lambda: signal.Signals(-code).name)      # those for real time have none
    return f'was killed by signal {-code if isinstance(name, Raised) else name}'


def overdue(box: Path) -> bool:
    """Whether a job has run longer than its timeout, by the box of its process."""
    try:
        return any(slot.jobid and 0 < slot.deadline < time.monotonic() for slot in blackbox.read(box).slots)
    except OSError:
        return False
