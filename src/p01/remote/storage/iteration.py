# SPDX-License-Identifier: ZPL-2.1
"""What a storage of current revisions has, told as transactions, as ZODB's tools read it."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from ZODB.BaseStorage import DataRecord, TransactionRecord
from ZODB.utils import p64, u64, z64

Row = tuple[int, int, bytes]        # an object: id, revision, state


class Transaction(TransactionRecord):
    """The objects whose current revisions are of one transaction; who made it is not kept."""

    def __init__(self, tid: int, rows: Iterable[Row]) -> None:
        super().__init__(p64(tid), ' ', b'', b'', b'')
        self.records = [DataRecord(p64(oid), p64(tid), state, None) for oid, _, state in rows]

    def __iter__(self) -> Iterator[DataRecord]:
        return iter(self.records)


def transactions(rows: Iterable[Row]) -> Iterator[Transaction]:
    """The transactions of rows, which come by revision."""
    for tid, group in groupby(rows, lambda row: row[1]):
        yield Transaction(tid, group)


class Iterated:
    """What a view can do for those that copy it; see ZODB's IStorageIteration and
    IStorageCurrentRecordIteration."""

    shared: Any
    lock: Any
    rows: Any
    after: Any
    load: Any

    def iterator(self, start: bytes | None = None,
                 stop: bytes | None = None) -> Iterator[Transaction]:
        """Transactions, each with what is still current of it."""
        return transactions(self.rows(u64(start or z64),
                                      min(u64(stop or b'\x7f' * 8), 2 ** 63 - 1)))

    def record_iternext(self,
                        next: bytes | None = None) -> tuple[bytes, bytes, bytes, bytes | None]:
        """One object after the other: id, revision, state, and the id of the next one."""
        with self.lock:
            self.shared.own()
            oid, *others = self.after(u64(next or z64), 2)
        state, tid = self.load(p64(oid))
        return p64(oid), tid, state, p64(others[0]) if others else None
