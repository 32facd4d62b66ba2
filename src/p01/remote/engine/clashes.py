# SPDX-License-Identifier: ZPL-2.1
"""Jobs that meet conflicts: how long they pause before they are repeated, and on which object they
met."""
from __future__ import annotations

from typing import Any

from ZODB.Connection import Connection
from ZODB.utils import oid_repr

from p01.remote.ground.foreign import guarded, nameOf, reasonOf, shown

FIRSTPAUSE, LONGESTPAUSE = 0.01, 1.0      # seconds before the first and before a late repetition
TOLDFROM = 3                        # conflicts of one run from which on each is told of


def hotOf(error: BaseException, connection: Connection | None) -> str:
    """The object that two have changed, as people find it: its class, oid and name; else what the
    error says."""
    oid = getattr(error, 'oid', None)
    if not isinstance(oid, bytes):
        return reasonOf(error)
    found: Any = None if connection is None else guarded(connection.get, oid)
    kind = getattr(error, 'class_name', None) or f'{type(found).__module__}.{nameOf(found)}'
    name = guarded(getattr, found, '__name__', None)
    return f'{kind} {oid_repr(oid)}' + (f' ({shown(name, 60)})' if isinstance(name, str) else '')
