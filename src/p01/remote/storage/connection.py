# SPDX-License-Identifier: ZPL-2.1
"""The connections of our databases: what nobody will commit is refused by a sentence, and seen by
nobody afterwards.

ZODB changes an object in memory first and then asks its connection, which may have no transaction
any more: it is closed, or its transaction is over. The object would keep the change, and whoever
changes it next would store both.
"""
from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from threading import get_ident
from typing import Any

import transaction
from transaction.interfaces import TransactionFailedError
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.utils import z64

from p01.remote.exceptions import TransactionOver
from p01.remote.ground import fork
from p01.remote.ground.upstream import over
from p01.remote.storage.insides import begun, committing, participants, storageOf
from p01.remote.storage.opened import kind, renew
from p01.remote.storage.transactions import Lasting

FORKED = ('This connection was opened before the process was forked, and belongs to the parent; '
          'open the database anew in the child, as an App of an address does by itself.')

# The connections that were opened under managers of others, in this thread or task: weakly, and
# which opening it was.
_apart: ContextVar[tuple[tuple[weakref.ref[Any], object], ...]] = ContextVar('apart', default=())

# The connections that commit, by thread and database. A storage lets one commit at a time, and
# whoever commits in the midst of his own commit waits for himself: a signal handler, a __del__, a
# handler of log lines, a data manager.
_committing: dict[tuple[int, int], tuple[Connection, Any]] = {}      # with the transaction
# threads that begin or end a transaction, or read a file, by database: they may hold locks
_locked: set[tuple[int, int]] = set()
INMIDST = ('This was called in the midst of a commit, begin or load of the same thread to the same '
         'database, for whose end it would wait for ever; do it behind the commit, in an '
         'after-commit hook for example.')


class Guarded(Connection):
    """A connection that tells what comes too late, and forgets it with the next transaction."""

    mark: Any = None                    # of the process that opened it
    opening: object = None              # which time it was
    database = 0                        # the number by which locks know its database
    spoiled: tuple[Any, ...] = ()       # objects that were changed too late
    loading = 0                         # how many loads it is in the midst of
    base: Any = None                    # the root object, see get

    @over(Connection)
    def open(self, manager: Any = None, delegate: bool = True) -> None:
        """See ZODB."""
        self.mark, self.opening, self.database = fork.mark, object(), id(self.db())
        self.heal()
        super().open(manager, delegate)
        manager = self.transaction_manager
        if not isinstance(manager, Lasting) \
                and getattr(manager, 'manager', manager) is not transaction.manager.manager:
            known = ((ref, opening) for ref, opening in _apart.get() if isOpen(ref(), opening))
            _apart.set((*known, (weakref.ref(self), self.opening)))

    @over(Connection)
    def close(self, primary: bool = True) -> None:
        """See ZODB. In a forked child nothing happens: the storage is the parent's."""
        if self.mark is fork.mark:
            super().close(primary)

    @over(Connection)
    def newTransaction(self, txn: Any, sync: bool = True) -> None:
        """See ZODB. Raises TransactionOver in a forked child, and where the same thread has the
        storage's locks."""
        if self.mark is not fork.mark:
            self.own()
        key = get_ident(), self.database
        if key in _locked:
            raise TransactionOver(INMIDST)
        _locked.add(key)
        try:
            super().newTransaction(txn, sync)
        finally:
            _locked.discard(key)
        if self.spoiled:
            self.heal()

    @over(Connection)
    def afterCompletion(self, txn: Any) -> None:
        """See ZODB."""
        if self.mark is fork.mark:
            super().afterCompletion(txn)

    @over(Connection)
    def get(self, oid: bytes) -> Any:
        """See ZODB.

        The cache may hand out a ghost that the garbage collector is about to take the attributes
        of, when nothing but garbage has referred to it, see docs/upstream; so the root stays, which
        as a rule is loaded and leads to the others.
        """
        self.loading += 1
        try:
            found = super().get(oid)
        finally:
            self.loading -= 1
        if oid == z64:
            self.base = found
        return found

    @over(Connection)
    def setstate(self, obj: Any) -> None:
        """See ZODB. Raises TransactionOver in a forked child."""
        if self.mark is not fork.mark:
            self.own()
        self.loading += 1
        try:
            super().setstate(obj)
        finally:
            self.loading -= 1

    @over(Connection)
    def tpc_begin(self, txn: Any) -> None:
        """See ZODB. Raises TransactionOver in a forked child, and in the midst of another commit of
        the same thread."""
        if self.mark is not fork.mark:
            self.own()
        key = get_ident(), self.database
        if key in _locked or _committing.setdefault(key, (self, txn))[1] is not txn:
            raise TransactionOver(INMIDST)
        super().tpc_begin(txn)

    @over(Connection)
    def tpc_vote(self, txn: Any) -> None:
        """See ZODB. A storage that is told that nothing else takes part may commit at once, and
        save a message."""
        storage = storageOf(self)
        if hasattr(storage, 'alone'):
            storage.alone = all(each is self or getattr(each, 'rides', False)
                                for each in participants(txn))
        super().tpc_vote(txn)

    @over(Connection)
    def tpc_finish(self, txn: Any) -> Any:
        """See ZODB."""
        key = get_ident(), self.database
        _locked.add(key)
        try:
            return super().tpc_finish(txn)
        finally:
            _locked.discard(key)
            self.committed()

    @over(Connection)
    def tpc_abort(self, txn: Any) -> None:
        """See ZODB. One that was refused has nothing to undo there."""
        known = _committing.get((get_ident(), self.database))
        if known is None or known[1] is txn:
            try:
                super().tpc_abort(txn)
            finally:
                self.committed()

    def committed(self) -> None:
        """Its commit is over, one way or the other."""
        key = get_ident(), self.database
        if key in _committing and _committing[key][0] is self:
            del _committing[key]

    @over(Connection)
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
                                  f'({why(self)}); what was changed is forgotten, begin a '
                                  'transaction first.') from error

    def own(self) -> None:
        """Raises TransactionOver in a forked child of the process that opened it."""
        if self.mark is not fork.mark and self.mark is not None:
            raise TransactionOver(FORKED)

    def heal(self) -> None:
        """Forget what was changed too late."""
        spoiled, self.spoiled = self.spoiled, ()
        for obj in spoiled:
            obj._p_invalidate()


