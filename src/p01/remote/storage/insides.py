# SPDX-License-Identifier: ZPL-2.1
"""What we use of ZODB, transaction and ZEO that they do not promise: each named once, and here.

No other module has a private name of another library; tests/test_house.py sees to it. Each is
looked at when this module is imported, see upstream; tests/unit/test_insides.py proves that it
means what we think, and fails when a release changes that.
"""
from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import transaction
from persistent import Persistent
from transaction.interfaces import NoTransaction
from ZODB import POSException
from ZODB.blob import BlobStorage
from ZODB.Connection import Connection, TmpStore
from ZODB.DB import DB
from ZODB.mvccadapter import MVCCAdapter, MVCCAdapterInstance

from p01.remote.ground.upstream import Inside, changed, of, prove

Hooks = list[tuple[Any, ...]]       # (function, args, kwargs)


# -- transaction

def begun(manager: Any) -> Any:
    """The transaction that somebody has begun under a manager, None when nobody has.

    A manager's get would begin one, and a connection under it would have a new snapshot.
    """
    # the thread's own, of what all threads share
    manager = getattr(manager, 'manager', manager)
    try:
        return manager._txn
    except AttributeError:      # somebody's own class
        try:
            return manager.get()
        except NoTransaction:
            return None


def joined(current: Any) -> bool:
    """Whether a transaction has anything to commit.

    There are public iterators of hooks, and nothing that tells who has joined. This is asked for
    each job.
    """
    return bool(current._resources or current._before_commit or current._after_commit)


def participants(current: Any) -> list[Any]:
    """The data managers that have joined a transaction; in its order only before its commit."""
    found: list[Any] = current._resources
    return found


def hooksOf(current: Any) -> tuple[Hooks, Hooks, Hooks, Hooks]:
    """The hooks of a transaction, of all kinds, as lists that can be cut: a savepoint does not take
    back what was added behind it."""
    return (current._before_commit, current._after_commit, current._before_abort,
            current._after_abort)


def followers(manager: Any) -> list[Any]:
    """The synchronizers of a manager, such as the connections that are open under it."""
    manager = getattr(manager, 'manager', manager)
    found = (reference() for reference in manager._synchs.as_weakref_list())
    return [each for each in found if each is not None]


def turn(current: Any, kind: type) -> None:
    """Have a transaction be of another class, in place.

    Its manager makes it in the middle of its begin, and others have got hold of it by then; no
    proxy or copy would do.
    """
    current.__class__ = kind


# -- ZODB's connections

def storageOf(connection: Connection) -> Any:
    """What a connection loads from: its snapshot, with the savepoints of its transaction.

    The storage of its database shows what is current.
    """
    return connection._storage


def committing(connection: Connection) -> Any:
    """What a connection commits to: its snapshot, whatever savepoints there are."""
    return connection._normal_storage


def weightOf(connection: Connection) -> int:
    """How many bytes of changes the savepoints of a connection hold."""
    saved = connection._savepoint_storage
    return 0 if saved is None else int(saved.getSize())


def place(connection: Connection, oid: bytes, serial: bytes, made: Persistent) -> Any:
    """An object of a connection whose snapshot may be older than it: it is told the serial instead
    of loading it. The one that the connection has already, if it has.

    The serial comes last, so that the object is unchanged and nothing asks for its state.
    """
    cache = connection._cache
    found = cache.get(oid)
    if found is not None:
        return found
    made._p_oid = oid
    made._p_jar = connection
    cache[oid] = made
    made._p_serial = serial
    return made


def pocketOf(connection: Connection) -> dict[str, Any]:
    """Where a connection keeps what we give it, from one opening to the next, and ends with it: a
    dict of ours would keep both for ever, since what is in it refers to them."""
    return vars(connection)


def isLast(obj: Persistent) -> bool:
    """Whether a changed object is the last one that its connection would store, and nothing of the
    transaction is in a savepoint: then storing it first changes nothing else."""
    jar = obj._p_jar
    registered = jar._registered_objects
    return bool(registered) and registered[-1] is obj and jar._savepoint_storage is None


def storeLast(obj: Persistent, record: bytes, current: Any) -> None:
    """Store the last changed object in its connection's stead, as a record that ZODB can read.

    It stays changed, so that nothing makes it a ghost, until the connection ends, which gives it
    the new serial. Raises what the storage does, ConflictError among it.
    """
    jar, oid = obj._p_jar, obj._p_oid
    jar._storage.store(oid, obj._p_serial, record, '', current.data(jar))
    jar._registered_objects.pop()
    jar._modified.append(oid)


def headOf(kind: type) -> bytes:
    """What the record of an object of a class begins with; the pickle of its state follows.

    So ZODB.serialize writes objects whose class has no __getnewargs__.
    """
    return pickle.dumps(kind, 3)


def loadError(error: BaseException) -> BaseException:
    """What the class of an object raised when it was loaded: since 6.4 ZODB wraps it."""
    wraps: Any = getattr(POSException, 'StateLoadError', ())
    return error.__cause__ if isinstance(error, wraps) and error.__cause__ is not None else error


# -- ZODB's databases

