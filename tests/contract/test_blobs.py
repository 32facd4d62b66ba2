# SPDX-License-Identifier: ZPL-2.1
"""Blobs in our own storages: ZODB's tests, and what becomes of files when commits fail and others
take their place."""
import os
import pwd
import shutil
import time
import unittest
from contextlib import contextmanager
from pathlib import Path

import pytest
import transaction
import ZODB
from persistent.mapping import PersistentMapping
from ZODB.blob import Blob
from ZODB.POSException import ConflictError, POSKeyError
from ZODB.tests import testblob

from p01.remote import App, current
from p01.remote.cli import main
from p01.remote.exceptions import InputError
from p01.remote.job import Job
from p01.remote.options import Policy
from p01.remote.storage import blobs, openDatabase
from p01.remote.storage.faults import Fault
from p01.remote.storage.postgresql import openStorage as openPostgreSQL
from p01.remote.storage.postgresql.link import Refused
from p01.remote.storage.sqlite import openStorage
from tests import servers
from tests.conftest import unhurry


def sqlite(name, folder):
    """One of ZODB's tests wants a storage in a folder that may not be there."""
    where = Path(f'{name}.d')
    where.mkdir(exist_ok=True)
    return lenient(openStorage(where, blobs=folder))


def postgresql(name, folder):
    server = servers.postgresql()
    storage = openPostgreSQL(server.address(server.create()).partition(':')[2], blobs=folder)
    storage.shared.ids = iter(range(1, 128))        # ZODB's tests know the ids of their objects
    return lenient(storage)


def lenient(storage):
    """One of ZODB's tests hands in a revision that is a text."""
    inner = storage.storeBlob
    storage.storeBlob = lambda oid, serial, *rest: inner(oid, serial if isinstance(serial, bytes)
                                                         else serial.encode(), *rest)
    return storage