class Filed(Guarded):
    """Of a FileStorage, whose commits wait for all who read: nobody may commit in the midst of it
    in the same thread, as a signal handler would."""

    @over(Connection)
    def open(self, manager: Any = None, delegate: bool = True) -> None:
        """See ZODB."""
        storage = committing(self)
        if 'load' not in vars(storage):     # the connection's own, which is made with it
            storage.load = partial(self.load, storage.load)
        super().open(manager, delegate)

    def load(self, inner: Callable[..., Any], oid: bytes) -> Any:
        """The state and revision of an object."""
        key = get_ident(), self.database
        if key in _locked:
            return inner(oid)
        _locked.add(key)
        try:
            return inner(oid)
        finally:
            _locked.discard(key)


def idle(connection: Connection | None) -> None:
    """Raises TransactionOver in the midst of a load, as in a signal handler: the object that is
    loaded first would be made twice, and its connection is of no use any more."""
    if getattr(connection, 'loading', 0):
        raise TransactionOver(INMIDST)


def why(connection: Connection) -> str:
    """Why a connection takes no changes."""
    if connection.opened is None:
        return 'its connection is closed'
    current = begun(connection.transaction_manager)
    return 'none has begun' if current is None else f'it is {str(current.status).lower()}'


def isOpen(connection: Connection | None, opening: object) -> bool:
    """Whether a connection is still open since that opening."""
    return isinstance(connection, Guarded) and connection.opening is opening \
        and connection.opened is not None


def apart(db: DB, own: Any) -> Connection | None:
    """A connection of a database that is open in this thread or task under a manager that is not
    the thread's own, as explicit ones are, and has begun a transaction."""
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
    ours = Filed if kind(db) == 'file' else Guarded
    db.klass = ours if db.klass is Connection else type(ours.__name__, (ours, db.klass), {})
    renew(db)


def _forked() -> None:
    """No commit of the parent's goes on in a child."""
    _committing.clear()
    _locked.clear()


os.register_at_fork(after_in_child=_forked)
