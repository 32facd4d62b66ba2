# SPDX-License-Identifier: ZPL-2.1
"""Transactions of the system's own, and the manager of those that are lent to other people's
code."""
from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import transaction
from transaction.interfaces import AlreadyInTransaction, TransientError
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.POSException import ReadOnlyError

from p01.remote.exceptions import StorageAway, TransactionOver
from p01.remote.ground import foreign, fork
from p01.remote.ground.upstream import over
from p01.remote.storage.insides import begun, joined, turn

TRIES = 100
LIVE = ('Active', 'Doomed')     # statuses of a transaction that takes changes

READONLY = ('The database was opened read-only: nothing can be enqueued or changed in it; open it '
            'for writing.')

logger = logging.getLogger('p01.remote')

Result = TypeVar('Result')


class Apart(TransientError):
    """Code that shares its transaction with others wants to end it; it is to have one of its own
    instead."""


class Part(transaction.Transaction):
    """A transaction of a Lasting manager. Whoever ends it, and by whatever way, the next one begins
    behind it."""

    keeper: Lasting
    broken: Exception | None = None         # why it could not begin

    @over(transaction.Transaction)
    def commit(self) -> None:
        """Commit; what follows is the next part. Raises StorageAway for a part that could not
        begin, and Apart."""
        self.keeper.refuse()
        if self.keeper.mark is not fork.mark:
            raise TransactionOver('This transaction was begun before the process was forked, and '
                                  'belongs to the parent; begin one here.')
        if self.broken is not None:
            raise StorageAway('No transaction could begin behind the last one '
                              f'({type(self.broken).__name__}: {self.broken}); abort, and try '
                              'again.') from self.broken
        if self.keeper.lasting and self.keeper.fence is not None and joined(self):
            self.keeper.fence()
        super().commit()
        self.keeper.renew()

    @over(transaction.Transaction)
    def doom(self) -> None:
        """See transaction. Code that shares it with others is to doom one of its own."""
        if self.keeper.shared and self.keeper.lasting:
            self.keeper.refused = True
        else:
            super().doom()

    @over(transaction.Transaction)
    def abort(self) -> None:
        """Abort; what follows is the next part. Raises Apart."""
        self.keeper.refuse()
        try:
            super().abort()
        finally:
            self.keeper.renew()


class Lasting(transaction.TransactionManager):
    """A manager of explicit transactions that other people's code may have as its own for a while.

    That code may commit or abort in the middle, as is usual with ZODB where work is long: by the
    thread's manager, by the connection's, or by the transaction itself. While `lasting` is set, the
    next transaction begins at once, each part stays as it was ended, and the connection never is
    without a transaction. The lender sets `lasting` when it has begun one, counts `parts` if it
    wants to know whether there was more than one, and clears `lasting` before it ends the last one:

        manager.begin()
        manager.lasting, manager.parts = True, 0
        try:
            ...                         # other people's code
        finally:
            manager.lasting = False
        manager.commit()                # or abort

    While `shared` is set as well, there are others' changes in the transaction, which that code
    must
    not end or doom: it gets an Apart when it tries to end it, and `refused` is set, whatever it
    makes
    of that.
    """

    def __init__(self) -> None:
        super().__init__(explicit=True)
        self.lasting = False
        self.shared = self.refused = False
        self.parts = 0                      # that were ended while it lasted
        # called in each part with changes before it commits; may refuse it
        self.fence: Callable[[], None] | None = None
        self.mark = fork.mark

    @over(transaction.TransactionManager)
    def begin(self) -> Part:
        """Begin a transaction; in the middle of one that has changed nothing, the next one. Raises
        AlreadyInTransaction."""
        current = begun(self)
        if current is not None:
            self.refuse()
            if joined(current):
                raise AlreadyInTransaction('A transaction with changes is under way here; commit '
                                           'or abort it before you begin another.')
            lasting, self.lasting = self.lasting, False
            current.abort()
            self.lasting = lasting
        try:
            made = super().begin()
        # where the storage is away, it stands all the same, and must be aborted
        finally:
            made = begun(self)
            if made is not None:            # else its log line was too much for a handler of these
                turn(made, Part)            # it is made in the middle of what begin does
                made.keeper = self
        return made

    @over(transaction.TransactionManager)
    def abort(self) -> None:
        """Abort, if anything was begun: a database that is closed aborts for all connections that
        are open."""
        if begun(self) is not None:
            super().abort()

    def refuse(self) -> None:
        """Raises Apart when the code that has it shares its transaction."""
        if self.shared and self.lasting:
            self.refused = True
            raise Apart('This job shares its transaction with others and cannot end it; it runs '
                        'again in one of its own.')

    def renew(self) -> None:
        """Begin the next part, if it lasts."""
        if self.lasting and begun(self) is None:
            self.parts += 1
            try:
                self.begin()
            # the last part is committed all the same: it is the next one that fails
            except Exception as error:
                made = begun(self)
                made.broken = error
                made.doom()


def undo(manager: Lasting) -> BaseException | None:
    """Abort whatever has begun; returns what others' hooks and data managers raise meanwhile, which
    stops an abort half way."""
    raised = None
    while begun(manager) is not None:
        # hooks that have been called are not called again
        done = foreign.guarded(manager.abort)
        if isinstance(done, foreign.Raised):
            raised = done.error
    return raised


def release(connection: Connection, manager: Lasting) -> None:
    """End whatever has begun, and give the connection back. Raises nothing: the caller has an error
    of his own to show."""
    manager.lasting = False
    if manager.mark is not fork.mark:
        return                              # a forked child: both are the parent's
    raised = undo(manager)
    if raised is not None:
        logger.warning('What was to follow an abort failed: %s', foreign.reasonOf(raised))
    try:
        connection.close()
    except Exception as error:
        logger.warning('A connection could not be closed: %s: %s', type(error).__name__, error)


@contextmanager
def opened(db: DB) -> Iterator[Connection]:
    """A connection with a manager and a transaction of its own, which is aborted at the end unless
    it was committed."""
    manager = Lasting()
    connection = db.open(manager)
    try:
        manager.begin()
        yield connection
    finally:
        release(connection, manager)


def transact(db: DB, work: Callable[[Connection], Result]) -> Result:
    """Do work(connection) in a transaction of the system's own, again when it meets a conflict.

    Raises the last error when it met conflicts 100 times in a row, and what begin raises when the
    storage is away.
    """
    manager = Lasting()
    connection = db.open(manager)
    try:
        for tried in range(TRIES):
            started = False
            try:
                manager.begin()
                started = True
                result = work(connection)
                manager.commit()
                return result
            except TransientError:
                manager.abort()
                # a storage that is away is no conflict: nothing to repeat at once
                if not started or tried == TRIES - 1:
                    raise
                pause(tried)
            except ReadOnlyError as error:
                error.args = error.args or (READONLY,)
                raise
    finally:
        release(connection, manager)
    raise AssertionError('unreachable')


def pause(tried: int, sleep: Callable[[float], None] = time.sleep) -> None:
    """Let the other one finish, after so many conflicts."""
    sleep(random.random() * min(0.002 * 2 ** tried, 0.1))
