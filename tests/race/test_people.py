# SPDX-License-Identifier: ZPL-2.1
"""People's verbs against those of workers and of each other: two connections, each interleaving by
name."""
import pytest
from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.store.records import Attempt, Outcome
from p01.remote.store.slips import SLIPROOM
from p01.remote.views import listing
from tests.conftest import START, inside
from tests.race.party import enqueued, failed, status


def test_claim_overtakes_cancel(parties, enqueuer):
    left, right = parties
    [jobid] = enqueued(enqueuer)
    store = right.begin()
    assert verbs.cancel(store, jobid, START) is True
    assert left.do(left.claim) == [jobid]
    right.refused()
    assert right.do(lambda store: verbs.cancel(store, jobid, START)) is False
    assert status(right, jobid) == 'processing'


def test_cancel_overtakes_claim(parties, enqueuer):
    left, right = parties
    [jobid] = enqueued(enqueuer)
    store = left.begin()
    assert left.claim(store) == [jobid]
    assert right.do(lambda store: verbs.cancel(store, jobid, START)) is True
    left.refused()
    assert left.do(left.claim) == []
    assert status(right, jobid) == 'cancelled'


@pytest.mark.parametrize('due', [None, START + 60])
@pytest.mark.parametrize('attempt', [None, Attempt(1, START, START, 'left', 'no')])
def test_retry_and_remove(parties, enqueuer, due, attempt):
    left, right = parties
    [jobid] = enqueued(enqueuer)
    left.do(left.claim)
    store = right.begin()
    assert verbs.remove(store, jobid) is None
    left.do(lambda store: verbs.retry(store, left.seat(store), jobid, due, attempt))
    right.commit()
    assert right.do(lambda store: verbs.remove(store, jobid)) is None
    assert status(right, jobid) == ('queued' if due is None else 'delayed')


def test_end_overtakes_remove(parties, enqueuer):
    left, right = parties
    [jobid] = enqueued(enqueuer)
    left.do(left.claim)
    store = right.begin()
    failed(left, jobid)
    assert verbs.remove(store, jobid) is None
    right.commit()
    assert right.do(lambda store: verbs.remove(store, jobid)) == 'error'


@pytest.mark.parametrize('first, second, after', [
    (lambda store, jobid: verbs.remove(store,
                                       jobid), lambda store, jobid: verbs.revive(store, jobid,
                                                                                 START), None),
    (lambda store, jobid: verbs.revive(store, jobid,
                                       START), lambda store, jobid: verbs.remove(store, jobid),
     'queued'),
    (lambda store, jobid: verbs.revive(store, jobid,
                                       START), lambda store, jobid: verbs.revive(store, jobid,
                                                                                 START), 'queued'),
    (lambda store, jobid: verbs.remove(store,
                                       jobid), lambda store, jobid: verbs.remove(store, jobid),
     None)],
    ids=['remove-revive', 'revive-remove', 'revive-revive', 'remove-remove'])
def test_people_meet_at_a_failed_job(parties, enqueuer, first, second, after):
    left, right = parties
    [jobid, _] = enqueued(enqueuer, 2)
    left.do(left.claim)
    failed(left, jobid)
    store = right.begin()
    assert second(store, jobid)
    assert left.do(lambda store: first(store, jobid))
    right.refused()
    right.begin()
    found = [each for each in listing.ids(inside(right.connection).store) if each == jobid]
    assert bool(found) == bool(after)
    if after:
        assert inside(right.connection).store.view(jobid).status == after
        assert not second(inside(right.connection).store, jobid)
    right.commit()


def test_claim_meets_revive(parties, enqueuer):
    left, right = parties
    ids = enqueued(enqueuer, 2)
    left.do(left.claim)
    failed(left, ids[0])
    store = right.begin()
    assert verbs.revive(store, ids[0], START)
    assert left.do(left.claim) == [ids[1]]
    try:
        right.commit()
    except TransientError:
        right.manager.abort()
        right.do(lambda store: verbs.revive(store, ids[0], START))
    assert left.do(lambda store: left.claim(store, 5)) == [ids[0]]


def test_complete_meets_cancel_and_remove(parties, enqueuer):
    """What is claimed is the worker's: people's verbs change nothing, and do not disturb its
    commit."""
    left, right = parties
    [jobid] = enqueued(enqueuer)
    left.do(left.claim)
    store = left.begin()
    verbs.complete(store,
                   left.seat(store), {jobid: Outcome('completed', None, '', 1, START, START)})
    assert right.do(lambda store: verbs.cancel(store, jobid, START)) is False
    assert right.do(lambda store: verbs.remove(store, jobid)) is None
    left.commit()
    assert status(right, jobid) == 'completed'
    assert right.do(lambda store: verbs.remove(store, jobid)) is None     # not settled yet
    left.do(lambda store: verbs.settle(store, left.seat(store), {}))
    assert right.do(lambda store: verbs.remove(store, jobid)) == 'completed'


def test_what_was_written_of_a_job_before_its_revival_is_forgotten(parties, enqueuer):
    """By itself, or its worker would take the old outcome for the new one."""
    left, right = parties
    [jobid] = enqueued(enqueuer)
    left.do(left.claim)
    left.complete(jobid, 'error')
    left.settle()
    assert right.do(lambda store: verbs.revive(store, jobid, START)) is True
    assert left.do(left.claim) == [jobid]
    assert status(right, jobid) == 'processing'
    left.settle()
    assert status(right, jobid) == 'processing'
    left.complete(jobid)
    assert status(right, jobid) == 'completed'


def test_slips_are_used_again(parties, enqueuer):
    """However many jobs pass, a worker's shelf grows no more, and what is written of one job stays
    small."""
    left, right = parties
    ids = enqueued(enqueuer, 3 * SLIPROOM)
    for jobid in ids:
        assert left.do(left.claim) == [jobid]
        left.complete(jobid)
        left.settle()
    assert right.do(lambda store: [len(slip.entries)
                                   for slip in store.seats[left.name].shelf.slips.values()]) == [1]
    assert {status(right, jobid) for jobid in ids} == {'completed'}


def test_conflicts_use_up_no_slips(parties, enqueuer):
    left, right = parties
    ids = enqueued(enqueuer, SLIPROOM + 1)
    left.do(lambda store: left.claim(store, len(ids)))
    for jobid in ids:
        for _ in range(SLIPROOM + 1):
            store = left.begin()
            verbs.complete(store,
                           left.seat(store), {jobid: Outcome('completed', None, '', 1, START,
                                                             START)})
            left.manager.abort()
        left.complete(jobid)
    assert right.do(lambda store: [len(slip.entries)
                                   for slip
                                   in left.seat(store).shelf.slips.values()]) == [SLIPROOM, 1]
    left.settle()
    assert [right.do(lambda store, jobid=jobid: store.view(jobid).status)
            for jobid in ids] == ['completed'] * len(ids)
