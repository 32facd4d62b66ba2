# SPDX-License-Identifier: ZPL-2.1
"""Each connection that enqueues keeps a segment open. Workers ask all of them whether they have
more, and miss nothing."""
import random

import pytest

from p01.remote import verbs
from p01.remote.store.records import Record
from p01.remote.store.store import Store
from tests.conftest import START, abort, commit, inside
from tests.race.party import enqueued

MANY = 6


@pytest.fixture
def enqueuers(place, parties):
    """Connections with an open segment each, in which nothing waits any more."""
    found = [inside(place.connect(place.openAgain())) for _ in range(MANY)]
    worker, _ = parties
    for each in found:
        enqueued(each)              # a connection's first segment has one id
        enqueued(each)
    claimed(worker, 2 * MANY)
    return found


@pytest.fixture
def looked(monkeypatch):
    """The segments that workers have looked into."""
    found = []
    original = Store.segment
    monkeypatch.setattr(Store, 'segment', lambda store, first: found.append(first)
                        or original(store, first))
    return found


def claimed(party, count=100):
    found = party.do(lambda store: party.claim(store, count))
    for jobid in found:
        party.complete(jobid)
    party.settle()
    return found


def opened(store):
    return {first for shard in store.shards for first in shard.intake.open}


def test_ids_are_reserved_by_a_connection_that_has_not_loaded_the_store(place, parties):
    connection = place.connect(place.openAgain())
    store = inside(connection).store
    connection.cacheMinimize()
    assert store._p_changed is None
    jobids = [verbs.add(store, Record('echo', None, START)) for _ in range(3)]
    assert len({*jobids}) == 3
    commit(inside(connection))
    assert parties[0].do(lambda store: store.counter._p_serial
                         == inside(connection).store.counter._p_serial)


def test_open_segments_in_which_nothing_is_new_are_not_looked_into(parties, enqueuers, looked):
    for worker in parties:
        claimed(worker)             # whoever has not seen them looks once
        del looked[:]
        assert claimed(worker) == [] and looked == []
        assert worker.do(opened)


def test_each_new_job_is_seen_at_once_and_in_order(parties, enqueuers):
    chance = random.Random(1)
    for turn in range(15):
        who = chance.sample(enqueuers, chance.randint(0, 4))
        ids = [jobid for each in who for jobid in enqueued(each, chance.randint(1, 9))]
        assert claimed(parties[turn % 2]) == ids


def test_jobs_that_are_committed_after_a_look_began_are_seen_by_the_next(parties, enqueuers):
    worker, _ = parties
    store = worker.begin()
    ids = [enqueued(each)[0] for each in enqueuers]
    assert worker.claim(store, 100) == []
    worker.commit()
    assert claimed(worker) == ids


@pytest.mark.parametrize('full', [False, True])
def test_a_look_that_is_taken_back_has_seen_nothing(parties, enqueuers, full):
    left, right = parties
    ids = [jobid for each in enqueuers for jobid in enqueued(each, 32 if full else 2)]
    ours, theirs = left.begin(), right.begin()
    assert left.claim(ours, 3) == right.claim(theirs, 3) == ids[:3]
    left.commit()
    right.refused()
    assert claimed(right, 1000) == ids[3:]
    left.manager.begin()
    left.manager.abort()
    assert claimed(left, 1000) == []


def test_an_enqueue_never_meets_workers_that_look(parties, enqueuers):
    worker, _ = parties
    for each in enqueuers:
        jobid = each.processJob('echo')
        claimed(worker)
        commit(each)                # raises no conflict
        assert claimed(worker) == [jobid]


def test_jobs_in_a_segment_whose_transaction_was_aborted_are_not_seen_and_the_next_are(parties,
                                                                                       enqueuers):
    worker, _ = parties
    for each in enqueuers:
        for _ in range(40):         # more than its open segment holds
            each.processJob('echo')
        abort(each)
        assert claimed(worker) == []
        ids = enqueued(each, 40)
        assert claimed(worker) == ids


def test_what_the_worker_itself_enqueues_is_seen_at_once_and_not_after_an_abort(parties):
    worker, _ = parties
    for number in (1, 1, 40, 3):
        for end in (worker.manager.abort, worker.commit):
            store = worker.begin()
            processor = inside(worker.connection)
            ids = [processor.processJob('echo') for _ in range(number)]
            assert worker.claim(store, 100) == ids
            end()
            claims = worker.do(lambda store: list(worker.seat(store).claims))
            assert claims == ([] if end != worker.commit else ids)
        for jobid in ids:
            worker.complete(jobid)
        worker.settle()


def test_a_segment_that_was_sealed_is_forgotten_and_its_connection_begins_another(parties,
                                                                                  enqueuers):
    left, right = parties
    claimed(right)
    left.do(lambda store: verbs.seal(store, START * 2))
    assert not right.do(opened)
    abort(enqueuers[0])
    assert claimed(left) == claimed(right) == []
    ids = [jobid for each in enqueuers for jobid in (abort(each), enqueued(each, 2))[1]]
    assert claimed(right) == ids
