# SPDX-License-Identifier: ZPL-2.1
"""What keeps a database from giving room back: a snapshot that somebody has held for long."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ZODB

from p01.remote.storage import opened
from p01.remote.storage.sqlite.file import File

if TYPE_CHECKING:       # needs psycopg, which who has no such database may not have
    from p01.remote.storage.postgresql.server import Server

LONGOPEN = 5 * 60.0     # seconds that a transaction on a server may be open
# bytes of SQLite's log, which begins anew at half of that when nobody needs it
LONGLOG = 128 << 20
OLDSESSIONS = b'''SELECT pid::text, coalesce(nullif(application_name, ''), usename, ''),
    extract(epoch FROM now() - xact_start)::bigint::text FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
    AND xact_start < now() - interval '%d s' ORDER BY xact_start LIMIT 1'''


def held(db: ZODB.DB) -> str:
    """What does, and the mend, in a sentence; '' for nothing, or where that cannot be told."""
    kind = opened.kind(db)
    return _KINDS[kind](opened.part(db).shared) if kind in _KINDS else ''


def _sqlite(file: File) -> str:
    log = file.path.with_name(f'{file.path.name}-wal')
    size = log.stat().st_size if log.exists() else 0
    return '' if size <= LONGLOG else (
        f'the log {log} has {size >> 20:,} MB, since a transaction that somebody keeps open needs '
        'it; end that one, or the process that has forgotten it')


def _postgresql(server: Server) -> str:
    link = server.connect()
    try:
        found = link.run(OLDSESSIONS % LONGOPEN)[0]
    finally:
        link.close()
    if not found.ntuples:
        return ''
    pid, name, seconds = (found.get_value(0, column).decode() for column in range(3))
    return (f'a transaction of {name} (process {pid} of the server) is open for '
            f'{int(seconds) // 60:,} minutes, and all that others replace is kept for it; end it, '
            f'or SELECT pg_terminate_backend({pid})')


_KINDS: dict[str, Callable[[Any], str]] = {'sqlite': _sqlite, 'postgresql': _postgresql}
