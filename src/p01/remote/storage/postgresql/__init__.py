# SPDX-License-Identifier: ZPL-2.1
"""postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE, a storage of our own on PostgreSQL:
any number of hosts.

Whatever libpq understands: its URIs, postgresql:///jobs?host=/run/postgresql for a Unix socket, and
after the colon its words, postgresql:service=jobs or postgresql:host=db1 dbname=jobs. libpq's own
parser reads them. Passwords may as well stay in ~/.pgpass, in a service file or in PGPASSWORD; one
in the address is kept from all that may be shown.

docs/storages.md says what it guarantees, to any ZODB application.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
import ZODB
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from ZODB.POSException import StorageError

from p01.remote.exceptions import AddressError, DatabaseLocked
from p01.remote.storage.address import Address, hidden
from p01.remote.storage.postgresql import schema
from p01.remote.storage.postgresql.link import KEEPALIVE, Refused, asked, connected, line, patience
from p01.remote.storage.postgresql.server import COMMITWAIT, Server
from p01.remote.storage.postgresql.view import View

__all__ = ['View', 'openDatabase', 'openStorage']


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database on a server; its tables are made on first use. Raises AddressError or
    DatabaseLocked."""
    parts = partsOf(address)
    try:
        # One at a time: ZODB looks for the root object and makes it in two transactions, as we do
        # with the tables.
        guard = guarding(make_conninfo(**{**parts, 'application_name': 'p01.remote: open'}))
        try:
            return _open(address, parts, settings, guard)
        finally:
            guard.finish()      # which lets go of the lock
    except Refused as error:
        if error.state == '55P03':
            raise DatabaseLocked(f'{address.text} has been held for {schema.OPENINGWAIT} seconds '
                                 'by others that open it; see in pg_stat_activity what hangs '
                                 'there.') from error
        if error.state == '42501':
            raise AddressError(f'{address.text} has no tables yet, or others have made them, and '
                               f'its user may not make or use them ({error}); let the user own the '
                               'database, or GRANT CREATE ON SCHEMA public to it, and the rights '
                               'on tables that are there.') from error
        mend = _mend(str(error), parts)
        raise AddressError(f'{address.text} cannot be opened ({error}); {mend}.') from error
    except StorageError as error:
        raise AddressError(str(error)) from error


def _open(address: Address, parts: dict[str, Any], settings: dict[str, Any], guard: Any) -> ZODB.DB:
    schema.prepare(guard, address.text, readOnly=False)
    storage = View(serverOf(address.text, parts, blobs=address.options.get('blobstorage_dir')))
    try:
        return ZODB.DB(storage, **settings)
    except BaseException:
        storage.close()
        raise


def openStorage(conninfo: str, readOnly: bool = False, wait: float = COMMITWAIT,
                blobs: str | Path | None = None) -> View:
    """The storage in a database of a server, in libpq's words or a URI; its tables are made on
    first use. Blobs need a folder, which all hosts share.

    Who commits waits for others for so many seconds at most. Raises Unfit, and Refused for a server
    that cannot be reached, or words that libpq does not know.
    """
    try:
        parts: dict[str, Any] = {**KEEPALIVE, **conninfo_to_dict(conninfo)}
    except psycopg.ProgrammingError:
        # libpq repeats what it cannot read, be it a part of a password
        raise Refused("libpq cannot read the words for the server; write them as 'host=db1 "
                      "dbname=shop user=shop', or as a URI.") from None
    name = hidden(conninfo)
    guard = guarding(make_conninfo(**parts))
    try:
        schema.prepare(guard, name, readOnly)
    finally:
        guard.finish()
    return View(serverOf(name, parts, readOnly, wait, blobs))


def serverOf(name: str, parts: dict[str, Any], readOnly: bool = False, wait: float = COMMITWAIT,
             blobs: str | Path | None = None) -> Server:
    """A database on a server. Its parts stand in a function, where nothing that is shown shows
    them."""
    folder = None if blobs is None else Path(blobs)
    return Server(name, lambda: make_conninfo(**parts), readOnly, wait, folder)


def guarding(conninfo: str) -> Any:
    """A connection of psycopg.pq that keeps others from opening until it is closed. Raises
    Refused."""
    raw = connected(conninfo)
    try:
        settings = f"SET client_min_messages TO error; SET lock_timeout TO '{schema.OPENINGWAIT}s'"
        asked(raw,
              f'{settings}; {patience(raw)}SELECT pg_advisory_lock({schema.ADVISORYLOCK[0]}, '
              f'{schema.ADVISORYLOCK[1]})')
    except BaseException:
        raw.finish()
        raise
    return raw


def partsOf(address: Address) -> dict[str, Any]:
    """The words of libpq that an address consists of. Raises AddressError."""
    # postgres:// is the same to libpq; openDatabase gets either
    text = f'postgresql:{address.rest}' if address.rest.startswith('//') else address.rest
    reason = ''
    try:
        parts: dict[str, Any] = conninfo_to_dict(text)
    except psycopg.Error as error:
        parts = {}
        # libpq repeats what it cannot read, be it a part of a password
        if '@' not in text and hidden(text) == text:
            reason = f' ({line(str(error))})'
    if not parts and text not in ('', 'postgresql://') or _misread(parts):
        raise AddressError(f'{address.text} cannot be read{reason}; write '
                           'postgresql://user:password@host:port/database, with %40 for an @ in '
                           'the password, %2F for a / and so on, or postgresql:service=name.')
    # ours would win over those of the service
    if 'service' not in parts and 'PGSERVICE' not in os.environ:
        parts = {**KEEPALIVE, **parts}
    return parts


def _misread(parts: dict[str, Any]) -> bool:
    """Whether libpq took the user and password for a host and port, as it does when there is a / in
    the password."""
    ports = str(parts.get('port', '0')).split(',')
    return not all(port.isdecimal() or not port for port in ports) \
        or 'user' not in parts and '@' in parts.get('dbname', '')


def _mend(text: str, parts: dict[str, Any]) -> str:
    """What to do about a connection that failed: libpq gives no code, and its server speaks many
    languages."""
    if 'database' in text and 'does not exist' in text:
        return f'make the database with createdb {parts.get("dbname", "NAME")}, or name another'
    if 'password' in text or 'role' in text and 'does not exist' in text \
            or 'authentication' in text:
        return 'give the right user and password, in the address, in ~/.pgpass or in a service file'
    if 'service' in text and 'not found' in text:
        return 'name a service of ~/.pg_service.conf'
    return 'check that the server runs there and lets this user in'
