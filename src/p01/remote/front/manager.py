# SPDX-License-Identifier: ZPL-2.1
"""The thread's own transaction manager: who has it, and the connections under it."""
from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Any

import transaction
from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.ground import fork
from p01.remote.storage.insides import followers
from p01.remote.storage.transactions import Lasting, begun, joined


def threads() -> transaction.TransactionManager:
    """The thread's own manager."""
    manager = transaction.manager.manager
    while isinstance(manager, Lent) and manager.over:       # it was given back in another thread
        manager = transaction.manager.manager = manager.before
    return manager


class Lent(Lasting):
    """The manager of app.transaction(), which the thread has as its own meanwhile, unless there are
    others who use theirs."""

    before: Any = None          # what the thread had
    over = False

    def lend(self) -> None:
        """Be the thread's manager, so that `transaction.commit()` means this one: unless somebody
        else's transaction has begun there, or tasks of an event loop take turns in this thread."""
        own = threads()
        if looping() or not isinstance(own, Lasting) and (begun(own) is not None or shared(own)):
            return
        self.before = own
        transaction.manager.manager = self

    def giveBack(self) -> None:
        """Let the thread have its own again."""
        self.over = True
        # should this be another thread, then that one has an ordinary manager
        self.explicit = False
        if transaction.manager.manager is self:
            transaction.manager.manager = self.before


def looping() -> bool:
    """Whether an event loop runs in this thread."""
    asyncio, trio = sys.modules.get('asyncio'), sys.modules.get('trio')
    if asyncio is not None:
        with suppress(RuntimeError):
            return bool(asyncio.get_running_loop())
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def shared(manager: Any) -> bool:
    """Whether a connection follows the thread's manager, whichever it is: what is changed there
    would join another one."""
    return any(connection.transaction_manager is not manager for connection in connections(manager))


def connections(manager: Any) -> list[Connection]:
    """The connections that are open under a manager."""
    return [each for each in followers(manager) if isinstance(each, Connection)]


def known(manager: Any, db: DB, looked: bool = False) -> Connection | None:
    """A connection of this database under a manager; of those that we have opened to look only on
    request."""
    for connection in connections(manager):
        if connection.db() is db and (looked or not merelyLooked(manager, connection)):
            return connection
    return None


# -- connections that are closed with the transaction

class Closer:
    """Closes a connection when its transaction is over."""

    def __init__(self, manager: Any, connection: Connection, first: bool) -> None:
        self.manager = manager
        self.connection = connection
        self.first = first                  # nobody had begun a transaction before
        self.kept = _here.closers
        self.kept.add(self)                 # a manager keeps its synchronizers weakly
        manager.registerSynch(self)

    def beforeCompletion(self, txn: Any) -> None:
        """Nothing to do."""

    newTransaction = beforeCompletion

    def afterCompletion(self, txn: Any) -> None:
        """The transaction is over."""
        self.manager.unregisterSynch(self)
        self.kept.discard(self)
        self.connection.close()


class _Here(threading.local):
    """What ends with its thread."""

    def __init__(self) -> None:
        self.closers: set[Closer] = set()


_here = _Here()


def under(manager: Any, db: DB) -> Connection:
    """A connection under a manager, until its transaction is over; begins one if need be."""
    found = known(manager, db, True)
    if found is not None:
        return found
    first = begun(manager) is None
    manager.get()
    connection = db.open(manager)
    Closer(getattr(manager, 'manager', manager), connection, first)
    return connection


def merelyLooked(manager: Any, connection: Connection | None = None) -> bool:
    """Whether a transaction has begun for no other reason than that we had to look into a database,
    by this connection."""
    current = begun(manager)
    return current is not None and not joined(current) and any(
        closer.first and closer.manager is manager and connection in (None, closer.connection)
        for closer in _here.closers)


# -- a forked child has a manager of its own, if its parent's has connections

def _forked() -> None:
    manager = transaction.manager.manager
    if connections(manager):
        fork.leave((manager, list(_here.closers)))
        _here.closers.clear()
        transaction.manager.manager = transaction.TransactionManager()


os.register_at_fork(after_in_child=_forked)
