# SPDX-License-Identifier: ZPL-2.1
"""What goes wrong in a storage of ours, as errors of ZODB. A class's docstring is its message when
it is raised without one."""
from __future__ import annotations

from transaction.interfaces import TransientError
from ZODB.POSException import StorageError


class Fault(StorageError):
    """The storage could not do what was asked."""

    def __str__(self) -> str:
        return ' '.join(str(arg) for arg in self.args) or ' '.join((self.__doc__ or '').split())


class LockTimeout(Fault, TransientError):
    """Others have been committing for too long; try again."""


class Disconnected(Fault, TransientError):
    """The connection to the database was lost; try again."""


class Damaged(Fault):
    """The database is damaged; restore it from a backup."""


class Full(Fault):
    """There is no room for what was to be written; make some."""


class Forked(Fault):
    """This was opened before the process was forked, and belongs to the parent; open the database
    anew in the child."""


class Midst(Fault):
    """This thread is committing to the same database, and would wait for itself; do one after the
    other."""


class Packed(Fault):
    """The database is being packed already; try again when that pack has ended."""
