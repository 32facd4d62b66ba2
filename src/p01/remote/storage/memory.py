# SPDX-License-Identifier: ZPL-2.1
"""memory: is a fresh database; memory:NAME one that the process shares under this name."""
from __future__ import annotations

import os
from typing import Any

import ZODB
from ZODB.DemoStorage import DemoStorage

from p01.remote.ground import fork
from p01.remote.ground.upstream import over
from p01.remote.storage.address import Address

_named: dict[str, NamedDatabase] = {}
_lock = fork.Lock()


class NamedDatabase(ZODB.DB):
    """Ends when everybody who opened it has closed it, since its openers do not know of each
    other."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(_storage(), **settings)
        self.name = name
        self.openers = 0

    @over(ZODB.DB)
    def close(self) -> None:
        """Leave; the last one closes."""
        with _lock:
            self.openers -= 1
            if self.openers:
                return
            _named.pop(self.name, None)
        super().close()     # which also turns further closing into nothing


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """A database that is gone when it is closed; a named one has the settings of its first
    opener."""
    if not address.rest:
        return ZODB.DB(_storage(), **settings)
    with _lock:
        db = _named.get(address.rest)
        if db is None:
            db = _named[address.rest] = NamedDatabase(address.rest, **settings)
        db.openers += 1
        return db


def _storage() -> Any:
    # Not a bare MappingStorage, which refuses all conflicts: DemoStorage puts conflict resolution
    # around one.
    return DemoStorage(name='memory')


def _forked() -> None:
    """A forked child has databases of its own."""
    fork.leave(dict(_named))
    _named.clear()


os.register_at_fork(after_in_child=_forked)
