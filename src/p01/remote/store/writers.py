# SPDX-License-Identifier: ZPL-2.1
"""What one connection knows of the segments that are reserved for it, and sees of them beyond its
snapshot.

In memory only; lost with the process, it leaves a gap of ids.
"""
from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from transaction.interfaces import NoTransaction
from ZODB.Connection import Connection
from ZODB.POSException import POSKeyError, ReadConflictError
from ZODB.utils import z64

from p01.remote.exceptions import TransactionOver
from p01.remote.ground import fork
from p01.remote.storage.connection import FORKED, why
from p01.remote.storage.insides import pocketOf, storageOf
from p01.remote.store.segments import Segment

LONGAGO = float('-inf')


class Spare(NamedTuple):
    """A reserved segment, as it was committed."""

    oid: bytes
    serial: bytes
    first: int
    size: int
    born: float


class Written(Protocol):
    """What a connection may enqueue in: a store.Store, as it is seen from below."""

    _p_oid: bytes | Any
    _p_jar: Connection | Any
    _p_serial: bytes
    _v_writer: Writer | None

    def _p_activate(self) -> None: ...


class Writer:
    """What one connection knows of the segments reserved for it. In memory only; lost with the
    process, it leaves a gap."""

    def __init__(self, store: Written) -> None:
        self.oid = store._p_oid
        self.mark = fork.mark
        self.spares: deque[Spare] = deque()
        self.segment: Segment | None = None
        self.ahead = 1
        # the spares were reserved in this transaction
        self.fresh = False
        self.reserved = self.used = LONGAGO
        self.stamp = 0.0
        self.transaction: Callable[[], Any] = lambda: None      # a weak reference
        self.here = 0                                           # jobs of this transaction
        self.adopted: dict[int, Segment] = {}                   # of this transaction, by first id
        self.next = 0
        # what verbs.registers knows: the register, its number, the transaction that had it made,
        # and the place of the sweep
        self.register: OOBTree[str, int] | None = None
        self.number = self.keys = 0
        self.registered: Callable[[], Any] = lambda: None
        self.at = ''
        self.adding = False

    def meet(self, connection: Connection) -> Any:
        """Notice that another transaction has begun, and return it. Raises TransactionOver where
        there is none."""
        try:
            current = connection.transaction_manager.get()
        except (NoTransaction, AttributeError) as error:
            raise TransactionOver(f'There is no transaction here: {why(connection)}; begin one '
                                  'first.') from error
        if self.transaction() is not current:
            self.transaction = weakref.ref(current)
            self.here = 0
            self.fresh = False
            self.adopted.clear()
        return current

    def present(self) -> dict[int, Segment]:
        """The adopted segments that there are, whatever savepoints were rolled back."""
        if self.adopted:
            for first in [first for first, segment in self.adopted.items()
                          if not loadable(segment)]:
                del self.adopted[first]
        return self.adopted


def loadable(segment: Persistent) -> bool:
    """Whether a segment or register is in the snapshot or a savepoint: not when one was rolled back
    behind its adoption."""
    try:
        # asked of the storage, since a connection logs what it cannot load
        if segment._p_changed is None:
            storageOf(segment._p_jar).load(segment._p_oid)
        segment._p_activate()
        return True
    except (POSKeyError, ReadConflictError):
        return False


def isLocal(store: Written) -> bool:
    """Whether nobody else can see this store yet."""
    if store._p_jar is None:
        return True
    store._p_activate()         # a ghost has no serial
    return bool(store._p_serial == z64)


# Where a connection has its writers: with it, not in a dict of ours, for they refer to it, and it
# would never be collected.
WRITERS = 'p01.remote.writers'


def known(store: Written) -> Writer | None:
    """The writer of this store's connection, if it has enqueued."""
    # lost when the cache drops the store's state
    found: Writer | None = getattr(store, '_v_writer', None)
    if found is None and store._p_jar is not None:
        found = pocketOf(store._p_jar).get(WRITERS, {}).get(store._p_oid)
        store._v_writer = found
    return found


def writerOf(store: Written) -> Writer:
    """The writer of this store's connection."""
    found = known(store)
    if found is None:
        if store._p_jar.opened and store._p_jar.opened < fork.since:
            raise TransactionOver(FORKED)
        found = store._v_writer = Writer(store)
        pocketOf(store._p_jar).setdefault(WRITERS, {})[store._p_oid] = found
    return found
