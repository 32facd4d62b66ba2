# SPDX-License-Identifier: ZPL-2.1
"""How an application's transaction enqueues without meeting anybody: segments reserved for one
connection.

The segments are made and registered in short transactions of the system's own. The application's
transaction then writes only to objects that nobody else writes. Its snapshot may be older than the
reservation; the connection then adopts the empty segment: it is told the object's state and serial
instead of loading them.
"""
from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from BTrees.LOBTree import LOBTree
from persistent import Persistent
from transaction.interfaces import NoTransaction
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.POSException import POSKeyError, ReadConflictError
from ZODB.utils import z64

from p01.remote.exceptions import TransactionOver
from p01.remote.ground import fork
from p01.remote.ground.door import Closed
from p01.remote.storage.connection import FORKED, why
from p01.remote.storage.transactions import LIVE, transact
from p01.remote.store.keys import shardOf
from p01.remote.store.records import Record
from p01.remote.store.segments import Segment

SMALL, LARGE = 32, 512      # ids of a segment: about 4 KB for jobs that come one by one, about 64 KB in bulk
AHEAD = 8                   # segments reserved at once by a busy connection
BUSY = 1.0                  # seconds between two reservations of a busy connection
ASTRAY = 1.0                # seconds that a clock is put back at once at most, when it is right as a rule
ABANDON = 30 * 60.0         # seconds; the janitor seals a segment that nobody wrote to for twice as long


class LastId(Closed, Persistent):
    """The last id given out."""

    last = 0


class Spare(NamedTuple):
    """A reserved segment, as it was committed."""

    oid: bytes
    serial: bytes
    first: int
    size: int
    born: float

MIDST = ('This was called in the midst of an enqueue of the same thread to the same transaction; '
         'enqueue when that is done, not in a signal handler, __del__ or the like that comes '
         'between.')


class Writer:
    """What one connection knows of the segments reserved for it. In memory only; lost with the
    process, it leaves a gap."""

    def __init__(self, store: Any) -> None:
        self.oid = store._p_oid
        self.mark = fork.mark
        self.spares: deque[Spare] = deque()
        self.segment: Segment | None = None
        self.ahead = 1
        self.fresh = False                                      # the spares were reserved in this transaction
        self.reserved = self.used = -ABANDON
        self.stamp = 0.0
        self.transaction: Callable[[], Any] = lambda: None      # a weak reference
        self.here = 0                                           # jobs of this transaction
        self.adopted: dict[int, Segment] = {}                   # of this transaction, by first id
        self.next = 0
        # what store.uniques knows: the register, its number, the transaction that had it made, and
        # the place of the sweep
        self.register: Any = None
        self.number = self.keys = 0
        self.registered: Callable[[], Any] = lambda: None
        self.at = ''
        self.adding = False

    def add(self, connection: Connection, record: Record) -> int:
        """Append a job to a segment of this connection, whose transaction it has met; returns its
        id.

        Raises TransactionOver in the midst of another add of the same thread, as in a signal
        handler: they would share an id.
        """
        if self.adding:
            raise TransactionOver(MIDST)
        self.adding = True
        try:
            return self.append(connection, record)
        finally:
            self.adding = False

    def append(self, connection: Connection, record: Record) -> int:
        """See add."""
        now = time.monotonic()
        segment = self.segment
        if segment is None or now - self.used > ABANDON or not loadable(segment) or self.next > segment.last:
            segment = self.turn(connection, now)
        self.used = now
        # strictly increasing, so that one connection's jobs keep their order whatever the clock's resolution
        if record.created < self.stamp - ASTRAY:
            self.stamp, segment.astray = record.created, True       # the clock was put back
        self.stamp = max(record.created, self.stamp + 0.000_002)
        jobid, self.next = self.next, self.next + 1
        self.here += 1
        segment.append(jobid, record if record.created == self.stamp else record._replace(created=self.stamp))
        return jobid

    def admit(self, connection: Connection) -> None:
        """Meet the transaction that a job is to be added to. Raises TransactionOver when it can
        take no more."""
        if self.mark is not fork.mark:
            raise TransactionOver(FORKED)
        current = self.meet(connection)
        if current.status not in LIVE:
            raise TransactionOver('No job can be enqueued here, since the transaction is over: '
                                  f'{why(connection)}; enqueue before it commits, or in a '
                                  'transaction of its own.')

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
            for first in [first for first, segment in self.adopted.items() if not loadable(segment)]:
                del self.adopted[first]
        return self.adopted

    def turn(self, connection: Connection, now: float) -> Segment:
        """Go on to the next segment."""
        if now - self.reserved > ABANDON:
            self.spares.clear()
        while self.spares:
            spare = self.spares.popleft()
            # one that has waited may have been sealed, by a worker whose clock runs ahead
            segment = adopt(connection, spare, not self.fresh)
            if segment.size:
                break
        else:
            # a transaction with many jobs gets ever larger segments, a connection in a hurry more
            # of them at once
            chunk = min(LARGE, max(SMALL, 1 << (self.here.bit_length() - 1 if self.here else 0)))
            if self.segment is None:
                chunk = 1       # many processes enqueue one job and end: their ids need no gaps
            self.ahead = min(self.ahead * 2, AHEAD) if now - self.reserved < BUSY else 1
            self.spares = deque(reserve(connection.db(), self.oid, self.ahead, chunk))
            self.reserved, self.fresh = now, True
            spare = self.spares.popleft()
            segment = adopt(connection, spare)
        self.segment = segment
        self.adopted[spare.first] = segment
        self.next = spare.first
        return segment


