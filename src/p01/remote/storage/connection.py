# SPDX-License-Identifier: ZPL-2.1
"""The connections of our databases: what nobody will commit is refused by a sentence, and seen by nobody afterwards.

ZODB changes an object in memory first and then asks its connection, which may have no transaction any more: it is closed, or
its transaction is over. The object would keep the change, and whoever changes it next would store both.
"""
from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Any

import transaction
from transaction.interfaces import TransactionFailedError
from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote import fork
from p01.remote.exceptions import TransactionOver
from p01.remote.storage.transactions import Lasting, begun

FORKED = ('This connection was opened before the process was forked, and belongs to the parent; open the database anew in the '
          'child, as an App of an address does by itself.')

# The connections that were opened under managers of others, in this thread or task: weakly, and which opening it was.
_apart: ContextVar[tuple[tuple[weakref.ref[Any], object], ...]] = ContextVar('apart', default=())


class Guarded(Connection):
    """A connection that tells what comes too late, and forgets it with the next transaction."""

    mark: Any = None                    # of the process that opened it
    opening: object = None              # which time it was
    spoiled: tuple[Any, ...] = ()       # objects that were changed too late

    def open(self, manager: Any = None, delegate: bool = True) -> None:
        """See ZODB."""
        self.mark, self.opening = fork.mark, object()
        self.heal()
        super().open(manager, delegate)
        manager = self.transaction_manager
        if not isinstance(manager, Lasting) and getattr(manager, 'manager', manager) is not transaction.manager.manager:
            known = ((ref, opening) for ref, opening in _apart.get() if isOpen(ref(), opening))
            _apart.set((*known, (weakref.ref(self), self.opening)))

    def close(self, primary: bool = True) -> None:
        """See ZODB. In a forked child nothing happens: the storage is the parent's."""
        if self.mark is fork.mark:
            super().close(primary)

    def newTransaction(self, txn: Any, sync: bool = True) -> None:
        """See ZODB. Raises TransactionOver in a forked child."""
        if self.mark is not fork.mark:
            self.own()
        super().newTransaction(txn, sync)
        if self.spoiled:
            self.heal()

    def afterCompletion(self, txn: Any) -> None:
        """See ZODB."""
        if self.mark is fork.mark:
            super().afterCompletion(txn)

    def setstate(self, obj: Any) -> None:
        """See ZODB. Raises TransactionOver in a forked child."""
        if self.mark is not fork.mark:
            self.own()
        super().setstate(obj)

    def tpc_begin(self, txn: Any) -> None:
        """See ZODB. Raises TransactionOver in a forked child."""
        if self.mark is not fork.mark:
            self.own()
        super().tpc_begin(txn)

    def register(self, obj: Any) -> None:
        """See ZODB. Raises TransactionOver when no transaction can take the change."""
        try:
            if self.mark is not fork.mark:
                self.own()
            super().register(obj)
        except Exception as error:
            self.spoiled += (obj,)
            if isinstance(error, TransactionFailedError | TransactionOver):
                raise
            raise TransactionOver(f'{type(obj).__name__} was changed when its transaction was over '
                                  f'({why(self)}); what was changed is forgotten, begin a transaction first.') from error

    def own(self) -> None:
        """Raises TransactionOver in a forked child of the process that opened it."""
        if self.mark is not fork.mark and self.mark is not None:
            raise TransactionOver(FORKED)

    def heal(self) -> None:
        """Forget what was changed too late."""
        spoiled, self.spoiled = self.spoiled, ()
        for obj in spoiled:
            obj._p_invalidate()


def why(connection: Connection) -> str:
    """Why a connection takes no changes."""
    if connection.opened is None:
        return 'its connection is closed'
    current = begun(connection.transaction_manager)
    return 'none has begun' if current is None else f'it is {str(current.status).lower()}'


def isOpen(connection: Connection | None, opening: object) -> bool:
    """Whether a connection is still open since that opening."""
    return connection is not None and connection.opening is opening and connection.opened is not None


def apart(db: DB, own: Any) -> Connection | None:
    """A connection of a database that is open in this thread or task under a manager that is not the thread's own, as explicit
    ones are, and has begun a transaction."""
    for ref, opening in _apart.get():
        connection = ref()
        if connection is not None and isOpen(connection, opening) and connection.db() is db:
            manager = connection.transaction_manager
            if getattr(manager, 'manager', manager) is not own and begun(manager) is not None:
                return connection
    return None


def guard(db: DB) -> None:
    """Have a database open such connections."""
    if issubclass(db.klass, Guarded):
        return
    db.klass = Guarded if db.klass is Connection else type('Guarded', (Guarded, db.klass), {})
    size = db.getPoolSize()
    db.setPoolSize(0)           # those that wait in the pool are of the old class
    db.setPoolSize(size)
