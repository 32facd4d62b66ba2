# SPDX-License-Identifier: ZPL-2.1
"""Assembly: the one place that builds the running parts of `p01-remote worker`, processes and the loops within them."""
from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from p01.remote import events, storage
from p01.remote.app import App, loadApp
from p01.remote.engine import beacon, fingerprint, janitor, loglines
from p01.remote.engine.bell import bellOf
from p01.remote.engine.loop import Loop
from p01.remote.engine.outage import Outage
from p01.remote.engine.starts import FAULT, Starts, attempt, fail, say
from p01.remote.exceptions import NewerDatabase, NoProcessor, OldProcessor, PackageMissing
from p01.remote.foreign import Raised, guarded, reasonOf
from p01.remote.options import WorkerOptions
from p01.remote.storage.transactions import systematic

HASTE = 1.0         # seconds; a process that dies younger than this is not replaced at once
MEMORY = 12         # exit status of a process that has no memory left (ENOMEM)
GRACE = 30.0        # seconds that running jobs get to end
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
        self.overdue: set[int | None] = set()       # pids of those killed for a job's timeout

    def start(self) -> None:
        """Spawn the worker processes."""
        self.app.open()         # a fault of the database is told here, once
        place = storage.folder(self.app.db)
        folder = beacon.folderFor(place)
        beacon.tidy(folder)
        if place is not None:   # else databases share the folder
            for box in folder.glob('*.box'):
                self.bury(box, 'it was killed with its supervisor')
        bellOf(self.app.db).tell()      # which removes the pipes of those that were killed
        for number in range(1, self.options.processes + 1):
            self.spawn(number)

    def spawn(self, number: int) -> None:
        """Spawn one."""
        line = self.starts.line(number)
        process = spawn.Process(target=serve, args=(self.target, self.options, number, line), name=f'p01.remote.{number}')
        process.start()
        line.close()
        self.processes[number] = process, time.monotonic()

    def pids(self) -> list[int]:
        """The living worker processes."""
        return [process.pid for process, _ in self.processes.values() if process.is_alive() and process.pid]

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
        code = process.exitcode or 0
        why = howOf(code)
        if process.pid in self.overdue:
            why = 'killed for another job of its process, which ran beyond its timeout'
        for box in self.boxes(process):
            self.bury(box, why)

    def bury(self, box: Path, why: str) -> None:
        """Rescue the jobs of a process that is dead by its box, and remove the box."""
        if beacon.died(box):
            self.lose(str(box), why)
            box.unlink(missing_ok=True)

    def boxes(self, process: BaseProcess) -> list[Path]:
        """The boxes of a process; it takes them along when it ends in good order."""
        return list(beacon.folderFor(storage.folder(self.app.db)).glob(f'{process.pid}-*.box'))

    def lose(self, box: str, why: str) -> None:
        """Rescue the jobs of the process with this box."""
        for event in systematic(self.app.db, lambda connection: janitor.lost(self.app.locate(connection), box, why)):
            events.notify(event)

    def watch(self, process: BaseProcess) -> None:
        """Kill a process one of whose jobs has run longer than its timeout."""
        for box in self.boxes(process):
            try:
                overdue = any(slot.jobid and 0 < slot.deadline < time.monotonic() for slot in beacon.read(box))
            except OSError:
                continue
            if overdue:
                self.overdue.add(process.pid)
                process.kill()

    def stop(self) -> None:
        """Ask all to end after their running jobs."""
        self.stopping = True
        for process, _ in self.processes.values():
            if process.is_alive():
                process.terminate()

    def join(self, timeout: float = GRACE) -> None:
        """Wait for all to end, and kill what remains after so many seconds."""
        limit = time.monotonic() + timeout
        for process, _ in self.processes.values():
            process.join(max(0.0, limit - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self.poll(time.time())

    def run(self) -> int:
        """The command: work until TERM or INT, or with options.drain until nothing is due; returns the exit status."""
        flagged: list[int] = []

        def flag(number: int, frame: Any) -> None:
            flagged.append(number)          # only a flag: a handler that raises could break a commit

        old = {number: signal.signal(number, flag) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            while self.processes and not flagged and not self.starts.reason:
                wait = self.poll(time.time())
                sentinels = [process.sentinel for process, _ in self.processes.values() if process.is_alive()]
                multiprocessing.connection.wait(sentinels, min(wait, 0.2))
            self.stop()
            self.join()
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
        return FAULT if self.starts.reason else 0


def howOf(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f'ended with status {code}'
    name = guarded(lambda: signal.Signals(-code).name)      # those for real time have none
    return f'was killed by signal {-code if isinstance(name, Raised) else name}'


def load(target: str) -> App:
    """The App of a worker process, where the collector looks no more at what stays."""
    app = loadApp(target)
    gc.freeze()
    return app


def orphaned(seconds: float = 0.0) -> bool:
    """Whether the supervisor of this process has died, or dies within so many seconds: nobody would tell us to end."""
    parent = multiprocessing.parent_process()
    return bool(multiprocessing.connection.wait([parent.sentinel] if parent is not None else [], seconds))


def reach(app: App, name: str, ended: Callable[[], bool]) -> bool:
    """Open the database of a new worker process. One that is away is waited for, as by a loop; False when that has ended.

    Raises NewerDatabase, NoProcessor, OldProcessor, PackageMissing, MemoryError.
    """
    outage, again = Outage(name), 0.0
    while not ended():
        if time.monotonic() < again:
            time.sleep(0.1)                             # short, so that it ends soon when it is to end
            continue
        try:
            app.open()
        except (MemoryError, NewerDatabase, NoProcessor, OldProcessor, PackageMissing):
            raise                                       # waiting mends none of them
        except Exception as error:                      # storages raise what they like
            again = time.monotonic() + outage.failed(error)
        else:
            outage.over()
            return True
    return False


def serve(target: str, options: WorkerOptions, number: int, line: Connection | None = None) -> None:
    """One worker process: loops in threads, until TERM, or until the supervisor is gone; line tells it how the start went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the terminal sends it to all; the supervisor tells us with TERM
    loglines.begin(options.logLevel)
    app = attempt(line, load, target)
    fingerprint.serve(app)
    flagged: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: flagged.append(number))     # only a flag, whatever it interrupts
    if not attempt(line, reach, app, str(number), lambda: bool(flagged) or orphaned()):
        return
    loops = [attempt(line, Loop, app.db, app.locate, f'{number}.{thread}' if options.threads > 1 else str(number), options)
             for thread in range(1, options.threads + 1)]
    failed: list[BaseException] = []

    def watch() -> None:
        while not flagged and not orphaned(0.1):
            pass
        for loop in loops:
            loop.stop()

    def work(loop: Loop) -> None:
        try:
            loop.work()
        except MemoryError:
            os._exit(MEMORY)                            # nothing that needs memory can be relied on
        except BaseException as error:                  # of whatever class: a thread that ends without a word looks alive
            failed.append(error)
            events.notify(events.WorkerFailed(loop.name, reasonOf(error), 'it ends'))
        loop.close()

    threading.Thread(target=watch, name='p01-watch', daemon=True).start()
    threads = [threading.Thread(target=work, args=(loop,), name=f'p01.remote.{loop.name}') for loop in loops]
    for thread in threads:
        thread.start()
    say(line)
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)                            # short, so that the main thread sees signals
    if failed:
        fail(line, failed[0])                           # the supervisor rescues what is left, and starts another
    beacon.forget(app.db)
    app.close()
