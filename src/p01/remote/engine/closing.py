# SPDX-License-Identifier: ZPL-2.1
"""The end of a database, or of the process, beside workers: they end first, and what they hold goes
back.

ZODB closes a storage under whoever uses it. So the workers of this process are asked to leave
before their database closes; a job that does not end in time is taken from its worker, whose late
changes are refused.
"""
from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from ZODB.DB import DB

from p01.remote.engine import presence, rescuing
from p01.remote.engine.seams import Hired, Working
from p01.remote.engine.seating import seated
from p01.remote.exceptions import RemoteError
from p01.remote.ground import fork
from p01.remote.ground.foreign import reasonOf
from p01.remote.storage.insides import isClosed

ATEXIT = 1.0         # seconds that workers get to leave when their process ends
HELP = 5.0          # seconds at least for those who work alongside, whose storage may be away

logger = logging.getLogger('p01.remote')
# the loops of each database
guarded: weakref.WeakKeyDictionary[DB, weakref.WeakSet[Working]] = weakref.WeakKeyDictionary()
Threads = weakref.WeakKeyDictionary[Hired, threading.Thread]        # of workers
hired: weakref.WeakKeyDictionary[DB, Threads] = weakref.WeakKeyDictionary()
helpers: weakref.WeakKeyDictionary[DB,
                                   weakref.WeakSet[threading.Thread]] = weakref.WeakKeyDictionary()
ending: weakref.WeakSet[DB] = weakref.WeakSet()         # databases that are about to close
_lock = fork.Lock()


def enter(loop: Working) -> None:
    """A loop works on its database from now on."""
    with _lock:
        if loop.db not in guarded:
            guarded[loop.db] = weakref.WeakSet()
            watch(loop.db)
        guarded[loop.db].add(loop)


def leave(loop: Working) -> None:
    """A loop has left."""
    with _lock:
        guarded.get(loop.db, weakref.WeakSet[Working]()).discard(loop)
    loop.gone.set()


def resign(db: DB, worker: Hired) -> None:
    """A worker has ended."""
    with _lock:
        hired.get(db, Threads()).pop(worker, None)


def hire(db: DB, worker: Hired, thread: threading.Thread) -> None:
    """A worker works on a database from now on, in a thread that begins and ends its own."""
    with _lock:
        if db not in guarded:
            guarded[db] = weakref.WeakSet()
            watch(db)
        hired.setdefault(db, weakref.WeakKeyDictionary())[worker] = thread


def alongside(db: DB, work: Callable[..., None], *args: Any) -> threading.Thread | None:
    """Do something with a database in a thread of its own, for whose end the database's waits; None
    when that has begun."""
    thread = threading.Thread(target=work, args=args, name='p01-chores', daemon=True)
    with _lock:
        if db in ending or isClosed(db):
            return None
        helpers.setdefault(db, weakref.WeakSet()).add(thread)
        thread.start()
    return thread


def loopsOf(db: DB) -> list[Working]:
    """The loops that work on a database."""
    with _lock:
        return list(guarded.get(db, ()))


def watch(db: DB) -> None:
    """Have a database close behind its workers. It closes once: DB.close takes its own place,
    too."""
    close, known = db.close, weakref.ref(db)

    def closing() -> None:
        here = known()
        # one in memory with a name closes behind its last opener
        if here is not None and getattr(here, 'openers', 1) == 1:
            dismiss(here)
        close()

    db.close = closing      # type: ignore[method-assign]


def dismiss(db: DB) -> None:
    """Have all workers of a database leave. Raises RemoteError when one of them calls, whose job
    would be its own end."""
    loops = loopsOf(db)
    if any(loop.post.running and loop.post.thread == threading.get_ident() for loop in loops):
        raise RemoteError('A job cannot close the database that it runs on; leave that to who '
                          'opened it.')
    with _lock:
        ending.add(db)
        workers, beside = list(hired.get(db, {}).items()), list(helpers.get(db, ()))
    for worker, _ in workers:
        worker.stop()
    patience = max((loop.options.grace for loop in loops), default=ATEXIT)
    for _, thread in () if loops else workers:      # which have no loop yet
        if thread is not threading.current_thread():
            thread.join(patience)
    for loop in ended(loops, patience):
        try:
            takeBack(loop)
        except Exception as error:      # the storage is away
            logger.warning('Worker %s leaves its seat to others: %s', loop.name, reasonOf(error))
    for thread in beside:
        if thread is not threading.current_thread():
            thread.join(max(patience, HELP))
    presence.forget(db)


def ended(loops: Iterable[Working], patience: float) -> list[Working]:
    """Stop loops, and wait for those that work, at most so many seconds; returns those that have
    not left."""
    loops, until = list(loops), time.monotonic() + patience
    for loop in loops:
        loop.dismissed = True
        loop.stop()
    return [loop for loop in loops
            if not loop.gone.wait(max(0.0, until - time.monotonic()) if loop.working else 0.0)]


def takeBack(loop: Working) -> None:
    """Give the jobs of a worker to others that cannot end; no job is blamed, and what it still does
    is refused."""
    seated(loop, lambda processor, seat: rescuing.rescue(processor.store, seat, loop.clock.now(),
                                                         ()))


def _atexit() -> None:
    """The workers of a process that ends leave their seats, if they can at once; boxes speak for
    the others."""
    with _lock:
        loops = [loop for each in guarded.values() for loop in each]
    ended([loop for loop in loops if loop.working and not loop.post.running
           and not loop.handed.running()], ATEXIT)


atexit.register(_atexit)


def _forked() -> None:
    """A forked process has none of its parent's workers."""
    for loops in guarded.values():
        loops.clear()
    hired.clear()
    helpers.clear()


os.register_at_fork(after_in_child=_forked)
