# SPDX-License-Identifier: ZPL-2.1
"""Where an error came from: whether it was the storage that failed, or code that ran on top of
it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import ParamSpec, TypeVar

from transaction.interfaces import TransientError
from ZODB.POSException import POSKeyError

from p01.remote.exceptions import StorageAway
from p01.remote.ground.foreign import Raised, guarded

P = ParamSpec('P')
Result = TypeVar('Result')

CONNECTION = 'ZODB.Connection'
# what a connection calls that is no storage; all else that it calls directly is one, whoever wrote
# it
ABOVE = ('ZODB.Connection', 'ZODB.serialize', 'ZODB.utils', 'ZODB.ExportImport', 'ZODB.broken',
         'transaction.', 'persistent.',
         'p01.remote.storage.connection')
# these call what is foreign
OURS = ('p01.remote.storage.transactions', 'p01.remote.storage.origin',
        'p01.remote.storage.classes',
        'p01.remote.storage.connection')
STORAGES = ('relstorage.', 'ZEO.', 'ZODB.mvccadapter', 'ZODB.FileStorage', 'ZODB.DemoStorage',
            'ZODB.MappingStorage',
            'p01.remote.storage.')


def fromStorage(error: BaseException) -> bool:
    """Whether the storage raised this when it was asked to begin, to commit or to load: it is away,
    or broken.

    An object that it does not have is no such fault, nor is what comes of the object's own code.
    """
    if isinstance(error, StorageAway):
        return True
    if isinstance(error, POSKeyError):
        return False
    caller = ''
    for module in modules(error.__traceback__):
        if module.startswith(STORAGES) and module not in OURS or caller == CONNECTION \
                and not module.startswith(ABOVE):
            return True
        caller = module
    return False


def contained(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result | Raised:
    """What foreign code returns within a transaction, or Raised with what it raises; see
    foreign.guarded.

    Conflicts and what the storage raises pass: they are not the code's.
    """
    value = guarded(function, *args, **kwargs)
    if isinstance(value, Raised) \
            and (isinstance(value.error, TransientError) or fromStorage(value.error)):
        raise value.error
    return value


def modules(trace: TracebackType | None) -> Iterator[str]:
    """The modules that an error passed through, outermost first."""
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get('__name__', ''))
        trace = trace.tb_next
