# SPDX-License-Identifier: ZPL-2.1
"""Queues once used leave nothing, and whoever removes a line that is empty never takes a job with
it."""
import time

import pytest

from p01.remote import verbs
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.verbs import claims
from tests.conftest import START, commit, inside, standing, stored
from tests.race.party import enqueued, failed


def lines(store):
    """How many lines there are, all proven."""
    for _, each in store.lanes():
        standing(each)
    return sum(len(lines.queues) for _, lines in store.lanes())


def trim(store):
    """As a worker does it that has looked at all lines."""
    for _, each in store.lanes():
        each.trim(list(each.queues))


def takeIn(party):
    return lambda store: [verbs.takeIn(store, shard, party.seat(store), START)
                          for shard in store.shards]


@pytest.fixture
def emptied(parties, enqueuer):
    """Jobs of one queue in all shards, claimed: the lines are empty, and still there."""
    worker, _ = parties
    ids = []
    while worker.do(lines) < 8:
        ids += enqueued(enqueuer, 32)
        worker.do(takeIn(worker))
    assert worker.do(lambda store: worker.claim(store, 10_000)) == ids
    assert worker.do(lines) == 8
    return ids


@pytest.mark.parametrize('trimFirst', [True, False])
@pytest.mark.parametrize('kind', ['take in', 'give back', 'revive', 'ripen'])
def test_a_line_is_removed_while_a_job_gets_into_it(parties, emptied, enqueuer, kind, trimFirst):
    worker, other = parties
    at = START
    expected = emptied[:1]
    if kind == 'revive':
        failed(worker, emptied[0])
    elif kind == 'take in':
        expected = enqueued(enqueuer, 64)
    elif kind == 'ripen':
        worker.do(lambda store: [verbs.retry(store, worker.seat(store), jobid, START + 5, None)
                                 for jobid in expected])
        at = START + 10
    ours, theirs = worker.begin(), other.begin()
    if kind == 'give back':
        verbs.release(ours, worker.seat(ours), expected)
    elif kind == 'revive':
        verbs.revive(ours, emptied[0], START)
    else:
        for shard in ours.shards:
            verbs.takeIn(ours, shard, worker.seat(ours), at)
    trim(theirs)
    first, second = (other, worker) if trimFirst else (worker, other)
    first.commit()
    second.refused()
    if trimFirst and kind == 'revive':
        worker.do(lambda store: verbs.revive(store, emptied[0], START))
    elif trimFirst and kind == 'give back':
        worker.do(lambda store: verbs.release(store, worker.seat(store), expected))
    other.do(lines)
    assert other.do(lambda store: verbs.claim(store, other.seat(store), 100, at)) == expected


@pytest.mark.parametrize('trimFirst', [True, False])
def test_a_bound_is_raised_while_an_earlier_job_gets_into_the_line(parties, emptied, enqueuer,
                                                                   trimFirst):
    """The bounds of the lines are where they were at first; a job of low priority raises them, one
    of high comes before."""
    worker, other = parties
    late = enqueued(enqueuer, 64, priority=-5)
    worker.do(takeIn(worker))
    soon = enqueued(enqueuer, 64, priority=5)
    ours, theirs = worker.begin(), other.begin()
    takeIn(worker)(ours)
    trim(theirs)
    first, second = (other, worker) if trimFirst else (worker, other)
    first.commit()
    second.refused()
    other.do(lines)
    assert other.do(lambda store: other.claim(store, 1000)) == soon + late
    assert other.do(lines) > 0


def test_two_workers_make_and_empty_the_lines_of_many_queues(parties, enqueuer):
    """Each job goes to one of them, whatever they remove meanwhile."""
    left, right = parties
    ids, found = [], []
    for turn in range(12):
        ids += [enqueuer.processJob('echo', None, queue=f'tenant {(turn * 7 + number) % 40}')
                for number in range(30)]
        commit(enqueuer)
        for party, rank in ((left, (0, 2)), (right, (1, 2))):
            found += party.do(lambda store, party=party, rank=rank: verbs.claim(
                store, party.seat(store), 12, START, None, rank))
    while True:
        more = right.do(lambda store: right.claim(store, 50))
        found += more
        if not more:
            break
    assert sorted(found) == ids and right.do(lines) <= 8 * claims.FEWLINES


def test_the_order_among_many_queues_is_that_of_enqueue_and_priority(parties, enqueuer):
    worker, _ = parties
    ids = [enqueuer.processJob('echo', None, queue=f'tenant {number * 37 % 101}',
                               priority=number % 3) for number in range(400)]
    commit(enqueuer)
    expected = sorted(ids, key=lambda jobid: (-((jobid - ids[0]) % 3), jobid))
    found = []
    while more := worker.do(lambda store: worker.claim(store, 17)):
        found += more
        worker.do(lines)
    assert found == expected


def test_a_thousand_queues_once_used_leave_nothing(memory):
    processor = stored(memory)
    for number in range(1000):
        processor.processJob('echo', None, queue=f'tenant {number}')
    commit(processor)
    loop = Loop(memory.db, inside, 'worker', WorkerOptions(drain=True))
    loop.work()
    assert loop.done == 1000
    loop.book(time.time(), 1)
    loop.booking.janitor.looked = -1e9      # as after a while
    loop.book(time.time(), 1)
    connection = memory.connect()
    assert lines(inside(connection).store) == 0
    loop.close()


def test_a_claim_looks_at_the_lines_that_it_takes_from(parties, enqueuer, monkeypatch):
    worker, _ = parties
    ids = [enqueuer.processJob('echo', None, queue=f'tenant {number % 300}')
           for number in range(900)]
    commit(enqueuer)
    assert worker.do(lambda store: worker.claim(store, 300)) == ids[:300]
    store = worker.begin()
    looked = []
    heads = claims.heads
    monkeypatch.setattr(claims, 'heads', lambda *given: looked.append(given[-1]) or heads(*given))
    assert verbs.claim(store, worker.seat(store), 5, START) == ids[300:305]
    assert sum(len(queues) for queues in looked[0].values()) < 20
    worker.commit()
