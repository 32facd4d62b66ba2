# SPDX-License-Identifier: ZPL-2.1
"""Transactions that hold jobs: each is to be committed or aborted, and one that never is, is told
of once, with the line that enqueued.

When one has committed, the bells of its databases ring. It costs a few microseconds for each
transaction, nothing for each job, and one thread that sleeps as long as there are transactions that
hold jobs, and a minute beyond. Transactions of jobs are not looked at: a long job commits what it
enqueues at its end.
"""
from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import transaction
from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote import events
from p01.remote.engine.bell import Bell, bellOf
from p01.remote.engine.context import running
from p01.remote.ground import subscribers
from p01.remote.storage.marks import Follower
from p01.remote.storage.transactions import Lasting, begun

OPEN = 60.0         # seconds after which a transaction that holds jobs and is still open is told of
BEGINCODE = transaction.TransactionManager.begin.__code__
OURFOLDER = str(Path(__file__).resolve().parent.parent) + os.sep


class Pledge(Follower):
    """A transaction that holds jobs."""

    def __init__(self, current: Any, jobid: int, name: str, watched: bool) -> None:
        self.jobid = jobid                  # the first one
        self.name = name
        self.where = caller()
        # and whether the commit itself reaches other processes
        self.bells: dict[Bell, bool] = {}
        self.since = time.monotonic()
        self.told = not watched
        self.reference = weakref.ref(current, self.dropped)
        self.number = id(self)

    def committed(self, success: bool) -> None:
        """The transaction has committed, or failed to, which whoever committed it is told."""
        _open.pop(self.number, None)
        if success:
            for bell, told in self.bells.items():
                (bell.ring if told else bell.tell)()

    def aborted(self) -> None:
        """The transaction is aborted, which is what somebody wants, unless he only begins another
        one."""
        if _open.pop(self.number, None) is not None and begins(sys._getframe()):
            self.tell('another transaction was begun before it was committed, so that they are '
                      'lost', True)

    def dropped(self, _: Any) -> None:
        """The transaction is garbage. Only those that were neither committed nor aborted are still
        open then."""
        if _open.pop(self.number, None) is not None:
            self.tell('it was dropped without a commit, so that they are lost', True)

    def tell(self, how: str, lost: bool) -> None:
        """Tell of it, once unless they are lost after that."""
        if (lost or not self.told) and not sys.is_finalizing():
            self.told = True
            subscribers.notify(events.JobsUncommitted(self.jobid, self.name, self.where, how, lost))


_held: weakref.WeakKeyDictionary[Any, Pledge] = weakref.WeakKeyDictionary()     # by transaction
# those that have not ended
_open: dict[int, Pledge] = {}
_watch: list[threading.Thread] = []


def pledge(jar: Connection, jobid: int, name: str) -> None:
    """Note that a connection's transaction holds a job; the bell of the database rings when it has
    committed."""
    manager = jar.transaction_manager
    current = manager.get()
    held = _held.get(current)
    if held is None:
        # the system's own, which nobody can forget
        ours = isinstance(manager, Lasting) and not manager.lasting
        held = _held[current] = Pledge(current, jobid, name, not ours and running.get() is None)
        _open[held.number] = held
        # what these raise is swallowed, and what they write fails
        current.addAfterCommitHook(held.committed)
        current.addBeforeAbortHook(held.aborted)
        if not held.told:
            _here.last.follow(held)
            if not _watch:
                watch()
    bell = bellOf(jar.db())
    if bell not in held.bells:
        held.bells[bell] = bell.within(jar)


def uncommitted(db: DB) -> list[Pledge]:
    """The open transactions that hold jobs of a database."""
    bell = bellOf(db)
    return [held for held in list(_open.values()) if bell in held.bells]


def caller() -> str:
    """The file and line of the application that enqueues."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURFOLDER):
        frame = frame.f_back
    return f'{frame.f_code.co_filename}:{frame.f_lineno}'


def begins(frame: Any) -> bool:
    """Whether an abort is done by who begins another transaction."""
    for _ in range(8):
        if frame is None:
            return False
        if frame.f_code is BEGINCODE:
            return True
        frame = frame.f_back
    return False


# -- a transaction that stays open for long

def watch() -> None:
    """Have a thread that looks, as long as there are open transactions."""
    thread = threading.Thread(target=looks, name='p01-pledges', daemon=True)
    _watch.append(thread)
    thread.start()


def looks() -> None:
    """Look when the oldest may have been open for too long."""
    # at first, so that short transactions share a thread, which costs more than they do
    wait: float | None = OPEN
    while wait is not None:
        time.sleep(wait)
        wait = look(time.monotonic())


def look(now: float) -> float | None:
    """Tell of those that have been open for too long; returns seconds until the next look, None
    when there are no others."""
    waiting = [held for held in list(_open.values()) if not held.told]
    for held in waiting:
        if now - held.since >= OPEN:
            held.tell(f'it has been open for {now - held.since:.0f} s, and until it commits no '
                      'worker sees them', False)
    here = _watch[:]
    # before the last look: who comes after that begins another thread
    _watch.clear()
    waiting = [held for held in list(_open.values()) if not held.told]
    if not waiting:
        return None
    _watch[:] = here
    return max(0.1, min(held.since for held in waiting) + OPEN - now)


# -- a thread, or the process, that ends

class Last:
    """Goes with its thread, and looks what the thread has left in its own manager."""

    def __init__(self) -> None:
        self.manager: Any = None

    def follow(self, held: Pledge) -> None:
        """Look after a transaction, if it is of the thread's own manager."""
        own = transaction.manager.manager
        if begun(own) is held.reference():
            self.manager = own

    def __del__(self) -> None:
        current: Any = None if self.manager is None else begun(self.manager)
        held = None if current is None else _held.get(current)
        if current is not None and held is not None and _open.pop(held.number, None) is not None:
            held.tell('its thread ended without a commit, so that they are lost', True)
            current.abort()             # so that its connections go back


class _Here(threading.local):
    def __init__(self) -> None:
        self.last = Last()


_here = _Here()


def _ends() -> None:
    for held in list(_open.values()):
        _open.pop(held.number, None)
        held.tell('the process ended without a commit, so that they are lost', True)


def _forked() -> None:
    _open.clear()           # the parent's, which may still commit them
    _held.clear()
    _watch.clear()
    _here.last.manager = None


atexit.register(_ends)
os.register_at_fork(after_in_child=_forked)
