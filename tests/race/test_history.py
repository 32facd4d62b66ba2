# SPDX-License-Identifier: ZPL-2.1
"""Histories have one writer each: workers who write at once never meet there, and nothing is
counted twice or lost."""
import pytest
from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.store.history import Code
from p01.remote.store.records import Conflicts, Outcome
from p01.remote.store.seats import Seat
from p01.remote.verbs import recording
from p01.remote.views.history import everOf, historyOf
from tests.conftest import START, inside
from tests.race.party import Party, enqueued


def done(party, store, minute):
    """So that the minute before goes to the rings."""
    seat = party.seat(store)
    seat.touch()
    recording.count(seat.figures(('queue', 'job'), START + 60 * minute), Code.DONE, 1)


def sums(party):
    return party.do(everOf)['queue', 'job'][Code.DONE]


def test_two_who_write_in_the_same_minutes_do_not_meet(parties):
    left, right = parties
    for minute in range(20):
        for party in parties:
            party.begin()
        for party in parties:
            done(party, inside(party.connection).store, minute)
        for party in parties:
            party.commit()
    assert sums(left) == sums(right) == 40
    found = left.do(lambda store: historyOf(store, 'hour', START + 60 * 20).points())
    assert [point.completed for point in found if point.completed] == [2] * 20


def test_what_is_refused_is_not_counted(parties, enqueuer):
    """The seat that counts is that of the claim: who is fenced off counts nothing."""
    left, right = parties
    [jobid] = enqueued(enqueuer)
    left.do(left.claim)
    store = left.begin()
    verbs.settle(store, left.seat(store),
                 {jobid: Outcome('completed', None, '', 1, START, START)})

    def rescue(store):
        verbs.release(store, left.seat(store), [jobid])
        verbs.evict(store, left.seat(store))

    right.do(rescue)
    left.refused()
    kind = 'default', 'echo'
    assert Code.DONE not in right.do(everOf)[kind]
    right.do(right.claim)
    right.do(lambda store: verbs.settle(store, right.seat(store), {
        jobid: Outcome('completed', None, '', 1, START, START)}))
    assert right.do(everOf)[kind][Code.DONE] == 1


@pytest.mark.parametrize('free', [1, 5])
def test_two_who_begin_at_once_never_share_a_history(place, parties, free):
    for party in parties:
        party.do(lambda store, party=party: verbs.rise(store, party.seat(store), {}))
    others = [Party(place, f'other {number}').sit() for number in range(free)]
    for party in others:
        party.do(lambda store, party=party: verbs.rise(store, party.seat(store), {}))
    both = [(party, party.begin()) for party in parties]
    for party, store in both:
        verbs.sit(store, seat(party))
    parties[0].commit()
    try:
        parties[1].commit()
    except TransientError:
        parties[1].manager.abort()
        parties[1].sit()
    found = parties[0].do(lambda store: [each.history._p_oid for each in store.seats.values()]
                          + [each._p_oid for each in store.pasts.values()])
    assert len({*found}) == len(found) == max(2, free)


def seat(party):
    return Seat(party.name, 'host', 1, 'process', 'box', 60.0, START)


def test_runs_that_met_others_are_counted(parties, enqueuer):
    left, _ = parties
    jobids = enqueued(enqueuer, 3)
    left.do(lambda store: left.claim(store, 3))
    left.do(lambda store: verbs.settle(store, left.seat(store), {
        jobid: Outcome('completed', None, '', 1, START, START, conflicts=met)
        for jobid, met in zip(jobids, (None, Conflicts(3, 'it'), Conflicts(4, 'it')), strict=True)
    }))
    found = left.do(lambda store: historyOf(store, 'hour', START).sum())
    assert (found.completed, found.repeated) == (3, 7)
