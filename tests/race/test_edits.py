# SPDX-License-Identifier: ZPL-2.1
"""Moves and edits of jobs that wait against claims, ripening, other people and enqueuers: two
connections, each interleaving by name."""
import pytest

from p01.remote import verbs
from p01.remote.store.records import Attempt
from tests.conftest import START
from tests.race.party import enqueued, failed, status

CHANGES = {'move': {'queue': 'other'}, 'priority': {'priority': 5}, 'input': {'input': None},
           'later': {'due': START + 60}, 'nothing': {}}


@pytest.fixture(params=list(CHANGES))
def changes(request):
    return CHANGES[request.param]


def inLine(party):
    """Have all new jobs taken in: who claims then meets others at the line alone."""
    party.do(lambda store: [verbs.takeIn(store, shard, party.seat(store), START - 2)
                            for shard in store.shards])


def edited(changes, jobid, now=START):
    return lambda store: verbs.edit(store, jobid, changes, now)


@pytest.mark.parametrize('new', [True, False])
@pytest.mark.parametrize('count, at', [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_claim_overtakes_edit(parties, enqueuer, changes, count, at, new):
    """Also where it would stay at its very place: a job that runs is never changed."""
    left, right = parties
    ids = enqueued(enqueuer, count)
    if not new:
        inLine(left)
    store = right.begin()
    assert verbs.edit(store, ids[at], changes, START) is True
    assert sorted(left.do(lambda store: left.claim(store, count))) == ids
    right.refused()
    assert right.do(edited(changes, ids[at])) is False
    assert right.do(lambda store: store.view(ids[at]).record.queue) == 'default'


def test_claim_overtakes_the_edit_of_one_that_would_stay_at_its_place(parties, enqueuer, changes):
    """It is no part of a stretch, others stand behind it: what both write could be merged."""
    left, right = parties
    ids = enqueued(enqueuer, 4)
    assert left.do(edited({}, ids[0])) and left.do(edited({}, ids[2]))
    store = right.begin()
    assert verbs.edit(store, ids[0], changes, START) is True
    assert left.do(left.claim) == [ids[0]]
    right.refused()


@pytest.mark.parametrize('count, at', [(1, 0), (3, 1)])
def test_edit_overtakes_claim(parties, enqueuer, changes, count, at):
    left, right = parties
    ids = enqueued(enqueuer, count)
    inLine(left)
    store = left.begin()
    assert left.claim(store, count) == ids
    assert right.do(edited(changes, ids[at])) is True
    left.refused()
    due = changes.get('due') is None
    assert sorted(left.do(lambda store: left.claim(store, count))) == \
        [jobid for jobid in ids if due or jobid != ids[at]]


@pytest.mark.parametrize('name', ['move', 'priority', 'input', 'nothing'])
def test_what_becomes_due_and_is_claimed_meets_an_edit(parties, enqueuer, name):
    left, right = parties
    [jobid] = enqueued(enqueuer, at=START - 1)
    inLine(left)
    store = right.begin()
    assert verbs.edit(store, jobid, CHANGES[name], START - 2) is True
    assert left.do(left.claim) == [jobid]
    right.refused()
    assert right.do(edited(CHANGES[name], jobid)) is False
    assert status(right, jobid) == 'processing'


@pytest.mark.parametrize('other', ['cancel', 'edit'])
def test_people_meet_at_a_waiting_job(parties, enqueuer, changes, other):
    left, right = parties
    [jobid, _] = enqueued(enqueuer, 2)
    store = right.begin()
    assert verbs.edit(store, jobid, changes, START)
    assert left.do(lambda store: verbs.cancel(store, jobid, START) if other == 'cancel'
                   else verbs.edit(store, jobid, {'priority': 7}, START))
    right.refused()
    assert right.do(edited(changes, jobid)) is (other == 'edit')
    if other == 'edit':
        assert right.do(lambda store: store.view(jobid).record.priority) \
            == changes.get('priority', 7)


def test_who_enqueues_meets_nobody(parties, enqueuer):
    """The segment that a job stands in is its enqueuer's, who goes on with it."""
    _, right = parties
    [jobid] = enqueued(enqueuer)
    [second] = enqueued(enqueuer)
    last = enqueuer.processJob('echo', 3)
    assert right.do(edited({'queue': 'other'}, jobid))
    assert right.do(edited({'queue': 'other'}, second))
    enqueuer._p_jar.transaction_manager.commit()
    assert [right.do(lambda store, each=each: store.view(each).record.queue)
            for each in (jobid, second, last)] == ['other', 'other', 'default']


def test_what_a_worker_has_taken_in_meanwhile_is_moved_at_the_second_try(parties, enqueuer):
    left, right = parties
    ids = enqueued(enqueuer, 2)
    store = right.begin()
    assert verbs.edit(store, ids[1], {'queue': 'other'}, START)
    assert left.do(left.claim) == [ids[0]]
    right.refused()
    assert right.do(edited({'queue': 'other'}, ids[1])) is True
    assert left.do(left.claim) == [ids[1]]
    assert left.do(lambda store: left.seat(store).claims[ids[1]].queue) == 'other'


def test_a_moved_job_goes_back_to_its_new_queue(parties, enqueuer):
    """After a failed run, and a release; counts are proven at the end."""
    left, _ = parties
    [jobid] = enqueued(enqueuer)
    assert left.do(edited({'queue': 'other', 'priority': 3}, jobid))
    for attempt in (None, Attempt(1, START, START, 'left', 'no')):
        assert left.do(left.claim) == [jobid]
        left.do(lambda store, attempt=attempt: verbs.retry(store, left.seat(store), jobid, None,
                                                           attempt))
        found = left.do(lambda store: store.view(jobid).record)
        assert (found.queue, found.priority) == ('other', 3)
    assert left.do(left.claim) == [jobid]
    failed(left, jobid)
    assert left.do(lambda store: verbs.revive(store, jobid, START)) is True
    assert left.do(edited({'queue': 'third'}, jobid)) is True
    assert left.do(left.claim) == [jobid]
    left.complete(jobid)
    left.settle()
    assert left.do(lambda store: verbs.remove(store, jobid)) == 'completed'
