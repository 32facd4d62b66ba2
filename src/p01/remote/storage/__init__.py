# SPDX-License-Identifier: ZPL-2.1
"""From an address to an open ZODB.DB; one module for each kind of storage."""
from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, TypeGuard, cast

import ZODB
from ZODB.interfaces import IDatabase

from p01.remote.exceptions import PackageMissing
from p01.remote.ground import checks, upstream
from p01.remote.storage.address import KINDS, Address, hidden, isAddress, known, meant, parse
from p01.remote.storage.classes import classOf
from p01.remote.storage.opened import folder, kind, useClasses
from p01.remote.storage.signals import Signal, signal

__all__ = ['Address', 'Signal', 'check', 'folder', 'hidden', 'kind', 'isAddress', 'isDatabase',
           'known', 'meant', 'openDatabase', 'parse', 'signal']

CLASSES = 'class_factory'       # a setting of ZODB.DB since ZODB 6.3
_SETTINGS = frozenset(inspect.signature(ZODB.DB.__init__).parameters) - {'self', 'storage',
                                                                         'storage_args'}

# ZODB warns of more than 7 open connections, and throws away those beyond when they are closed,
# with what they have cached and what ids were reserved for them. Who has many threads wants as
# many; those that nobody uses any more go.
POOL = 1_000
IDLE = 600.0            # seconds


def check(settings: dict[str, Any], what: str = 'openDatabase') -> None:
    """Raises OptionError for a setting that ZODB.DB does not have."""
    checks.known(settings, _SETTINGS, f'{what}, which takes the settings of ZODB.DB,')


def isDatabase(given: object) -> TypeGuard[ZODB.DB]:
    """Whether it is an open database."""
    return bool(IDatabase.providedBy(given))


def openDatabase(address: str | Address | ZODB.DB, **settings: Any) -> ZODB.DB:
    """The database at an address, parsed or not. Whoever opens closes.

    An open database is returned as it is. The settings are ZODB.DB's own: pool_size, cache_size ...
    Raises AddressError, and of it PackageMissing and DatabaseLocked, when the database cannot be
    opened.
    """
    if isDatabase(address):
        return address
    check(settings)     # ZODB.DB would find out too late, with the storage already open
    parsed = address if isinstance(address, Address) else parse(cast(str, address))
    row = KINDS[parsed.kind]
    # else its description, or Zope, says how classes are found, and how many connections there may
    # be
    ours = {} if row.described else {CLASSES: classOf, 'pool_size': POOL, 'pool_timeout': IDLE}
    before: Any = None if CLASSES in _SETTINGS else ours.pop(CLASSES, None)
    upstream.warn()
    try:
        db = import_module(row.module).openDatabase(parsed,
                                                    **{**ours, **parsed.settings, **settings})
        if before is not None:
            useClasses(db, before)
        return db
    except ImportError as error:
        if (error.name or '').startswith('p01.'):   # ours is broken; no package would help
            raise
        extra = f'[{row.extra}]' if row.extra else ''
        raise PackageMissing(f'{parsed.text} needs a package that is not installed ({error}); '
                             f'pip install "p01.remote{extra}" brings it.') from error
