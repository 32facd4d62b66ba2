# SPDX-License-Identifier: ZPL-2.1
"""The databases of this process: one for each address, whoever asks for it.

A job may enqueue through the App of its own module, while its worker opened the address for itself;
two ZODB.DB of one storage in one transaction would wait for each other's locks.
"""
from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import Any

from ZODB.DB import DB

from p01.remote.ground import fork, upstream
from p01.remote.storage import openDatabase
from p01.remote.storage.address import Address
from p01.remote.storage.connection import guard


class Entry:
    """A database that is shared."""

    def __init__(self) -> None:
        self.lock = threading.Lock()    # held while it is opened, which may take a minute
        self.db: DB | None = None
        self.users = 0                  # who have it, or wait for it


_shared: dict[str, Entry] = {}
_lock = fork.Lock()
_all: weakref.WeakSet[DB] = weakref.WeakSet()       # all that were borrowed or taken
# during a fork: what the child must not have collected
_kept: list[Any] = []


def borrow(address: Address, **settings: Any) -> DB:
    """The database of an address; giveBack it. A bare memory: is everybody's own. Raises
    AddressError."""
    key = keyOf(address)
    if not key:
        return take(openDatabase(address, **settings))
    with _lock:
        entry = _shared.setdefault(key, Entry())
        entry.users += 1
    try:
        with entry.lock:
            if entry.db is None:
                entry.db = take(openDatabase(address, **settings))
            return entry.db
    except BaseException:
        leave(key, entry)
        raise


def take(db: DB) -> DB:
    """Have an open database of somebody else's guarded, and left alone by forked children."""
    upstream.warn()
    guard(db)
    _all.add(db)
    return db


def giveBack(address: Address, db: DB) -> bool:
    """Use a borrowed database no more; whether nobody does, so that it must be closed."""
    key = keyOf(address)
    entry = _shared.get(key)
    if entry is None or entry.db is not db:
        return True
    return leave(key, entry)


def leave(key: str, entry: Entry) -> bool:
    """One user less; whether it was the last one."""
    with _lock:
        entry.users -= 1
        if entry.users:
            return False
        if _shared.get(key) is entry:
            del _shared[key]
        return True


def keyOf(address: Address) -> str:
    """What the same databases have in common; '' for one that cannot be shared."""
    return '' if address.text == 'memory:' else f'{address.kind}:{address.path or address.rest}'


# -- a forked child opens its own databases, and leaves its parent's as they are

def _before() -> None:
    for db in list(_all):
        with contextlib.suppress(RuntimeError):     # a connection is opened just now
            _kept.append((db, list(db.pool)))


def _inParent() -> None:
    _kept.clear()


def _inChild() -> None:
    global _kept
    _shared.clear()
    fork.leave(_kept)
    _kept = []
    _all.clear()


os.register_at_fork(before=_before, after_in_parent=_inParent, after_in_child=_inChild)
