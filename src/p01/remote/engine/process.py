# SPDX-License-Identifier: ZPL-2.1
"""One worker process of a supervisor: loops in threads, until it is told to end; or one that goes
on an errand."""
from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from p01.remote import events, storage
from p01.remote.app import App
from p01.remote.engine import closing, executors, fingerprint, limit, loglines, presence, quota
from p01.remote.engine.bell import bellOf
from p01.remote.engine.channel import QUIT, TELL, Line, Wait
from p01.remote.engine.context import running
from p01.remote.engine.errand import errand, mark
from p01.remote.engine.loop import Loop
from p01.remote.engine.orphans import linger
from p01.remote.engine.outage import Outage
from p01.remote.engine.reloading import filesOf
from p01.remote.engine.starts import FAULT, broken
from p01.remote.exceptions import (
    TRACEVARIABLE,
    AddressError,
    NewerDatabase,
    NoProcessor,
    OldProcessor,
    PackageMissing,
    RemoteError,
    sentence,
)
from p01.remote.front.named import loadApp
from p01.remote.front.schedules import declaringOf
from p01.remote.ground import blackbox, clocks, folders, subscribers
from p01.remote.ground.foreign import Raised, described, guarded, reasonOf
from p01.remote.options import WorkerOptions
from p01.remote.views.figures import leftOf
from p01.remote.views.leftovers import Left

IMPORTLOOK = 1.0    # seconds between two looks at what jobs have imported, see reloading
MEMORY = 12         # exit status of a process that has no memory left (ENOMEM)

P = ParamSpec('P')
Result = TypeVar('Result')


def main(orders: dict[str, Any], heard: int, says: int) -> None:
    """What a process of a supervisor does, by its orders, see engine.channel."""
    # the terminal sends these to all; the supervisor tells us with TERM
    quiet = {signal.SIGINT, signal.SIGHUP, QUIT}
    for number in quiet:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, quiet)
    presence.parent = orders['parent']
    line, options = Line(heard, says), WorkerOptions(**orders['options'])
    loglines.begin(options.logLevel, running.get, options.logFormat)
    if orders['errand']:
        attempt(line, errand, line, orders['target'], options)
    else:
        Served(line, orders['target'], options, orders['number'], orders['first']).work()


