# SPDX-License-Identifier: ZPL-2.1
"""One worker thread's way to the database: a connection, its transaction manager, and the snapshot
that jobs share."""
from __future__ import annotations

import logging
from collections.abc import Callable

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.seams import Locate, Processor
from p01.remote.engine.verdict import Task, Verdict
from p01.remote.exceptions import StorageAway
from p01.remote.ground.clocks import CLOCK, Clock
from p01.remote.ground.foreign import guarded, reasonOf
from p01.remote.storage.opened import widen
from p01.remote.storage.transactions import Lasting, joined, undo

# of a worker thread: its own, and one for the system's own transactions meanwhile
CONNECTIONS = 2
SNAPSHOT = 0.05     # seconds that jobs without effects share a snapshot

logger = logging.getLogger('p01.remote')


class Session:
    """A connection whose transactions are its own; the processor in it is what locate(connection)
    finds."""

    connection: Connection
    manager: Lasting

    def __init__(self, db: DB, locate: Locate, clock: Clock = CLOCK) -> None:
        self.db = db
        self.locate = locate
        self.clock = clock
        # when the shared snapshot was taken, on the monotonic clock
        self.begun: float | None = None
        # what is in the open transaction of jobs that share it, see group
        self.shared: list[tuple[Task, Verdict]] = []
        self.fence: Callable[[], None] | None = None
        self.opened = False
        self.open()

    def open(self) -> None:
        """Have a connection, with a transaction manager of its own."""
        self.manager = Lasting()
        self.manager.fence = self.fence
        widen(self.db, CONNECTIONS)
        self.opened = True
        self.connection = self.db.open(self.manager)

    def guard(self, fence: Callable[[], None]) -> None:
        """Have each part that a job commits itself pass a fence; see transactions.Lasting."""
        self.fence = self.manager.fence = fence

    def begin(self) -> None:
        """Begin a transaction. Raises StorageAway: nothing has begun, so that there is nothing to
        repeat at once."""
        try:
            self.manager.begin()
        except Exception as error:
            self.manager.abort()
            raise StorageAway(
                f'No transaction can begin: {type(error).__name__}: {error}') from error

    def share(self) -> None:
        """Have a new snapshot that jobs share; there is none."""
        self.begin()
        self.begun = self.clock.monotonic()

    def processor(self) -> Processor:
        """The processor, in this connection's transaction."""
        return self.locate(self.connection)

    def joined(self) -> bool:
        """Whether the transaction has anything to commit."""
        return joined(self.manager.get())

    def abort(self) -> None:
        """Abort the transaction. What a job left to be done then may raise what it likes."""
        self.begun, self.shared = None, []
        raised = undo(self.manager)
        if raised is not None:
            logger.warning('What was to follow the abort of a job failed: %s', reasonOf(raised))
            self.reopen()               # nobody knows what it has left in the connection

    def commit(self) -> None:
        """Commit the transaction."""
        self.manager.commit()
        self.begun = None

    def end(self) -> None:
        """Have no snapshot."""
        if self.begun is not None:
            self.abort()                # unless a thread that a job left behind has ended it

    def reopen(self) -> None:
        """Have a new connection; whatever the old one had begun is undone."""
        self.close()
        self.open()

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        self.begun, self.shared = None, []
        undo(self.manager)
        guarded(self.connection.close)      # it may be broken
        if self.opened:
            self.opened = False
            widen(self.db, -CONNECTIONS)
