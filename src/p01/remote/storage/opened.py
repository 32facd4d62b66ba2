# SPDX-License-Identifier: ZPL-2.1
"""What can be told from an open database, whoever opened it."""
from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import ZODB

from p01.remote.ground import fork
from p01.remote.storage.insides import base, names

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
    return _made(db, (FAULTY,)) is not None


def losing(db: ZODB.DB) -> bool:
    """Whether a pack would lose objects: RelStorage 4.3 without history lists all of them first,
    and then follows the references of a later snapshot between those; what was made in between, and
    what has moved there, it deletes."""
    adapter = _made(db, (RELSTORAGE,))
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
    """Have the pool of a database, whoever opened it, fit so many connections more, or less
    again."""
    with _widening:
        db.setPoolSize(db.getPoolSize() + number)


def deepen(db: ZODB.DB, number: int) -> None:
    """Have its connections keep so many objects that are looked at again and again, and as many
    others."""
    if 2 * number > db.getCacheSize():
        db.setCacheSize(4 * number)


_widening = fork.Lock()


def renew(db: ZODB.DB) -> None:
    """Have a database keep none of the connections that wait in its pool: they were made before."""
    size = db.getPoolSize()
    db.setPoolSize(0)
    db.setPoolSize(size)


def useClasses(db: ZODB.DB, factory: Callable[[Any, str, str], Any]) -> None:
    """Have a database find classes by factory(connection, module, name), as its setting
    class_factory does since ZODB 6.3."""
    db.classFactory = factory
    renew(db)


def _inspect(db: ZODB.DB) -> tuple[str, Any]:
    """The kind, and the storage that showed it."""
    part = _made(db, _KINDS)
    return (next(_KINDS[name] for name in names(part) if name in _KINDS),
            part) if part is not None else ('', None)


def _made(db: ZODB.DB, classes: Container[str]) -> Any:
    """The first of what a storage stands on that is of one of these classes; None when nothing
    is."""
    part: Any = db.storage
    while part is not None and not any(name in classes for name in names(part)):
        part = base(part)
    return part
