# SPDX-License-Identifier: ZPL-2.1
"""sqlite:FOLDER, a storage of our own in one SQLite database: several processes of one host, no
server.

docs/storages.md says what it guarantees, to any ZODB application.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ZODB
from ZODB.POSException import StorageError

from p01.remote.exceptions import AddressError, DatabaseLocked
from p01.remote.storage.address import Address
from p01.remote.storage.faults import LockTimeout
from p01.remote.storage.flock import FileLock
from p01.remote.storage.sqlite.view import View, openStorage

__all__ = ['View', 'openDatabase', 'openStorage']

OPENINGPATIENCE = 60.0      # seconds to wait for others that open the same folder


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database in a folder, which is made on first use. Raises AddressError or
    DatabaseLocked."""
    folder = address.path
    assert folder is not None   # parse sees to it
    # False for a name that is too long, where Path's raise
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise AddressError(f'{address.text} is a file, and sqlite: wants a folder; name another '
                           f'path, or use file: if it is a FileStorage.')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _open(folder, settings)
    except OSError as error:
        raise AddressError(f'{address.text} cannot be opened ({error}); check the folder and its '
                           f'permissions.') from error
    except LockTimeout as error:
        raise DatabaseLocked(str(error)) from error
    except StorageError as error:
        raise AddressError(str(error)) from error


def _open(folder: Path, settings: dict[str, Any]) -> ZODB.DB:
    # One at a time: ZODB looks for the root object and makes it in two transactions.
    lock = FileLock(folder / 'open.lock')
    if not lock.acquire(OPENINGPATIENCE):
        raise DatabaseLocked(f'{folder} has been held for {OPENINGPATIENCE:g} seconds by another '
                             'process that opens it; see what hangs there.')
    try:
        storage = openStorage(folder)
        try:
            return ZODB.DB(storage, **settings)
        except BaseException:
            storage.close()
            raise
    finally:
        lock.release()
