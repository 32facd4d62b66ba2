# SPDX-License-Identifier: ZPL-2.1
"""Conflicts told to people: which object, where it hangs, and what helps."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from persistent import Persistent
from ZODB.DB import DB
from ZODB.POSException import ConflictError
from ZODB.utils import z64

from p01.remote.storage.transactions import opened

OBJECTS = 1_000     # that are looked at
SECONDS = 0.1       # that it may take
MEND = {
    z64: 'the root itself was changed, which each new or replaced key in it does; keep a BTree '
         'under one key, and put objects of their own into it',
    None: 'let each transaction change objects of its own, a BTree rather than a dict, or repeat '
          'it as a whole: app.run(function)',
}


class Told:
    """The message of a conflict, found out when somebody reads it: most are repeated and never
    shown."""

    def __init__(self, error: ConflictError, oid: bytes, db: DB) -> None:
        self.message = str(error.message)
        self.oid = oid
        self.db = db
        self.text: str | None = None

    def __str__(self) -> str:
        if self.text is None:
            where = placeOf(self.db, self.oid)
            mend = MEND.get(self.oid, MEND[None])
            self.text = ('Two transactions changed the same object at once: '
                         f'{where or "an object"}; {mend}')
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def explain(error: ConflictError, db: DB) -> None:
    """Have a conflict's message say what is wrong and what helps."""
    if error.oid is not None and not isinstance(error.message, Told):
        error.message = Told(error, error.oid, db)


def placeOf(db: DB, oid: bytes) -> str:
    """Where an object hangs, as root['orders']; '' when it is not found soon."""
    if oid == z64:
        return 'the root'
    limit = time.monotonic() + SECONDS
    try:
        with opened(db) as connection:
            todo: deque[tuple[str, Any]] = deque([('root', connection.root())])
            seen = {z64}
            while todo and len(seen) < OBJECTS and time.monotonic() < limit:
                place, obj = todo.popleft()
                for step, child in children(obj):
                    if child._p_oid == oid:
                        return place + step
                    if child._p_oid not in seen:
                        seen.add(child._p_oid)
                        todo.append((place + step, child))
    except Exception:       # what is stored there is foreign code, and the storage may be away
        return ''
    return ''


def children(obj: Persistent) -> Iterator[tuple[str, Persistent]]:
    """The persistent objects in the state of one, with the step there: an attribute, a key, nothing
    for a tree's own nodes."""
    state = obj.__getstate__()
    if isinstance(state, dict):
        for name, value in state.items():
            yield from within(value,
                              '' if name == 'data' and isinstance(value, dict) else f'.{name}')
    elif hasattr(obj, 'keys') and hasattr(obj, 'items'):        # a tree or one of its buckets
        nodes = list(within(state, ''))
        known = {child._p_oid for _, child in nodes
                 if type(child).__module__ == type(obj).__module__}
        yield from ((step, child) for step, child in nodes if child._p_oid in known)
        yield from (each for key, value in leaf(obj) for each in within(value, f'[{key!r}]'))
    else:
        yield from within(state, '')


def leaf(obj: Any) -> Iterator[tuple[Any, Any]]:
    """The first items of a tree."""
    for number, item in enumerate(obj.items()):
        if number >= OBJECTS:
            return
        yield item


def within(value: Any, step: str, depth: int = 3) -> Iterator[tuple[str, Persistent]]:
    """The persistent objects in a value of plain containers."""
    if isinstance(value, Persistent):
        yield step, value
    elif depth and isinstance(value, dict):
        for key, each in value.items():
            yield from within(each, f'{step}[{key!r}]', depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from within(each, step, depth - 1)
