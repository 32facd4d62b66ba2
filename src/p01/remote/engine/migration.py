# SPDX-License-Identifier: ZPL-2.1
"""A database is brought to the layout of this code, piece by piece, each in a commit; see
verbs.migration."""
from __future__ import annotations

from ZODB.DB import DB

from p01.remote.storage.transactions import transact
from p01.remote.verbs.migration import piece


def migrate(db: DB, oid: bytes) -> int:
    """Bring the store with this oid to the layout of this code; returns how many commits it took.

    Raises NewerDatabase. Two processes may do it at once: each piece is done by one of them.
    """
    count = 0
    while transact(db, lambda connection: piece(connection.get(oid))):
        count += 1
    return count
