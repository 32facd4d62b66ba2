# SPDX-License-Identifier: ZPL-2.1
"""The database of an App: opened at first use, shared within the process, closed by its App."""
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, cast

from ZODB.DB import DB

from p01.remote import storage
from p01.remote.engine import presence
from p01.remote.exceptions import RemoteError
from p01.remote.ground import fork
from p01.remote.storage import databases

SOLITARY = {'memory': 'memory: lives in the process that opened it; use sqlite: for several '
                      'processes',
            'file': 'a FileStorage serves a single process; open it after the fork, or use sqlite: '
                    'or zeo:'}
BEINGOPENED = ('This thread is opening the database just now; what comes between, as a signal '
               'handler, '
           'cannot use it yet.')
NOTOURS = ('The ZODB.DB of this App was opened before the process was forked, and belongs to the '
           'parent; make the App in the child, or give it an address, which each process opens for '
           'itself.')


class Opening:
    """The way from an address, or from a ZODB.DB that was given open, to the open database.

    settings are ZODB.DB's own. Raises AddressError for a bad address; a path in it is that of now.
    """

    def __init__(self, database: str | DB, settings: dict[str, Any]) -> None:
        self.address: storage.Address | None = None
        self.given: str | DB = database
        if not storage.isDatabase(database):
            self.address = storage.parse(cast(str, database))
        self.settings = settings
        self.db: DB | None = None
        self.lock, self.opening = threading.RLock(), False
        self.refused = ''               # why a forked child cannot have it
        _all.add(self)

    @property
    def place(self) -> str:
        """Where the database is, safe to print."""
        return self.address.text if self.address is not None else repr(self.given)

    @property
    def processor(self) -> str:
        """The path of a processor that the address names; '' for none."""
        return self.address.processor if self.address is not None else ''

    def open(self, install: Callable[[DB], None]) -> DB:
        """The open database; one that was opened just now has install(db) done to it first.

        Raises what install does, AddressError, and RemoteError in some forked children.
        """
        with self.lock:
            if self.db is None:
                if self.refused or self.opening:
                    raise RemoteError(self.refused or BEINGOPENED)
                self.opening, db = True, None
                try:
                    db = databases.take(cast(DB, self.given)) if self.address is None \
                        else databases.borrow(self.address, **self.settings)
                    install(db)
                    self.db = db
                finally:
                    self.opening = False
                    if db is not None and self.db is None:
                        self.giveBack(db)
            return self.db

    def close(self) -> None:
        """Close the database, unless it was given open or others in the process have it, too."""
        with self.lock:
            if self.db is not None:
                self.giveBack(self.db)
            self.db = None

    def giveBack(self, db: DB) -> None:
        """Use a database no more."""
        if self.address is not None and databases.giveBack(self.address, db):
            db.close()              # behind the workers of this process, see engine.closing
            presence.forget(db)

    def forked(self) -> None:
        """This is a child now: it opens the database for itself, or cannot have it."""
        self.lock, self.opening = threading.RLock(), False
        db, self.db = self.db, None
        if db is None:
            return
        fork.leave(db)
        if self.address is None:
            self.refused = NOTOURS
        elif storage.kind(db) in SOLITARY:
            self.refused = (f'{self.address.text} was opened before the process was forked: '
                            f'{SOLITARY[storage.kind(db)]}.')


_all: weakref.WeakSet[Opening] = weakref.WeakSet()


def _forked() -> None:
    for each in list(_all):
        each.forked()


os.register_at_fork(after_in_child=_forked)
