# SPDX-License-Identifier: ZPL-2.1
"""Conflicts are resolved: what a transaction stores is made anew on top of what others stored."""
from __future__ import annotations

from collections.abc import Callable

from ZODB.POSException import ConflictError
from ZODB.utils import p64, z64

from p01.remote.storage.iteration import Row
from p01.remote.storage.pending import Pending


def resolve(pending: Pending, conflicts: list[Row], again: Pending,
            merge: Callable[[bytes, bytes, bytes, bytes, bytes], bytes]) -> None:
    """Have in another Pending what is to be stored on top of the rows that others have written.

    merge is ZODB's tryToResolveConflict. Raises ConflictError.
    """
    found = {oid: (current, state) for oid, current, state in conflicts}
    for oid, serial, data in pending.storing(found):
        current, state = found[oid]
        if not current:     # it was garbage, and packed
            raise ConflictError(oid=p64(oid), serials=(z64, p64(serial)), data=data)
        again.store(oid, current, merge(p64(oid), p64(current), p64(serial), data, state))
