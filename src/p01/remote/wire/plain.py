# SPDX-License-Identifier: ZPL-2.1
"""Stored values as JSON, where they are of nothing else: read like a text, never loaded."""
from __future__ import annotations

import math
from typing import Any

from p01.remote.ground import pickled
from p01.remote.ground.values import DIGITS
from p01.remote.views.given import read

DEEPESTPLAIN, MOSTPARTS = 50, 50_000        # levels, and values within a value
MOSTROOM = 1 << 20                          # characters of all texts


def plainOf(kept: Any) -> Any:
    """The value of what was kept, see payload.pack: of None, bool, int, float, str, list, tuple and
    dicts of texts. Raises pickled.Unreadable, which says why it is none."""
    return None if kept is None else Reading().of(read(kept), 0)


class Reading:
    """Makes plain values of what was read. Shared ones may count more often than memory holds, and
    a value may hold itself: so levels and values are counted."""

    def __init__(self) -> None:
        self.left, self.room = MOSTPARTS, MOSTROOM

    def of(self, value: pickled.Value, depth: int) -> Any:
        """A plain value. Raises Unreadable."""
        self.left -= 1
        if depth > DEEPESTPLAIN or self.left < 0:
            raise pickled.Unreadable('it is too large, or nested too deeply')
        if isinstance(value, pickled.Atom):
            # a text that is there once may be meant often
            self.room -= len(value.value) if isinstance(value.value, str) else 0
            if self.room < 0:
                raise pickled.Unreadable('it is too large')
            return one(value.value)
        if isinstance(value, pickled.Name):
            raise pickled.Unreadable(f'it has {value.name[:100]} in it')
        if value.kind not in ('list', 'tuple', 'dict'):
            raise pickled.Unreadable(f'it has a {value.kind[:100]} in it')
        if value.kind != 'dict':
            return [self.of(each, depth + 1) for each in value.items]
        keys = [self.of(each, depth + 1) for each in value.items[::2]]
        if not all(isinstance(key, str) for key in keys):
            raise pickled.Unreadable('it has a dict in it whose keys are no texts')
        return dict(zip(keys, (self.of(each, depth + 1) for each in value.items[1::2]),
                        strict=True))


def one(value: Any) -> Any:
    """A value without parts that JSON has as well. Raises Unreadable."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() < 3 * DIGITS \
            or isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise pickled.Unreadable('it has a text that UTF-8 cannot hold') from None
        return value
    raise pickled.Unreadable(f'it has {type(value).__name__} in it')
