# SPDX-License-Identifier: ZPL-2.1
"""file:PATH, a FileStorage: one append-only file, for one process; options follow a question mark.

blobstorage_dir=FOLDER  for blobs
quota=10GB              beyond which nothing is stored any more
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ZODB
from zc.lockfile import LockError
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import packed_version
from ZODB.FileStorage.format import CorruptedError
from ZODB.POSException import POSError

from p01.remote.exceptions import AddressError, DatabaseLocked
from p01.remote.storage import query
from p01.remote.storage.address import Address

PYTHON2 = b'FS21'


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database in a file, which is made on first use. Raises AddressError or DatabaseLocked."""
    path = address.path
    assert path is not None     # parse sees to it
    quota = query.size(address.options['quota'], 'quota',
                       address.text) if 'quota' in address.options else None
    if os.path.isdir(path):         # False for a name that is too long, where Path's raises
        raise AddressError(f'{address.text} is a folder, and file: wants a file; write '
                           f'file:{path / "jobs.fs"}, or sqlite: for a database in a folder.')
    try:
        # Before FileStorage looks: it makes .lock and empties .tmp beside whatever file it is
        # given.
        if path.exists() and magicOf(path) not in (b'', packed_version):
            raise AddressError(old(path) or f'{path} is not a FileStorage; name another path.')
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = FileStorage(str(path), quota=quota,
                              blob_dir=address.options.get('blobstorage_dir'))
    except LockError as error:
        raise DatabaseLocked(f'{path} is open already, and a FileStorage serves a single process; '
                             'close it there, or use sqlite: or zeo: for several '
                             'processes.') from error
    except OSError as error:
        raise AddressError(f'{address.text} cannot be opened ({error}); check the path and its '
                           f'permissions.') from error
    except (POSError, CorruptedError) as error:
        raise AddressError(f'{path} cannot be read as a FileStorage ({error}); restore it from a '
                           f'backup.') from error
    try:
        return ZODB.DB(storage, **settings)
    except BaseException:
        storage.close()     # else its lock would outlive the failure
        raise


def magicOf(path: Path) -> bytes | None:
    """What a file begins with; b'' for an empty one, which FileStorage takes for new, None for what
    is no file."""
    if not path.is_file():      # reading a pipe would wait for ever
        return None
    with path.open('rb') as stream:
        return stream.read(len(packed_version))


def old(path: Path) -> str:
    """The sentence for a FileStorage of Python 2; '' for all else."""
    if magicOf(path) != PYTHON2:
        return ''
    return (f'{path} is a FileStorage of Python 2; convert a copy of it with `zodbupdate '
            f'--convert-py3 --file {path}`, in an environment that has zodbupdate and the '
            'application.')
