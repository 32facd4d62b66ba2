# SPDX-License-Identifier: ZPL-2.1
"""More workers than shards: each has a lane of its own, where it meets nobody; no job is left in
the lane of one who left."""
import time

import pytest

from p01.remote import verbs
from p01.remote.store.keys import LANES, SHARDS, ownerOf, partsOf
from p01.remote.verbs import intake
from p01.remote.views import figures
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find
from tests.conftest import START, commit, inLines
from tests.race.party import Party, enqueued, status


def claimed(party, store, rank, count=4):
    return verbs.claim(store, party.seat(store), count, START, None, rank)


def dealt(store):
    """The runs in each lane of each shard."""
    return [[sum(len(line.waiting) for line in lines.queues.values()) for lines in shard.lanes]
            for shard in store.shards]


def many(enqueuer, count, **options):
    """Jobs of many segments: each transaction but the first ones adopts one of its own."""
    ids = []
    while len(ids) < count:
        ids += enqueued(enqueuer, 20, **options)
    return ids


@pytest.mark.parametrize('workers', [1, 2, 7, 8, 9, 16, 23, 64, 100])
def test_each_lane_is_for_one_worker_and_each_worker_has_one(workers):
    owners = [ownerOf(shard, lane, workers) for shard in range(SHARDS)
              for lane in range(min(LANES, partsOf(shard, workers)))]
    assert set(owners) == set(range(min(workers, SHARDS * LANES)))
    assert len(owners) == max(SHARDS, min(workers, SHARDS * LANES))
    assert all(ownerOf(shard, lane, workers) < workers for shard in range(SHARDS)
               for lane in range(LANES))


@pytest.mark.parametrize('workers', [8, 16, 40])
def test_workers_that_claim_at_once_meet_nobody(place, parties, enqueuer, workers):
    ids = many(enqueuer, 4000)
    crowd = [Party(place, f'worker {number}').sit() for number in range(workers)]
    found = []
    for turn in range(4):
        stores = [party.begin() for party in crowd]
        got = [claimed(party, stores[number], (number, workers))
               for number, party in enumerate(crowd)]
        for number, party in enumerate(crowd):
            if turn or number < SHARDS:
                party.commit()
                found += got[number]
                assert got[number]
            else:
                # those who share a shard have just come, and each has dealt what waits there
                party.manager.abort()
    assert len(found) == len(set(found)) == 4 * (3 * workers + SHARDS)
    assert set(found) < set(ids)
    one, *_ = crowd
    while more := one.do(lambda store: claimed(one, store, (0, 1), 500)):     # all others have left
        found += more
    assert sorted(found) == ids


@pytest.mark.parametrize('dealFirst', [True, False])
@pytest.mark.parametrize('kind', ['claim', 'cancel', 'give back', 'ripen', 'take in', 'deal'])
def test_jobs_are_dealt_while_somebody_else_is_at_them(place, parties, enqueuer, kind, dealFirst):
    worker, other = parties
    ids = many(enqueuer, 400)
    worker.do(lambda store: [verbs.takeIn(store, shard, worker.seat(store), START)
                             for shard in store.shards])
    assert all(len(lanes) == 1 for lanes in worker.do(dealt))
    held = worker.do(lambda store: claimed(worker, store, (0, 1), 40))
    at = START + 10
    if kind == 'ripen':
        worker.do(lambda store: [verbs.retry(store, worker.seat(store), jobid, START + 5, None)
                                 for jobid in held])
    extra = many(enqueuer, 100) if kind == 'take in' else []

    def work(store):
        if kind == 'claim':
            return verbs.claim(store, worker.seat(store), 50, START, None, (0, 1))
        if kind == 'cancel':
            return [verbs.cancel(store, jobid, START) for jobid in ids[100:140]]
        if kind == 'give back':
            return verbs.release(store, worker.seat(store), held)
        return [verbs.takeIn(store, shard, worker.seat(store), at, 24 if kind == 'deal' else 8)
                for shard in store.shards]

    def deal(store):
        for shard in store.shards:
            verbs.takeIn(store, shard, other.seat(store), START, 64)

    ours, theirs = worker.begin(), other.begin()
    work(ours)
    deal(theirs)
    first, second = (other, worker) if dealFirst else (worker, other)
    first.commit()
    try:
        second.commit()
    except Exception:
        second.manager.abort()
        second.do(deal if second is other else work)
    other.do(deal)
    assert all(len(lanes) == LANES for lanes in other.do(dealt))
    gone = set(ids[100:140]) if kind == 'cancel' else set()
    assert all(status(other, jobid) == 'cancelled' for jobid in gone)
    worker.do(lambda store: verbs.release(store, worker.seat(store),
                                          list(worker.seat(store).claims)))
    found = other.do(lambda store: verbs.claim(store, other.seat(store), 10_000, at, None, (0, 1)))
    assert sorted(found) == sorted({*ids, *extra} - gone)


