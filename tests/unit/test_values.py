# SPDX-License-Identifier: ZPL-2.1
"""Whatever a job returned is shown: as JSON that every parser takes, as one line of text, within
bounds."""
import collections
import dataclasses
import datetime
import decimal
import json
import math
import sys
import uuid

import pytest

from p01.remote.ground.values import DEPTH, NODES, clean, jsonOf, written


class Mute:
    def __repr__(self):
        raise ValueError('no repr')


class Exits:
    def __repr__(self):
        raise SystemExit('no repr')

    __str__ = __hash__ = __eq__ = __repr__


class Odd(dict):
    def items(self):
        raise KeyError('no items')

    __repr__ = items


class Text(str):
    def __repr__(self):
        return 5

    __str__ = isascii = encode = split = __repr__


@dataclasses.dataclass
class Data:
    value: object


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def loop():
    value = {}
    value['self'] = [value]
    return value


def bomb():
    value = []
    for _ in range(60):
        value = [value, value]
    return value


VALUES = {
    'pairs': {(1, 2): 3}, 'loop': loop(), 'large': 10 ** 6000, 'negative': -10 ** 6000,
    'mute': Mute(), 'exits': [Exits()],
    'nan': [math.nan, math.inf, -math.inf], 'nested': nested(150),
    'deep': nested(sys.getrecursionlimit() * 20),
    'odd': Odd(a=1), 'bytes': b'\xff', 'set': {1, 'a', None, (2,)},
    'frozen': frozenset({frozenset({1})}),
    'surrogate': ['\udcff', {'\ud800': 1}], 'text': Text('x'),
    'keys': {1: 'a', '1': 'b', False: 'c', None: 'd', math.nan: 'e', Mute(): 'f', b'x': 'g'},
    'time': [datetime.datetime(2026, 1, 2), datetime.date(2026, 1, 2), datetime.timedelta(1)],
    'decimal': decimal.Decimal('NaN'), 'uuid': uuid.UUID(int=1),
    'ordered': collections.OrderedDict(b=1, a=2), 'class': Mute,
    'function': nested, 'complex': 1j, 'data': Data(nested(900)), 'control': '\x1b[31m\0\n',
    'array': bytearray(b'a'),
    'range': range(3), 'none': None, 'ellipsis': ..., 'error': ValueError('x'),
    'huge': 'x' * 3_000_000,
    'wide': list(range(300_000)), 'empty': [set(), frozenset(), {}, (), []], 'module': json,
    'generator': (each for each in ()), 'zero': -0.0, 'counter': collections.Counter('aab')}


def strict(text):
    def refuse(word):
        raise AssertionError(f'{word} is no JSON')
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize('name', VALUES)
@pytest.mark.parametrize('indent', [None, 2])
def test_any_value_is_valid_json(name, indent):
    text = jsonOf({'output': VALUES[name]}, indent)
    text.encode()
    strict(text)


@pytest.mark.parametrize('name', VALUES)
@pytest.mark.parametrize('most', [10, 2000])
def test_any_value_is_a_text_within_bounds(name, most):
    text = written(VALUES[name], most)
    assert len(text) <= most and text
    text.encode()


def test_plain_values_are_what_they_are():
    value = {'a': [1, 2.5, True, None, 'ü'], 'b': {'c': (1, 2)}, 'd': {3, 1, 2}}
    assert strict(jsonOf(value)) == {'a': [1, 2.5, True, None, 'ü'], 'b': {'c': [1, 2]},
                                     'd': [1, 2, 3]}
    assert written(value, 2000) == repr(value) and written((1,), 9) == '(1,)' \
        and written({'x': b'y'}, 99) == "{'x': b'y'}"
    assert [written(each, 99)
            for each in VALUES['empty']] == [repr(each) for each in VALUES['empty']]
    assert strict(jsonOf(list(range(300_000)))) == list(range(300_000))


def test_no_key_is_lost():
    assert len(strict(jsonOf(VALUES['keys']))) == len(VALUES['keys'])
    assert strict(jsonOf({(1, 2): 3, 5: 6, None: 7})) == {'(1, 2)': 3, '5': 6, 'null': 7}


def test_what_is_too_much_is_cut():
    text = jsonOf(bomb())
    assert len(text) < 20 * NODES and '\\u2026' in text
    assert len(written(bomb(), 500)) == 500
    depth, found = 0, strict(jsonOf(nested(500)))
    while isinstance(found, list):
        depth, found = depth + 1, found[0]
    assert depth == DEPTH and found == '…'
    assert 'bits' in written(10 ** 6000, 99) and written(loop(), 99) == "{'self': […]}"
    assert clean('a\udcff') == 'a\\udcff'