class Ear:
    """Stands among the storages of a database's connections, and calls `heard` whenever they are
    told of a commit: ZODB tells nobody else."""

    def __init__(self, db: DB, heard: Callable[[], None]) -> None:
        self.heard = heard
        self.adapter = db._mvcc_storage
        with self.adapter._lock:            # whoever tells goes through them all
            self.adapter._instances.add(self)

    def _invalidate(self, tid: bytes, oids: Any) -> None:
        self.heard()

    def _invalidateCache(self) -> None:
        self.heard()

    def close(self) -> None:
        """Hear no more."""
        with self.adapter._lock:
            if not self.adapter.closed:     # which forgets them all
                self.adapter._instances.discard(self)


def isClosed(db: DB) -> bool:
    """Whether a database was closed, by whatever way: it has no storage any more."""
    return 'storage' not in vars(db)


def stateOf(obj: Persistent) -> dict[str, Any]:
    """The attributes of an object, be it one whose class is not here, see ZODB.broken."""
    own = vars(obj)
    state: dict[str, Any] = own.get('__Broken_state__', own)
    return state


def base(storage: Any) -> Any:
    """What a storage stands on: RelStorage's adapter, a DemoStorage's changes, a wrapper's base.

    Raises LibraryChanged for a RelStorage without one: nobody could tell its faults any more.
    """
    # From the instance, since wrappers hand every other name on to what they wrap.
    own = getattr(storage, '__dict__', {})
    for name in ('_adapter', 'changes', '_BlobStorage__storage', 'base'):
        found = own.get(name)
        if found is not None:
            return found
    if 'relstorage.storage.RelStorage' in names(storage):
        raise changed(type(storage), 'has no RelStorage._adapter',
                      'the faults of its kinds cannot be told')
    return None


def names(obj: Any) -> list[str]:
    """The names of an object's classes; to be told by them must import none."""
    return [f'{cls.__module__}.{cls.__qualname__}' for cls in type(obj).__mro__]


# -- Zope

SITEMANAGER = '_sm'     # where zope.component.hooks and zope.site find a site's components


def interactionsOf(management: Any) -> dict[str, Any]:
    """Where zope.security.management keeps the interaction of this thread. To look there is no
    call, and makes nothing."""
    return vars(management.thread_local)


def setInteraction(management: Any, interaction: Any) -> None:
    """Have the thread go on with an interaction that it had: a new one can be begun only, with new
    participations."""
    management.thread_local.interaction = interaction


def sitesOf(hooks: Any) -> dict[str, Any]:
    """Where zope.component.hooks keeps the site of this thread."""
    return vars(hooks.siteinfo)


def proveZope(management: Any, hooks: Any) -> None:
    """Raises LibraryChanged; for the modules, None where they are not installed."""
    lost = 'a job cannot be told from the next by its {}'
    prove(Inside(module, name, lost.format(what)) for module, name, what in (
        (management, 'thread_local', 'interaction'), (hooks, 'siteinfo', 'site'))
          if module is not None)


# -- ZEO's client

def forgetIds(storage: Any) -> None:
    """Forget the ids that a client has fetched ahead."""
    storage._oids.clear()


def cacheOf(storage: Any) -> Any:
    """The cache of a client, which is told the last transaction by setLastTid."""
    return storage._cache


def proveZeo(client: type, cache: type) -> None:
    """Raises LibraryChanged; for the classes of ZEO, which few need."""
    ids = 'two clients use the same ids after their server has started anew'
    order = 'what the server tells late is an error in the log each time'
    prove([Inside(client, '_oids', ids), Inside(client, '_cache', order),
           Inside(cache, 'setLastTid', order, 2),
           Inside(cache, 'getLastTid', order, 1), Inside(cache, '__len__', order, 1)])


OUTCOME = 'an outcome cannot be stored with its job'
BESIDE = 'a job cannot be taken back from a transaction that others share'
NEWER = 'a job cannot be enqueued to a segment that is newer than its snapshot'
SIGNAL = 'workers are not told of new jobs by ZEO'
INSIDES = [
    *of(transaction.TransactionManager, 'nobody can tell whether a transaction has begun',
        _txn=None),
    *of(transaction.TransactionManager, 'the connections of a transaction cannot be found',
        _synchs=None),
    *of(transaction.Transaction, BESIDE, _resources=None, _before_commit=None, _after_commit=None,
        _before_abort=None, _after_abort=None),
    *of(transaction.Transaction, OUTCOME, data=2),
    *of(transaction.Transaction, 'it cannot be of a class of ours', __dict__=None),
    *of(transaction.ThreadTransactionManager, 'a job cannot have a manager of its own',
        manager=None),
    *of(Connection, 'records cannot be copied and compared', _storage=None),
    *of(Connection, 'workers are not told of new jobs by PostgreSQL', _normal_storage=None),
    *of(Connection, OUTCOME, _savepoint_storage=None, _registered_objects=None, _modified=None),
    *of(Connection, NEWER, _cache=None, __dict__=None),
    *of(TmpStore, 'the size of a transaction cannot be told', getSize=1),
    *of(DB, SIGNAL, _mvcc_storage=None),
    *of(DB, 'a change that comes too late is not told of', klass=None),
    *of(DB, 'nobody can tell whether a database was closed', __dict__=None),
    *of(MVCCAdapter, SIGNAL, _instances=None, _lock=None, closed=None),
    *of(MVCCAdapterInstance, SIGNAL, _invalidate=3, _invalidateCache=1),
    *of(BlobStorage, 'the kind of a database with blobs cannot be told',
        _BlobStorage__storage=None),
]
prove(INSIDES)
