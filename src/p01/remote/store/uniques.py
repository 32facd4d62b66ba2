# SPDX-License-Identifier: ZPL-2.1
"""Unique keys: which job holds one. Workers decide it when they take a job in; until then the
registers tell.

A register holds the keys of the jobs that one connection has enqueued, from their commit on until a
worker has taken them in and longer. Only that connection writes to it, so that it conflicts with
nobody; everybody may look. Two transactions that enqueue the same key at the same time both commit;
the job that a worker takes in later ends as a duplicate, and says of which.
"""
from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from BTrees.OOBTree import OOBTree

from p01.remote.exceptions import JobNotFound
from p01.remote.storage.transactions import transact
from p01.remote.store import writer
from p01.remote.store.keys import shardOf
from p01.remote.store.records import FINISHED
from p01.remote.store.shards import uniqueShard

EVERY, PIECE = 64, 128      # after so many keys, so many entries of a register are looked at
# seconds that a register stays though nobody needs it: its connection may be about to use it
KEPT = 60.0


def holder(store: Any, key: str, now: float) -> int | None:
    """The job that holds a unique key, whether a worker has looked at it or not."""
    found = held(store, key, now)
    if found is None:
        found = min((jobid for register in registers(store) if (jobid := register.get(key)) is not None
                     and waits(store, jobid, now)), default=None)
    return found


def held(store: Any, key: str, now: float) -> int | None:
    """The job that holds a unique key since a worker has taken it in; never one that was removed."""
    found = store.shards[uniqueShard(key)].uniques.get(key)
    if found is None or found[1] is not None and found[1] <= now:
        return None
    jobid = int(found[0])
    try:
        over = store.view(jobid).status in FINISHED
    except JobNotFound:
        return None
    # its worker gives the key back with its next bookkeeping only
    return None if over and found[1] is None else jobid


def waits(store: Any, jobid: int, now: float) -> bool:
    """Whether a job that is in a register keeps its key: nobody took it in or cancelled it, and its
    period is not over."""
    try:
        first, record = store.entry(jobid)
        if store.shards[shardOf(first)].taken(first, jobid) or store.fate(jobid) is not None:
            return False
    except JobNotFound:
        return False
    until = record.extras['unique'][2]
    return until is None or until > now


def registers(store: Any) -> Iterator[OOBTree]:
    """All registers that this transaction sees."""
    mine = writer.known(store)
    if mine is not None and mine.register is not None and writer.loadable(mine.register):
        yield mine.register
    for register in store.registers.values():
        if mine is None or register is not mine.register:
            yield register


def note(store: Any, key: str, jobid: int) -> None:
    """Write a key into the register of this connection."""
    if writer.isLocal(store):       # nobody else can see it yet
        register = store.registers.get(0)
        if register is None:
            register = store.registers[0] = OOBTree()
        register[key] = jobid
        return
    mine = writer.writerOf(store)
    known = mine.register is not None and writer.loadable(mine.register) and (
        mine.number in store.registers or mine.registered() is mine.transaction())
    if not known:
        mine.number, mine.register = reserved(store)
        mine.registered = mine.transaction
    mine.keys += 1
    if mine.keys % EVERY == 0:
        sweep(store, mine)
    mine.register[key] = jobid


def reserved(store: Any) -> tuple[int, OOBTree]:
    """A new register, made in a transaction of the system's own, as an object of this connection;
    with its number."""
    made: list[Any] = []

    def work(connection: Any) -> None:
        theirs = connection.get(oid)
        number = int(time.time() * 1_000_000)       # tells when it was made
        while number in theirs.registers:
            number += 1
        theirs.registers[number] = register = OOBTree()
        connection.add(register)
        made[:] = number, register

    oid = store._p_oid
    transact(store._p_jar.db(), work)
    number, register = made
    return number, writer.told(store._p_jar, register._p_oid, register._p_serial, OOBTree())


def sweep(store: Any, mine: Any) -> None:
    """Forget some keys of jobs that workers have taken in."""
    items = list(islice(mine.register.items(mine.at), PIECE))
    mine.at = items[-1][0] if len(items) == PIECE else ''
    for key, jobid in items:
        if taken(store, jobid):
            del mine.register[key]


def taken(store: Any, jobid: int) -> bool:
    """Whether a job is taken in, or gone."""
    try:
        first = store.floor(jobid)
    except JobNotFound:
        return True
    return bool(store.shards[shardOf(first)].taken(first, jobid))


def tidy(store: Any, now: float) -> None:
    """Remove registers that say nothing any more; a connection that still used one has another one made."""
    for number, register in list(store.registers.items()):
        if number < (now - KEPT) * 1_000_000 and all(taken(store, jobid) for jobid in register.values()):
            del store.registers[number]
