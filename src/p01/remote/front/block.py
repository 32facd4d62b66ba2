# SPDX-License-Identifier: ZPL-2.1
"""`with app.transaction()` and `async with app.transaction()`: a transaction, or a part of the one
that is around it."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from transaction.interfaces import InvalidSavepointRollbackError, ITransactionManager
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.POSException import ConflictError, ReadOnlyError

from p01.remote.engine.awaiting import Awaiting
from p01.remote.engine.context import running
from p01.remote.exceptions import InputError, TransactionOver
from p01.remote.front.manager import Lent, under
from p01.remote.front.scope import Scope
from p01.remote.ground import foreign
from p01.remote.storage.conflicts import explain
from p01.remote.storage.transactions import READONLY, begun, joined, release


@contextmanager
def own(db: DB) -> Iterator[Connection]:
    """A transaction of its own; commits at the end, or aborts on an exception, which it passes on.

    Whatever happens, the connection goes back. Within, old code may commit or abort in the middle,
    see Lasting.
    """
    manager, job = Lent(), running.get()
    connection = db.open(manager)
    scope = Scope(connection)
    if isinstance(job, Awaiting):
        job.blocks += 1
        fence(job, connection, manager)
    try:
        with explained(db):
            manager.begin()
            manager.lasting = True
            scope.enter()
            manager.lend()
            yield connection
            commit(manager)
    finally:
        if isinstance(job, Awaiting):
            job.blocks -= 1
        scope.leave()
        manager.giveBack()
        release(connection, manager)


@contextmanager
def explained(db: DB) -> Iterator[None]:
    """What a commit raises says what people can do."""
    try:
        yield
    except ConflictError as error:
        explain(error, db)
        raise
    except ReadOnlyError as error:
        error.args = error.args or (READONLY,)
        raise


def fence(job: Awaiting, connection: Connection, manager: Lent, part: int = 0) -> None:
    """Have a job's own transaction meet whoever has taken the job over, when it commits."""
    manager.fence = partial(job.meet, connection, part)


def commit(manager: Lent) -> None:
    """Commit, past the fence, and have no more parts."""
    if manager.fence is not None and joined(begun(manager)):
        manager.fence()
    manager.lasting, manager.fence = False, None
    manager.commit()


@contextmanager
def part(connection: Connection) -> Iterator[Connection]:
    """A part of a transaction that is under way: an exception takes it back and is passed on, all
    else is the whole's."""
    manager = connection.transaction_manager
    savepoint = manager.savepoint(optimistic=True)
    scope = Scope(connection)
    scope.enter()
    whole = scope.whole()
    if whole is not None:
        whole.parts += 1
    try:
        yield connection
    except BaseException:
        try:
            savepoint.rollback()
        except InvalidSavepointRollbackError:
            # the part has committed or aborted in the middle: what came since is its own
            if begun(manager) is not None:
                manager.abort()
        except Exception:       # a data manager has no savepoints, so that nothing may be committed
            with suppress(Exception):
                manager.doom()
        raise
    finally:
        scope.leave()
        if whole is not None:
            whole.parts -= 1


@contextmanager
def within(db: DB, what: Any) -> Iterator[Connection]:
    """What is called within joins the transaction of a connection or of a manager. Raises
    InputError, TransactionOver."""
    connection = followed(db, what)
    scope = Scope(connection)
    scope.enter()
    try:
        yield connection
    finally:
        scope.leave()


def followed(db: DB, what: Any) -> Connection:
    """The connection of a database in the transaction of a connection or manager."""
    if isinstance(what, Connection):
        if what.opened is None:
            raise TransactionOver('This connection is closed; give one that is open.')
        manager = what.transaction_manager
    elif ITransactionManager.providedBy(what):
        manager = what
    else:
        raise InputError('app.within() takes an open ZODB connection or a transaction manager, not '
                         f'{foreign.shown(what)}.')
    if getattr(manager, 'explicit', False) and begun(manager) is None:
        raise TransactionOver('No transaction has begun under this manager, which is explicit; '
                              'begin one first.')
    if isinstance(what, Connection) and what.db() is db:
        return what
    return under(manager, db)
