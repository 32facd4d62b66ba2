# SPDX-License-Identifier: ZPL-2.1
"""zeo: hosts and sockets, TLS, and what is said when no server answers."""
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager, nullcontext

import pytest
from persistent.mapping import PersistentMapping
from ZODB.POSException import ConflictError
from ZODB.utils import z64

from p01.remote.exceptions import AddressError
from p01.remote.storage import folder, kind, openDatabase, zeo
from tests import servers

pytestmark = pytest.mark.zeo
DEADLINE = 60


@pytest.fixture
def server():
    return servers.zeo()


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


def refused(address):
    with pytest.raises(AddressError) as caught:
        openDatabase(address)
    message = str(caught.value)
    assert message.endswith('.') and '\n' not in message
    return message


# -- opening

def test_what_one_client_writes_another_finds(server):
    address = server.database()
    with opened(address, pool_size=3,
                cache_size=123) as first, opened(address.replace('zeo:/', 'ZEO:///')) as second:
        assert (first.getPoolSize(), first.getCacheSize()) == (3, 123)
        assert kind(first) == 'zeo' and folder(first) is None
        for number in range(50):        # at once, in the very next transaction
            write(first, 'number', number)
            assert read(second, 'number') == number


def test_host_and_port():
    port = servers.freePort()
    with servers.needed(lambda: servers.ZEO(port=port, memory=True, storages=1)):
        for address in (f'zeo:127.0.0.1:{port}',
                        f'zeo://127.0.0.1:{port}?wait_timeout=5&storage=1',
                        f'zeo:localhost:{port}'):
            with opened(address) as db:
                write(db, 'key', 'value')


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
    for _ in range(3):
        address = server.database()
        users = [subprocess.Popen([sys.executable, '-c', OPENER, address], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) for _ in range(4)]
        for user in users:
            assert user.stdout.readline() == 'ready\n'
        for user in users:
            user.stdin.write('go\n')
            user.stdin.flush()
        assert [user.communicate(timeout=DEADLINE)[1] for user in users] == [''] * len(users)


# -- a server that was restarted

@pytest.mark.parametrize('mended', [True, False], ids=['mended', 'as upstream'])
def test_new_objects_get_ids_of_their_own_after_a_restart(mended, monkeypatch):
    if not mended:      # when this fails, ZEO has mended it, and Client can go
        monkeypatch.setattr(zeo, 'forgetIds', lambda storage: None)
    with servers.needed(lambda: servers.ZEO(storages=1)) as server:
        address = server.database()
        with opened(address) as first, opened(address) as second:
            addTo(first, 'before', 1)       # which fetches 100 ids
            server.restart()
            servers.until(lambda: first.storage.is_connected() and second.storage.is_connected(),
                          'connecting')
            addTo(second, 'second', 50)     # gets the same ones
            with nullcontext() if mended else pytest.raises((ConflictError, ValueError)):
                addTo(first, 'first', 50)
            with second.transaction() as connection:
                root = connection.root()
                assert len({value._p_oid
                            for value in root.values()}) == len(root) == (101 if mended else 51)


def addTo(db, name, number):
    with db.transaction() as connection:
        root = connection.root()
        # so that they are in the cache
        assert {value['name'] for value in root.values()} <= {'before', 'first', 'second'}
        for each in range(number):
            root[f'{name}-{each}'] = PersistentMapping(name=name)


@pytest.mark.parametrize('mended', [True, False], ids=['mended', 'as upstream'])
def test_a_server_may_tell_late_of_a_commit(mended, server, monkeypatch):
    if not mended:      # when this fails, ZEO has mended it, and lenient can go
        monkeypatch.setattr(zeo, 'lenient', lambda cache: None)
    with opened(server.database()) as db:
        write(db, 'key', 'old')
        before = db.storage.lastTransaction()
        write(db, 'key', 'new')
        last, client = db.storage.lastTransaction(), db.storage._server
        with nullcontext() if mended else pytest.raises(ValueError):
            client.io_call(client.apply_co(client.client.invalidateTransaction, before, [z64]))
        assert db.storage.lastTransaction() == last > before
        assert read(db, 'key') == 'new'


# -- TLS

