# SPDX-License-Identifier: ZPL-2.1
"""Packing: one verb for all kinds of storage, whoever opened them."""
from __future__ import annotations

import time

import ZODB
from ZODB.POSException import StorageError

from p01.remote.exceptions import PackRunning, RemoteError
from p01.remote.storage import opened
from p01.remote.storage.faults import Packed


def pack(db: ZODB.DB, days: float = 0.0) -> None:
    """Drop the garbage of a database, whoever opened it, and whatever history it keeps beyond so
    many days.

    Raises PackRunning while another pack of it runs, in whatever process, and RemoteError where a
    pack would lose objects.
    """
    if opened.losing(db):
        raise RemoteError('This is RelStorage without history, which loses in a pack what is moved '
                          'meanwhile; stop all that writes to it and use its own zodbpack, or move '
                          'it to postgresql: or sqlite: with p01-remote copy.')
    try:
        db.pack(time.time() - days * 86400.0)
    except Packed as error:
        raise PackRunning(str(error)) from error
    except StorageError as error:       # FileStorage's, or a ZEO server's that has one
        if 'Already packing' not in str(error):
            raise
        raise PackRunning() from error
