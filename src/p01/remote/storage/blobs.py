# SPDX-License-Identifier: ZPL-2.1
"""Blobs of our storages: files in a folder, beside a database in which their objects are.

A file is synced when it is stored, and stands under its revision before that is committed; so what
a commit shows is there. What a commit that failed has left, and what later ones have replaced, a
pack removes, once nobody can need it.
"""
from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from persistent.TimeStamp import TimeStamp
from ZODB.BaseStorage import copy
from ZODB.blob import BlobFile, FilesystemHelper, copyTransactionsFromTo, rename_or_copy_blob
from ZODB.interfaces import IBlobStorage
from ZODB.POSException import POSKeyError, ReadOnlyError
from ZODB.utils import p64, u64

from p01.remote.storage.faults import Fault
from p01.remote.storage.pending import Pending

# seconds that a file may still be needed: of a commit under way, or by who reads an old snapshot
NEEDEDFOR = 60 * 60.0
# seconds after which a file that was being written is taken for forgotten
LEFT = 24 * NEEDEDFOR


class Blobs:
    """The folder. It is made when the first file is to be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @cached_property
    def helper(self) -> FilesystemHelper:
        """ZODB's, which knows the layout."""
        return FilesystemHelper(str(self.folder))

    def temporary(self) -> str:
        """The folder of files that belong to no revision yet."""
        self.helper.create()
        return str(self.helper.temp_dir)

    def keep(self, name: str) -> str:
        """Take a file over, synced; returns its new name."""
        handle, kept = tempfile.mkstemp('.blob', 'kept-', self.temporary())
        os.close(handle)
        rename_or_copy_blob(name, kept)
        sync(kept)
        return kept

    def place(self, oid: int, tid: bytes, kept: str) -> None:
        """Have a file where its revision is looked for."""
        folder = Path(self.helper.getPathForOID(p64(oid)))
        above = folder
        while not above.exists():
            above = above.parent
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(kept)          # from now on somebody may need it
        os.replace(kept, self.helper.getBlobFilename(p64(oid), tid))
        while True:             # and the folders that are new, in those that name them
            sync(folder)
            if folder == above:
                break
            folder = folder.parent

    def path(self, oid: bytes, tid: bytes) -> str:
        """The file of a revision. Raises POSKeyError."""
        found = str(self.helper.getBlobFilename(oid, tid))
        if not os.path.exists(found):
            raise POSKeyError(f'No blob file at {found}', oid, tid)
        return found

    def sweep(self, current: Callable[[bytes], bytes | None]) -> None:
        """Remove what nobody can need; current tells the revision of an object, None for none."""
        if not self.folder.exists():
            return
        old, forgotten = time.time() - NEEDEDFOR, time.time() - LEFT
        for oid, folder in self.helper.listOIDs():
            tid = current(oid)
            if tid is not None and TimeStamp(tid).timeTime() > old:
                continue
            for each in Path(folder).iterdir():
                if self.helper.splitBlobFilename(str(each))[1] != tid:
                    removeOlder(each, old)
        for each in Path(self.helper.temp_dir).glob('*'):
            removeOlder(each, forgotten)


class Blobbed:
    """What a view of a database with a folder for blobs can do; see ZODB's
    IBlobStorageRestoreable."""

    shared: Any
    committing: Any
    restore: Any
    store: Any
    tid: bytes

    @property
    def blobs(self) -> Blobs:
        """Where its files are. Raises a Fault where nobody has named a folder."""
        if self.shared.blobs is None:
            raise Fault('This database has objects with blobs, and was opened without the folder '
                        'of their files; open it with blobs=FOLDER, or with '
                        '?blobstorage_dir=FOLDER in its address.')
        found: Blobs = self.shared.blobs
        return found

    def storeBlob(self, oid: bytes, serial: bytes | None, data: bytes, name: str, version: str,
                  transaction: Any) -> None:
        """Store an object, and the file that belongs to it."""
        self.store(oid, serial, data, version, transaction)
        pending = self.committing(transaction)
        pending.forget(u64(oid))
        pending.blobs[u64(oid)] = self.blobs.keep(name)

    def restoreBlob(self, oid: bytes, serial: bytes, data: bytes, name: str, prevTxn: Any,
                    transaction: Any) -> None:
        """See restore."""
        self.restore(oid, serial, data, '', prevTxn, transaction)
        self.blobs.place(u64(oid), serial, self.blobs.keep(name))

    def place(self, pending: Pending) -> None:
        """Have files where the revision is looked for that is being committed."""
        for oid, name in pending.blobs.items():
            self.blobs.place(oid, self.tid, name)
        pending.blobs.clear()

    def sweep(self, view: Any) -> None:
        """Remove the files that nobody can need, by what a view of now shows, which ends."""
        def current(oid: bytes) -> bytes | None:
            try:
                return bytes(view.load(oid)[1])
            except POSKeyError:
                return None

        try:
            view.poll_invalidations()
            self.blobs.sweep(current)
        finally:
            view.release()

    @property
    def fshelper(self) -> FilesystemHelper:
        """What ZODB asks who copies."""
        self.blobs.temporary()       # into which it writes
        return self.blobs.helper

    def copyTransactionsFrom(self, other: Any, verbose: bool = False) -> None:
        """Into an empty storage, with blobs where both keep some."""
        if IBlobStorage.providedBy(self) and IBlobStorage.providedBy(other):
            copyTransactionsFromTo(other, self)
        else:
            copy(other, self, verbose)

    def loadBlob(self, oid: bytes, serial: bytes) -> str:
        """The file of a revision. Raises POSKeyError."""
        return str(self.blobs.path(oid, serial))

    def openCommittedBlobFile(self, oid: bytes, serial: bytes, blob: Any = None) -> Any:
        """The same, opened."""
        name = self.loadBlob(oid, serial)
        return open(name, 'rb') if blob is None else BlobFile(name, 'r', blob)

    def temporaryDirectory(self) -> str:
        """Where files are to be written, so that they can be moved here."""
        if self.shared.readOnly:
            raise ReadOnlyError()
        return str(self.blobs.temporary())


def removeOlder(path: Path, instant: float) -> None:
    """Remove a file that was changed before this instant, unless another pack was faster."""
    with suppress(FileNotFoundError):
        if path.is_file() and path.stat().st_mtime < instant:
            path.unlink()


def sync(path: str | Path) -> None:
    """Have a file, or what a folder says, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
