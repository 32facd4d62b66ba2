# SPDX-License-Identifier: ZPL-2.1
"""The index of failed jobs is never too little, whoever meets in it."""
from itertools import groupby

import pytest

from p01.remote import verbs
from p01.remote.store.keys import shardOf
from p01.remote.store.records import Outcome
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find
from tests.conftest import START
from tests.race.party import enqueued, failed


@pytest.fixture
def pair(parties, enqueuer):
    """Two claimed jobs in different segments of one shard."""
    worker, _ = parties
    ids = enqueued(enqueuer, 640)
    worker.do(lambda store: worker.claim(store, 1000))
    firsts = worker.do(lambda store: {store.floor(jobid) for jobid in ids[1:]})
    firsts = sorted(firsts, key=lambda first: (shardOf(first), first))
    return next(same[:2] for same in (list(group) for _, group in groupby(firsts, shardOf))
                if len(same) > 1)


def errors(party):
    return sorted(party.do(lambda store: [view.id for view in find(store, Filter(('error',)))]))


@pytest.mark.parametrize('verb', ['remove', 'revive'])
@pytest.mark.parametrize('goneFirst', [True, False])
def test_the_last_failed_job_goes_while_another_one_fails(parties, pair, verb, goneFirst):
    worker, person = parties
    old, new = pair
    failed(worker, old)
    assert errors(person) == [old]
    ours, theirs = worker.begin(), person.begin()
    verbs.settle(ours, worker.seat(ours), {new: Outcome('error', None, 'no', 1, START, START)})
    assert verbs.remove(theirs, old) if verb == 'remove' else verbs.revive(theirs, old, START)
    first, second = (person, worker) if goneFirst else (worker, person)
    first.commit()
    second.refused()
    if goneFirst:
        failed(worker, new)
        assert errors(person) == [new]
    else:
        assert errors(person) == [old, new]


def test_two_fail_at_once(parties, pair):
    worker, other = parties
    one, two = pair
    worker.do(lambda store: verbs.release(store, worker.seat(store), [two]))
    assert other.do(lambda store: other.claim(store)) == [two]
    ours, theirs = worker.begin(), other.begin()
    for party, store, jobid in ((worker, ours, one), (other, theirs, two)):
        verbs.settle(store,
                     party.seat(store), {jobid: Outcome('error', None, 'no', 1, START, START)})
    worker.commit()
    other.refused()             # each has made the same set
    failed(other, two)
    assert errors(worker) == [one, two]