def reserve(db: DB, oid: bytes, count: int, size: int) -> list[Spare]:
    """Make and register so many empty segments, in a transaction of the system's own."""
    made: list[Segment] = []

    def work(connection: Connection) -> None:
        made[:] = extend(connection.get(oid), count, size)

    transact(db, work)
    return [Spare(each._p_oid, each._p_serial, each.first, each.size, each.born) for each in made]


def extend(store: Any, count: int, size: int) -> list[Segment]:
    """New segments at the end of the store."""
    counter: LastId = store.counter
    segments: LOBTree = store.segments
    made, now = [], time.time()
    for _ in range(count):
        segment = segments[counter.last + 1] = Segment(counter.last + 1, size, now)
        counter.last = segment.last
        made.append(segment)
    return made


def adopt(connection: Connection, spare: Spare, look: bool = False) -> Segment:
    """The reserved segment as an object of this connection, though its snapshot may be older than
    the segment.

    look loads it, if the snapshot has it; else it is taken to be as it was when it was reserved.
    """
    if look:
        try:
            loaded: Segment = connection.get(spare.oid)
            loaded._p_activate()
            return loaded
        except (POSKeyError, ReadConflictError):
            pass
    segment: Segment = told(connection, spare.oid, spare.serial, Segment(spare.first, spare.size, spare.born))
    return segment


def told(connection: Connection, oid: bytes, serial: bytes, made: Any) -> Any:
    """An object as it was reserved, of this connection, which is told its serial instead of loading it."""
    cache = connection._cache
    found = cache.get(oid)
    if found is not None:
        return found
    made._p_oid = oid
    made._p_jar = connection
    cache[oid] = made
    made._p_serial = serial
    return made


def loadable(segment: Persistent) -> bool:
    """Whether a segment or register is in the snapshot or a savepoint: not when one was rolled back
    behind its adoption."""
    try:
        # asked of the storage, since a connection logs what it cannot load
        if segment._p_changed is None:
            segment._p_jar._storage.load(segment._p_oid)
        segment._p_activate()
        return True
    except (POSKeyError, ReadConflictError):
        return False


def local(store: Any, record: Record) -> int:
    """Add a job to a store that nobody else can see yet: it is not stored, or not committed."""
    counter: LastId = store.counter
    counter.last += 1
    segment: Segment | None = None
    if store.segments:
        segment = store.segments[store.segments.maxKey()]
    if segment is None or segment.size >= SMALL \
            or store.shards[shardOf(segment.first)].taken(segment.first, segment.last):
        segment = store.segments[counter.last] = Segment(counter.last, 0, time.time())
    segment.size += 1
    newest = segment.entries[segment.top].created if segment.entries else 0.0
    segment.append(counter.last, record._replace(created=max(record.created, newest + 0.000_002)))
    return counter.last


def isLocal(store: Any) -> bool:
    """Whether nobody else can see this store yet."""
    return store._p_jar is None or store._p_serial == z64


# Where a connection has its writers: with it, not in a dict of ours, for they refer to it, and it
# would never be collected.
WRITERS = 'p01.remote.writers'


def known(store: Any) -> Writer | None:
    """The writer of this store's connection, if it has enqueued."""
    found: Writer | None = getattr(store, '_v_writer', None)    # lost when the cache drops the store's state
    if found is None and store._p_jar is not None:
        found = vars(store._p_jar).get(WRITERS, {}).get(store._p_oid)
        store._v_writer = found
    return found


def writerOf(store: Any) -> Writer:
    """The writer of this store's connection."""
    found = known(store)
    if found is None:
        if store._p_jar.opened and store._p_jar.opened < fork.since:
            raise TransactionOver(FORKED)
        found = store._v_writer = Writer(store)
        vars(store._p_jar).setdefault(WRITERS, {})[store._p_oid] = found
    return found
