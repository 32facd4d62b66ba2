# SPDX-License-Identifier: ZPL-2.1
"""Which files sqlite: opens: RelStorage's as they are; what is none of its own, newer or damaged is
refused by a sentence, or has what was committed: never anything between.
"""
import contextlib
import shutil
import sqlite3

import pytest
import transaction
import ZODB
from BTrees.OOBTree import OOBTree
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage
from ZODB.POSException import StorageError

from p01.remote import App
from p01.remote.exceptions import AddressError
from p01.remote.storage.sqlite import file, openStorage
from p01.remote.storage.sqlite.schema import Unfit

FILE = 'main.sqlite3'
application = App('memory:')


@application.job
def note(what):
    return what


def related(folder, history=False):
    """A database of RelStorage with some objects."""
    options = Options(keep_history=history)
    db = ZODB.DB(RelStorage(Sqlite3Adapter(str(folder), {}, options=options), options=options))
    with db.transaction() as connection:
        connection.root()['tree'] = OOBTree({number: str(number) for number in range(500)})
        connection.root()['gone'] = OOBTree(dict.fromkeys(range(500), 'x' * 100))
    with db.transaction() as connection:
        del connection.root()['gone']
        connection.root()['tree'][7] = 'seven'
    db.close()


@pytest.fixture
def app():
    yield application
    application.close()
    application.database = 'memory:'


def test_a_file_of_relstorage_is_opened_as_it_is(app, tmp_path):
    related(tmp_path)
    app.database = f'sqlite:{tmp_path}'
    with app.transaction() as root:
        assert root['tree'][7] == 'seven' and len(root['tree']) == 500
        root['tree'][8] = 'eight'
        handle = note.enqueue('first')
    assert app.drain() == 1
    assert handle.result(timeout=0) == 'first'
    before = len(app.db.storage)
    app.db.pack()
    assert len(app.db.storage) < before
    app.close()
    with app.transaction() as root:
        assert (root['tree'][7], root['tree'][8], len(root['tree'])) == ('seven', 'eight', 500)
        root['new'] = OOBTree(a=1)
    assert sqlite3.connect(tmp_path / FILE).execute('PRAGMA integrity_check').fetchone() == ('ok',)


def newer(folder):
    openStorage(folder).close()
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute('PRAGMA user_version = 2')


def others(folder):
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute('CREATE TABLE customer (name)')


def garbage(folder):
    (folder / FILE).write_bytes(b'no database at all ' * 500)


def blobs(folder):
    related(folder)
    with sqlite3.connect(folder / FILE) as connection:
        columns = [row[1] for row in connection.execute('PRAGMA table_info(blob_chunk)')]
        values = ', '.join('?' * len(columns))
        connection.execute('PRAGMA foreign_keys = OFF')
        connection.execute(f'INSERT INTO blob_chunk VALUES ({values})', [b'x' if name == 'chunk'
                                                                         else 1
                                                                         for name in columns])


@pytest.mark.parametrize('make, said', [
    (newer, 'was written by a newer p01.remote'), (others, 'is a database of another program'),
    (garbage, 'holds no database that can be read'), (lambda folder: related(folder, history=True),
                                                      'with history'),
    (blobs, 'holds blobs in the manner of RelStorage')],
                         ids=['newer', 'other', 'garbage', 'history', 'blobs'])
def test_what_is_not_ours_is_refused_and_left_as_it_is(app, tmp_path, make, said):
    make(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)') if make is not garbage else None
    content = (tmp_path / FILE).read_bytes()
    app.database = f'sqlite:{tmp_path}'
    with pytest.raises(AddressError, match=said):
        app.open()
    with pytest.raises(Unfit, match=said):
        openStorage(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path):
    for readOnly in (False, True):
        with pytest.raises(Unfit, match=r'There is no folder .*nowhere; make it'):
            openStorage(tmp_path / 'nowhere', readOnly)
    (tmp_path / 'file').touch()
    with pytest.raises(Unfit, match='There is no folder'):
        openStorage(tmp_path / 'file')
    assert [each.name for each in tmp_path.iterdir()] == ['file']


def filled(folder, count):
    """A database whose log has many commits, each of which counts one further; copied as it lies
    there, open."""
    db = ZODB.DB(openStorage(folder))
    with db.transaction() as connection:
        connection.root()['tree'] = OOBTree()
    for number in range(count):
        with db.transaction() as connection:
            connection.root()['count'] = number
            connection.root()['tree'][number] = 'x' * 200
    copy = folder.parent / 'copy'
    shutil.copytree(folder, copy)
    db.close()
    return copy


