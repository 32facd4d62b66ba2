# SPDX-License-Identifier: ZPL-2.1
"""Packing: one verb for all kinds of storage, and the mend of RelStorage's packing under load."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ZODB
from relstorage.adapters.packundo import HistoryFreePackUndo
from ZODB.FileStorage.FileStorage import FileStorageError

from p01.remote.exceptions import PackRunning


def pack(db: ZODB.DB, days: float = 0.0) -> None:
    """Drop the garbage of a database, and whatever history it keeps beyond so many days.

    Raises PackRunning while another pack of it runs, in whatever process.
    """
    try:
        db.pack(time.time() - days * 86400.0)
    except FileStorageError as error:       # raised at a ZEO server as well
        if 'Already packing' not in str(error):
            raise
        raise PackRunning() from error


class Packing(HistoryFreePackUndo):
    """Collects garbage by what one snapshot shows, and calls vacuum() in the end.

    RelStorage 4.3 lists all objects first, and then follows the references that a later snapshot shows between those that it
    has listed. An object that was made in between, such as a bucket of a BTree that was split, is in the snapshot and not in
    the list: what it alone refers to by then counts as garbage and is deleted, though it is neither new nor unused. Ours adds
    to the list what the snapshot has beyond it.
    """

    vacuum: Callable[[], None] | None = None

    def fill_object_refs(self, load_connection: Any, store_connection: Any, get_references: Any) -> None:
        """Note which object refers to which."""
        self.connections = load_connection, store_connection
        try:
            super().fill_object_refs(load_connection, store_connection, get_references)
        finally:
            del self.connections

    def on_filling_object_refs_added(self, oids: Any = None, tids: Any = None) -> None:
        """Called when the snapshot has begun, with the objects whose references will be noted."""
        load, store = self.connections
        load.cursor.execute('SELECT zoid, tid FROM object_state LEFT JOIN pack_object USING (zoid) '
                            'WHERE pack_object.zoid IS NULL')
        batcher = self._make_store_batcher(store)
        for oid, tid in load.cursor.fetchall():
            row = oid, True, tid        # keep it: it is newer than the pack
            batcher.insert_into('pack_object (zoid, keep, keep_tid)', batcher.row_schema_of_length(3), row, row, size=3)
            oids.append(oid)
        batcher.flush()
        store.commit()

    def pack(self, pack_tid: Any, packed_func: Any = None) -> None:
        """Delete the garbage."""
        super().pack(pack_tid, packed_func)
        if self.vacuum is not None:
            self.vacuum()
