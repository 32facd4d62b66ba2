# SPDX-License-Identifier: ZPL-2.1
"""Jobs stand in line in runs of neighbours: whoever leaves from anywhere in a run, the others keep
their places."""
import pytest

from p01.remote import verbs
from p01.remote.store import lines
from p01.remote.store.keys import idOf
from p01.remote.views import figures
from tests.conftest import START, commit, inLines, inside
from tests.race.party import enqueued


@pytest.fixture
def jobs(parties, enqueuer):
    """Nine neighbours, in line in one run."""
    _, right = parties
    ids = enqueued(enqueuer)        # a connection's first segment has one id
    right.do(lambda store: verbs.cancel(store, ids[0], START))
    ids = enqueued(enqueuer, 9)
    right.do(lambda store: [verbs.takeIn(store, shard, right.seat(store), START)
                            for shard in store.shards])
    assert right.do(runs) == [(ids[0], ids[-1])]
    return ids


def runs(store):
    """The first and the last id of each run, in order."""
    return sorted((idOf(key), last) for _, lines in store.lanes() for line in lines.queues.values()
                  for key, last in line.waiting.items())


def claimed(party, count=100):
    return party.do(lambda store: party.claim(store, count))


@pytest.mark.parametrize('at, left', [
    (0, [(1, 8)]), (4, [(0, 3), (5, 8)]), (8, [(0, 7)]), (1, [(0, 0), (2, 8)]),
    (7, [(0, 6), (8, 8)])])
def test_a_job_is_cancelled_within_a_run(parties, jobs, at, left):
    worker, person = parties
    assert person.do(lambda store: verbs.cancel(store, jobs[at], START)) is True
    assert person.do(runs) == [(jobs[first], jobs[last]) for first, last in left]
    assert sorted(person.do(lambda store: list(inLines(store)))) == jobs[:at] + jobs[at
                                                                                             + 1:]
    assert claimed(worker) == jobs[:at] + jobs[at + 1:]
    assert person.do(runs) == []


def test_all_jobs_of_a_run_are_cancelled_one_by_one(parties, jobs):
    worker, person = parties
    for at in (4, 2, 6, 0, 8, 3, 5, 1, 7):
        assert person.do(lambda store, at=at: verbs.cancel(store, jobs[at], START)) is True
    assert person.do(runs) == [] and person.do(lambda store: figures.oldest(store)) is None
    assert claimed(worker) == []


def test_a_claim_takes_the_head_of_a_run(parties, jobs):
    worker, person = parties
    assert claimed(worker, 4) == jobs[:4]
    assert person.do(runs) == [(jobs[4], jobs[8])]
    # it is not in line
    assert person.do(lambda store: verbs.cancel(store, jobs[1], START)) is False
    assert person.do(lambda store: verbs.cancel(store, jobs[5], START)) is True
    assert claimed(worker, 2) == [jobs[4], jobs[6]]
    assert claimed(worker) == jobs[7:]


def test_what_is_released_stands_before_the_rest_of_its_run(parties, jobs):
    worker, other = parties
    claimed(worker, 4)
    worker.do(lambda store: verbs.release(store, worker.seat(store), jobs[1:4]))
    assert other.do(lambda store: verbs.cancel(store, jobs[2], START)) is True
    assert claimed(other) == [jobs[1], *jobs[3:]]


def test_a_job_that_was_revived_stands_alone_amid_its_old_run(parties, jobs):
    worker, person = parties
    person.do(lambda store: verbs.cancel(store, jobs[3], START))
    person.do(lambda store: verbs.cancel(store, jobs[4], START))
    person.do(lambda store: verbs.revive(store, jobs[3], START + 1))
    person.do(lambda store: verbs.revive(store, jobs[4], START + 2))
    assert person.do(lambda store: verbs.cancel(store, jobs[3], START)) is True
    assert claimed(worker) == jobs[:3] + jobs[5:] + [jobs[4]]


@pytest.mark.parametrize('at', [0, 1, 2, 5, 8])
@pytest.mark.parametrize('cancelFirst', [True, False])
def test_claim_and_cancel_meet_in_a_run(parties, jobs, at, cancelFirst):
    worker, person = parties
    theirs, ours = person.begin(), worker.begin()
    assert verbs.cancel(theirs, jobs[at], START) is True
    assert worker.claim(ours, 2) == jobs[:2]
    first, second = (person, worker) if cancelFirst else (worker, person)
    first.commit()
    second.refused()
    if cancelFirst:
        assert claimed(worker, 2) == [each for each in jobs[:3] if each != jobs[at]][:2]
    else:
        assert person.do(lambda store: verbs.cancel(store, jobs[at], START)) is (at > 1)
    left = person.do(lambda store: sorted([*inLines(store), *worker.seat(store).claims]))
    assert left == [each for each in jobs if each != jobs[at] or not cancelFirst and at < 2]


