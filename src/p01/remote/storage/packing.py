# SPDX-License-Identifier: ZPL-2.1
"""Packing: one verb for all kinds of storage, and the mend of RelStorage's packing under load."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ZODB
from relstorage.adapters.packundo import HistoryFreePackUndo
from ZODB.POSException import StorageError

from p01.remote.exceptions import PackRunning
from p01.remote.storage import opened


def pack(db: ZODB.DB, days: float = 0.0) -> None:
    """Drop the garbage of a database, and whatever history it keeps beyond so many days.

    Raises PackRunning while another pack of it runs, in whatever process.
    """
    packundo = getattr(opened.part(db), 'packundo', None)
    if type(packundo) is HistoryFreePackUndo:       # opened by somebody else, or by zconfig:
        packundo.__class__ = Packing
    try:
        db.pack(time.time() - days * 86400.0)
    except StorageError as error:       # FileStorage's, or a ZEO server's that has one
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
