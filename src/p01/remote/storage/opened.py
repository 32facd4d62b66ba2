# SPDX-License-Identifier: ZPL-2.1
"""What can be told from an open database, whoever opened it."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ZODB

from p01.remote import fork

# By name, not by class: telling a FileStorage apart must not import RelStorage and ZEO.
_KINDS = {
    'ZODB.FileStorage.FileStorage.FileStorage': 'file',
    'ZODB.MappingStorage.MappingStorage': 'memory',
    'ZEO.ClientStorage.ClientStorage': 'zeo',
    'p01.remote.storage.sqlite.view.View': 'sqlite',
    'p01.remote.storage.postgresql.view.View': 'postgresql',
}
RELSTORAGE = 'relstorage.adapters.adapter.AbstractAdapter'
FAULTY = 'relstorage.adapters.sqlite.adapter.Sqlite3Adapter'


def kind(db: ZODB.DB) -> str:
    """The kind of an open database, in the words of addresses; '' when it is none of ours."""
    return _inspect(db)[0]


def part(db: ZODB.DB) -> Any:
    """The storage that makes a database of its kind."""
    return _inspect(db)[1]


def isFaulty(db: ZODB.DB) -> bool:
    """Whether it is RelStorage on SQLite, which mixes up commits, and loses objects in a pack."""
    return _made(db, FAULTY) is not None


def losing(db: ZODB.DB) -> bool:
    """Whether a pack would lose objects: RelStorage 4.3 without history lists all of them first, and then follows the references
    of a later snapshot between those; what was made in between, and what has moved there, it deletes."""
    adapter = _made(db, RELSTORAGE)
    return adapter is not None and not adapter.keep_history


def folder(db: ZODB.DB) -> Path | None:
    """The folder in which a sqlite: or file: database lives; None for all others."""
    name, part = _inspect(db)
    if name == 'sqlite':
        return Path(part.shared.folder)
    if name == 'file':
        return Path(part.getName()).resolve().parent
    return None


def widen(db: ZODB.DB, number: int) -> None:
    """Have the pool of a database, whoever opened it, fit so many connections more, or less again."""
    with _widening:
        db.setPoolSize(db.getPoolSize() + number)


def deepen(db: ZODB.DB, number: int) -> None:
    """Have its connections keep so many objects that are looked at again and again, and as many others."""
    if 2 * number > db.getCacheSize():
        db.setCacheSize(4 * number)


_widening = fork.Lock()


def _inspect(db: ZODB.DB) -> tuple[str, Any]:
    """The kind, and the storage that showed it."""
    for part, names in _parts(db):
        for name in names:
            if name in _KINDS:
                return _KINDS[name], part
    return '', None


def _made(db: ZODB.DB, name: str) -> Any:
    """What a storage stands on that is of this class; None when nothing is."""
    return next((part for part, names in _parts(db) if name in names), None)


def _parts(db: ZODB.DB) -> Iterator[tuple[Any, list[str]]]:
    """A storage and all that it stands on, with the names of their classes."""
    part: Any = db.storage
    while part is not None:
        yield part, [f'{cls.__module__}.{cls.__qualname__}' for cls in type(part).__mro__]
        part = _within(part)


def _within(part: Any) -> Any:
    """What a storage stands on: an adapter, a DemoStorage's changes, a wrapper's base."""
    for name in ('_adapter', 'changes', '_BlobStorage__storage', 'base'):
        # From the instance, since wrappers hand every other name on to what they wrap.
        if vars(part).get(name) is not None:
            return vars(part)[name]
    return None
