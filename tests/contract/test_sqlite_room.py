# SPDX-License-Identifier: ZPL-2.1
"""sqlite: with much to write, or no room for it: a commit fails before its end, in a sentence, and
nothing of it is there."""
import os
import resource
import subprocess
import sys

import pytest
import transaction
import ZODB
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from ZODB.POSException import StorageError

from p01.remote import App
from p01.remote.exceptions import AddressError
from p01.remote.storage import pending
from p01.remote.storage.faults import Full
from p01.remote.storage.sqlite import openStorage

MEGABYTE = 1 << 20


def big(number):
    return PersistentMapping(number=number, filling=os.urandom(MEGABYTE // 2).hex())


@pytest.fixture
def disk(tmp_path):
    """A file system of 12 MB; called with options, it is mounted anew with them."""
    if os.geteuid() != 0:
        pytest.skip('only root can mount a file system')
    folder = tmp_path / 'disk'
    folder.mkdir()

    def mount(*options):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', ','.join(('size=12m', *options)), 'tmpfs',
                        folder], check=True)

    mount()
    yield folder, mount
    subprocess.run(['umount', folder], check=True)


def test_a_transaction_that_memory_shall_not_hold(tmp_path):
    assert 20 * MEGABYTE > 2 * pending.MEMORYROOM
    db = ZODB.DB(openStorage(tmp_path))
    with db.transaction() as connection:
        root = connection.root()
        root['tree'] = OOBTree()
        for number in range(20):
            root['tree'][number] = big(number)
    held = db.open(transaction.TransactionManager())
    held.root()['tree'][3]['filling'] = 'y' * 9 * MEGABYTE
    held.transaction_manager.commit()
    held.root()['tree'][4]['filling'] = 'z' * 9 * MEGABYTE
    held.transaction_manager.abort()
    held.cacheMinimize()
    tree = held.root()['tree']
    assert [tree[number]['number'] for number in range(20)] == list(range(20))
    assert (len(tree[3]['filling']), len(tree[4]['filling'])) == (9 * MEGABYTE, MEGABYTE)
    held.close()
    db.close()


def test_a_full_disk_is_told_of_in_the_vote(disk):
    folder, _ = disk
    db = ZODB.DB(openStorage(folder))
    connection = db.open(transaction.TransactionManager())
    root = connection.root()
    root['small'] = 1
    connection.transaction_manager.commit()
    root['big'] = PersistentMapping((number, big(number)) for number in range(6))
    with pytest.raises(Full, match='make room there'):
        connection.transaction_manager.commit()
    connection.transaction_manager.abort()
    assert dict(root) == {'small': 1}
    root['small'] = 2
    connection.transaction_manager.commit()
    connection.close()
    db.close()
    db = ZODB.DB(openStorage(folder))
    with db.transaction() as again:
        assert dict(again.root()) == {'small': 2}
    db.close()


def test_a_disk_that_cannot_be_written(disk):
    folder, mount = disk
    app = App(f'sqlite:{folder}')
    with app.transaction() as root:
        root['kept'] = True
    app.close()
    mount('remount', 'ro')
    with pytest.raises(AddressError, match=r'cannot be opened .*Read-only file system'):
        app.open()
    mount('remount', 'rw')
    with app.transaction() as root:
        assert root['kept']
    app.close()


LIMITED = '''
import resource, sys, transaction, ZODB
from persistent.mapping import PersistentMapping
from ZODB.POSException import StorageError
from p01.remote.storage.sqlite import openStorage

db = ZODB.DB(openStorage(sys.argv[1]))
connection = db.open(transaction.TransactionManager())
root = connection.root()
for number in range(1, 1000):
    root['count'] = number
    root[number] = PersistentMapping(filling='x' * 20_000)
    try:
        connection.transaction_manager.commit()
    except StorageError as error:
        why = error
        connection.transaction_manager.abort()
        break
    print(number, flush=True)
print('refused', why)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print('left', root['count'], len(root))
root['after'] = True
connection.transaction_manager.commit()
connection.close()
db.close()
'''


def test_a_file_that_may_not_grow(tmp_path):
    """The write itself fails, at whatever call of a commit: the one before stands, and the next one
    is fine."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, resource.RLIM_INFINITY))

    said = subprocess.run([sys.executable, '-c', LIMITED, tmp_path], preexec_fn=limit, timeout=60,
                          check=True,
                          stdout=subprocess.PIPE, text=True).stdout.splitlines()
    committed = [int(line) for line in said if line.isdecimal()]
    assert len(committed) > 10
    assert said[-2].startswith('refused') and str(tmp_path) in said[-2]
    assert said[-1] == f'left {committed[-1]} {committed[-1] + 1}'
    db = ZODB.DB(openStorage(tmp_path))
    with db.transaction() as connection:
        assert connection.root()['after'] and connection.root()['count'] == committed[-1]
        assert all(len(connection.root()[number]['filling']) == 20_000 for number in committed)
    db.close()


def test_a_temporary_file_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pending.tempfile, 'tempdir', str(tmp_path / 'gone'))
    db = ZODB.DB(openStorage(tmp_path))
    connection = db.open(transaction.TransactionManager())
    connection.root()['big'] = PersistentMapping((number, big(number)) for number in range(20))
    with pytest.raises(StorageError, match='temporary file of a transaction'):
        connection.transaction_manager.commit()
    connection.transaction_manager.abort()
    connection.root()['small'] = 1
    connection.transaction_manager.commit()
    connection.close()
    db.close()


def test_reading_through_the_storage_holds_no_snapshot(tmp_path):
    """As tools do: the log could else never begin anew."""
    db = ZODB.DB(openStorage(tmp_path))
    storage = db.storage
    state, serial = storage.load(bytes(8))
    assert storage.loadSerial(bytes(8), serial) == state
    assert len(storage) == 1 and storage.record_iternext()[0] == bytes(8)
    assert not storage.snapshot
    with db.transaction() as connection:
        connection.root()['new'] = 1
    assert storage.load(bytes(8))[1] > serial
    db.close()
