# SPDX-License-Identifier: ZPL-2.1
"""What a forked child does about the databases of its parent: it leaves them as they are, and can
open them for itself.

SQLite keeps its locks in memory that the child inherits: it believes to hold what only the parent
holds. Without locks of the child's own the parent would think itself alone when it closes, and
remove the log that the child writes to; the next process that opens the database would make its
shared memory anew. So the child takes the locks that every process has which has the database open.
SQLite never gives them back here, because of the parent's connections, which stay open for ever.
Those of a transaction cannot be had so, and a thread that was within SQLite has left its mutexes
locked for ever: a database in which the parent was at work is refused to the child.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path
from typing import Any

from p01.remote.ground import fork
from p01.remote.storage.sqlite.schema import Unfit

# Where every process that has the database open holds a shared lock, from which byte on and for how
# many: SQLite's file format.
LOCKS = {'': (0x40000002, 510), '-shm': (128, 1)}

files: weakref.WeakSet[Any] = weakref.WeakSet()     # that are open in this process
_kept: list[Any] = []           # during a fork: what the child must not have collected
_busy: set[Path] = set()        # databases in which the parent was at work


def check(path: Path) -> None:
    """Raises Unfit for a database that cannot be opened here."""
    if path in _busy:
        raise Unfit(f'{path.parent} was in use, by an open connection or by another thread, when '
                    'this process was forked, and SQLite cannot be opened in such a child; fork '
                    'before, or start the process by spawn.')


def _before() -> None:
    for file in list(files):
        _kept.append((file, file.writer, [(view, view.reader) for view in list(file.views)]))


def _inParent() -> None:
    _kept.clear()


def _inChild() -> None:
    global _kept
    for file, _, views in _kept:
        # who holds it in the parent would else hold it until this child ends, too
        file.gate.close()
        if file.atWork([view for view, _ in views]):
            _busy.add(file.path)
            continue
        for suffix, (start, length) in LOCKS.items():
            with contextlib.suppress(OSError):      # the folder is gone
                # to close it, or any other of this file, would free the lock
                held = open(f'{file.path}{suffix}', 'rb')       # noqa: SIM115
                fcntl.lockf(held, fcntl.LOCK_SH, length, start)
                fork.leave(held)
    fork.leave(_kept)
    _kept = []
    files.clear()


os.register_at_fork(before=_before, after_in_parent=_inParent, after_in_child=_inChild)
