# SPDX-License-Identifier: ZPL-2.1
"""RelStorage's faults in its cache: each is shown as upstream has it, and mended.

When 'as upstream' fails after an upgrade of RelStorage, the fault is gone there, and its mend can go here.
"""
import gc
import sys

import pytest
from persistent.mapping import PersistentMapping
from relstorage.cache.local_client import LocalClient
from relstorage.options import Options
from ZODB.utils import u64

from p01.remote.storage.caching import Memory

MANY = 1_000
FORMS = pytest.mark.parametrize('mended', [True, False], ids=['mended', 'as upstream'])


def blocks():
    """How many small pieces of memory the process has."""
    gc.collect()
    return sys.getallocatedblocks()


def revise(memory, after):
    """Many revisions of one object, each seen by all."""
    for tid in range(after + 1, after + MANY + 1):
        memory.set_all_for_tid(tid, [(b'x' * 100, 1, None)])
        memory.freeze({1: tid})


def drop(memory, after):
    """Many objects, each of which changed elsewhere."""
    for tid in range(after + 1, after + MANY + 1):
        memory.set_all_for_tid(tid, [(b'x' * 100, tid, None)])
        memory.delitems({tid: tid})


@FORMS
@pytest.mark.parametrize('use', [revise, drop])
def test_what_goes_gives_its_memory_back(mended, use):
    memory = (Memory if mended else LocalClient)(Options(cache_local_mb=10))
    use(memory, 0)
    before = blocks()
    use(memory, MANY)
    assert (blocks() - before < MANY / 10) is mended


@FORMS
def test_the_cache_stays_of_use_however_often_objects_change(mended):
    memory = (Memory if mended else LocalClient)(Options(cache_local_mb=1))
    objects = range(1, 101)
    for tid in range(1, 201):
        memory.set_all_for_tid(tid, [(b'x' * 100, oid, None) for oid in objects])
        memory.freeze(dict.fromkeys(objects, tid))
    kept = sum((oid, None) in memory for oid in objects)
    assert kept == 100 if mended else kept < 10


def test_a_cache_that_is_really_full_forgets_what_was_used_least():
    memory = Memory(Options(cache_local_mb=1))
    memory[1, 1] = b'x' * 1_000, 1
    for oid in range(2, 3_000):
        memory[oid, 1] = b'x' * 1_000, 1
        assert memory[1, 1]
    assert 900_000 < memory.size == pytest.approx(sum(entry.weight for entry in memory._cache.values()), abs=1_000)
    assert 800 < len(memory) < 1_000


@pytest.mark.parametrize('place', ['postgresql'], indirect=True)
def test_all_connections_of_a_database_share_it(place):
    connection = place.connect(place.db)
    thing = connection.root()['thing'] = PersistentMapping(number=1)
    connection.transaction_manager.commit()
    memory = place.db.storage._cache.local_client
    assert type(memory) is Memory
    thing._p_activate()
    assert memory[u64(thing._p_oid), u64(thing._p_serial)]
    other = place.connect(place.db)
    assert other._storage._cache.local_client is memory
    assert other._storage._cache.cache is memory
