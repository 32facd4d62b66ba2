# SPDX-License-Identifier: ZPL-2.1
"""Wakes idle workers of this process when a transaction with new jobs has committed. A lost ring costs one waitTime."""
from __future__ import annotations

import threading
import weakref
from typing import Any

from ZODB.DB import DB


class Bell:
    """One for each database."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.rings = 0

    def ring(self) -> None:
        """Wake all who wait."""
        with self.condition:
            self.rings += 1
            self.condition.notify_all()

    def wait(self, heard: int, seconds: float) -> int:
        """Wait for a ring after the heard ones, at most so many seconds; returns the rings so far."""
        with self.condition:
            if self.rings == heard and seconds > 0:
                self.condition.wait(seconds)
            return self.rings


_bells: weakref.WeakKeyDictionary[DB, Bell] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_rung: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


def bellOf(db: DB) -> Bell:
    """The bell of a database."""
    with _lock:
        bell = _bells.get(db)
        if bell is None:
            bell = _bells[db] = Bell()
        return bell


def ringAfter(transaction: Any, db: DB) -> None:
    """Ring when the transaction has committed. A hook's errors are swallowed and its writes fail: it only wakes."""
    if transaction not in _rung:
        _rung[transaction] = True
        transaction.addAfterCommitHook(_committed, (bellOf(db),))


def _committed(success: bool, bell: Bell) -> None:
    if success:
        bell.ring()