def certify(place, name, *options):
    """A certificate that signs itself, and its key."""
    if shutil.which('openssl') is None:
        pytest.skip('openssl makes the certificates of this test, and is not here')
    certificate, key = place / f'{name}.pem', place / f'{name}.key'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:prime256v1', '-subj',
                    f'/CN={name}', '-days', '2', '-out', certificate, '-keyout', key, '-addext',
                    'subjectAltName=DNS:jobs.example', *(options or ['-nodes'])], check=True,
                   capture_output=True)
    return certificate, key


def test_tls_with_certificates_on_both_sides(tmp_path):
    certificate, key = certify(tmp_path, 'server')
    mine, myKey = certify(tmp_path, 'client')
    other, otherKey = certify(tmp_path, 'other')
    locked, lockedKey = certify(tmp_path, 'locked', '-passout', 'pass:secret')
    both = tmp_path / 'both.pem'
    both.write_text(mine.read_text() + myKey.read_text())
    port = servers.freePort()
    with servers.needed(lambda: servers.ZEO(port=port, memory=True, storages=1,
                                            tls=(certificate, key, mine))):
        base = f'zeo:127.0.0.1:{port}?wait_timeout=0.5'
        trust, named = f'{base}&ssl={certificate}', '&hostname=jobs.example'
        for address in (f'{trust}&cert={mine}&key={myKey}{named}', f'{trust}&cert={both}{named}'):
            with opened(address.replace('timeout=0.5', 'timeout=20')) as db:
                write(db, 'key', 'value')
        for address, said in [
                (f'{trust}&cert={both}', 'TLS fails'),                              # another host
                # the system does not trust it
                (f'{base}&ssl=1&cert={both}{named}', 'TLS fails'),
                # the server wants to know us
                (f'{trust}{named}', 'check storage, and whether it wants TLS'),
                (f'{trust}&cert={other}&key={otherKey}{named}',
                 'check storage, and whether it wants TLS'),
                (base, 'whether it wants TLS'),
                (f'{trust}&cert={locked}&key={lockedKey}{named}', 'without a password'),
                (f'{trust}&cert={mine}&key={otherKey}{named}', 'certificates that cannot be used'),
                (f'{base}&ssl=/no/such/file', 'certificates that cannot be used')]:
            assert said in refused(address)


# -- what cannot be opened

@pytest.mark.parametrize('address, said', [
    ('zeo:127.0.0.1:1?wait_timeout=0.1', 'no server answers there'),
    ('zeo:/no/such/socket?wait_timeout=0.1', 'no server answers there'),
    ('zeo:no.such.host.invalid:8100?wait_timeout=0.1', 'no server answers there'),
    ('zeo:', 'zeo:localhost:8100'), ('zeo:host', 'zeo:HOST:PORT'), ('zeo:8100', 'zeo:HOST:PORT'),
    ('zeo::8100', 'zeo:HOST:PORT'), ('zeo:host:port',
                                     'zeo:HOST:PORT'), ('zeo:host:0', 'zeo:HOST:PORT'),
    ('zeo:host:99999', 'zeo:HOST:PORT'), ('zeo://host:8100/path', 'zeo:HOST:PORT'),
    ('zeo:host:8100?nonsense=1', 'nonsense'), ('zeo:host:8100?nonsense', 'nonsense'),
    ('zeo:host:8100?wait_timeout=soon',
     'number of seconds'), ('zeo:host:8100?wait_timeout=-1', 'number of seconds'),
    ('zeo:host:8100?wait_timeout=nan', 'number of seconds'),
    ('zeo:host:8100?cert=x&key=y', 'ssl=1'), ('zeo:/socket?ssl=1', 'HOST:PORT'),
])
def test_a_server_that_does_not_answer(address, said):
    before = threading.active_count()
    assert said in refused(address)
    assert threading.active_count() == before


def test_a_storage_that_the_server_does_not_have(server):
    assert "'nosuch'" in refused(f'zeo:{server.where}?wait_timeout=0.5&storage=nosuch')


def test_a_failed_open_leaves_nothing(server):
    before = threading.active_count()
    with pytest.raises(ValueError):
        openDatabase(server.database(), database_name='x', databases={'x': None})
    assert threading.active_count() == before
