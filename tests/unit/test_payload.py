# SPDX-License-Identifier: ZPL-2.1
"""Inputs and outputs, packed for themselves."""
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from persistent import Persistent
from persistent.mapping import PersistentMapping

from p01.remote.exceptions import InputError
from p01.remote.store.payload import INLINE, LIMIT, Payload, pack, unpack

plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(
        allow_nan=False) | some.text() | some.binary(),
    lambda inner: some.lists(inner) | some.tuples(inner,
                                                  inner) | some.dictionaries(some.text(), inner),
    max_leaves=20)


@given(plain)
def test_plain_values_come_back(value):
    kept = pack(value, 'It')
    assert unpack(kept) == value and type(unpack(kept)) is type(value)
    assert kept is None or isinstance(kept, (bytes, Payload))


@pytest.mark.parametrize('value', [
    datetime.now(UTC), Decimal('1.5'), {1, 2}, frozenset('a'), ValueError('x'), 1 + 2j, range(5),
    int, '\ud800', 2 ** 10_000, ...], ids=lambda value: type(value).__name__)
def test_other_values_come_back(value):
    assert repr(unpack(pack(value, 'It'))) == repr(value)


def test_nothing_is_kept_as_nothing():
    assert pack(None, 'It') is None and unpack(None) is None


def test_a_value_is_as_it_was_when_it_was_packed():
    value = [1, [2]]
    kept = pack(value, 'It')
    value[1].append(3)
    assert unpack(kept) == [1, [2]]
    unpack(kept).append(4)
    assert unpack(kept) == [1, [2]]


@pytest.mark.parametrize('size, alone', [(INLINE // 2,
                                          False), (INLINE + 1, True), (LIMIT - 100, True)])
def test_big_values_get_an_object_of_their_own(size, alone):
    kept = pack('x' * size, 'It')
    assert isinstance(kept, Payload) is alone and unpack(kept) == 'x' * size


def test_the_limit_names_what_is_too_large():
    with pytest.raises(InputError,
                       match=r'The input of job 5 takes .* bytes, more than the limit of 100'):
        pack('x' * 101, 'The input of job 5', 100)
    assert unpack(pack('x' * 50, 'It', 100))


def test_persistent_objects_stay_the_same_objects():
    thing, other = PersistentMapping(), Persistent()
    value = [thing, {'again': thing, 'other': (other,)}, 'text']
    kept = pack(value, 'It')
    assert isinstance(kept, Payload)
    found = unpack(kept)
    assert found == value and found is not value and found[1] is not value[1]
    assert found[0] is thing and found[1]['again'] is thing and found[1]['other'][0] is other
    assert unpack(pack(thing, 'It')) is thing


def test_what_is_done_to_an_unpacked_value_stays_there():
    kept = pack([PersistentMapping(), [1, 2]], 'It')
    unpack(kept)[1].clear()
    assert unpack(kept)[1] == [1, 2]


def test_a_persistent_class_is_no_persistent_object():
    assert unpack(pack(PersistentMapping, 'It')) is PersistentMapping
    assert isinstance(pack(PersistentMapping, 'It'), bytes)


@pytest.mark.parametrize('value', [lambda: 1,
                                   threading.Lock(), [PersistentMapping(), threading.Lock()]])
def test_what_cannot_be_pickled_is_told(value):
    with pytest.raises(InputError, match='The input of \'x\' cannot be pickled'):
        pack(value, "The input of 'x'")


class Trap:

    def __reduce__(self):
        return int, ('no number',)


def test_what_cannot_be_loaded_raises_when_it_is_loaded():
    kept = pack([Trap()], 'It')
    with pytest.raises(ValueError):
        unpack(kept)


def test_cycles_come_back():
    value = []
    value.append(value)
    found = unpack(pack(value, 'It'))
    assert found[0] is found