def test_a_long_backlog_is_dealt_in_pieces_the_oldest_first(place, parties, enqueuer, monkeypatch):
    monkeypatch.setattr(intake, 'PIECE', 5)
    worker, other = parties
    ids = many(enqueuer, 2000)
    worker.do(lambda store: [verbs.takeIn(store, shard, worker.seat(store), START)
                             for shard in store.shards])
    before = sum(map(sum, worker.do(dealt)))
    for _ in range(100):
        other.do(lambda store: [verbs.takeIn(store, shard, other.seat(store), START, 64)
                                for shard in store.shards])
        if other.do(lambda store: all(shard.dealt == LANES for shard in store.shards)):
            break
    else:
        raise AssertionError('never ends')
    runs = other.do(dealt)
    assert sum(map(sum, runs)) == before
    assert all(sum(map(bool, lanes)) > 2 for lanes in runs)
    # of one worker in order
    assert worker.do(lambda store: verbs.claim(store, worker.seat(store), 10_000, START)) == ids


def test_what_waits_in_lanes_is_found_looked_at_and_cancelled(parties, enqueuer):
    worker, _ = parties
    ids = many(enqueuer, 300)
    late = [enqueuer.processJob('echo', None, delay=START + 50 - time.time()) for _ in range(40)]
    commit(enqueuer)
    worker.do(lambda store: [verbs.takeIn(store, shard, worker.seat(store), START, 64)
                             for shard in store.shards])
    assert worker.do(lambda store: figures.exact(store))['default'] == {'queued': len(ids),
                                                                        'delayed': 40}
    assert worker.do(lambda store: sorted(inLines(store))) == [*ids, *late]
    for which, expected in ((Filter(stati=('delayed',)), late), (Filter(stati=('queued',)), ids)):
        assert worker.do(lambda store, which=which: [view.id
                                                     for view
                                                     in find(store, which)]) == expected[::-1]
    assert status(worker, late[0]) == 'delayed'
    assert worker.do(lambda store: (figures.oldest(store) is not None,
                                    figures.nextDue(store) is not None)) == (True, True)
    for jobid in (ids[0], ids[17], ids[-1], late[3]):
        assert worker.do(lambda store, jobid=jobid: verbs.cancel(store, jobid, START))
    ids, late = [ids[1:-1][:16] + ids[1:-1][17:], late[:3] + late[4:]]
    assert worker.do(lambda store: verbs.claim(store, worker.seat(store), 10_000, START)) == ids
    assert sorted(worker.do(lambda store: verbs.claim(store, worker.seat(store), 10_000,
                                                      START + 1000))) == late


def test_workers_that_have_nothing_adopt_different_lanes(place, parties, enqueuer):
    """A few long lines, and workers without one: not all of them take from the same."""
    worker, _ = parties
    many(enqueuer, 900)
    crowd = [Party(place, f'worker {number}').sit() for number in range(12)]
    worker.do(lambda store: [verbs.takeIn(store, shard, worker.seat(store), START, 12)
                             for shard in store.shards])
    emptied = worker.do(lambda store: [claimed(worker, store, (number, 12), 200)
                                       for number in range(8, 12)])
    assert all(emptied)
    found = [party.do(lambda store, number=number, party=party: claimed(party, store, (number, 12),
                                                                        3))
             for number, party in enumerate(crowd)]
    assert all(found)
    assert len({jobid for ids in found for jobid in ids}) == 36
