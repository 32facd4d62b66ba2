# SPDX-License-Identifier: ZPL-2.1
"""How a commit in one process wakes workers in others: one file per kind of storage. A signal may
get lost; it only wakes."""
from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

import ZODB
from ZODB.Connection import Connection

from p01.remote.storage.opened import kind

MODULES = {'sqlite': 'sockets', 'postgresql': 'notify', 'zeo': 'pushes'}


class Signal(Protocol):
    """The signal of one database."""

    def tell(self) -> None:
        """Wake all who listen, in whatever process. May raise what the storage raises."""

    def within(self, connection: Connection) -> bool:
        """Have the commit of a connection's transaction, which is under way, tell by itself; False
        where that cannot be."""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call heard() for each signal, in a thread of its own, until what is returned is
        called."""


def signal(db: ZODB.DB) -> Signal | None:
    """The signal of an open database; None where other processes cannot be told, or cannot be
    there."""
    name = MODULES.get(kind(db))
    if name is None:
        return None
    found: Signal = import_module(f'p01.remote.storage.{name}').Signal(db)
    return found
