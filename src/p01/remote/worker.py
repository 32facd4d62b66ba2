# SPDX-License-Identifier: ZPL-2.1
"""Workers that a processor starts in threads of its own process. See IWorker."""
from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ZODB.DB import DB
from zope.interface import implementer

from p01.remote import events
from p01.remote.engine import presence, surroundings
from p01.remote.engine.closing import hire, resign
from p01.remote.engine.loop import Loop
from p01.remote.engine.outage import Outage
from p01.remote.engine.seams import Hired
from p01.remote.exceptions import (
    NewerDatabase,
    OldProcessor,
    ProcessorGone,
    RemoteError,
    StorageAway,
)
from p01.remote.ground import clocks, fork, subscribers
from p01.remote.ground.foreign import interrupts, reasonOf
from p01.remote.instants import duration, seconds
from p01.remote.interfaces import IWorker
from p01.remote.options import Queues, WorkerOptions
from p01.remote.storage.insides import isClosed
from p01.remote.storage.places import Follower

logger = logging.getLogger('p01.remote')
SOON = 0.01                     # seconds; a processor that is not committed yet is looked for again


@implementer(IWorker)
class SimpleWorker:
    """Runs one job at a time. The processor that it has found once it follows wherever it goes.
    queues: only these, () for all: several in strict order, or {queue: weight}; executor, slots:
    see WorkerOptions."""

    threads = 1

    def __init__(self, db: DB, queuePath: Sequence[str], waitTime: float = 1.0,
                 queues: Queues = (), executor: str = '', slots: int = 0) -> None:
        self.db = db
        self.queuePath = tuple(queuePath)
        self.follower = Follower(self.queuePath)
        self.waitTime = duration(waitTime, 'waitTime')
        # a wait of no time at all would spin; an idle worker is woken anyway
        self.options = WorkerOptions(waitTime=max(self.waitTime, 0.01), queues=queues,
                                     executor=executor, slots=slots)
        self.loops: list[Loop] = []
        self.stopped = threading.Event()

    @property
    def name(self) -> str:
        """The name of its thread."""
        return 'p01.remote.' + '.'.join(self.queuePath)

    def loop(self) -> Loop:
        """A loop on a connection of its own."""
        return Loop(self.db, self.follower.locate, '.'.join(self.queuePath), self.options)

    def processNextJob(self, now: datetime | float | None = None) -> bool:
        """Run the next job that is due; whether there was one."""
        loop = self.loop()
        try:
            loop.ready()
            tasks, _ = loop.book(clocks.now() if now is None else seconds(now, 'now'), 1)
            for task in tasks:
                loop.act(task)
            return bool(tasks)
        finally:
            loop.close()

    def __call__(self) -> None:
        """Work until stop is called, or the database is closed."""
        hire(self.db, self, threading.current_thread())
        others = [threading.Thread(target=begin, args=(self.work,), name=f'{self.name}.{number}',
                                   daemon=True)
                  for number in range(2, self.threads + 1)]
        for thread in others:
            thread.start()
        try:
            self.work()
            for thread in others:
                thread.join()
        finally:
            resign(self.db, self)

    def work(self) -> None:
        """Work in this thread."""
        outage = Outage(self.name)
        while not self.stopped.is_set() and not isClosed(self.db):
            loop = self.loop()
            loop.working = True
            self.loops.append(loop)
            try:
                loop.ready()
            except (OldProcessor, NewerDatabase) as error:      # waiting mends neither
                loop.free()
                self.stopped.set()
                logger.error('%s ends: %s', self.name, error)
                return
            except Exception as error:
                # started before the processor was committed, or while the storage is away
                loop.free()
                self.loops.remove(loop)
                missing = isinstance(error, RemoteError) and not isinstance(error, StorageAway)
                self.stopped.wait(SOON if missing else outage.failed(error))
                continue
            outage.over()
            try:
                if not self.stopped.is_set():
                    loop.work()
            except ProcessorGone as error:
                self.stopped.set()
                logger.warning('%s ends: %s', self.name, error)
            except MemoryError as error:
                subscribers.notify(events.WorkerFailed(self.name, reasonOf(error), 'it ends'))
                raise
            except BaseException as error:
                # of whatever class: a thread that ends without a word looks alive
                if interrupts(error):
                    raise
                self.stopped.wait(outage.failed(error))
            finally:
                self.loops.remove(loop)
                loop.close()
            if loop.dismissed:
                self.stopped.set()

    def stop(self) -> None:
        """Let the running jobs end, and no other begin."""
        self.stopped.set()
        for loop in list(self.loops):
            loop.stop()


class MultiWorker(SimpleWorker):
    """Runs so many jobs at a time, each in a thread with a connection of its own."""

    def __init__(self, db: DB, queuePath: Sequence[str], waitTime: float = 1.0,
                 maxThreads: int | None = None, queues: Queues = (), executor: str = '',
                 slots: int = 0) -> None:
        super().__init__(db, queuePath, waitTime, queues, executor, slots)
        self.threads = maxThreads or 5


# -- workers of this process, by database and the oid of their processor, or the path that they have
# instead

Key = bytes | tuple[str, ...] | None
_running: weakref.WeakKeyDictionary[DB,
                                    dict[Key,
                                         tuple[Any,
                                               threading.Thread]]] = weakref.WeakKeyDictionary()
_lock = fork.Lock()


def begin(target: Callable[[], None]) -> None:
    """What a new thread does."""
    surroundings.clear()
    target()


def start(db: DB, worker: Hired, key: Key = None) -> bool:
    """Let a worker run in a daemon thread; whether none ran for its processor before."""
    if isinstance(key, bytes) and isinstance(worker, SimpleWorker):
        worker.follower.known = db.database_name, key
    key = key or tuple(worker.queuePath)
    with _lock:
        mine = _running.setdefault(db, {})
        known = mine.get(key)
        if known is not None and known[1].is_alive():
            return False
        thread = threading.Thread(target=begin, args=(worker,), name=worker.name, daemon=True)
        mine[key] = worker, thread
        thread.start()
        hire(db, worker, thread)
    presence.heed()
    subscribers.notify(events.ProcessorStarted(worker.queuePath[-1]))
    return True


def stop(db: DB, key: Key, timeout: float | None = 30.0) -> bool:
    """Stop the worker of a processor, and wait for its running job to end; whether one ran."""
    with _lock:
        known = _running.get(db, {}).pop(key, None)
    if known is None:
        return False
    worker, thread = known
    worker.stop()
    if thread is not threading.current_thread():
        thread.join(timeout)
    subscribers.notify(events.ProcessorStopped(worker.queuePath[-1]))
    return True


def isRunning(db: DB, key: Key) -> bool:
    """Whether a worker of this process runs for a processor."""
    known = _running.get(db, {}).get(key)
    return known is not None and known[1].is_alive()


def stopAll() -> None:
    """Stop all workers of this process; for tests and for its end."""
    for db, workers in list(_running.items()):
        for key in list(workers):
            stop(db, key)


def _forked() -> None:
    """A forked child has none of its parent's threads."""
    _running.clear()


os.register_at_fork(after_in_child=_forked)
