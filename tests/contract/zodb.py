# SPDX-License-Identifier: ZPL-2.1
"""ZODB's own tests of storages, for those of ours: a kind says how its databases are made and
opened.

What does not apply is listed with the reason.
"""
import unittest

import ZODB
from ZODB.FileStorage import FileStorage
from ZODB.tests import (
    BasicStorage,
    ConflictResolution,
    HistoryStorage,
    IteratorStorage,
    MTStorage,
    PackableStorage,
    PersistentStorage,
    ReadOnlyStorage,
    RevisionStorage,
    Synchronization,
)
from ZODB.tests.testMVCCMappingStorage import MVCCTests

SKIPPED = {
    'it keeps current revisions only': (
        'testSimpleHistory', 'testSimpleIteration', 'testExtendedIteration', 'testLoadSerial',
        'testLoadBefore',
        'testLoadBeforeOld', 'testLoadBeforeConsecutiveTids', 'testLoadBeforeEdges',
        'testPackAllRevisions',
        'testPackJustOldRevisions', 'testPackOnlyOneObject', 'testPackAllRevisionsNoGC'),
    'it cannot undo': ('testUndoZombie', 'testLoadBeforeUndo', 'testPackUnlinkedFromRoot',
                       'testPackUndoLog',
                       'testWriteMethods'),
    'it does not keep what is said of a transaction': ('testTransactionExtensionFromIterator',),
}


class Storages(BasicStorage.BasicStorage, HistoryStorage.HistoryStorage,
                   IteratorStorage.ExtendedIteratorStorage, IteratorStorage.IteratorStorage,
               MTStorage.MTStorage,
                   PackableStorage.PackableStorageWithOptionalGC,
               PackableStorage.PackableUndoStorage,
                   PersistentStorage.PersistentStorage, ReadOnlyStorage.ReadOnlyStorage,
               RevisionStorage.RevisionStorage,
                   Synchronization.SynchronizedStorage,
               ConflictResolution.ConflictResolvingStorage, MVCCTests):

    def setUp(self):
        # before, since tests make their folder the one for all temporary files
        self.where = self.database()
        super().setUp()
        self.open()

    def open(self, read_only=False):
        self._storage = self.opened(self.where, read_only)

    def _new_storage_client(self):
        return self.opened(self.where)


for reason, names in SKIPPED.items():
    for name in names:
        setattr(Storages, name, unittest.skip(reason)(getattr(Storages, name)))


class Copies(IteratorStorage.IteratorDeepCompare):

    def setUp(self):
        wheres = self.database(), self.database()
        super().setUp()
        self._storage, self._dst = map(self.opened, wheres)

    def tearDown(self):
        self._dst.close()
        super().tearDown()

    def testCopy(self):
        for number in range(5):
            oid = self._storage.new_oid()
            tid = self._dostore(oid, data=number)
            self._dostore(oid, tid, data=number + 10)
        self._dst.copyTransactionsFrom(self._storage)
        self.compare(self._storage, self._dst)
        assert self._storage.lastTransaction() == self._dst.lastTransaction()
        assert self._dst.new_oid() > oid

    def testFromAndToFileStorage(self):
        db = ZODB.DB(FileStorage('x.fs'))
        for number in range(5):
            with db.transaction() as connection:
                connection.root()[number] = connection.root().__class__({number: number})
        self._dst.copyTransactionsFrom(db.storage)
        db.close()
        back = FileStorage('y.fs')
        back.copyTransactionsFrom(self._dst)
        for storage in (self._dst, back):
            db = ZODB.DB(storage)
            with db.transaction() as connection:
                found = {key: dict(value) for key, value in connection.root().items()}
            assert found == {number: {number: number} for number in range(5)}
            oids, following = [], None
            while not oids or following is not None:
                oid, _, _, following = storage.record_iternext(following)
                oids.append(oid)
            assert len(set(oids)) == 6
            db.close()
