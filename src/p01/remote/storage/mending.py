# SPDX-License-Identifier: ZPL-2.1
"""The mend of RelStorage's packing, whoever opened it; only imported where RelStorage is."""
from __future__ import annotations

from typing import Any

from relstorage.adapters.packundo import HistoryFreePackUndo


def mend(adapter: Any) -> None:
    """Have a RelStorage that somebody else opened, or zconfig:, pack as it should; others are left as they are."""
    packundo: Any = getattr(adapter, 'packundo', None)
    if isinstance(packundo, HistoryFreePackUndo) and not isinstance(packundo, Packing):
        kind = type(packundo)           # MySQL's and Oracle's are RelStorage's, with statements of their own
        packundo.__class__ = Packing if kind is HistoryFreePackUndo else type(kind.__name__, (Packing, kind), {})


class Packing(HistoryFreePackUndo):
    """Collects garbage by what one snapshot shows.

    RelStorage 4.3 lists all objects first, and then follows the references that a later snapshot shows between those that it
    has listed. An object that was made in between, such as a bucket of a BTree that was split, is in the snapshot and not in
    the list: what it alone refers to by then counts as garbage and is deleted, though it is neither new nor unused. Ours adds
    to the list what the snapshot has beyond it.
    """

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
            batcher.insert_into('pack_object (zoid, keep, '
                                'keep_tid)', batcher.row_schema_of_length(3), row, row, size=3)
            oids.append(oid)
        batcher.flush()
        storing.commit()
