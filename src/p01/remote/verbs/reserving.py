# SPDX-License-Identifier: ZPL-2.1
"""Segments reserved for one connection, made and registered in transactions of the system's own:
the only commits of a verb."""
from __future__ import annotations

from typing import Any

from BTrees.OOBTree import OOBTree
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.POSException import POSKeyError, ReadConflictError

from p01.remote.ground import clocks
from p01.remote.storage.insides import place
from p01.remote.storage.transactions import transact
from p01.remote.store.segments import Segment
from p01.remote.store.store import Store
from p01.remote.store.writers import Spare

# ids of a segment: about 4 KB for jobs that come one by one, about 64 KB in bulk
SMALL, LARGE = 32, 512


def reserve(db: DB, oid: bytes, count: int, size: int) -> list[Spare]:
    """Make and register so many empty segments, in a transaction of the system's own."""
    made: list[Segment] = []

    def work(connection: Connection) -> None:
        made[:] = extend(connection.get(oid), count, size)

    transact(db, work)
    return [Spare(each._p_oid, each._p_serial, each.first, each.size, each.born) for each in made]


def extend(store: Store, count: int, size: int) -> list[Segment]:
    """New segments at the end of the store."""
    counter = store.counter
    segments = store.segments
    made, now = [], clocks.now()
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
    segment: Segment = place(connection, spare.oid, spare.serial,
                             Segment(spare.first, spare.size, spare.born))
    return segment


def reserved(store: Store) -> tuple[int, OOBTree[str, int]]:
    """A new register, made in a transaction of the system's own, as an object of this connection;
    with its number."""
    made: list[Any] = []

    def work(connection: Connection) -> None:
        theirs = connection.get(oid)
        number = int(clocks.now() * 1_000_000)       # tells when it was made
        while number in theirs.registers:
            number += 1
        theirs.registers[number] = register = OOBTree()
        connection.add(register)
        made[:] = number, register

    oid = store._p_oid
    transact(store._p_jar.db(), work)
    number, register = made
    return number, place(store._p_jar, register._p_oid, register._p_serial, OOBTree())