@pytest.mark.parametrize('one, two', [(2, 6), (6, 2), (0, 8), (3, 3)])
def test_two_people_cancel_in_one_run(parties, jobs, one, two):
    left, right = parties
    verbs.cancel(left.begin(), jobs[one], START)
    verbs.cancel(right.begin(), jobs[two], START)
    left.commit()
    right.refused()
    assert right.do(lambda store: verbs.cancel(store, jobs[two], START)) is (one != two)
    waiting = right.do(lambda store: sorted(inLines(store)))
    assert waiting == [each for each in jobs if each not in (jobs[one], jobs[two])]


def test_others_break_a_run(parties, enqueuer):
    worker, _ = parties
    ids = []
    for queue, priority in (('a', 0), ('a', 0), ('b', 0), ('a', 0), ('a', 5), ('a', 5), ('a', 0)):
        ids.append(enqueuer.processJob('echo', None, queue=queue, priority=priority))
    commit(enqueuer)
    assert claimed(worker) == [ids[at] for at in (4, 5, 0, 1, 2, 3, 6)]


def test_a_job_that_was_cancelled_before_anybody_took_it_in(parties, enqueuer):
    worker, person = parties
    ids = [enqueuer.processJob('echo', number) for number in range(9)]
    enqueuer.cancelJob(ids[4])
    commit(enqueuer)
    assert claimed(worker, 3) == ids[:3]
    assert person.do(lambda store: verbs.revive(store, ids[4], START)) is True
    assert person.do(lambda store: verbs.cancel(store, ids[4], START)) is True
    assert claimed(worker) == [ids[3], *ids[5:]]


@pytest.mark.parametrize('count', [1, 3, 7, 100])
def test_runs_of_several_connections_mix_in_the_order_of_enqueue(place, parties, enqueuer, count):
    worker, _ = parties
    others = [enqueuer, inside(place.connect(place.openAgain())),
              inside(place.connect(place.openAgain()))]
    ids = []
    for turn in range(30):
        processor = others[turn * 7 // 3 % 3]
        ids += [processor.processJob('echo', None) for _ in range(turn % 4)]
        commit(processor)
    found = []
    while len(found) < len(ids):
        found += claimed(worker, count)
    assert found == ids


@pytest.fixture
def opened(monkeypatch):
    """The runs that are opened: what a claim costs."""
    found = []

    class Counted(lines.Stretch):
        def __init__(self, *args):
            super().__init__(*args)
            found.append(self)

    monkeypatch.setattr('p01.remote.verbs.claims.Stretch', Counted)
    return found


def test_a_claim_costs_the_same_however_many_runs_overlap_behind_it(place, parties, enqueuer,
                                                                    opened):
    worker, _ = parties
    others = [enqueuer, inside(place.connect(place.openAgain())),
              inside(place.connect(place.openAgain()))]
    ids = []
    # each connection's runs end after the next one's begin, all the way
    for turn in range(90):
        ids += enqueued(others[turn % 3], 10)
    worker.do(lambda store: [verbs.takeIn(store, shard, worker.seat(store), START)
                             for shard in store.shards])
    assert len(worker.do(runs)) > 20
    assert worker.do(lambda store: worker.claim(store, 40)) == ids[:40]
    assert len(opened) <= 8


def test_who_only_looks_whether_others_have_urgent_jobs_opens_none_of_their_runs(place, parties,
                                                                                 enqueuer, opened):
    worker, _ = parties
    for _ in range(40):
        enqueued(enqueuer, 10)
    worker.do(lambda store: [verbs.takeIn(store, shard, worker.seat(store), START)
                             for shard in store.shards])
    store = worker.begin()
    assert len(verbs.claim(store, worker.seat(store), 5, START, None, (0, 2))) == 5
    own = [line for shard, lines in store.lanes() if shard.number % 2 == 0
           for line in lines.queues.values()]
    assert opened and all(run.line in own for run in opened)
    worker.commit()


def test_a_segment_leaves_the_cache_when_all_its_jobs_have_ended(parties, jobs):
    worker, person = parties
    claimed(worker)
    for ended, gone in ((jobs[:4], False), (jobs[4:], True)):
        for jobid in ended:
            worker.complete(jobid)
        worker.settle()
        assert (worker.begin().segments[jobs[0]]._p_changed is None) is gone
        worker.commit()
    assert [person.do(lambda store, jobid=jobid: store.view(jobid).status)
            for jobid in jobs] == ['completed'] * 9
