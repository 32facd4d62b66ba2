# SPDX-License-Identifier: ZPL-2.1
"""Edge a of a job's life: an application's transaction enqueues without meeting anybody.

It writes only to objects that nobody else writes: segments reserved for its connection, see
reserving. Its snapshot may be older than the reservation; the connection then adopts the empty
segment.
"""
from __future__ import annotations

import time
from collections import deque

from ZODB.Connection import Connection

from p01.remote.exceptions import TransactionOver
from p01.remote.ground import clocks, fork
from p01.remote.storage.connection import FORKED, idle, why
from p01.remote.storage.transactions import LIVE
from p01.remote.store import uniques, writers
from p01.remote.store.keys import shardOf
from p01.remote.store.records import Record
from p01.remote.store.segments import Segment
from p01.remote.store.store import Store
from p01.remote.store.writers import Writer, loadable
from p01.remote.verbs import registers
from p01.remote.verbs.reserving import LARGE, SMALL, adopt, reserve

AHEAD = 8                   # segments reserved at once by a busy connection
BUSY = 1.0                  # seconds between two reservations of a busy connection
# seconds that a clock is put back at once at most, when it is right as a rule
ASTRAY = 1.0
# seconds; the janitor seals a segment that nobody wrote to for twice as long
ABANDON = 30 * 60.0
MIDST = ('This was called in the midst of an enqueue of the same thread to the same transaction; '
         'enqueue when that is done, not in a signal handler, __del__ or the like that comes '
         'between.')


def add(store: Store, record: Record) -> int:
    """Enqueue; returns the job's id, or that of the job that holds its unique key. Conflicts with
    nobody."""
    return put(store, record)[0]


def put(store: Store, record: Record) -> tuple[int, int]:
    """Enqueue; returns the job's id, and how many jobs this transaction has enqueued here by now.

    When another job holds its unique key, it is that one's id, and 0. Raises TransactionOver when
    the transaction can take no more; nothing is changed then.
    """
    mine = None if writers.isLocal(store) else writers.writerOf(store)
    if mine is not None:
        admit(mine, store._p_jar)
    unique = (record.extras or {}).get('unique')
    if unique is not None:
        holder = uniques.holder(store, unique[0], record.created)
        if holder is not None:
            return holder, 0
    if mine is None:
        jobid, here = local(store, record), 1
    else:
        jobid = append(mine, store._p_jar, record)
        here = mine.here
    if unique is not None:
        registers.note(store, unique[0], jobid)
    return jobid, here


def admit(writer: Writer, connection: Connection) -> None:
    """Meet the transaction that a job is to be added to. Raises TransactionOver when it can
    take no more."""
    if writer.mark is not fork.mark:
        raise TransactionOver(FORKED)
    idle(connection)
    current = writer.meet(connection)
    if current.status not in LIVE:
        raise TransactionOver('No job can be enqueued here, since the transaction is over: '
                              f'{why(connection)}; enqueue before it commits, or in a '
                              'transaction of its own.')


def append(writer: Writer, connection: Connection, record: Record) -> int:
    """Append a job to a segment of this connection, whose transaction it has met; returns its
    id.

    Raises TransactionOver in the midst of another add of the same thread, as in a signal
    handler: they would share an id.
    """
    if writer.adding:
        raise TransactionOver(MIDST)
    writer.adding = True
    try:
        return write(writer, connection, record)
    finally:
        writer.adding = False


def write(writer: Writer, connection: Connection, record: Record) -> int:
    """See append."""
    now = time.monotonic()
    segment = writer.segment
    if segment is None or now - writer.used > ABANDON or not loadable(segment) \
            or writer.next > segment.last:
        segment = turn(writer, connection, now)
    writer.used = now
    # strictly increasing, so that one connection's jobs keep their order whatever the clock's
    # resolution
    if record.created < writer.stamp - ASTRAY:
        writer.stamp, segment.astray = record.created, True       # the clock was put back
    writer.stamp = max(record.created, writer.stamp + 0.000_002)
    jobid, writer.next = writer.next, writer.next + 1
    writer.here += 1
    segment.append(jobid, record if record.created == writer.stamp
                   else record._replace(created=writer.stamp))
    return jobid


def turn(writer: Writer, connection: Connection, now: float) -> Segment:
    """Go on to the next segment."""
    if now - writer.reserved > ABANDON:
        writer.spares.clear()
    while writer.spares:
        spare = writer.spares.popleft()
        # one that has waited may have been sealed, by a worker whose clock runs ahead
        segment = adopt(connection, spare, not writer.fresh)
        if segment.size:
            break
    else:
        # a transaction with many jobs gets ever larger segments, a connection in a hurry more
        # of them at once
        chunk = min(LARGE, max(SMALL, 1 << (writer.here.bit_length() - 1 if writer.here else 0)))
        if writer.segment is None:
            chunk = 1       # many processes enqueue one job and end: their ids need no gaps
        writer.ahead = min(writer.ahead * 2, AHEAD) if now - writer.reserved < BUSY else 1
        writer.spares = deque(reserve(connection.db(), writer.oid, writer.ahead, chunk))
        writer.reserved, writer.fresh = now, True
        spare = writer.spares.popleft()
        segment = adopt(connection, spare)
    writer.segment = segment
    writer.adopted[spare.first] = segment
    writer.next = spare.first
    return segment


def local(store: Store, record: Record) -> int:
    """Add a job to a store that nobody else can see yet: it is not stored, or not committed."""
    counter = store.counter
    counter.last += 1
    segment: Segment | None = None
    if store.segments:
        segment = store.segments[store.segments.maxKey()]
    if segment is None or segment.size >= SMALL \
            or store.shards[shardOf(segment.first)].taken(segment.first, segment.last):
        segment = store.segments[counter.last] = Segment(counter.last, 0, clocks.now())
    segment.size += 1
    newest = segment.entries[segment.top].created if segment.entries else 0.0
    segment.append(counter.last, record._replace(created=max(record.created, newest + 0.000_002)))
    return counter.last
