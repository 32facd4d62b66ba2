# SPDX-License-Identifier: ZPL-2.1
"""What a process keeps in memory of a RelStorage database: what was loaded or committed, but none of our journals."""
import pytest
from persistent.mapping import PersistentMapping
from ZODB.utils import u64

from p01.remote.storage.caching import OURS
from tests.conftest import inside


def kept(thing):
    """What the cache has of an object as it is."""
    return thing._p_jar.db().storage._cache.loadSerial(u64(thing._p_oid), u64(thing._p_serial))


@pytest.mark.parametrize('place', ['sqlite', 'postgresql'], indirect=True)
def test_journals_and_pages_are_not_kept_before_they_are_loaded(place, processor):
    connection = processor._p_jar
    thing = connection.root()['thing'] = PersistentMapping(number=1)
    jobid = processor.processJob('echo', 1)
    connection.transaction_manager.commit()
    processor.processNextJob()
    connection.transaction_manager.commit()
    store = processor.store
    first = store.floor(jobid)
    [page] = [shard.pages[first] for shard in store.shards if first in shard.pages]
    ours = [store.segments[first], page, page.fate(jobid)]
    for each in ours:
        each._p_activate()
        assert kept(each) is None, each
    thing._p_activate()
    assert kept(thing) is not None
    other = place.connect(place.db)
    for each in ours:
        assert other._storage.load(each._p_oid)[0][2:].startswith(OURS)
        assert kept(each) is not None
    assert inside(other).store.view(jobid).status == 'completed'
