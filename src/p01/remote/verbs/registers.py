# SPDX-License-Identifier: ZPL-2.1
"""Who holds a unique key, written down. Workers decide it when they take a job in; until then the
registers tell.

A register holds the keys of the jobs that one connection has enqueued, from their commit on until a
worker has taken them in and longer. Only that connection writes to it, so that it conflicts with
nobody; everybody may look. Two transactions that enqueue the same key at the same time both commit;
the job that a worker takes in later ends as a duplicate, and says of which.
"""
from __future__ import annotations

from itertools import islice

from BTrees.OOBTree import OOBTree

from p01.remote.store import writers
from p01.remote.store.records import Record
from p01.remote.store.shards import uniqueShard
from p01.remote.store.store import Store
from p01.remote.store.uniques import taken
from p01.remote.store.writers import Writer
from p01.remote.verbs import reserving

# after so many keys, so many entries of a register are looked at
SWEEPEVERY, SWEPTATONCE = 64, 128
# seconds that a register stays though nobody needs it: its connection may be about to use it
SECONDSKEPT = 60.0


def letGo(store: Store, jobid: int, record: Record, ended: bool, now: float = 0.0) -> None:
    """Give a unique key back, when the job's rule says so at its start, at its end, or by now."""
    unique = (record.extras or {}).get('unique')
    if unique is None or unique[1] == 'period' and unique[2] > now or unique[1] == 'finish' \
            and not ended:
        return      # one that ends without having started is freed at its end, whatever the rule
    holders = store.shards[uniqueShard(unique[0])].uniques
    found = holders.get(unique[0])
    if found is not None and found[0] == jobid:
        del holders[unique[0]]


def note(store: Store, key: str, jobid: int) -> None:
    """Write a key into the register of this connection."""
    if writers.isLocal(store):       # nobody else can see it yet
        register = store.registers.get(0)
        if register is None:
            register = store.registers[0] = OOBTree()
        register[key] = jobid
        return
    mine = writers.writerOf(store)
    register = mine.register
    if register is None or not writers.loadable(register) or not (
            mine.number in store.registers or mine.registered() is mine.transaction()):
        mine.number, register = reserving.reserved(store)
        mine.register, mine.registered = register, mine.transaction
    mine.keys += 1
    if mine.keys % SWEEPEVERY == 0:
        sweep(store, mine, register)
    register[key] = jobid


def sweep(store: Store, mine: Writer, register: OOBTree[str, int]) -> None:
    """Forget some keys of jobs that workers have taken in."""
    items = list(islice(register.items(mine.at), SWEPTATONCE))
    mine.at = items[-1][0] if len(items) == SWEPTATONCE else ''
    for key, jobid in items:
        if taken(store, jobid):
            del register[key]


def tidy(store: Store, now: float) -> None:
    """Remove registers that say nothing any more; a connection that still used one has another one
    made."""
    for number, register in list(store.registers.items()):
        if number < (now - SECONDSKEPT) * 1_000_000 \
                and all(taken(store, jobid) for jobid in register.values()):
            del store.registers[number]
