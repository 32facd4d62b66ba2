# SPDX-License-Identifier: ZPL-2.1
"""Pickles, read like a text: plain values as Python shows them, and nothing ever runs."""
import os
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from p01.remote.ground import pickled

PLAIN = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.binary(),
    lambda inner: some.lists(inner, max_size=4) | some.tuples(inner) | some.tuples(inner, inner)
    | some.dictionaries(some.text() | some.integers(), inner, max_size=4), max_leaves=12)
NEVER = []


class Trap:
    """Something that runs when it is loaded."""

    def __reduce__(self):
        return os.system, ('exit 1',)


@given(PLAIN, some.sampled_from([4, 5]))
def test_plain_values_are_shown_as_python_shows_them(value, protocol):
    assert pickled.written(pickled.read(pickle.dumps(value, protocol)), 1 << 20) == repr(value)


def test_nothing_runs(monkeypatch):
    data = pickle.dumps([Trap()])
    monkeypatch.setattr(os, 'system', NEVER.append)
    text = pickled.written(pickled.read(data), 100)
    assert text.endswith("system('exit 1')]") and not NEVER


def test_what_is_made_by_a_call_shows_it():
    value = pickled.read(pickle.dumps(Decimal('1.5')))
    assert pickled.written(value, 99) == "decimal.Decimal('1.5')"


def test_a_value_within_itself_ends():
    value = []
    value.append(value)
    assert len(pickled.written(pickled.read(pickle.dumps(value)), 1000)) < 1000


def test_shared_values_do_not_grow_without_bound():
    value = ['x' * 10]
    for _ in range(60):
        value = [value, value]
    assert len(pickled.written(pickled.read(pickle.dumps(value)), 300)) == 300


def test_what_stands_under_a_secret_key_is_hidden():
    value = pickled.read(pickle.dumps({'token': ['abc'], 'order': {'token': 'def', 'id': 7}}))
    text = pickled.written(value, 300, lambda name: name == 'token')
    assert text == "{'token': ••••••, 'order': {'token': ••••••, 'id': 7}}"


def test_a_call_is_taken_apart():
    value = pickled.read(pickle.dumps(((1, 'a'), {'b': 2})))
    arguments, keywords = pickled.called(value)
    assert [pickled.written(each, 9) for each in arguments] == ['1', "'a'"]
    assert [(name, pickled.written(each, 9)) for name, each in keywords] == [('b', '2')]
    assert pickled.called(pickled.read(pickle.dumps((1, 2)))) is None


@given(some.binary(max_size=200))
def test_what_is_no_pickle_is_refused_by_one_error(data):
    for text in (data, b'\x80\x04' + data + b'.', pickle.dumps([1, {'a': (2,)}])[:-1] + data):
        try:
            pickled.written(pickled.read(text), 100)
        except pickled.Unreadable:
            pass


def test_large_ones_are_not_looked_at():
    with pytest.raises(pickled.Unreadable, match='100,0'):
        pickled.read(pickle.dumps('x' * 100_000))
