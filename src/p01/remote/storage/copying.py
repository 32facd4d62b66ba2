# SPDX-License-Identifier: ZPL-2.1
"""Copies what one snapshot of a database shows into an empty database of any kind: each object with
its id, as it is stored.

The root object is written last: until then whoever opens the copy sees an empty database, and a
copy that was broken off can be begun again.
"""
from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import ZODB
from BTrees.LLBTree import LLTreeSet
from ZODB.blob import is_blob_record
from ZODB.Connection import Connection, TransactionMetaData
from ZODB.interfaces import IBlobStorage
from ZODB.POSException import ConflictError, POSKeyError, Unsupported
from ZODB.serialize import referencesf
from ZODB.utils import get_pickle_metadata, p64, u64, z64

from p01.remote.exceptions import CopyFailed
from p01.remote.storage.insides import storageOf
from p01.remote.storage.packing import pack
from p01.remote.storage.transactions import Lasting, release

COPIEDATONCE = 1_000               # objects of one transaction
COPIEDBYTES = 4 << 20              # bytes of one transaction, about
ROOT = 0

Told = Callable[[str, int], None]       # what is being done, and the number of objects so far


class Copied(NamedTuple):
    """What was copied."""

    oids: LLTreeSet
    objects: int
    size: int               # bytes
    wanted: list[bytes]     # the ids of the objects of the wanted class


class Snapshot:
    """One state of a database, however it changes meanwhile."""

    def __init__(self, db: ZODB.DB) -> None:
        self.manager = Lasting()
        self.connection: Connection = db.open(self.manager)
        try:
            self.manager.begin()
        except BaseException:
            self.close()
            raise
        self.storage = storageOf(self.connection)

    def load(self, oid: int) -> bytes:
        """The record of an object. Raises POSKeyError."""
        data: bytes = self.storage.load(p64(oid))[0]
        return data

    def file(self, oid: int) -> str:
        """The file of a blob. Raises CopyFailed."""
        try:
            return str(self.storage.loadBlob(p64(oid), self.storage.load(p64(oid))[1]))
        except (AttributeError, Unsupported, POSKeyError) as error:
            raise CopyFailed(f'Object {oid:#x} is a blob, and its file is not there; name the '
                             'folder of blobs in the address (blobstorage_dir), or restore '
                             'it.') from error

    def prefetch(self, oids: list[int]) -> None:
        """Say what is needed next: one query for all, where a server is asked."""
        self.connection.prefetch([p64(oid) for oid in oids])

    def changed(self) -> bool:
        """Whether somebody has committed since. It ends with that: a snapshot of now takes its
        place."""
        self.storage.sync()
        return bool(self.storage.poll_invalidations() != [])

    def close(self) -> None:
        """Let go of it."""
        release(self.connection, self.manager)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def copy(source: Snapshot, target: ZODB.DB, wanted: tuple[str, str],
         last: Callable[[list[bytes]], None],
         told: Told) -> Copied:
    """Copy all that the root of the source leads to.

    wanted is the module and name of a class; last is called with the ids of its objects before the
    root is written, and may raise to give up. Raises CopyFailed when the target is not empty, or
    the source has what cannot be copied.
    """
    with Snapshot(target) as there:
        if len(there.connection.root()):
            raise CopyFailed('The database to copy to is not empty; name a new one.')
    pack(target)                # removes what a copy that was broken off has left
    seen, found, size = LLTreeSet([ROOT]), [], 0
    writer = Writer(target)
    try:
        for count, (oid, data) in enumerate(walk(source, seen), 1):
            if get_pickle_metadata(data) == wanted:
                found.append(p64(oid))
            size += len(data)
            if oid != ROOT:
                writer.add(oid, data, source.file(oid) if is_blob_record(data) else '')
            told('copied', count)
        last(found)
        writer.add(ROOT, source.load(ROOT))
        writer.flush()
    finally:
        writer.close()
    return Copied(seen, len(seen), size, found)


def walk(source: Snapshot, seen: LLTreeSet) -> Iterator[tuple[int, bytes]]:
    """All objects that the root leads to, with their records; their ids are added to seen."""
    waiting = [ROOT]
    while waiting:
        batch, waiting = waiting[-COPIEDATONCE:], waiting[:-COPIEDATONCE]
        source.prefetch(batch)
        for oid in batch:
            data = recordOf(source, oid)
            yield oid, data
            for reference in referencesf(data):
                if seen.add(u64(reference)):
                    waiting.append(u64(reference))


def recordOf(source: Snapshot, oid: int) -> bytes:
    """The record of an object. Raises CopyFailed."""
    try:
        data = source.load(oid)
    except POSKeyError as error:
        raise CopyFailed(f'Object {oid:#x} is referred to and missing: the database is damaged; '
                         'restore it from a backup, or remove what refers to that '
                         'object.') from error
    return data


class Writer:
    """Stores records in transactions of a bounded size."""

    def __init__(self, db: ZODB.DB) -> None:
        self.snapshot = Snapshot(db)        # its storage is one that commits, whatever the kind
        self.storage = self.snapshot.storage
        self.records: list[tuple[int, bytes, str]] = []
        self.size = 0

    def add(self, oid: int, data: bytes, file: str = '') -> None:
        """Store a record with this transaction or a later one, and a copy of the file of a blob.
        Raises CopyFailed."""
        if file and not IBlobStorage.providedBy(self.storage):
            raise CopyFailed('The database holds blobs, and the one to copy to has no folder for '
                             'them; name one in its address (blobstorage_dir).')
        self.records.append((oid, data, file))
        self.size += len(data)
        if len(self.records) >= COPIEDATONCE or self.size >= COPIEDBYTES:
            self.flush()

    def flush(self) -> None:
        """Commit what there is. Raises CopyFailed when somebody else writes there."""
        made: Any = TransactionMetaData()
        self.storage.tpc_begin(made)
        try:
            for oid, data, file in self.records:
                if file:
                    self.storage.storeBlob(p64(oid), self.serial(oid), data, self.taken(file), '',
                                           made)
                else:
                    self.storage.store(p64(oid), self.serial(oid), data, '', made)
            self.storage.tpc_vote(made)
            self.storage.tpc_finish(made)
        except ConflictError as error:
            self.storage.tpc_abort(made)
            raise CopyFailed('Somebody else writes to the database to copy to; stop that, and name '
                             'a new one.') from error
        except BaseException:
            self.storage.tpc_abort(made)
            raise
        self.records, self.size = [], 0

    def taken(self, file: str) -> str:
        """A copy of a file, which the storage takes over."""
        handle, name = tempfile.mkstemp('.copy', dir=self.storage.temporaryDirectory())
        os.close(handle)
        shutil.copyfile(file, name)
        return name

    def serial(self, oid: int) -> bytes:
        """The root object is there already, all others are new."""
        found: bytes = self.storage.load(p64(ROOT))[1] if oid == ROOT else z64
        return found

    def close(self) -> None:
        """End."""
        self.snapshot.close()


def compare(source: Snapshot, target: Snapshot, oids: LLTreeSet, told: Told) -> None:
    """Read every object back. Raises CopyFailed for one that differs."""
    count, rest = 0, iter(oids)
    while batch := list(islice(rest, COPIEDATONCE)):
        for each in (source, target):
            each.prefetch(batch)
        count += len(batch)
        for oid in batch:
            data = source.load(oid)
            if data != target.load(oid) or is_blob_record(data) \
                    and not filecmp.cmp(source.file(oid), target.file(oid), shallow=False):
                raise CopyFailed(f'Object {oid:#x} differs in the copy; copy again into a new '
                                 'database.')
        told('compared', count)