@contextmanager
def ordinary():
    """As an ordinary user: root may write to files that nobody may write to."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam('nobody').pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize('factory', [sqlite, postgresql])
def test_those_of_zodb(factory):
    suite = testblob.storage_reusable_suite('p01', factory, test_undo=False)
    servers.postgresql()
    with ordinary():
        result = unittest.TextTestRunner(verbosity=0).run(suite)
    assert result.testsRun > 3 and not result.failures and not result.errors, result


@pytest.fixture(params=['sqlite', 'postgresql'])
def address(request, tmp_path):
    """Of a database with a folder for blobs."""
    if request.param == 'sqlite':
        return f'sqlite:{tmp_path / "jobs"}'
    server = servers.postgresql()
    return (f'postgresql://{server.parts["user"]}@/{server.create()}?host={server.parts["host"]}'
            f'&blobstorage_dir={tmp_path / "jobs" / "blobs"}')


@pytest.fixture
def db(address):
    db = openDatabase(address)
    yield db
    db.close()


def content(connection, key='blob'):
    with connection.root()[key].open() as stream:
        return stream.read()


def files(folder):
    """The files of blobs, committed and not."""
    return sorted(path for path in (folder / 'jobs' / 'blobs').rglob('*.blob') if path.is_file())


def test_what_was_committed_is_read_by_others(db, address):
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one')
    other = openDatabase(address)
    with other.transaction() as connection:
        assert content(connection) == b'one'
        with connection.root()['blob'].open('w') as stream:
            stream.write(b'two')
    with db.transaction() as connection:
        assert content(connection) == b'two'
    other.close()


class Draw(Job):
    """Makes a blob and changes one; some fail behind that."""

    policy = Policy(retries=0)
    together = True

    def __call__(self, remoteProcessor):
        root = current.root
        root['blobs'][self.input] = Blob(b'%d' % self.input)
        with root['blob'].open('a') as stream:
            stream.write(b'%d' % self.input)
        if self.input % 3 == 1:
            raise ValueError(self.input)


def test_jobs_that_share_a_commit(db, tmp_path, monkeypatch):
    """Of those that fail no file stays."""
    unhurry(monkeypatch)
    app = App(db)
    with app.transaction(independent=True) as root:
        root['blob'], root['blobs'] = Blob(b'-'), PersistentMapping()
        app.processor.addJob('draw', Draw())
        ids = [app.processor.processJob('draw', number) for number in range(9)]
    assert app.drain() == 9
    good = [0, 2, 3, 5, 6, 8]
    with app.reading() as processor:
        assert [jobid for jobid in ids
                if processor.getJobStatus(jobid) == 'completed'] == [ids[number] for number in good]
        root = processor._p_jar.root()
        assert content(processor._p_jar) == b'-023568'
        assert [blob.open().read()
                for blob in root['blobs'].values()] == [b'%d' % number for number in good]
    # each blob has a folder
    assert len({path.parent for path in files(tmp_path)}) == len(good) + 1


def test_an_old_snapshot_has_its_file_still(db, tmp_path):
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one')
    reader = db.open(transaction.TransactionManager(explicit=True))
    reader.transaction_manager.begin()
    assert reader.root()['blob']._p_state is not None
    reader.cacheMinimize()
    with db.transaction() as connection, connection.root()['blob'].open('w') as stream:
        stream.write(b'two')
    db.pack(time.time() + 1)
    assert content(reader) == b'one' and len(files(tmp_path)) == 2
    reader.transaction_manager.abort()
    reader.close()


def test_what_fails_leaves_nothing_that_a_pack_does_not_remove(db, tmp_path, monkeypatch):
    with db.transaction() as connection:
        root = connection.root()
        root['blob'], root['n'] = Blob(b'one'), 0
    with pytest.raises(ZeroDivisionError), db.transaction() as connection:
        connection.root()['more'] = Blob(b'aborted')
        transaction.savepoint(optimistic=True)
        1 / 0       # noqa: B018
    assert len(files(tmp_path)) == 1
    first, second = (db.open(transaction.TransactionManager()) for _ in range(2))
    for connection, text in ((first, b'two'), (second, b'three')):
        with connection.root()['blob'].open('w') as stream:
            stream.write(text)
    first.transaction_manager.commit()
    with pytest.raises(ConflictError):
        second.transaction_manager.commit()
    second.transaction_manager.abort()
    assert content(first) == content(second) == b'two'
    first.close()
    second.close()
    for path in files(tmp_path):
        os.utime(path, (0, 0))
    db.pack(time.time() + 1)
    assert content(db.open()) == b'two'
    monkeypatch.setattr(blobs, 'NEEDEDFOR', -60.0)
    db.pack(time.time() + 1)
    assert len(files(tmp_path)) == 1
    with db.transaction() as connection:
        assert content(connection) == b'two'
        del connection.root()['blob']
    db.pack(time.time() + 1)
    assert files(tmp_path) == []


def test_who_only_reads_makes_no_folder(db, tmp_path):
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one')
    shutil.rmtree(tmp_path / 'jobs' / 'blobs')
    with db.transaction() as connection:
        connection.cacheMinimize()
        with pytest.raises(POSKeyError):
            content(connection)
    db.pack(time.time() + 1)
    assert not (tmp_path / 'jobs' / 'blobs').exists()


def test_a_file_that_is_gone_is_told(db, tmp_path):
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one')
    for path in files(tmp_path):
        path.unlink()
    with db.transaction() as connection:
        connection.cacheMinimize()
        with pytest.raises(POSKeyError, match='No blob file'):
            content(connection)


application = App('memory:')


@application.job(retries=0)
def upper(blob):
    """Returns a blob."""
    with blob.open() as stream:
        return Blob(stream.read().upper())


def test_jobs_pass_them_on(db, monkeypatch):
    monkeypatch.setattr(application, 'database', db)
    with application.transaction() as root:
        root['blob'] = Blob(b'one')
        handle = upper.enqueue(root['blob'])
    assert application.drain() == 1
    with application.transaction(), application.processor.getJobResult(handle.id).open() as stream:
        assert stream.read() == b'ONE'
    application.close()


def test_without_a_folder_postgresql_refuses_them(monkeypatch):
    db = openDatabase(servers.postgresql().database())
    monkeypatch.setattr(application, 'database', db)
    with application.transaction(), pytest.raises(InputError, match='blobstorage_dir'):
        upper.enqueue(Blob(b'one'))
    application.close()
    db.close()


def test_who_opens_postgresql_without_the_folder_is_told_so(tmp_path):
    words = servers.postgresql().database().partition(':')[2]
    db = ZODB.DB(openPostgreSQL(words, blobs=tmp_path))
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one')
    db.close()
    db = ZODB.DB(openPostgreSQL(words))
    with pytest.raises(Fault, match='without the folder'), db.transaction() as connection:
        content(connection)
    db.close()


def test_words_that_libpq_does_not_know_are_told_and_not_repeated():
    with pytest.raises(Refused, match='libpq cannot read') as caught:
        openPostgreSQL('pasword=secret')
    assert 'secret' not in str(caught.value) and caught.value.__suppress_context__


def test_the_command_copies_them(address, tmp_path, capsys):
    db = openDatabase(address)
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one' * 100_000)
    db.close()
    assert main(['worker', address, '--drain']) == 0
    back = f'file:{tmp_path / "back.fs"}'
    capsys.readouterr()
    assert main(['copy', address, back]) == 2
    assert 'blobstorage_dir' in capsys.readouterr().err
    back = f'file:{tmp_path / "again.fs"}?blobstorage_dir={tmp_path / "files"}'
    assert main(['copy', address, back]) == 0
    assert main(['copy', back, f'sqlite:{tmp_path / "third"}']) == 0
    db = openDatabase(f'sqlite:{tmp_path / "third"}')
    with db.transaction() as connection:
        assert content(connection) == b'one' * 100_000
    db.close()
    db = openDatabase(address)
    with db.transaction() as connection:
        assert content(connection) == b'one' * 100_000
    db.close()


def test_copies(tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    db = ZODB.DB(openStorage(tmp_path / 'one'))
    with db.transaction() as connection:
        connection.root()['blob'] = Blob(b'one')
    target = openStorage(tmp_path / 'two')
    target.copyTransactionsFrom(db.storage)
    db.close()
    db = ZODB.DB(target)
    with db.transaction() as connection:
        assert content(connection) == b'one'
    db.close()
