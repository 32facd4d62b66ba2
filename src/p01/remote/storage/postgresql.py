# SPDX-License-Identifier: ZPL-2.1
"""postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE, RelStorage on PostgreSQL,
history-free.

Whatever libpq understands: its URIs, postgresql:///jobs?host=/run/postgresql for a Unix socket, and
after the colon its words, postgresql:service=jobs or postgresql:host=db1 dbname=jobs. libpq's own
parser reads them. Passwords may as well stay in ~/.pgpass, in a service file or in PGPASSWORD; one
in the address is kept from RelStorage, which would show it.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psycopg2
import ZODB
from psycopg2.extensions import cursor, make_dsn, parse_dsn
from relstorage.adapters.interfaces import UnableToAcquirePackUndoLockError
from relstorage.adapters.postgresql.adapter import PostgreSQLAdapter
from relstorage.adapters.postgresql.batch import PostgreSQLRowBatcher
from relstorage.adapters.postgresql.connmanager import Psycopg2ConnectionManager
from relstorage.adapters.postgresql.drivers.psycopg2 import Psycopg2Driver
from relstorage.adapters.postgresql.locker import PostgreSQLLocker
from relstorage.options import Options
from relstorage.storage import RelStorage
from transaction.interfaces import TransientError
from ZODB.POSException import StorageError

from p01.remote.exceptions import AddressError, DatabaseLocked, PackRunning
from p01.remote.storage import caching, temporary
from p01.remote.storage.address import Address, hidden
from p01.remote.storage.mending import Packing

OPENING = 60        # seconds to wait for others that make the tables
COMMITTING = 30     # seconds to wait for others that commit
# Two numbers, a key space apart from the single ones by which RelStorage locks objects.
LOCK = 0x703031, 1
STATEMENTS = ('execute', 'executemany', 'copy_expert', 'copy_from', 'copy_to', 'fetchone', 'fetchmany', 'fetchall')
SECRET = ('password', 'sslpassword')
# So that a connection that was cut without a word is noticed within a minute, and not after hours.
PATIENCE = {'connect_timeout': 10, 'keepalives_idle': 30, 'keepalives_interval': 10, 'keepalives_count': 3,
            'tcp_user_timeout': 60_000}
# The server's words for the same: a host that is cut off within a commit would else keep its locks for hours.
SERVER = {'keepalives_idle': 'tcp_keepalives_idle', 'keepalives_interval': 'tcp_keepalives_interval',
          'keepalives_count': 'tcp_keepalives_count', 'tcp_user_timeout': 'tcp_user_timeout'}


class Disconnected(psycopg2.OperationalError, TransientError):
    """The connection to PostgreSQL was lost; a commit that was under way may have been done, all
    else is undone."""


class _Notices(list[str]):
    """What the server says beside its answers: nothing.

    RelStorage sets a list of its own around each commit, which prints all but one English warning
    to the standard output, and turns the end of a connection that it hears of there into a
    SystemError. Ours cannot be replaced.
    """

    notices = ()    # which RelStorage sets afterwards


class Driver(Psycopg2Driver):
    """Connects with the secret parts, so that nothing that RelStorage shows can hold them; says
    when a connection is lost."""

    connect: Any

    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__()
        plain = self.connect                # the class of RelStorage's connections
        methods = {name: _told(getattr(plain, name)) for name in ('commit', 'rollback')}
        silent = property(lambda self: _Notices(), lambda self, notices: None)
        lasting = type('Connection', (plain,), {**methods, 'notices': silent, 'deleted': 0})
        cursors = type('Cursor', (cursor,), {name: _told(getattr(cursor, name)) for name in STATEMENTS})

        def connect(dsn: str) -> Any:
            try:
                connection = lasting(make_dsn(dsn, **secrets))
            except psycopg2.OperationalError as error:
                raise Disconnected(*error.args) from error
            connection.cursor_factory = cursors
            # RelStorage provokes a warning with each commit.
            connection.autocommit = True
            with connection.cursor() as setting:
                setting.execute(f'SET client_min_messages TO error{_patience(connection)}')
            connection.autocommit = False
            return connection

        self.connect = connect

    def execute_multiple_statement_with_hidden_commit(self, conn: Any, cursor: Any, stmt: str, params: Any) -> Any:
        """Commit, and leave the temporary tables empty."""
        return super().execute_multiple_statement_with_hidden_commit(conn, cursor, temporary.committing(conn, stmt), params)


def _told(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a connection or cursor that raises Disconnected when the connection is lost.

    psycopg2 raises OperationalError or InterfaceError, which tell nobody that a transaction had
    better be repeated.
    """
    def call(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return method(self, *args, **options)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if getattr(self, 'connection', self).closed:
                raise Disconnected(*error.args) from error
            raise

    return call


def _patience(connection: Any) -> str:
    """Statements that make the server as patient with this connection as we are."""
    ours = connection.get_dsn_parameters()
    return ''.join(f'; SET {theirs} TO '
                   f'{int(ours[name])}' for name, theirs in SERVER.items() if ours.get(name))


class Locker(PostgreSQLLocker):
    """Says in our words that a pack is running."""

    def hold_pack_lock(self, cursor: Any) -> None:
        """Raises PackRunning when another pack holds it."""
        try:
            super().hold_pack_lock(cursor)
        except UnableToAcquirePackUndoLockError as error:
            raise PackRunning() from error


class Adapter(PostgreSQLAdapter):
    """PostgreSQLAdapter with our driver and locker. Instances made by new_instance share them."""

    connmanager: Any
    mover: Any

    def __init__(self, dsn: str = '', options: Options | None = None, connecting: Driver | None = None,
                 **shared: Any) -> None:
        self.connecting = connecting
        super().__init__(dsn, options, **shared)

    def _select_driver(self, options: Options | None = None) -> Driver:
        found: Driver = self.connecting or self.connmanager.driver
        return found

    def _create(self) -> None:
        if self.connmanager is None:
            self.connmanager = Psycopg2ConnectionManager(self.connecting, self._dsn, self.options)
            self.connmanager.add_on_store_opened(temporary.opened)
            self.locker = Locker(self.options, self.connecting, PostgreSQLRowBatcher)
        super()._create()
        self.mover.__class__ = temporary.Mover
        self.packundo.__class__ = Packing

    def lock_database_and_move(self, storing: Any, *args: Any, **options: Any) -> Any:
        """Move what a transaction stores to where it belongs, and commit, unless options have it wait."""
        found = super().lock_database_and_move(storing, *args, **options)
        if not options.get('commit', True):
            storing.cursor.execute(temporary.clearing(storing.connection))
        return found


def openDatabase(address: Address, **settings: Any) -> ZODB.DB:
    """The database on a server; its tables are made on first use. Raises AddressError or DatabaseLocked."""
    parts = partsOf(address)
    try:
        # One at a time: RelStorage looks for its tables and makes them, as ZODB does with the root object.
        guard = psycopg2.connect(**{**parts, 'application_name': 'p01.remote: open'})
        try:
            guard.autocommit = True
            with guard.cursor() as asking:
                asking.execute(f"SET lock_timeout TO '{OPENING}s'{_patience(guard)}")
                asking.execute('SELECT pg_advisory_lock(%s, %s)', LOCK)
            return _open(address, parts, settings)
        finally:
            guard.close()       # which lets go of the lock
    except psycopg2.errors.LockNotAvailable as error:
        raise DatabaseLocked(f'{address.text} has been held for {OPENING} seconds by others that '
                             'open it; see in pg_stat_activity what hangs there.') from error
    except psycopg2.errors.InsufficientPrivilege as error:
        raise AddressError(f'{address.text} has no tables yet, and its user may not make them '
                           f'({_line(error)}); let the user own the database, or GRANT CREATE ON '
                           'SCHEMA public to it.') from error
    except psycopg2.Error as error:
        raise AddressError(f'{address.text} cannot be opened ({_line(error)}); '
                           f'{_mend(error, parts)}.') from error
    except StorageError as error:
        raise AddressError(f'{address.text} holds another kind of RelStorage ({_line(error)}); '
                           'name another database, or describe this one in a configuration file '
                           'and use zconfig:.') from error


def partsOf(address: Address) -> dict[str, Any]:
    """The words of libpq that an address consists of. Raises AddressError."""
    # postgres:// is the same to libpq; openDatabase gets either
    text = f'postgresql:{address.rest}' if address.rest.startswith('//') else address.rest
    reason = ''
    try:
        parts: dict[str, Any] = parse_dsn(text)
    except psycopg2.Error as error:
        parts = {}
        # libpq repeats what it cannot read, be it a part of a password
        if '@' not in text and hidden(text) == text:
            reason = f' ({_line(error)})'
    if not parts and text not in ('', 'postgresql://') or _misread(parts):
        raise AddressError(f'{address.text} cannot be read{reason}; write '
                           'postgresql://user:password@host:port/database, with %40 for an @ in '
                           'the password, %2F for a / and so on, or postgresql:service=name.')
    if 'service' not in parts and 'PGSERVICE' not in os.environ:   # ours would win over those of the service
        parts = {**PATIENCE, **parts}
    return parts


def _misread(parts: dict[str, Any]) -> bool:
    """Whether libpq took the user and password for a host and port, as it does when there is a / in
    the password."""
    ports = str(parts.get('port', '0')).split(',')
    return not all(port.isdecimal() or not port for port in ports) or 'user' not in parts and '@' in parts.get('dbname', '')


def _open(address: Address, parts: dict[str, Any], settings: dict[str, Any]) -> ZODB.DB:
    options = caching.options(commit_lock_timeout=COMMITTING, driver='psycopg2')
    dsn = make_dsn(**{name: value for name, value in parts.items() if name not in SECRET})
    adapter = Adapter(dsn, options, Driver({name: parts[name] for name in SECRET if name in parts}))
    storage = RelStorage(adapter, name=address.text, options=options, create=True,
                         cache=caching.Cache(adapter, options, ''))
    try:
        return ZODB.DB(storage, **settings)
    except BaseException:
        storage.close()
        raise


def _line(error: BaseException) -> str:
    """What libpq, the server or RelStorage says, in one line; libpq never says a password there."""
    return ' '.join(str(error).split()).rstrip('.') or type(error).__name__


def _mend(error: psycopg2.Error, parts: dict[str, Any]) -> str:
    """What to do about a connection that failed: libpq gives no code, and its server speaks many
    languages."""
    text = str(error)
    if 'database' in text and 'does not exist' in text:
        return f'make the database with createdb {parts.get("dbname", "NAME")}, or name another'
    if 'password' in text or 'role' in text and 'does not exist' in text or 'authentication' in text:
        return 'give the right user and password, in the address, in ~/.pgpass or in a service file'
    if 'service' in text and 'not found' in text:
        return 'name a service of ~/.pg_service.conf'
    return 'check that the server runs there and lets this user in'
