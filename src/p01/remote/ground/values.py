# SPDX-License-Identifier: ZPL-2.1
"""Values of jobs, as JSON and as text: whatever they are, shown within bounds, and never an
error."""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from p01.remote.ground import foreign

DEPTH = 100             # levels of nesting that are shown
# values within a value that are shown: shared ones may count more often than memory holds
NODES = 1_000_000
TEXT = 1000             # characters of a value that JSON lacks
DIGITS = 4000           # of a whole number: Python refuses to write more
MORE = '…'


class Full(Exception):
    """Enough is written."""


def jsonOf(value: Any, indent: int | None = None) -> str:
    """JSON of any value, which every parser takes. What JSON lacks becomes its text, instants are
    in ISO format."""
    return json.dumps(Plain().of(value), indent=indent, allow_nan=False)


class Plain:
    """Makes of a value what JSON has."""

    def __init__(self) -> None:
        self.left = NODES
        self.path: list[int] = []       # the containers around, by id

    def of(self, value: Any) -> Any:
        """What stands for a value."""
        self.left -= 1
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return clean(value)
        if kind is int:
            return value if value.bit_length() < 3 * DIGITS else integer(value)
        if kind is float:
            return value if math.isfinite(value) else repr(value)
        if isinstance(value, dict | list | tuple | set | frozenset):
            found = foreign.guarded(self.container, value)      # of a class of theirs
            return self.other(value) if isinstance(found, foreign.Raised) else found
        return self.other(value)

    def container(self, value: Any) -> Any:
        """What stands for a dict, list or set."""
        if id(value) in self.path or len(self.path) >= DEPTH or self.left <= 0:
            return MORE
        self.path.append(id(value))
        try:
            if isinstance(value, dict):
                return self.mapping(value)
            if isinstance(value, set | frozenset):
                return sorted(self.many(value), key=lambda each: json.dumps(each, sort_keys=True))
            return self.many(value)
        finally:
            self.path.pop()

    def many(self, values: Iterable[Any]) -> list[Any]:
        """What stands for each of them."""
        found: list[Any] = []
        for value in values:
            if self.left <= 0:
                return [*found, MORE]
            found.append(self.of(value))
        return found

    def mapping(self, value: dict[Any, Any]) -> dict[str, Any]:
        """What stands for a dict: its keys become texts, each of its own."""
        found: dict[str, Any] = {}
        for key, each in value.items():
            name = clean(key) if type(key) is str else written(key, TEXT)
            name = json.dumps(key) if key is None or type(key) is bool else name
            while name in found:
                name += "'"
            found[name] = self.of(each)
            if self.left <= 0:
                break
        return found

    def other(self, value: Any) -> str:
        """The text of what JSON lacks."""
        if isinstance(value, datetime):
            found = foreign.guarded(datetime.isoformat, value)
            if isinstance(found, str):
                return found
        return clean(' '.join(foreign.shown(value, TEXT).split()))


def written(value: Any, most: int) -> str:
    """A value as Python writes it, of at most so many characters; the work is bounded as well."""
    parts: list[str] = []
    try:
        write(value, Measured(parts, most), ())
    except Full:
        pass
    text = clean(''.join(parts))
    return text if len(text) <= most else text[:most - 1] + MORE


class Measured:
    """Takes pieces of text, up to a number of characters."""

    def __init__(self, parts: list[str], most: int) -> None:
        self.parts = parts
        self.left = most

    def __call__(self, piece: str) -> None:
        """Take a piece. Raises Full."""
        self.parts.append(piece[:self.left + 1])
        self.left -= len(piece)
        if self.left < 0:
            raise Full


def write(value: Any, put: Callable[[str], None], path: tuple[int, ...]) -> None:
    """Write a value in pieces; of containers of Python's own, each part for itself."""
    kind = type(value)
    if kind in (str, bytes):
        put(repr(value[:100_000]))
    elif kind is int:
        put(str(value) if value.bit_length() < 3 * DIGITS else integer(value))
    elif kind not in (list, tuple, dict, set, frozenset):
        put(' '.join(foreign.shown(value, 100_000).split()))
    elif id(value) in path or len(path) >= DEPTH:
        put(MORE)
    elif kind is dict:
        put('{')
        for number, (key, each) in enumerate(value.items()):
            put(', ' if number else '')
            write(key, put, (*path, id(value)))
            put(': ')
            write(each, put, (*path, id(value)))
        put('}')
    else:
        first, last = {'list': '[]', 'tuple': '()', 'set': '{}',
                       'frozenset': ('frozenset({', '})')}[kind.__name__]
        if not value and kind in (set, frozenset):
            first, last = f'{kind.__name__}(', ')'
        put(first)
        for number, each in enumerate(value):
            put(', ' if number else '')
            write(each, put, (*path, id(value)))
        put(',' if kind is tuple and len(value) == 1 else '')
        put(last)


def integer(value: int) -> str:
    """A whole number that is too long to be written."""
    return f'<int of {value.bit_length():,} bits>'


def clean(text: str) -> str:
    """A text that UTF-8 can hold: lone surrogates are written out."""
    return text if text.isascii() else text.encode('utf-8', 'backslashreplace').decode()
