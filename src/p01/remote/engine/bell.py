# SPDX-License-Identifier: ZPL-2.1
"""Wakes idle workers when a transaction with new jobs has committed. A lost ring costs one waitTime.

Workers of this process wake by a condition, those of other processes on this host by a named pipe beside the database.
"""
from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

from ZODB.DB import DB

from p01.remote import storage
from p01.remote.storage import fifo


class Bell:
    """One for each database in a process."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder                # where the pipes of others are; None when there are none
        self.condition = threading.Condition()
        self.rings = 0
        self.listeners = 0
        self.listener: fifo.Listener | None = None

    def ring(self) -> None:
        """Wake all who wait, in this process."""
        with self.condition:
            self.rings += 1
            self.condition.notify_all()

    def tell(self) -> None:
        """Wake all who wait, in all processes."""
        self.ring()
        if self.folder is not None:
            fifo.tell(self.folder)

    def wait(self, heard: int, seconds: float) -> int:
        """Wait for a ring after the heard ones, at most so many seconds; returns the rings so far."""
        with self.condition:
            if self.rings == heard and seconds > 0:
                self.condition.wait(seconds)
            return self.rings

    def listen(self) -> None:
        """Hear other processes from now on."""
        with self.condition:
            self.listeners += 1
            if self.listener is None and self.folder is not None:
                try:
                    self.listener = fifo.Listener(self.folder, self.ring)
                except OSError:             # no pipe can be made there: workers look by themselves
                    self.folder = None

    def unlisten(self) -> None:
        """Hear other processes no more."""
        with self.condition:
            self.listeners -= 1
            listener = self.listener if not self.listeners else None
            if listener is not None:
                self.listener = None
        if listener is not None:
            listener.close()


_bells: weakref.WeakKeyDictionary[DB, Bell] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_rung: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


def bellOf(db: DB) -> Bell:
    """The bell of a database."""
    with _lock:
        bell = _bells.get(db)
        if bell is None:
            place = storage.folder(db) if storage.kind(db) == 'sqlite' else None
            bell = _bells[db] = Bell(place / 'workers' if place is not None else None)
        return bell


def ringAfter(transaction: Any, db: DB) -> None:
    """Ring when the transaction has committed. A hook's errors are swallowed and its writes fail: it only wakes."""
    if transaction not in _rung:
        _rung[transaction] = True
        transaction.addAfterCommitHook(_committed, (bellOf(db),))


def _committed(success: bool, bell: Bell) -> None:
    if success:
        bell.tell()
