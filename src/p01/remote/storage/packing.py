# SPDX-License-Identifier: ZPL-2.1
"""Packing: one verb for all kinds of storage, whoever opened them, and the mends of RelStorage's packing."""
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ZODB
from relstorage.adapters.packundo import HistoryFreePackUndo
from relstorage.adapters.sqlite.locker import Sqlite3Locker
from ZODB.POSException import StorageError

from p01.remote.exceptions import PackRunning
from p01.remote.storage import opened
from p01.remote.storage.flock import FileLock


def pack(db: ZODB.DB, days: float = 0.0) -> None:
    """Drop the garbage of a database, whoever opened it, and whatever history it keeps beyond so many days.

    Raises PackRunning while another pack of it runs, in whatever process.
    """
    mend(opened.part(db))
    try:
        db.pack(time.time() - days * 86400.0)
    except StorageError as error:       # FileStorage's, or a ZEO server's that has one
        if 'Already packing' not in str(error):
            raise
        raise PackRunning() from error


def mend(adapter: Any) -> None:
    """Have a RelStorage that somebody else opened, or zconfig:, pack as ours do; others are left as they are."""
    packundo: Any = getattr(adapter, 'packundo', None)
    locker: Any = getattr(adapter, 'locker', None)
    if isinstance(packundo, HistoryFreePackUndo) and not isinstance(packundo, Packing):
        kind = type(packundo)           # MySQL's and Oracle's are RelStorage's, with statements of their own
        packundo.__class__ = Packing if kind is HistoryFreePackUndo else type(kind.__name__, (Packing, kind), {})
    if type(locker) is Sqlite3Locker:
        locker.__class__ = Locker
        locker.folder = Path(adapter.data_dir)


class Locker(Sqlite3Locker):
    """One packer of a SQLite database at a time, among all threads and processes; upstream's pack lock does nothing."""

    folder: Path                        # of the database
    holding: FileLock | None = None

    def hold_pack_lock(self, cursor: Any) -> None:
        """Raises PackRunning when another pack holds it."""
        lock = FileLock(self.folder / 'pack.lock')
        if not lock.acquire():
            raise PackRunning(f'{self.folder} is being packed already; try again when that pack has ended.')
        self.holding = lock     # set by the holder only: threads share this locker

    def release_pack_lock(self, cursor: Any) -> None:
        """Called by the one that holds it."""
        if self.holding is not None:
            self.holding.release()


class Packing(HistoryFreePackUndo):
    """Collects garbage by what one snapshot shows, and calls vacuum() in the end.

    RelStorage 4.3 lists all objects first, and then follows the references that a later snapshot shows between those that it
    has listed. An object that was made in between, such as a bucket of a BTree that was split, is in the snapshot and not in
    the list: what it alone refers to by then counts as garbage and is deleted, though it is neither new nor unused. Ours adds
    to the list what the snapshot has beyond it.
    """

    vacuum: Callable[[], None] | None = None

    def fill_object_refs(self, loading: Any, storing: Any, references: Any) -> None:
        """Note which object refers to which."""
        self.connections = loading, storing
        try:
            super().fill_object_refs(loading, storing, references)
        finally:
            del self.connections

    def on_filling_object_refs_added(self, oids: Any = None, tids: Any = None) -> None:
        """Called when the snapshot has begun, with the objects whose references will be noted."""
        loading, storing = self.connections
        loading.cursor.execute('SELECT zoid, tid FROM object_state LEFT JOIN pack_object USING (zoid) '
                               'WHERE pack_object.zoid IS NULL')
        batcher = self._make_store_batcher(storing)
        for oid, tid in loading.cursor.fetchall():
            row = oid, True, tid        # keep it: it is newer than the pack
            batcher.insert_into('pack_object (zoid, keep, keep_tid)', batcher.row_schema_of_length(3), row, row, size=3)
            oids.append(oid)
        batcher.flush()
        storing.commit()

    def pack(self, tid: Any, **options: Any) -> None:
        """Delete the garbage."""
        super().pack(tid, **options)
        if self.vacuum is not None:
            self.vacuum()