def attempt(line: Line, step: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Do a step of a process's start; what it raises ends the process with one sentence, which its
    supervisor tells."""
    done = guarded(step, *args, **kwargs)
    if not isinstance(done, Raised):
        return done
    line.say('files', filesOf(done.error))      # one of them may mend it
    fail(line,
         described(done.error) if isinstance(done.error, RemoteError) else reasonOf(done.error))
    raise AssertionError('unreachable')


def fail(line: Line, reason: str) -> None:
    """End this process; its supervisor tells why."""
    line.say('fault', reason)
    sys.exit(FAULT)


def load(target: str) -> App:
    """The App of a worker process, where the collector looks no more at what stays."""
    app = loadApp(target)
    gc.freeze()
    return app


def fit(app: App) -> App:
    """An App that several processes can open, opened. Raises AddressError, and whatever opening
    raises."""
    # of what is told in a sentence storages write tracebacks
    logging.disable()
    try:
        kind = storage.parse(app.database).kind if isinstance(app.database,
                                                              str) else storage.kind(app.db)
        if kind not in presence.ALONEKINDS:
            app.open()
    finally:
        logging.disable(logging.NOTSET)
    if kind in presence.ALONEKINDS:
        serves = 'lives in one process only' if kind == 'memory' else 'serves a single process'
        raise AddressError(f'{app.place} {serves}, and worker starts processes of its own; use '
                           'sqlite: or zeo:, or call processor.startProcessing() in your own '
                           'process.')
    return app


class Served:
    """An App that is served here."""

    def __init__(self, line: Line, target: str, options: WorkerOptions, number: int,
                 first: bool) -> None:
        self.line = line
        self.options = options
        self.number = number
        self.flagged: list[int] = []            # signals that told us to end
        self.rest = Wait()
        self.failed: list[BaseException] = []
        self.loops: list[Loop] = []
        self.over: list[Loop] = []              # those that have ended
        self.modules = 0                        # so many were imported when they were told of
        self.app = self.first(target) if first else attempt(line, load, target)
        self.imported()
        fingerprint.serve(self.app)
        self.declaring = declaringOf(self.app)
        self.declaring.serve()

    def imported(self) -> None:
        """Tell which files were imported, where changes of them matter."""
        if self.options.reload and self.modules != len(sys.modules):
            self.modules = len(sys.modules)
            self.line.say('files', filesOf())

    def first(self, target: str) -> App:
        """The App, opened, before anybody else has done so: what is wrong with it is told once, and
        ends the command."""
        app = guarded(lambda: fit(load(target)))
        if isinstance(app, Raised):
            if os.environ.get(TRACEVARIABLE):
                traceback.print_exception(app.error)
            fail(self.line, sentence(app.error))
            raise AssertionError('unreachable')
        bellOf(app.db).tell()                   # which removes what listeners left that were killed
        return app

    def work(self) -> None:
        """Work until TERM, until the supervisor is gone, or a drain has nothing left."""
        with self.rest.signals({signal.SIGTERM}, self.flagged):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            if not attempt(self.line, reach, self.app,
                           str(self.number), lambda: bool(self.flagged) or self.line.gone()):
                return
            attempt(self.line, quota.prove, self.options)
            attempt(self.line, executors.prove, self.options)
            folder = attempt(self.line, folders.folderFor, storage.folder(self.app.db))
            self.line.say('checked', {'place': self.app.place, 'folder': str(folder)})
            presence.tidy(folder)
            self.loops += attempt(self.line, self.made)
            try:
                self.turn()
            except BaseException as error:      # a job has closed what we are told by, say
                broken(self.number, error)
            if self.failed:
                # others rescue what is left, and another one is started
                fail(self.line, reasonOf(self.failed[0]))
            presence.forget(self.app.db)
            now, left = time.monotonic(), guarded(self.left)
            self.app.close()
            self.line.say('told', signal.SIGTERM in self.flagged)
            self.line.say('ended', [now, None if isinstance(left, Raised) else left])
            linger(self.options.grace)

    def made(self) -> list[Loop]:
        """The loops."""
        number, threads = self.number, self.options.threads
        loops = [Loop(self.app.db, self.app.locate,
                      f'{number}.{thread}' if threads > 1 else str(number), self.options)
                 for thread in range(1, threads + 1)]
        for loop in loops:
            loop.post.supervised = True
            loop.leave = self.leave
        loops[0].booking.ticker.declaring = self.declaring
        if self.options.maxJobs or self.options.maxMemory:
            rest = quota.Quota(self.options, loops, self.full)
            for loop in loops:
                loop.quota = rest
        limit.register(presence.mine(self.app.db), loops)
        return loops

    def turn(self) -> None:
        """Let the loops run, each in its thread, and wait for their end."""
        threads = [threading.Thread(target=self.run, args=(loop,), name=f'p01.remote.{loop.name}')
                   for loop in self.loops]
        for thread in threads:
            thread.start()
        box = presence.mine(self.app.db)
        self.line.say('works', '' if box.file is None else str(box.path))
        told, noted = 0.0, False                # since when we are to end; whether that is said
        while len(self.over) < len(threads):
            late = told + TELL - time.monotonic() if told and not noted \
                else IMPORTLOOK if self.options.reload else None
            self.imported()
            self.rest.wait([] if told else [self.line.heard], late)
            if not told and (self.flagged or self.line.gone()):
                told = time.monotonic()
                presence.end(blackbox.TOLD)
                for loop in self.loops:
                    loop.stop()
            elif told and not noted and time.monotonic() - told >= TELL:
                noted = True
                closing.alongside(self.app.db, self.note)
        for thread in threads:
            thread.join()

    def leave(self) -> None:
        """People want this process to end; for its loops."""
        self.line.say('leaves')
        self.end()

    def full(self, why: str) -> None:
        """This process has done what one does; for its loops."""
        self.line.say('full')
        subscribers.notify(events.WorkerRecycled(str(self.number), why))
        self.end()

    def end(self) -> None:
        """Have the loops end."""
        self.flagged.append(0)
        self.rest.wake()

    def run(self, loop: Loop) -> None:
        """The thread of one loop. When it fails, all end with it, and the next process has all of
        them again."""
        try:
            loop.work()
        except MemoryError:
            os._exit(MEMORY)                    # nothing that needs memory can be relied on
        # of whatever class: a thread that ends without a word looks alive
        except BaseException as error:
            self.failed.append(error)
            subscribers.notify(events.WorkerFailed(loop.name, reasonOf(error), 'it ends'))
            for each in self.loops:
                each.stop()
        try:
            loop.close()
        finally:
            self.over.append(loop)
            self.rest.wake()

    def note(self) -> None:
        """Say which jobs are waited for; and in the database, for other hosts, that we were told to
        stop."""
        names: dict[int, str] = {}
        # without names when the storage is away
        with contextlib.suppress(Exception), self.app.reading() as processor:
            names.update((jobid, processor.store.entry(jobid)[1].name) for loop in self.loops
                         for jobid in (loop.post.running, *loop.handed.running()) if jobid)
        self.line.say('runs', names)
        with contextlib.suppress(Exception):
            mark(self.app, {Path(presence.mine(self.app.db).path)})

    def left(self) -> Left | None:
        """What a drain has left."""
        if not self.options.drain:
            return None
        with self.app.reading() as processor:
            return leftOf(processor.store, self.options.queues, clocks.now())


def reach(app: App, name: str, ended: Callable[[], bool]) -> bool:
    """Open the database of a new worker process. One that is away is waited for, as by a loop;
    False when that has ended.

    Raises NewerDatabase, NoProcessor, OldProcessor, PackageMissing, MemoryError.
    """
    outage, again = Outage(name), 0.0
    while not ended():
        if time.monotonic() < again:
            # short, so that it ends soon when it is to end
            time.sleep(0.1)
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
