# SPDX-License-Identifier: ZPL-2.1
"""What our storages have in common: a ZODB storage of current revisions, one view of it for each
connection (IMVCCStorage).

A view reads one snapshot of the database from the begin of a transaction to its end. What it stores
is kept until the vote; the vote writes, and conflicts are resolved by the state in the view's own
snapshot, which stands until then. A kind of storage says how in a subclass of View, see "what a
kind says", and has what its views share within the process in one of shared.Shared.
"""
from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from persistent.TimeStamp import TimeStamp
from ZODB import interfaces
from ZODB.ConflictResolution import ConflictResolvingStorage
from ZODB.POSException import POSKeyError, ReadOnlyError, StorageError, StorageTransactionError
from ZODB.utils import newTid, p64, u64, z64
from zope.interface import alsoProvides, implementer

from p01.remote.ground.upstream import over
from p01.remote.storage.blobs import Blobbed
from p01.remote.storage.iteration import Iterated, Row
from p01.remote.storage.pending import Pending
from p01.remote.storage.resolving import resolve
from p01.remote.storage.shared import Shared

CHANGES = 100_000   # more than so many changes are not told one by one


@implementer(interfaces.IMVCCAfterCompletionStorage, interfaces.IMultiCommitStorage,
             interfaces.ReadVerifyingStorage,
             interfaces.IStorageRestoreable, interfaces.IStorageIteration,
             interfaces.IStorageCurrentRecordIteration)
