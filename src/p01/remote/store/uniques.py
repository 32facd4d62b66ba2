# SPDX-License-Identifier: ZPL-2.1
"""Which job holds a unique key. Workers decide it when they take a job in; until then the
registers tell, see verbs.registers."""
from __future__ import annotations

from collections.abc import Iterator

from BTrees.OOBTree import OOBTree

from p01.remote.exceptions import JobNotFound
from p01.remote.store import writers
from p01.remote.store.keys import shardOf
from p01.remote.store.records import FINISHED
from p01.remote.store.shards import uniqueShard
from p01.remote.store.store import Store


def holder(store: Store, key: str, now: float) -> int | None:
    """The job that holds a unique key, whether a worker has looked at it or not."""
    found = held(store, key, now)
    if found is None:
        found = min((jobid for register in registers(store)
                     if (jobid := register.get(key)) is not None
                     and waits(store, jobid, now)), default=None)
    return found


def held(store: Store, key: str, now: float) -> int | None:
    """The job that holds a unique key since a worker has taken it in; never one that was
    removed."""
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


def waits(store: Store, jobid: int, now: float) -> bool:
    """Whether a job that is in a register keeps its key: nobody took it in or cancelled it, and its
    period is not over."""
    try:
        first, record = store.entry(jobid)
        if store.shards[shardOf(first)].taken(first, jobid) or store.fate(jobid) is not None:
            return False
    except JobNotFound:
        return False
    until = (record.extras or {})['unique'][2]
    return until is None or until > now


def registers(store: Store) -> Iterator[OOBTree[str, int]]:
    """All registers that this transaction sees."""
    mine = writers.known(store)
    if mine is not None and mine.register is not None and writers.loadable(mine.register):
        yield mine.register
    for register in store.registers.values():
        if mine is None or register is not mine.register:
            yield register


def taken(store: Store, jobid: int) -> bool:
    """Whether a job is taken in, or gone."""
    try:
        first = store.floor(jobid)
    except JobNotFound:
        return True
    return bool(store.shards[shardOf(first)].taken(first, jobid))
