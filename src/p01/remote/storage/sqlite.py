# SPDX-License-Identifier: ZPL-2.1
"""sqlite:FOLDER, RelStorage on SQLite: several processes, no server; with RelStorage 4.3's faults mended.

a  An aborted transaction's writes are published by the next commit      Driver
b  A power cut can take back an acknowledged commit                      PRAGMAS
c  Two packs at once destroy the database                                packing.Locker
d  Processes that open a new folder at once fail over its tables         openDatabase
e  Without its file of ids, new objects clash with those that are there  _raiseIds
f  A pack deletes what was moved into a new object while it began        packing.Packing
g  A file never gets smaller                                             PRAGMAS, Adapter.vacuum

tests/contract/test_sqlite_mends.py shows each fault without its mend, and so tells when a mend can go.
"""
from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

import ZODB
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.adapters.sqlite.batch import Sqlite3RowBatcher
from relstorage.adapters.sqlite.drivers import Sqlite3Driver
from relstorage.options import Options
from relstorage.storage import RelStorage
from ZODB.POSException import StorageError

from p01.remote import fork
from p01.remote.exceptions import AddressError, DatabaseLocked
from p01.remote.storage import caching, opened
from p01.remote.storage.address import Address
from p01.remote.storage.flock import FileLock
from p01.remote.storage.packing import Locker, Packing

# (b) RelStorage sets NORMAL (1), which in WAL mode syncs at checkpoints only. FULL (2) syncs at every commit.
# (g) INCREMENTAL (2): free pages can be given back, in steps; it counts when the file is made.
# temp_store MEMORY (2): what a transaction writes stands in a temporary table until it commits, which was a file of its own.
PRAGMAS = {'auto_vacuum': 2, 'synchronous': 2, 'temp_store': 2}
STEP = 1000         # pages of 4 KB that are given back in one transaction
OPENING = 60.0      # seconds to wait for others that open the same folder
COMMITTING = 30     # seconds to wait for others that commit
# Where every process that has the database open holds a shared lock, from which byte on and for how many: SQLite's file format.
LOCKS = {'main.sqlite3': (0x40000002, 510), 'main.sqlite3-shm': (128, 1)}


class Driver(Sqlite3Driver):
    """(a) Rolls back whatever happened."""

    def connection_may_need_rollback(self, conn: Any) -> bool:
        """Always; upstream asks conn.in_transaction.

        That is False after a vote that met a read conflict, and then the rollback is skipped, and with it the
        cleaning of temp_store: its rows, writes of an aborted transaction, are published by the next commit.
        """
        return True


class Adapter(Sqlite3Adapter):
    """Sqlite3Adapter with our driver and locker."""

    locker: Locker | None

    def _select_driver(self, options: Options | None = None) -> Driver:
        return Driver()

    def _create(self) -> None:
        if self.locker is None:     # else an instance made by new_instance, which shares it
            self.locker = Locker(self.options, self.driver, batcher_factory=Sqlite3RowBatcher)
            self.locker.folder = Path(self.data_dir)
        super()._create()
        self.packundo.__class__ = Packing
        self.packundo.vacuum = self.vacuum

    def vacuum(self) -> None:
        """(g) Give free pages back to the file system, in steps, so that others can commit in between."""
        connection, cursor = self.connmanager.open()
        try:
            while cursor.execute('PRAGMA freelist_count').fetchone()[0]:
                cursor.execute(f'PRAGMA incremental_vacuum({STEP})').fetchall()
                connection.commit()
            # the other kinds of checkpoint keep writers waiting until all readers have gone, who wait to write
            cursor.execute('PRAGMA wal_checkpoint(PASSIVE)').fetchall()
        finally:
            self.connmanager.rollback_and_close(connection, cursor)


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database in a folder, which is made on first use. Raises AddressError or DatabaseLocked."""
    folder = address.path
    assert folder is not None   # parse sees to it
    if os.path.exists(folder) and not os.path.isdir(folder):    # False for a name that is too long, where Path's raise
        raise AddressError(f'{address.text} is a file, and sqlite: wants a folder; name another path, or use '
                           f'file: if it is a FileStorage.')
    # (d) One at a time: RelStorage looks for its tables and makes them in two transactions.
    lock = FileLock(folder / 'open.lock')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not lock.acquire(OPENING):
            raise DatabaseLocked(f'{folder} has been held for {OPENING:g} seconds by another process that '
                                 f'opens it; see what hangs there.')
        try:
            return _open(folder, settings)
        finally:
            lock.release()
    except sqlite3.OperationalError as error:
        if 'locked' in str(error):
            raise DatabaseLocked(f'{folder} is locked by another program ({error}); close it '
                                 f'there.') from error
        raise AddressError(f'{address.text} cannot be opened ({error}); check the folder and its '
                           f'permissions, and that the disk is not full.') from error
    except OSError as error:
        raise AddressError(f'{address.text} cannot be opened ({error}); check the folder and its '
                           f'permissions.') from error
    except (sqlite3.DatabaseError, StorageError) as error:
        raise AddressError(f'{address.text} holds no database that can be read ({error}); name another '
                           f'folder, or restore it from a backup.') from error


def _open(folder: Path, settings: dict[str, Any]) -> ZODB.DB:
    options = caching.options(commit_lock_timeout=COMMITTING)
    adapter = Adapter(str(folder), PRAGMAS, options=options)
    storage = RelStorage(adapter, name=f'sqlite:{folder}', options=options, cache=caching.Cache(adapter, options, ''))
    try:
        _raiseIds(adapter)
        return ZODB.DB(storage, **settings)
    except BaseException:
        storage.close()
        raise


def inherit(db: ZODB.DB) -> None:
    """In a forked child: hold the locks that SQLite believes to hold, since its parent did when it was forked.

    Without them the parent thinks itself alone when it closes, and removes the log that the child writes to; and the next
    process that opens the database makes its shared memory anew. SQLite never gives them back here, because of the parent's
    connections, which stay as they are for ever.
    """
    folder = Path(opened.part(db).data_dir)
    for name, (start, length) in LOCKS.items():
        file = open(folder / name, 'rb')    # noqa: SIM115 - to close it, or any other of this file, would free the lock
        fcntl.lockf(file, fcntl.LOCK_SH, length, start)
        fork.leave(file)


def _raiseIds(adapter: Adapter) -> None:
    """(e) Have new ids begin above all that are in use.

    The last id is in a file of its own, which upstream neither syncs nor journals, as it could be made again
    from the main file; but nobody does that. A power cut, or a backup of main.sqlite3 alone, loses it.
    """
    def highest(conn: Any, cursor: Any) -> int:
        cursor.execute('SELECT MAX(zoid) FROM object_state')
        return cursor.fetchone()[0] or 0

    adapter.oidallocator.set_min_oid(None, adapter.connmanager.open_and_call(highest))