class View(Blobbed, Iterated, ConflictResolvingStorage, ABC):
    """One view of a database."""

    tid = z64                       # of the transaction that is being committed, from its vote on

    def __init__(self, shared: Shared, first: bool = True) -> None:
        self.shared = shared
        self.first = first          # which closes what is shared
        self.__name__ = shared.name
        self.wrapper: Any = None                # see IStorageWrapper of ZODB
        self.lock = threading.RLock()           # the first view is used by many threads
        self.commitLock = threading.Lock()
        self.transaction: Any = None            # that is being committed
        self.pending = Pending()
        self.voted = False          # whether the kind has to end what its vote began
        if shared.blobs is not None:
            alsoProvides(self, interfaces.IBlobStorageRestoreable)

    # -- what a kind says; all but release is called with the lock

    @abstractmethod
    def poll(self) -> list[int] | None:
        """Begin a new snapshot; the objects that others changed since the one before, None for all.
        Repeatable."""

    @abstractmethod
    def end(self) -> None:
        """Let go of the snapshot, if there is one."""

    @abstractmethod
    def read(self, oid: int) -> tuple[bytes, int] | None:
        """State and revision of an object in the snapshot, which begins if there is none; None for
        no object."""

    @abstractmethod
    def last(self) -> int:
        """The last transaction that the snapshot shows, or, without one, that there is."""

    @abstractmethod
    def vote(self, pending: Pending) -> list[Row]:
        """Write what is pending, and make sure that it can be committed; sets tid. Called again
        with what was resolved.

        Returns the rows that are in the way: objects of pending.stores whose current revision is
        not the one that the store is based on, revision 0 for those that are not there any more.
        Nobody else changes these before the end. Raises ReadConflictError for pending.checks that
        do not hold.
        """

    @abstractmethod
    def commit(self, tid: int) -> None:
        """Make it last, and end the snapshot. Whatever it raises, all is let go of."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo what the vote wrote, whole or in part."""

    @abstractmethod
    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """All objects with revisions from start to stop, by revision and id, of one snapshot of its
        own; closed, it ends."""

    @abstractmethod
    def after(self, oid: int, number: int) -> list[int]:
        """The ids of the next objects in the snapshot from this one on, at most so many."""

    @abstractmethod
    def release(self) -> None:
        """No longer used; used again it connects anew."""

    # -- reading

    def new_instance(self) -> View:
        """Another view."""
        made = type(self)(self.shared, first=False)
        if self.wrapper is not None:
            made.registerDB(self.wrapper)
        return made

    @over(ConflictResolvingStorage)
    def registerDB(self, wrapper: Any) -> None:
        """Whoever transforms records, as a storage that compresses them, is known to all views:
        conflicts are resolved by what the records say."""
        super().registerDB(wrapper)
        self.wrapper = wrapper

    def sync(self, force: bool = True) -> None:
        """poll_invalidations does it all."""

    def poll_invalidations(self) -> list[bytes] | None:
        """Begin a new snapshot; the objects that others changed since the one before, None for
        all."""
        with self.lock:
            self.shared.own()
            changed = self.poll()
        return changed and [p64(oid) for oid in changed]    # type: ignore[return-value]

    def afterCompletion(self) -> None:
        """Give the snapshot up: the database has to keep for it what others replace."""
        with self.lock:
            self.shared.own()
            self.end()

    def load(self, oid: bytes, version: str = '') -> tuple[bytes, bytes]:
        """The state and revision of an object. Raises POSKeyError."""
        with self.lock:
            self.shared.own()
            found = self.read(u64(oid))
        if found is None:
            raise POSKeyError(oid)
        return found[0], p64(found[1])

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, None] | None:
        """The current revision, when it is older."""
        state, serial = self.load(oid)
        return (state, serial, None) if serial < tid else None

    def loadSerial(self, oid: bytes, serial: bytes) -> bytes:
        """The revision of the snapshot, when it is that one. Raises POSKeyError."""
        state, found = self.load(oid)
        if found != serial:
            raise POSKeyError(oid)
        return state

    def lastTransaction(self) -> bytes:
        """Of the snapshot when there is one."""
        with self.lock:
            self.shared.own()
            return p64(self.last())

    def history(self, oid: bytes, size: int = 1) -> list[dict[str, Any]]:
        """The current revision alone."""
        state, tid = self.load(oid)
        return [{'time': TimeStamp(tid).timeTime(), 'tid': tid, 'serial': tid, 'user_name': b'',
                 'description': b'',
                 'size': len(state)}][:size]

    def getName(self) -> str:
        """What the database is called."""
        return str(self.shared.name)

    sortKey = getName

    def isReadOnly(self) -> bool:
        """Whether it was opened so."""
        return bool(self.shared.readOnly)

    def supportsUndo(self) -> bool:
        """It does not."""
        return False

    # -- committing

    def new_oid(self) -> bytes:
        """An id for a new object."""
        self.writable()
        return p64(self.shared.newId(self))

    def writable(self) -> None:
        """Raises ReadOnlyError, and Forked."""
        self.shared.own()
        if self.shared.readOnly:
            raise ReadOnlyError()

    def committing(self, transaction: Any) -> Pending:
        """What it stores. Raises StorageTransactionError unless it is this one that is being
        committed."""
        if transaction is not self.transaction or transaction is None:
            self.writable()
            raise StorageTransactionError(self, transaction)
        return self.pending

    def tpc_begin(self, transaction: Any, tid: bytes | None = None, status: str = ' ') -> None:
        """Waits for the transaction of another thread that is being committed through this very
        view; locks nothing else."""
        self.writable()
        if transaction is self.transaction:
            raise StorageTransactionError('Duplicate tpc_begin calls for same transaction')
        self.commitLock.acquire()
        self.pending, self.transaction = Pending(tid), transaction

    def tpc_transaction(self) -> Any:
        """The transaction that is being committed."""
        return self.transaction

    def store(self, oid: bytes, serial: bytes | None, data: bytes, version: str,
              transaction: Any) -> None:
        """Kept until the vote."""
        self.committing(transaction).store(u64(oid), u64(serial or z64), data)

    def restore(self, oid: bytes, serial: bytes, data: bytes | None, version: str, prevTxn: Any,
                transaction: Any) -> None:
        """Kept until the vote, which writes it whatever there is, unless that is newer."""
        self.committing(transaction).restore(u64(oid), u64(serial), data)

    def checkCurrentSerialInTransaction(self, oid: bytes, serial: bytes, transaction: Any) -> None:
        """Looked at in the vote, and true until the commit."""
        self.committing(transaction).checks[u64(oid)] = u64(serial)

    def tpc_vote(self, transaction: Any) -> list[bytes]:
        """Write all; returns the objects whose conflicts were resolved."""
        with self.lock:
            pending = self.committing(transaction)
            if not pending:
                self.tid = pending.given or newTid(p64(self.last()))
                return []
            self.voted = True
            conflicts = self.vote(pending)
            if not conflicts:
                return []
            again = Pending()
            try:
                resolve(pending, conflicts, again, self.tryToResolveConflict)
                if self.vote(again):
                    raise StorageError('An object has changed that nobody else could change.')
            finally:
                again.clear()
            return [p64(oid) for oid, *_ in conflicts]

    def tpc_finish(self, transaction: Any,
                   func: Callable[[bytes], object] = lambda tid: None) -> bytes:
        """Make it last, and call func with its id."""
        with self.lock:
            self.committing(transaction)
            tid = self.tid
            try:
                if self.voted:
                    self.voted = False
                    self.commit(u64(tid))
                else:
                    self.end()
                func(tid)
            finally:
                self.done()
            return tid

    def tpc_abort(self, transaction: Any) -> None:
        """Forget it."""
        with self.lock:
            if transaction is not self.transaction or transaction is None:
                return
            self.shared.own()
            try:
                if self.voted:
                    self.voted = False
                    self.rollback()
            finally:
                self.done()

    def done(self) -> None:
        """Another transaction may be committed."""
        self.transaction = None
        self.pending.clear()
        self.commitLock.release()

    def close(self) -> None:
        """The first view closes what is shared."""
        self.release()
        if self.first and not self.shared.closed:
            self.shared.close()
