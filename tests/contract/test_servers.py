# SPDX-License-Identifier: ZPL-2.1
"""The servers of tests themselves, and databases whose server goes away and comes back."""
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import transaction
from transaction.interfaces import TransientError

from p01.remote.storage import openDatabase
from tests import servers

DEADLINE = 60
CHILD = '''
import sys
from tests import servers
server = servers.{}().__enter__()
print(server.process.pid, server.folder, server.database(), flush=True)
sys.stdin.read()
'''


@pytest.fixture(params=['ZEO', 'PostgreSQL'])
def server(request):
    """A server of this test's own."""
    with servers.needed(getattr(servers, request.param)) as server:
        yield server


# -- they are good citizens

@pytest.mark.skipif(servers._prctl is None,
                    reason='only Linux ends a server whose starter was killed')
@pytest.mark.parametrize('kind', ['ZEO', 'PostgreSQL'])
def test_a_server_ends_with_the_process_that_started_it(kind):
    # skips where there is none
    servers.needed(lambda: shutil.rmtree(getattr(servers, kind)().folder))
    paths = os.pathsep.join([str(Path(servers.__file__).parents[1]), *filter(None, sys.path)])
    child = subprocess.Popen([sys.executable, '-c', CHILD.format(kind)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE,
                             text=True, env={**os.environ, 'PYTHONPATH': paths})
    with child:
        pid, folder, _ = child.stdout.readline().split(maxsplit=2)
        child.send_signal(signal.SIGKILL)
    servers.until(lambda: not alive(int(pid)), 'the end of the server')
    shutil.rmtree(folder)


def alive(pid):
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return False
    return state != 'Z'


def test_a_server_that_cannot_be_had_skips_and_fails_where_ci_says_so(monkeypatch):
    def none():
        raise servers.Unavailable('There is none here')
    monkeypatch.delenv('CI', raising=False)
    with pytest.raises(pytest.skip.Exception, match='There is none here'):
        servers.needed(none)
    monkeypatch.setenv('CI', 'true')
    with pytest.raises(pytest.fail.Exception, match='There is none here'):
        servers.needed(none)


def test_a_server_that_was_given_serves_as_well(monkeypatch):
    own = servers.needed(servers.PostgreSQL)
    with own:
        monkeypatch.setenv('P01_PG_URI',
                           f'postgresql://{servers.ADMIN}@/postgres?host={own.folder}')
        servers.postgresql.cache_clear()
        try:
            given = servers.postgresql()
            assert isinstance(given, servers.Given)
            openDatabase(given.database()).close()
            openDatabase(given.database()).close()
            given.__exit__()
            assert own.execute("SELECT 1 FROM pg_database WHERE datname LIKE 'p01%'") == []
        finally:
            servers.postgresql.cache_clear()
        own.stop()
        with pytest.raises(servers.Unavailable, match='P01_PG_URI'):
            servers.Given(os.environ['P01_PG_URI'])


@pytest.mark.skipif(os.geteuid() != 0, reason='needed where root runs the tests')
def test_binaries_that_the_unprivileged_user_cannot_read_are_copied(monkeypatch):
    monkeypatch.setattr(servers, '_readable', lambda path: False)
    with servers.needed(servers.PostgreSQL) as server:
        assert server.binaries.is_relative_to(server.folder)
        openDatabase(server.database()).close()


def test_each_database_is_fresh(server):
    for _ in range(3):
        db = openDatabase(server.database())
        with db.transaction() as connection:
            assert dict(connection.root()) == {}
            connection.root()['key'] = 'value'
        db.close()


def test_zeo_has_more_storages_than_it_began_with():
    with servers.needed(lambda: servers.ZEO(storages=1)) as server:
        first = openDatabase(server.database())
        second = openDatabase(server.database())
        for db in (first, second):
            commit(db, 'key', 'value')
            db.close()


# -- a server that goes away and comes back

def persistently(db, work):
    """work(root) in a transaction, again while it meets what is transient; begin may meet it,
    too."""
    manager = transaction.TransactionManager(explicit=True)
    connection = db.open(manager)

    def tried():
        try:
            manager.begin()
            result.append(work(connection.root()))
            manager.commit()
            return True
        except TransientError:
            manager.abort()
            return False

    result = []
    servers.until(tried, 'committing')
    connection.close()
    return result[-1]


def commit(db, key, value):
    persistently(db, lambda root: root.update({key: value}))


def read(db):
    return persistently(db, dict)


def test_what_was_committed_is_there_after_a_crash(server):
    db = openDatabase(server.database())
    for number in range(3):
        commit(db, number, number)
        server.restart()
        assert read(db) == {each: each for each in range(number + 1)}
    db.close()


def test_a_server_that_went_away_within_a_transaction(server):
    db = openDatabase(server.database())
    commit(db, 'key', 'old')
    manager = transaction.TransactionManager(explicit=True)
    connection = db.open(manager)
    manager.begin()
    connection.root()['key'] = 'new'
    server.restart()
    try:
        # RelStorage may connect anew, and find that nothing has changed meanwhile
        manager.commit()
        now = 'new'
    except TransientError:
        # so that whoever repeats transactions repeats this one, whatever the storage
        manager.abort()
        now = 'old'
    connection.close()
    assert read(db) == {'key': now}
    db.close()


def test_a_server_that_is_away_is_transient_wherever_it_is_missed(server):
    address = server.database(wait_timeout=0.2) if isinstance(server,
                                                              servers.ZEO) else server.database()
    db = openDatabase(address)
    commit(db, 'key', 'value')
    manager = transaction.TransactionManager(explicit=True)
    begun, fresh = db.open(manager), transaction.TransactionManager(explicit=True)
    idle = db.open(fresh)
    manager.begin()
    begun.root()['key'] = 'lost'
    server.stop()
    with pytest.raises(TransientError):
        manager.commit()
    manager.abort()
    with pytest.raises(TransientError):
        fresh.begin()
    fresh.abort()
    server.start()
    assert read(db) == {'key': 'value'}
    for connection in (begun, idle):
        connection.close()
    db.close()
