# SPDX-License-Identifier: ZPL-2.1
"""Wakes idle workers when a transaction with new jobs has committed. A lost ring costs one
waitTime.

Workers of this process wake by a condition, those of other processes by the storage's signal.
"""
from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote import storage
from p01.remote.ground import fork

logger = logging.getLogger('p01.remote.bell')


class Bell:
    """One for each database in a process."""

    def __init__(self, signal: storage.Signal | None) -> None:
        self.signal = signal                # reaches other processes; None where there are none
        self.condition = threading.Condition()
        self.rings = 0
        self.listeners = 0
        self.close: Callable[[], None] | None = None

    def ring(self) -> None:
        """Wake all who wait, in this process."""
        with self.condition:
            self.rings += 1
            self.condition.notify_all()

    def tell(self) -> None:
        """Wake all who wait, in all processes."""
        self.ring()
        if self.signal is not None:
            try:
                self.signal.tell()
            except Exception as error:      # it only wakes; who sleeps looks by himself
                logger.info('Workers elsewhere could not be told of new jobs: %s', error)

    def within(self, connection: Connection) -> bool:
        """Have the commit of a connection's transaction tell other processes by itself; False where
        that cannot be."""
        return self.signal is None or self.signal.within(connection)

    def nudge(self) -> None:
        """Have those who wait look whether they are called, in this process."""
        with self.condition:
            self.condition.notify_all()

    def wait(self, heard: int, seconds: float, called: Callable[[], bool] = lambda: False) -> int:
        """Wait for a ring after the heard ones, or until called, at most so many seconds; returns
        the rings so far."""
        with self.condition:
            if seconds > 0:
                self.condition.wait_for(lambda: self.rings != heard or called(), seconds)
            return self.rings

    def listen(self) -> None:
        """Hear other processes from now on."""
        with self.condition:
            self.listeners += 1
            if self.close is None and self.signal is not None:
                try:
                    self.close = self.signal.listen(self.ring)
                except OSError as error:    # no socket can be made there
                    logger.warning('Workers hear of new jobs of other processes only after '
                                   'waitTime: %s', error)

    def unlisten(self) -> None:
        """Hear other processes no more."""
        with self.condition:
            self.listeners -= 1
            close = self.close if not self.listeners else None
            if close is not None:
                self.close = None
        if close is not None:
            close()


_bells: weakref.WeakKeyDictionary[DB, Bell] = weakref.WeakKeyDictionary()
_lock = fork.Lock()


def bellOf(db: DB) -> Bell:
    """The bell of a database."""
    with _lock:
        bell = _bells.get(db)
        if bell is None:
            bell = _bells.setdefault(db, Bell(storage.signal(db)))
        return bell


def wake(jar: Connection | None) -> None:
    """Have idle workers look when a connection's transaction has committed; None: of no
    database."""
    if jar is None:
        return
    bell = bellOf(jar.db())
    ring = bell.ring if bell.within(jar) else bell.tell
    jar.transaction_manager.get().addAfterCommitHook(lambda success: ring() if success else None)


def _forked() -> None:
    """A forked child has no listening threads, and must leave alone by what its parent tells and
    hears others."""
    fork.leave(list(_bells.values()))
    _bells.clear()


os.register_at_fork(after_in_child=_forked)
