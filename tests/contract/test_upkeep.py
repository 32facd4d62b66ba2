# SPDX-License-Identifier: ZPL-2.1
"""What was used once leaves nothing, on every storage, and an idle database stays as it is."""
import time

import pytest

from p01.remote import verbs
from p01.remote.engine.loop import Loop
from p01.remote.front import signatures
from p01.remote.options import Retention, Unique, WorkerOptions
from p01.remote.verbs import upkeep
from p01.remote.verbs.adding import ABANDON
from p01.remote.verbs.ends import MANYENTRIES
from p01.remote.views import figures, listing
from tests.conftest import START, abort, commit, counted, inside, stored

TENANTS = 300


@pytest.fixture
def loop(place):
    stored(place)
    loop = Loop(place.db, inside, 'worker', WorkerOptions(drain=True))
    yield loop
    loop.close()


def later(loop, now):
    """Rounds of the worker until there is nothing to do, as it makes them in a while."""
    for _ in range(20):
        loop.booking.janitor.looked = -1e9
        loop.book(now, 100)


def keys(store):
    return sum(len(shard.uniques) for shard in store.shards)


def entries(store):
    return sum(len(each.tally) for each in [*store.shards, *store.seats.values()])


def test_unique_keys_go_when_their_time_is_over(place, loop):
    processor = inside(place.connect())
    for number in range(TENANTS):
        processor.processJob('echo', number, unique=Unique(f'key {number}', period=60))
    processor.processJob('echo', 'long', unique=Unique('long', period=1e6))
    processor.processJob('echo', 'waits', unique='waits', delay=1e6)
    commit(processor)
    loop.work()
    abort(processor)
    assert keys(processor.store) == TENANTS + 2
    later(loop, time.time() + 50)
    abort(processor)
    assert keys(processor.store) == TENANTS + 2
    later(loop, time.time() + 70)
    abort(processor)
    assert keys(processor.store) == 2
    for unique in (Unique('long', period=60), 'waits'):
        assert processor.processJob('echo', 1, unique=unique) in (TENANTS + 1, TENANTS + 2)
    assert processor.processJob('echo', 1, unique=Unique('key 1', period=60)) > TENANTS + 2
    abort(processor)


def test_a_key_that_is_over_goes_with_its_job(place, loop):
    processor = inside(place.connect())
    for number in range(20):
        processor.processJob('echo', number, unique=Unique(f'key {number}', period=0.001))
    processor.processJob('echo', number, unique=Unique('long', period=1e6))
    commit(processor)
    loop.work()
    abort(processor)
    time.sleep(0.001)           # the period itself
    processor.removeJobs()
    commit(processor)
    assert keys(processor.store) == 1


def test_a_key_whose_job_is_gone_goes(place, loop):
    """However that came about."""
    processor = inside(place.connect())
    jobid = processor.processJob('echo', 1)
    commit(processor)
    processor.store.shards[3].uniques['lost'] = (jobid + 100, None)
    processor.store.shards[3].uniques['held'] = (jobid, None)
    commit(processor)
    later(loop, time.time())
    abort(processor)
    assert list(processor.store.shards[3].uniques) == ['held']


def test_tenants_that_came_and_went_leave_no_counts(place, loop):
    processor = inside(place.connect())
    for turn in range(2):
        processor.retention = Retention(None, None, None)
        for number in range(TENANTS):
            processor.processJob('echo', number, queue=f'tenant {turn} {number}')
        commit(processor)
        loop.work()
        abort(processor)
        assert counted(processor) == {'completed': TENANTS}
        processor.retention = Retention(0, 0, 0)
        commit(processor)
        later(loop, time.time() + 60)
        abort(processor)
        assert figures.exact(processor.store) == {} and list(listing.ids(processor.store)) == []
        assert entries(processor.store) <= 2 * MANYENTRIES + upkeep.MANYTALLIES
        assert not any(lines.queues or lines.heads for _, lines in processor.store.lanes())
        # of the segment that takes the next jobs
        assert sum(len(shard.fates) for shard in processor.store.shards) <= 1


def test_connections_that_came_and_went_leave_no_segments(place, loop):
    processor = inside(place.connect())
    processor.retention = Retention(0, 0, 0)
    commit(processor)
    for number in range(20):
        other = inside(place.connect())
        ids = [other.processJob('echo', number) for _ in range(number % 3)]
        commit(other)
        if number % 2:
            [other.cancelJob(jobid) for jobid in ids]
            commit(other)
    loop.work()
    later(loop, time.time() + 60)
    abort(processor)
    assert list(listing.ids(processor.store)) == [] and len(processor.store.segments) > 10
    later(loop, time.time() + 3 * ABANDON)
    abort(processor)
    assert len(processor.store.segments) == 0
    assert not any(shard.fates or shard.intake.open for shard in processor.store.shards)


def test_a_pause_that_has_ended_is_forgotten(place, loop):
    processor = inside(place.connect())
    verbs.pause(processor.store, 'soon', START + 10)
    verbs.pause(processor.store, 'ever')
    commit(processor)
    later(loop, START + 5)
    abort(processor)
    assert set(processor.store.settings.paused) == {'soon', 'ever'}
    later(loop, START + 11)
    abort(processor)
    assert set(processor.store.settings.paused) == {'ever'}


def test_an_idle_worker_writes_nothing_after_all_that(place, loop):
    processor = inside(place.connect())
    for number in range(TENANTS):
        processor.processJob(('echo', 'fatal')[number % 2], number, queue=f'tenant {number}',
                             priority=number % 5,
                             unique=Unique(f'key {number}', period=60) if number % 3 else None)
    for jobid in range(1, 50):
        processor.cancelJob(jobid)
    commit(processor)
    loop.work()
    now = time.time() + 1000
    later(loop, now)
    before = place.db.lastTransaction()
    later(loop, now)
    later(loop, now + 100)
    assert place.db.lastTransaction() == before


def test_functions_that_are_made_anew_are_not_kept(monkeypatch):
    monkeypatch.setattr(signatures, 'KNOWNFUNCTIONS', 10)
    for _ in range(50):
        def made(number):
            return number
        assert str(signatures.signatureOf(made)[0]) == '(number)'
    assert len(signatures._signatures) <= 10
