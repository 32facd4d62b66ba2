# SPDX-License-Identifier: ZPL-2.1
"""The transaction around a call: of app.transaction() or app.within(), of the running job, or the
thread's own.

A scope is known by the thread or task that entered it, and by what these start with a copy of their
context. Only the thread that entered it may use it, since connections are not thread-safe; a forked
child never may.
"""
from __future__ import annotations

from contextvars import ContextVar
from threading import get_ident
from typing import Any

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.context import Running, running
from p01.remote.exceptions import RemoteError, TransactionOver
from p01.remote.front.manager import known, merelyLooked, threads, under
from p01.remote.ground import fork
from p01.remote.storage.connection import FORKED, apart
from p01.remote.storage.transactions import LIVE, begun


class Scope:
    """A transaction that is around what is called from here."""

    __slots__ = ('db', 'connection', 'outer', 'job', 'thread', 'mark', 'ended', 'parts')

    def __init__(self, connection: Connection) -> None:
        self.db = connection.db()
        self.connection = connection
        self.outer = _scope.get()
        self.job = running.get()            # one that began within it has a transaction of its own
        self.thread = get_ident()
        self.mark = fork.mark
        self.ended = False
        self.parts = 0                      # of it that are open

    def enter(self) -> None:
        """Be around from now on."""
        _scope.set(self)

    def whole(self) -> Scope | None:
        """The one that this is a part of."""
        manager, found = self.connection.transaction_manager, self.outer
        while found is not None and found.connection.transaction_manager is not manager:
            found = found.outer
        return found

    def leave(self) -> None:
        """Be around no more. It may be left in another context than it was entered in, as async
        frameworks do."""
        self.ended = True
        if _scope.get() is self:
            _scope.set(self.outer)

    def fits(self) -> bool:
        """Whether it is what is around this call, and takes changes."""
        if self.ended or self.job is not running.get() or self.thread != get_ident() \
                or self.mark is not fork.mark or self.parts:
            return False
        if self.connection.opened is None:
            return False
        current = begun(self.connection.transaction_manager)
        return current is not None and current.status in LIVE

    def usable(self) -> Connection:
        """Its connection. Raises TransactionOver in another thread, in a forked child, and when it
        is closed."""
        if self.mark is not fork.mark:
            raise TransactionOver(FORKED)
        if self.thread != get_ident():
            raise TransactionOver('The transaction around this call was begun in another thread, '
                                  'whose connection no other thread may use; enqueue there, or do '
                                  'it here after that transaction has ended.')
        if self.connection.opened is None:
            raise TransactionOver('The transaction around this call is over, and its connection '
                                  'closed: what it was a part of has ended before it.')
        return self.connection

    def ready(self) -> Connection:
        """Its connection. Raises TransactionOver while a part of it is open: what is called within
        that has the part around it, so this is called in another task."""
        if self.parts:
            raise TransactionOver('Another task is in a part of this transaction, which would take '
                                  'this back as well if it failed; wait for its end, or write '
                                  '`app.transaction(independent=True)`.')
        return self.connection


_scope: ContextVar[Scope | None] = ContextVar('scope', default=None)


def inside(db: DB) -> Connection | None:
    """The connection of the innermost transaction that app.transaction(), app.within() or a job has
    around this call.

    One of another database of these is joined, too, by a connection under its manager. None when
    there is none, or when it is over: then its hooks run. Raises TransactionOver when it can take
    no more, or is another thread's.
    """
    scope, job = _scope.get(), running.get()
    other = None
    while scope is not None and scope.job is job:
        if not scope.ended:
            connection = scope.usable()
            if scope.db is db:
                return scope.ready() if live(connection.transaction_manager, True) else None
            other = other or scope
        scope = scope.outer
    joined = None if other is None else other.ready()
    if job is not None and job.processor is not None and job.processor._p_jar is not None:
        connection = ofJob(job)
        if connection.db() is db:
            return connection if live(connection.transaction_manager, True) else None
        joined = joined or connection
    if joined is not None and live(joined.transaction_manager):
        return under(joined.transaction_manager, db)
    return None


def entered(db: DB) -> bool:
    """Whether app.transaction() or app.within() of a database is around this call."""
    scope, job = _scope.get(), running.get()
    while scope is not None and scope.job is job:
        if scope.db is db and not scope.ended:
            return True
        scope = scope.outer
    return False


def ofJob(job: Running) -> Connection:
    """The connection of a job with one. Raises TransactionOver in another thread."""
    assert job.processor is not None
    jar: Connection = job.processor._p_jar
    if getattr(jar, 'mark', fork.mark) is not fork.mark:
        raise TransactionOver(FORKED)
    if job.thread != get_ident():
        raise TransactionOver(f'Job {job.task.id} runs in another thread, whose connection no '
                              'other thread may use; enqueue in '
                              "the job's own thread, for example when this one has returned.")
    return jar


def around(db: DB) -> Connection | None:
    """The connection of the transaction around this call; None when there is none, so that the
    caller needs one of his own.

    Raises TransactionOver when there is one that can take no more, and RemoteError when a
    connection is open under a manager that is not the thread's, so that it is unknown what is
    meant.
    """
    scope = _scope.get()
    # as a rule; the rest asks the same, and why
    if scope is not None and scope.db is db and scope.fits():
        return scope.connection
    connection = inside(db)
    if connection is not None:
        return connection
    manager = threads()
    connection = known(manager, db)
    if connection is not None and live(manager):
        return connection
    if apart(db, manager) is not None:
        raise RemoteError('A connection of this database is open here under a transaction manager '
                          'of its own, not under the '
                          "thread's; write `with app.within(connection):`, or with its manager, "
                          "around what enqueues.")
    current = begun(manager)
    if current is None or not live(manager) or merelyLooked(manager):
        return None
    return under(manager, db)


def always(db: DB) -> Connection:
    """The same, or a connection that joins the thread's transaction, which is begun by this if need
    be."""
    connection = around(db)
    if connection is None:
        manager = threads()
        if manager.explicit and begun(manager) is None:
            raise TransactionOver("No transaction has begun under the thread's manager, which is "
                                  "explicit; begin one, or write "
                                  '`with app.transaction():`.')
        if begun(manager) is not None and not live(manager):
            raise TransactionOver("The thread's transaction is over; this runs in one of its "
                                  "hooks, and needs a transaction of "
                                  'its own: write `with app.transaction():`.')
        connection = known(manager, db, True) or under(manager, db)
    return connection


def live(manager: Any, needed: bool = False) -> bool:
    """Whether the transaction of a manager can take changes; not once it is over, as in a hook
    after it, nor before it is begun, where the manager is explicit. Raises TransactionOver while it
    commits, when it has failed to, and when it is needed and none has begun."""
    current = begun(manager)
    if current is None:
        if needed and manager.explicit:
            raise TransactionOver('The transaction around this call has been ended, and none has '
                                  'begun behind it; begin one.')
        return not getattr(manager, 'explicit', False)
    status = current.status
    if status in LIVE:
        return True
    if status == 'Committed':
        return False
    raise TransactionOver('The transaction here has failed to commit; abort it '
                          'first.' if status == 'Commit failed' else
                          'The transaction here is being committed, and takes nothing more.')