@pytest.mark.parametrize('damage', ['torn', 'zeroed', 'noise'])
def test_a_log_that_power_loss_cut_off_has_whole_commits_only(tmp_path, damage):
    """What was synced last may be torn: an older state is there, and never half of a commit."""
    folder = tmp_path / 'home'
    folder.mkdir()
    copy = filled(folder, 40)
    log = copy / f'{FILE}-wal'
    whole, size = log.read_bytes(), log.stat().st_size
    assert size > 100_000
    seen = set()
    for cut in range(size, size // 3, -(size // 37)):
        tail = {'torn': b'', 'zeroed': bytes(size - cut),
                'noise': bytes(range(1, 256)) * ((size - cut) // 255 + 1)}[damage]
        log.write_bytes(whole[:cut] + tail)
        (copy / f'{FILE}-shm').unlink(missing_ok=True)
        db = ZODB.DB(openStorage(copy))
        with db.transaction() as connection:
            root = connection.root()
            count = root.get('count', -1)
            assert list(root['tree']) == list(range(count + 1))
        connection = db.open(transaction.TransactionManager())
        connection.root()['tree'][count + 1] = 'goes on'
        connection.transaction_manager.commit()
        connection.close()
        db.close()
        shutil.rmtree(copy)
        copy.mkdir()
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        log.write_bytes(whole)
        seen.add(count)
    assert len(seen) > 10 and max(seen) == 39


def test_a_damaged_page_is_told_of(tmp_path):
    db = ZODB.DB(openStorage(tmp_path))
    with db.transaction() as connection:
        connection.root()['tree'] = OOBTree(dict.fromkeys(range(3000), 'x' * 300))
    db.close()
    file = tmp_path / FILE
    content = bytearray(file.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle:middle + 40_960] = b'\xff' * 40_960
    file.write_bytes(content)
    with pytest.raises((StorageError, sqlite3.DatabaseError), match=r'damaged|malformed'):
        db = ZODB.DB(openStorage(tmp_path))
        with db.transaction() as connection:
            assert len(list(connection.root()['tree'].items())) == 3000


def test_a_log_that_cannot_begin_anew_is_longer_than_it_need_be(tmp_path, monkeypatch):
    """A sync of a file that grows takes long. What stands behind the last commit is none."""
    monkeypatch.setattr(file, 'CHECKPOINT', 50)
    folder, copy = tmp_path / 'home', tmp_path / 'copy'
    folder.mkdir()
    db = ZODB.DB(openStorage(folder))
    log = folder / 'main.sqlite3-wal'
    writer = db.open(transaction.TransactionManager())
    for number in range(40):
        writer.root()['n'] = number
        writer.transaction_manager.commit()
    assert log.stat().st_size < file.LOGAHEAD          # nobody read what was old
    reader = db.open(transaction.TransactionManager(explicit=True))
    reader.transaction_manager.begin()
    assert reader.root()['n'] == 39
    for number in range(40, 100):
        writer.root()['n'] = number
        writer.transaction_manager.commit()
    assert file.LOGAHEAD <= log.stat().st_size < file.LOGAHEAD + (2 << 20)
    shutil.copytree(folder, copy)                   # as a crash leaves it
    reader.transaction_manager.abort()
    for connection in (reader, writer):
        connection.close()
    db.close()
    db = ZODB.DB(openStorage(copy))
    with db.transaction() as connection:
        assert connection.root()['n'] == 99
    db.close()


def test_a_backup_that_sqlite_makes_beside_commits(tmp_path):
    """As its command's .backup does it: some state of the database, whole."""
    folder, copy = tmp_path / 'home', tmp_path / 'copy'
    folder.mkdir()
    copy.mkdir()
    db = ZODB.DB(openStorage(folder))
    writer = db.open(transaction.TransactionManager())
    writer.root()['a'] = writer.root()['b'] = 0
    writer.transaction_manager.commit()

    steps = []

    def step():
        steps.append(None)
        writer.root()['a'] += 1
        writer.root()['b'] += 1
        writer.root()[writer.root()['a']] = OOBTree(dict.fromkeys(range(100), 'x' * 100))
        writer.transaction_manager.commit()

    for _ in range(20):
        step()
    with contextlib.closing(sqlite3.connect(folder / 'main.sqlite3')) as source, \
            contextlib.closing(sqlite3.connect(copy / 'main.sqlite3')) as target:
        source.backup(target, pages=10, progress=lambda *told: step() if len(steps) < 25 else None)
    writer.close()
    db.close()
    db = ZODB.DB(openStorage(copy))
    with db.transaction() as connection:
        root = connection.root()
        assert root['a'] == root['b'] > 20 and len(root[root['a']]) == 100
    db.close()
