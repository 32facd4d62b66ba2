# SPDX-License-Identifier: ZPL-2.1
"""Enqueuers and workers that meet: two connections, each interleaving by name, on every storage."""
import time

import pytest
from transaction.interfaces import TransientError

from p01.remote import scheduler, testing, verbs
from p01.remote.engine import ticker
from p01.remote.processor import RemoteProcessor
from p01.remote.verbs import intake
from p01.remote.views import figures
from tests.conftest import NAME, START, commit, counted, inside
from tests.race.party import enqueued, failed

# -- enqueuers are always let in

def test_enqueue_claim_enqueue(place, parties, enqueuer):
    left, _ = parties
    other = inside(place.connect(place.openAgain()))
    figures.exact(other.store)                                # both have their snapshots
    first = [enqueuer.processJob('echo', number) for number in range(3)]
    second = [other.processJob('echo', number) for number in range(3)]
    commit(enqueuer)
    assert left.do(lambda store: left.claim(store, 10)) == first
    second += [other.processJob('echo', number) for number in range(100)]
    third = [enqueuer.processJob('echo', number) for number in range(3)]
    commit(other)
    commit(enqueuer)
    assert sorted(left.do(lambda store: left.claim(store, 500))) == sorted(second + third)


def test_enqueue_while_its_segment_is_taken_in_completed_and_removed(parties, enqueuer):
    left, right = parties
    ids = enqueued(enqueuer, 3)
    enqueuer.processJob('echo', 'open')
    assert left.do(lambda store: left.claim(store, 10)) == ids
    for jobid in ids:
        failed(left, jobid)
    assert [right.do(lambda store, jobid=jobid: verbs.remove(store, jobid))
            for jobid in ids] == ['error'] * 3
    commit(enqueuer)
    assert len(left.do(lambda store: left.claim(store, 10))) == 1


def test_a_backlog_is_taken_in_bit_by_bit_and_in_order(parties, enqueuer, monkeypatch):
    monkeypatch.setattr(intake, 'INTAKE', 10)
    left, _ = parties
    ids = [jobid for _ in range(40) for jobid in enqueued(enqueuer, 20)]
    later = enqueued(enqueuer, 500, at=START + 100)
    assert left.do(lambda store: figures.behind(store))
    claimed, behind = [], []
    while len(claimed) < len(ids):
        claimed += left.do(lambda store: left.claim(store, 10))
        behind.append(left.do(lambda store: figures.behind(store)))
    assert claimed == ids
    assert behind[0] and not behind[-1]
    while len(claimed) < len(ids) + len(later):
        ripe = left.do(lambda store: verbs.claim(store, left.seat(store), 500, START + 200))
        assert 0 < len(ripe) <= 8 * 10
        claimed += ripe
    assert sorted(claimed) == ids + later


def test_a_worker_does_not_rest_before_it_has_looked_at_everything(stage, monkeypatch):
    """Jobs of another queue stand before its own, more than it takes in at once."""
    monkeypatch.setattr(intake, 'INTAKE', 10)
    for _ in range(40):
        stage.enqueue('pure', *range(20))
    stage.enqueue('pure', 1, queue='mine')
    loop = stage.loop(queues=('mine',))
    waits = []
    while not loop.done:
        waits.append(loop.poll(time.time()))
    assert len(waits) > 2 and not any(waits)


@pytest.mark.parametrize('verb', [
    lambda store, jobid: verbs.cancel(store, jobid,
                                      START), lambda store, jobid: verbs.pause(store, 'default'),
    lambda store, jobid: figures.exact(store), lambda store, jobid: verbs.seal(store, START)],
    ids=['cancel', 'pause', 'counts', 'seal'])
def test_enqueue_meets_what_people_do(parties, enqueuer, verb):
    left, _ = parties
    [jobid] = enqueued(enqueuer)
    enqueuer.processJob('echo', 'open')
    left.do(lambda store: verb(store, jobid))
    commit(enqueuer)
    left.do(lambda store: verbs.resume(store, 'default'))


def test_two_first_users_make_one_processor(place):
    hands = [place.connect(place.openAgain(), explicit=True) for _ in range(2)]

    def install(connection):
        if NAME not in connection.root():
            processor = connection.root()[NAME] = RemoteProcessor()
            processor.addJob('echo', testing.EchoJob())
        return connection.root()[NAME].processJob('echo', 1)

    for hand in hands:
        hand.transaction_manager.begin()
        install(hand)
    hands[0].transaction_manager.commit()
    with pytest.raises(TransientError):
        hands[1].transaction_manager.commit()
    hands[1].transaction_manager.abort()
    hands[1].transaction_manager.begin()
    assert install(hands[1]) == 2
    hands[1].transaction_manager.commit()
    hands[0].transaction_manager.begin()
    assert counted(inside(hands[0])) == {'queued': 2}


# -- workers against each other

def test_two_workers_claim_the_same(parties, enqueuer):
    left, right = parties
    [jobid] = enqueued(enqueuer)
    stores = [party.begin() for party in parties]
    assert [party.claim(store)
            for party, store in zip(parties, stores, strict=True)] == [[jobid], [jobid]]
    left.commit()
    right.refused()
    assert right.do(right.claim) == []


def test_two_workers_take_in_the_same_segment(parties, enqueuer):
    left, right = parties
    ids = enqueued(enqueuer, 4)
    store = right.begin()
    assert right.claim(store, 2) == ids[:2]
    assert left.do(lambda store: left.claim(store, 2)) == ids[:2]
    right.refused()
    assert right.do(lambda store: right.claim(store, 2)) == ids[2:]


def test_two_schedulers_fire_the_same_tick(place, parties, enqueuer):
    enqueuer.addScheduler(scheduler.Delay('echo', delay=10, startTime=START - 100))
    commit(enqueuer)
    for party in parties:
        party.begin()
        assert ticker.tick(inside(party.connection), START) == 1
    parties[0].commit()
    parties[1].refused()
    parties[1].begin()
    assert ticker.tick(inside(parties[1].connection), START) == 0
    parties[1].commit()
    enqueuer._p_jar.transaction_manager.begin()
    assert counted(enqueuer) == {'queued': 1}


def test_one_key_from_two_connections(place, parties, enqueuer):
    left, right = parties
    other = inside(place.connect(place.openAgain()))
    figures.exact(other.store)
    ids = [hand.processJob('echo', 1, unique='key') for hand in (enqueuer, other)]
    commit(enqueuer)
    commit(other)
    claimed = left.do(lambda store: left.claim(store, 10))
    assert len(claimed) == 1 and claimed[0] in ids
    [dropped] = set(ids) - set(claimed)
    view = right.do(lambda store: store.view(dropped))
    assert view.status == 'cancelled' and f'uplicate of job {claimed[0]}' in view.outcome.error
