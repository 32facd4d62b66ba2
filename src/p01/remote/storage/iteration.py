# SPDX-License-Identifier: ZPL-2.1
"""What a storage of current revisions has, told as transactions, as ZODB's tools read it."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from ZODB.BaseStorage import DataRecord, TransactionRecord
from ZODB.utils import p64

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
