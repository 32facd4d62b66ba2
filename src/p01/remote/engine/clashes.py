# SPDX-License-Identifier: ZPL-2.1
"""Jobs that meet conflicts: how long they pause before they are repeated, on which object they met,
and what a group of errors means."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transaction.interfaces import TransientError
from ZODB.Connection import Connection
from ZODB.utils import oid_repr

from p01.remote.exceptions import Cancelled, ClaimLost, JobError, RunLater, TimeLimit
from p01.remote.ground.foreign import guarded, nameOf, reasonOf, shown

FIRSTPAUSE, LONGESTPAUSE = 0.01, 1.0      # seconds before the first and before a late repetition
# errors that say what is to become of the run
WANTING = TransientError, RunLater, Cancelled, TimeLimit, JobError
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


def meant(error: BaseException) -> BaseException:
    """An error; of a group, as the tasks of a job may raise it, one of them where all want the same
    of who runs the job, as conflicts do."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = list(leaves(error))
    if not any(all(isinstance(each, kind) for each in found) for kind in WANTING):
        return error
    return next((each for each in found if isinstance(each, ClaimLost)), found[0])


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, and of the groups in it."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error
