# SPDX-License-Identifier: ZPL-2.1
"""Whose turn it is among several queues: strict order, weights that are fair over time."""
from collections import Counter
from itertools import pairwise

import pytest

from p01.remote.engine.turns import Turns


def serve(turns, waiting, batches, count):
    """Let a worker run so many claims of so many jobs; waiting says how many wait in each queue,
    which is None for always enough. Returns how many ran of each, in order."""
    ran = []
    for _ in range(batches):
        shares = turns.shares(count)
        assert sum(number for _, number in shares) == count * (1 if turns.costs else len(shares))
        assert sorted(queue for queue, _ in shares) == sorted(turns.places)
        claimed = []
        for share in (True, False):         # as verbs.claimInTurn: shares first, then what is left
            for queue, number in shares:
                most = min(number if share else count, count - len(claimed))
                if waiting[queue] is not None:
                    most = min(most, waiting[queue])
                    waiting[queue] -= most
                claimed += [queue] * most
        order = [claimed[at] for at in turns.order(claimed)]
        assert Counter(order) == Counter(claimed)
        turns.ran(order)
        ran += order
    return ran


@pytest.mark.parametrize('count', [1, 2, 3, 7, 50])
@pytest.mark.parametrize('weights', [{'a': 3, 'b': 1}, {'a': 1, 'b': 3, 'c': 6}, {'a': 1, 'b': 1},
                                     {'a': 1000, 'b': 1}], ids=str)
def test_weights_are_shares_whatever_the_claims(count, weights):
    ran = serve(Turns(list(weights), list(weights.values())), dict.fromkeys(weights),
                4000 // count, count)
    whole = sum(weights.values())
    for queue, number in Counter(ran).items():
        assert abs(number - len(ran) * weights[queue] / whole) <= 2
    assert set(ran) == set(weights)


def test_nobody_waits_longer_than_a_round():
    ran = serve(Turns(['a', 'b'], [9, 1]), {'a': None, 'b': None}, 1000, 1)
    places = [at for at, queue in enumerate(ran) if queue == 'b']
    assert max(later - sooner for sooner, later in pairwise(places)) == 10


@pytest.mark.parametrize('count', [1, 10])
def test_an_empty_queue_saves_nothing_up(count):
    """Nor is it punished: its share begins when its jobs come."""
    turns, waiting = Turns(['a', 'b'], [1, 1]), {'a': None, 'b': 0}
    assert set(serve(turns, waiting, 500, count)) == {'a'}
    waiting['b'] = None
    ran = serve(turns, waiting, 100 // count, count)
    assert abs(Counter(ran)['b'] - 50) <= count
    waiting['b'] = 0
    serve(turns, waiting, 100, count)
    waiting['b'] = None
    ran = serve(turns, waiting, 100 // count, count)
    assert abs(Counter(ran)['b'] - 50) <= count


def test_one_that_uses_little_of_its_share_gets_all_of_it_later():
    turns, waiting = Turns(['a', 'b'], [1, 1]), {'a': 0, 'b': None}
    for _ in range(100):
        waiting['a'] = 1
        assert Counter(serve(turns, waiting, 1, 10)) == {'a': 1, 'b': 9}
    waiting['a'] = None
    assert abs(Counter(serve(turns, waiting, 10, 10))['a'] - 50) <= 10


def test_what_is_held_counts():
    turns = Turns(['a', 'b'], [3, 1])
    assert dict(turns.shares(4)) == {'a': 3, 'b': 1}
    assert dict(turns.shares(4, ['a', 'a', 'a', 'b'])) == {'a': 3, 'b': 1}
    assert dict(turns.shares(1, ['a', 'a', 'a'])) == {'a': 0, 'b': 1}
    assert turns.shares(1, ['a', 'a', 'a'])[0] == ('b', 1)


def test_without_weights_the_order_is_strict():
    turns = Turns(['high', 'mid', 'low'])
    assert turns.shares(5) == [('high', 5), ('mid', 5), ('low', 5)]
    assert turns.order(['low', 'high', 'mid', 'high', 'low']) == [1, 3, 2, 0, 4]
    waiting = {'high': 3, 'mid': 2, 'low': None}
    assert serve(turns, waiting, 4, 2) == ['high', 'high', 'high', 'mid', 'mid', 'low', 'low',
                                           'low']
