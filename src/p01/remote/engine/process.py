# SPDX-License-Identifier: ZPL-2.1
"""One worker process of a supervisor: loops in threads, until it is told to end."""
from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from p01.remote import events
from p01.remote.app import App, loadApp
from p01.remote.engine import beacon, fingerprint, limit, loglines
from p01.remote.engine.loop import Loop
from p01.remote.engine.outage import Outage
from p01.remote.engine.starts import attempt, fail, say
from p01.remote.exceptions import NewerDatabase, NoProcessor, OldProcessor, PackageMissing
from p01.remote.foreign import reasonOf
from p01.remote.options import WorkerOptions
from p01.remote.storage import blackbox

MEMORY = 12         # exit status of a process that has no memory left (ENOMEM)


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the terminal sends these to all; the supervisor tells us with TERM
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})
    loglines.begin(options.logLevel)
    app = attempt(line, load, target)
    fingerprint.serve(app)
    flagged: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: flagged.append(number))     # only a flag, whatever it interrupts
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if not attempt(line, reach, app, str(number), lambda: bool(flagged) or orphaned()):
        return
    loops = [attempt(line, Loop, app.db, app.locate, f'{number}.{thread}' if options.threads > 1 else str(number), options)
             for thread in range(1, options.threads + 1)]
    for loop in loops:
        loop.supervised = True
    limit.register(beacon.mine(app.db))
    failed: list[BaseException] = []

    def watch() -> None:
        while not flagged and not orphaned(0.1):
            pass
        beacon.end(blackbox.TOLD)
        for loop in loops:
            loop.stop()

    threading.Thread(target=watch, name='p01-watch', daemon=True).start()
    threads = [threading.Thread(target=work, args=(loop, loops, failed), name=f'p01.remote.{loop.name}') for loop in loops]
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
    linger(options.grace)


def work(loop: Loop, loops: list[Loop], failed: list[BaseException]) -> None:
    """The thread of one loop. When it fails, all end with it, and the next process has all of them again."""
    try:
        loop.work()
    except MemoryError:
        os._exit(MEMORY)                                # nothing that needs memory can be relied on
    except BaseException as error:                      # of whatever class: a thread that ends without a word looks alive
        failed.append(error)
        events.notify(events.WorkerFailed(loop.name, reasonOf(error), 'it ends'))
        for each in loops:
            each.stop()
    loop.close()


def linger(patience: float) -> None:
    """Wait for threads and processes that jobs left, at most so many seconds: Python would wait for them for ever."""
    left: list[threading.Thread | BaseProcess] = [*threading.enumerate(), *multiprocessing.active_children()]
    left = [each for each in left if not each.daemon and each is not threading.main_thread()]
    if not left:
        return
    events.notify(events.LeftBehind(tuple(each.name for each in left), patience))
    until = time.monotonic() + patience
    for each in left:
        each.join(max(0.0, until - time.monotonic()))
    if any(each.is_alive() for each in left):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):        # closed, or a pipe that nobody reads
                stream.flush()
        os._exit(0)
