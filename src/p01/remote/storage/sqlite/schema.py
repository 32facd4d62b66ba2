# SPDX-License-Identifier: ZPL-2.1
"""The tables of sqlite:, and which files are taken for one of its own.

    object_state(zoid, tid, state_size, state)      one row for each object: id, revision, length of the state, state
    known(oid, tid)                                 one row: the next id that nobody has reserved, the newest packed revision

object_state is named as RelStorage names it, so that a file which RelStorage has written is opened
as it is: it is given the other table, and marked as ours.
"""
from __future__ import annotations

import sqlite3
from pathlib import Path

from ZODB.POSException import StorageError

APPLICATIONID = int.from_bytes(b'p01r')
VERSION = 1
# INCREMENTAL: free pages can be given back, in steps; it counts when the file is made.
MADE = ('auto_vacuum = INCREMENTAL', 'journal_mode = WAL')
SQLITETABLES = (
    '''CREATE TABLE IF NOT EXISTS object_state (
    zoid INTEGER PRIMARY KEY NOT NULL, tid INTEGER NOT NULL CHECK (tid > 0), state_size INTEGER NOT NULL, state BLOB)''',
    'CREATE INDEX IF NOT EXISTS object_state_tid ON object_state (tid)',
    'CREATE TABLE IF NOT EXISTS known (oid INTEGER NOT NULL, tid INTEGER NOT NULL)',
    'INSERT INTO known SELECT 1, 0 WHERE NOT EXISTS (SELECT * FROM known)',
    f'PRAGMA application_id = {APPLICATIONID}',
    f'PRAGMA user_version = {VERSION}',
)
# The newest revision that there is or was: it never goes back, whatever is packed.
LASTTID = 'SELECT MAX(tid, IFNULL((SELECT MAX(tid) FROM object_state), 0)) FROM known'


class Unfit(StorageError):
    """This folder holds no database of this kind, or none that can be opened."""


def prepare(connection: sqlite3.Connection, path: Path, readOnly: bool) -> None:
    """Make the tables if there are none; nobody else writes meanwhile. Raises Unfit, and what
    SQLite raises."""
    fit = check(connection, path)
    if fit and connection.execute('PRAGMA journal_mode').fetchone()[0] == 'wal':
        return
    if readOnly:
        raise Unfit(f'{path} has not been opened for writing by this version yet; open it so once.')
    if not fit:
        connection.execute(f'PRAGMA {MADE[0]}').fetchall()
    mode = connection.execute(f'PRAGMA {MADE[1]}').fetchone()[0]
    if mode != 'wal':
        raise Unfit(f'{path} cannot have a write-ahead log (its journal mode stays {mode}); choose '
                    'a folder on a local disk.')
    connection.execute('BEGIN IMMEDIATE')
    for statement in SQLITETABLES:
        connection.execute(statement)
    connection.execute('COMMIT')


def check(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has all tables; it may also be new, or RelStorage's. Raises Unfit."""
    application, version = (connection.execute(f'PRAGMA {name}').fetchone()[0]
                            for name in ('application_id', 'user_version'))
    tables = {name for name,
              in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application == APPLICATIONID:
        if version > VERSION:
            raise Unfit(f'{path} was written by a newer p01.remote (version {version} of its '
                        f'tables, {VERSION} here); upgrade the package.')
        return {'object_state', 'known'} <= tables
    if application or version or tables and 'object_state' not in tables:
        raise Unfit(f'{path} is a database of another program; name another folder.')
    if 'transaction' in tables:
        raise Unfit(f'{path} was written by RelStorage with history; copy it with zodbconvert into '
                    'one without (keep-history false), and open that.')
    if 'blob_chunk' in tables and connection.execute('SELECT * FROM blob_chunk LIMIT 1').fetchone():
        raise Unfit(f'{path} holds blobs in the manner of RelStorage; copy it with zodbconvert to '
                    'a storage that keeps blobs in files.')
    return False
