# SPDX-License-Identifier: ZPL-2.1
"""postgresql: what addresses mean, what is said when they cannot be opened, and that no password is
ever shown."""
import gc
import logging
import subprocess
import sys
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import transaction
from persistent.mapping import PersistentMapping
from psycopg.conninfo import conninfo_to_dict
from ZODB.serialize import referencesf

from p01.remote.exceptions import AddressError, DatabaseLocked, PackRunning
from p01.remote.storage import folder, kind, openDatabase, parse
from p01.remote.storage.faults import Fault
from p01.remote.storage.packing import pack
from p01.remote.storage.postgresql import schema
from tests import servers

pytestmark = pytest.mark.postgresql
DEADLINE = 60
PASSWORD = "p@ss w'ord/%:?#\\"
QUOTED = 'p%40ss%20w%27ord%2F%25%3A%3F%23%5C'


@pytest.fixture
def server():
    return servers.postgresql()


@pytest.fixture
def own(server):
    """A server that is ours, for what needs its rules of access."""
    if not isinstance(server, servers.PostgreSQL):
        pytest.skip('the server of P01_PG_URI has rules of its own')
    return server


@pytest.fixture
def guarded(own):
    """A database of a user with a password, and the password."""
    name = own.create()
    own.execute("DO $$ BEGIN CREATE ROLE guarded LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; "
                "END $$")
    own.execute(f"ALTER ROLE guarded PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
    own.execute(f'ALTER DATABASE {name} OWNER TO guarded')
    return own, name


@contextmanager
def opened(address, **settings):
    db = openDatabase(address, **settings)
    try:
        yield db
    finally:
        db.close()


def write(db, key, value):
    with db.transaction() as connection:
        connection.root()[key] = value


def read(db, key):
    with db.transaction() as connection:
        return connection.root().get(key)


def refused(address, error=AddressError):
    """What is said about an address that cannot be opened, and everything that a log would show of
    it."""
    with pytest.raises(error) as caught:
        openDatabase(address)
    message = str(caught.value)
    assert message.endswith('.') and '\n' not in message
    return message, ''.join(traceback.format_exception(caught.value))


# -- opening

def test_the_tables_are_made_on_first_use_and_found_again(server):
    address = server.address(server.create())
    with opened(address, pool_size=3, cache_size=123) as db:
        assert (db.getPoolSize(), db.getCacheSize()) == (3, 123)
        assert kind(db) == 'postgresql' and folder(db) is None
        write(db, 'key', 'value')
    with opened(address) as db:
        assert read(db, 'key') == 'value'


def forms(own, name):
    where = str(own.folder)
    quoted = where.replace('/', '%2F')
    return [f'postgresql://{servers.ADMIN}@/{name}?host={where}',
            f'postgres://{servers.ADMIN}@{quoted}/{name}',
            f'POSTGRESQL:///{name}?host={where}&user={servers.ADMIN}&sslmode=disable&port=5432',
            f'postgresql:host={where} user={servers.ADMIN} dbname={name}']


def test_addresses_are_those_of_libpq(own, tmp_path, monkeypatch):
    name = own.create()
    (tmp_path / 'services').write_text(
        f'[jobs]\nhost={own.folder}\nuser={servers.ADMIN}\ndbname={name}\n')
    monkeypatch.setenv('PGSERVICEFILE', str(tmp_path / 'services'))
    addresses = [*forms(own, name), 'postgresql:service=jobs', 'postgresql://?service=jobs']
    for number, address in enumerate(addresses):
        with opened(address) as db:
            assert read(db, 'number') == (number - 1 if number else None)
            write(db, 'number', number)
    monkeypatch.setenv('PGHOST', str(own.folder))
    monkeypatch.setenv('PGUSER', servers.ADMIN)
    monkeypatch.setenv('PGDATABASE', name)
    for address in ('postgresql:', 'postgresql://'):
        with opened(address) as db:
            assert read(db, 'number') == len(addresses) - 1


OPENER = '''
import sys
from p01.remote.storage import openDatabase
print('ready', flush=True)
sys.stdin.readline()
db = openDatabase(sys.argv[1])
with db.transaction() as connection:
    connection.root()
db.close()
'''


def test_first_users_at_once(server):
    address = server.address(server.create())
    users = [subprocess.Popen([sys.executable, '-c', OPENER, address], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for user in users:
        assert user.stdout.readline() == 'ready\n'
    for user in users:
        user.stdin.write('go\n')
        user.stdin.flush()
    assert [user.communicate(timeout=DEADLINE)[1] for user in users] == [''] * len(users)
    assert {user.returncode for user in users} == {0}


def test_who_opens_waits_for_the_one_before_but_not_for_ever(server, monkeypatch):
    name = server.create()
    monkeypatch.setattr(schema, 'OPENINGWAIT', 0.01)
    with holding(server, name, schema.ADVISORYLOCK):
        message, _ = refused(server.address(name), DatabaseLocked)
    assert 'pg_stat_activity' in message
    openDatabase(server.address(name)).close()


@contextmanager
def holding(server, name, lock):
    import psycopg
    with psycopg.connect(**{**server.parts, 'dbname': name}) as connection:
        connection.execute('SELECT pg_advisory_lock(%s, %s)', lock)
        yield


# -- passwords

def addressesWith(own, name, quoted, plain):
    escaped = plain.replace('\\', '\\\\').replace("'", "\\'")
    return [f'postgresql://guarded:{quoted}@/{name}?host={own.folder}',
            f'postgresql://guarded@/{name}?host={own.folder}&password={quoted}',
            f'postgresql://guarded@/{name}?host={own.folder}&pass%77ord={quoted}',
            f"postgresql:host={own.folder} dbname={name} user=guarded password='{escaped}'",
            f"postgresql:host={own.folder} dbname={name} user=guarded password = '{escaped}'"]


def test_a_password_opens_and_is_never_shown(guarded, caplog, capsys):
    own, name = guarded
    with caplog.at_level(logging.DEBUG):
        for address in addressesWith(own, name, QUOTED, PASSWORD):
            with opened(address) as db:
                write(db, 'key', 'value')
                connection = db.open(transaction.TransactionManager())
                storages = [db.storage, connection._storage]
                connection.close()
                parsed = parse(address)
                shown = [parsed.text, repr(parsed), repr(db)]
                for each in storages:
                    shown += [repr(each), str(each), each.getName(), each.sortKey(),
                              repr(each.shared), repr(vars(each.shared)),
                              repr(vars(each)), repr(vars(each.session)),
                              *map(repr, gc.get_referents(each.session.link))]
                assert not [text for text in shown if hasPassword(text)]
    printed = capsys.readouterr()
    assert not hasPassword(caplog.text + printed.out + printed.err)


def hasPassword(text, password=PASSWORD, quoted=QUOTED):
    return any(part in text
               for part in (password, quoted, password[:6], quoted[:8], "w'ord", 'w\\\'ord',
                            'w%27ord'))


def test_a_wrong_password_is_refused_and_not_shown(guarded, caplog):
    own, name = guarded
    with caplog.at_level(logging.DEBUG):
        for address in addressesWith(own, name, QUOTED + 'x', PASSWORD + 'x'):
            message, trace = refused(address)
            assert 'user and password' in message and 'guarded' in message
            assert not hasPassword(message + trace)
    assert not hasPassword(caplog.text)
    message, _ = refused(f'postgresql://guarded@/{name}?host={own.folder}')
    assert 'user and password' in message


@pytest.mark.parametrize('address', [
    'postgresql://user:sec/ret@host/jobs', 'postgresql://user:secret',
    'postgresql://user:12/secret@host/jobs',
    'postgresql://user:secret@host:port/jobs', 'postgresql://user:sec?ret/@host/jobs',
    "postgresql:password='secret", 'postgresql:password = secret nonsense',
    'postgresql://host/jobs?password=secret&nonsense=1',
    'postgresql://user:secret%zz@host/jobs',
])
def test_a_misspelled_address_shows_no_password_either(address):
    message, trace = refused(address)
    assert 'cannot be read' in message and '%40' in message
    assert 'sec' not in message + trace \
        and 'ret' not in (message + trace).replace('pretty', '').replace('return', '')


# -- what cannot be opened

@pytest.mark.parametrize('address, said', [
    ('postgresql://nobody@127.0.0.1:1/jobs', 'check that the server runs there'),
    ('postgresql:///jobs?host=/no/such/folder', 'check that the server runs there'),
    ('postgresql://no.such.host.invalid/jobs', 'check that the server runs there'),
    ('postgresql:service=nosuchservice', '.pg_service.conf'),
    ('postgresql://host/jobs?nonsense=1', 'nonsense'),
    ('postgresql:nonsense', 'postgresql:service=name'),
])
def test_a_server_that_cannot_be_reached(address, said):
    message, _ = refused(address)
    assert said in message


def test_a_database_that_is_not_there(server):
    message, _ = refused(server.address('nosuchdatabase'))
    assert 'createdb nosuchdatabase' in message


def test_a_user_that_is_not_there(own):
    message, _ = refused(own.address('postgres', user='nosuchuser'))
    assert 'nosuchuser' in message and 'right user' in message


def test_a_user_that_may_not_make_tables(own):
    name = own.create()
    own.execute("DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; "
                "END $$")
    # the default since PostgreSQL 15
    own.execute('REVOKE CREATE ON SCHEMA public FROM PUBLIC', name)
    message, _ = refused(own.address(name, user='plain'))
    assert 'GRANT CREATE ON SCHEMA public' in message
    openDatabase(own.address(name)).close()         # nothing was left behind


def test_a_user_that_may_only_read(own):
    name = own.create()
    own.execute("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; "
                "END $$")
    with opened(own.address(name)) as db:
        write(db, 'key', 'value')
    own.execute('GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader', name)
    with opened(own.address(name, user='reader')) as db:
        assert read(db, 'key') == 'value'
        with pytest.raises(Fault, match='GRANT it the rights'):
            write(db, 'key', 'other')
        assert read(db, 'key') == 'value'       # the connection can be used


def test_a_server_that_is_too_old(server, monkeypatch):
    monkeypatch.setattr(schema, 'OLDEST', 99)
    message, _ = refused(server.address(server.create()))
    assert 'move it to 99 or newer' in message


def test_a_database_with_history(server):
    from relstorage.adapters.postgresql.adapter import PostgreSQLAdapter
    from relstorage.options import Options
    from relstorage.storage import RelStorage
    name = server.create()
    options = Options(keep_history=True)
    RelStorage(PostgreSQLAdapter(server.address(name).partition(':')[2], options), options=options,
               create=True).close()
    message, _ = refused(server.address(name))
    assert 'zconfig:' in message


def test_a_failed_open_leaves_no_connection(server):
    name = server.create()
    with pytest.raises(ValueError):
        openDatabase(server.address(name), database_name='x', databases={'x': None})
    with opened(server.address(name)):
        pass
    servers.until(lambda: not server.execute("SELECT 1 FROM pg_stat_activity WHERE datname = "
                                             f"'{name}'"), 'leaving')


# -- using

def test_opening_and_writing_is_silent(server, caplog, capfd):
    address = server.database()
    openDatabase(address).close()       # RelStorage tells of the procedures that it installs
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter('error')
        with opened(address) as db:
            write(db, 'key', PersistentMapping())
            write(db, 'key', 'value')
    assert [record.getMessage() for record in caplog.records] == []
    assert capfd.readouterr() == ('', '')


def test_what_a_server_says_beside_its_answers_is_not_printed(server, capfd):
    with opened(server.database()) as db:
        connection = db.open(transaction.TransactionManager())
        connection.root()['key'] = 'value'
        link = connection._storage.session.link
        link.run(b"SET client_min_messages TO notice")
        link.run(b"DO $$ BEGIN RAISE NOTICE 'hark'; RAISE WARNING 'hark'; END $$")
        connection.transaction_manager.commit()
        connection.close()
    assert capfd.readouterr() == ('', '')


def test_a_connection_that_dies_without_a_word_is_noticed(own):
    def patience(address):
        with opened(address) as db:
            return conninfo_to_dict(db.storage.shared.conninfo())

    parts = patience(own.database())
    assert (parts['keepalives_idle'], parts['tcp_user_timeout'],
            parts['connect_timeout']) == ('30', '60000', '10')
    assert patience(f'{own.database()} keepalives_idle=7')['keepalives_idle'] == '7'
    # and the server is as patient
    with opened(f'{own.database()} tcp_user_timeout=7000') as db:
        link = db.storage.shared.connect()
        # 0: a socket
        assert link.run(b'SELECT current_setting(\'tcp_user_timeout\')')[0].get_value(0,
                                                                                      0) in (b'7s',
                                                                                             b'0')
        link.close()


def test_a_dump_goes_on_elsewhere(own):
    """With the ids and revisions that it had, and the numbers of transactions of another server."""
    name = own.create()
    with opened(own.address(name)) as db:
        for number in range(50):
            write(db, f'key {number}', PersistentMapping(number=number))
    with servers.PostgreSQL() as other:
        target = other.create()
        dump = subprocess.run([own.binaries / 'pg_dump', '-h', own.folder, '-U', servers.ADMIN,
                               name],
                              stdout=subprocess.PIPE, check=True)
        subprocess.run([own.binaries / 'psql', '-q', '-v', 'ON_ERROR_STOP=1', '-h', other.folder,
                        '-U', servers.ADMIN, target],
                       input=dump.stdout, stdout=subprocess.DEVNULL, check=True)
        with opened(other.address(target)) as db:
            with db.transaction() as connection:
                assert [connection.root()[f'key {number}']['number']
                        for number in range(50)] == list(range(50))
            write(db, 'more', PersistentMapping(number=50))
            connection = db.open(transaction.TransactionManager(explicit=True))
            connection.transaction_manager.begin()
            assert connection.root()['more']['number'] == 50
            connection.transaction_manager.abort()
            assert connection._storage.poll_invalidations() == []       # nothing of elsewhere
            connection.close()


def test_one_pack_at_a_time(server):
    address = server.database()
    inside, over = threading.Event(), threading.Event()
    with opened(address) as first, opened(address) as second, ThreadPoolExecutor(1) as pool:
        write(first, 'key', PersistentMapping())

        def references(state):
            inside.set()
            assert over.wait(DEADLINE)
            return referencesf(state)
        running = pool.submit(first.storage.pack, time.time(), references)
        assert inside.wait(DEADLINE)
        with pytest.raises(PackRunning):
            pack(second)
        over.set()
        running.result(DEADLINE)
        pack(second)
