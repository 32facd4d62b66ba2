# SPDX-License-Identifier: ZPL-2.1
"""RelStorage's faults on SQLite: each is shown as upstream has it, and mended as sqlite: has it.

When 'as upstream' fails after an upgrade of RelStorage, the fault is gone there, and its mend can go here.
"""
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress

import pytest
import transaction
import ZODB
from persistent.mapping import PersistentMapping
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage
from transaction.interfaces import NoTransaction
from ZODB.POSException import ConflictError, POSKeyError

from p01.remote.exceptions import DatabaseLocked, PackRunning
from p01.remote.storage import openDatabase, sqlite
from p01.remote.storage.flock import FileLock

DEADLINE = 60
FORMS = pytest.mark.parametrize('mended', [True, False], ids=['mended', 'as upstream'])


def asUpstream(folder):
    options = Options(keep_history=False, commit_lock_timeout=20)
    return ZODB.DB(RelStorage(Sqlite3Adapter(str(folder), pragmas={}, options=options), options=options))


@pytest.fixture
def opener(mended):
    """Opens the database in a folder, mended or as upstream has it, and closes it afterwards."""
    databases = []

    def openOne(folder):
        databases.append(openDatabase(f'sqlite:{folder}') if mended else asUpstream(folder))
        return databases[-1]
    yield openOne
    for db in databases:
        db.close()


class Session:
    """A connection of its own, with its own transaction manager."""

    def __init__(self, db):
        self.manager = transaction.TransactionManager(explicit=True)
        self.connection = db.open(self.manager)
        self.root = self.connection.root

    def close(self):
        with suppress(NoTransaction):
            self.manager.abort()
        self.connection.close()


# -- a: an aborted transaction's writes are published by the next commit

@FORMS
def test_an_aborted_write_stays_aborted(opener, mended, tmp_path):
    first, second, third = (Session(opener(tmp_path)) for _ in 'abc')
    first.manager.begin()
    for key in 'xyz':
        first.root()[key] = PersistentMapping(v='original')
    first.manager.commit()

    second.manager.begin()
    assert second.root()['x']['v'] == second.root()['z']['v'] == 'original'
    second.connection.readCurrent(second.root()['z'])
    first.manager.begin()
    first.root()['z']['v'] = 'by the first'
    first.manager.commit()
    second.root()['x']['v'] = 'aborted'
    with pytest.raises(ConflictError):
        second.manager.commit()
    second.manager.abort()
    second.manager.begin()
    second.root()['y']['v'] = 'by the second'
    second.manager.commit()

    third.manager.begin()
    found = {key: third.root()[key]['v'] for key in 'xyz'}
    third.manager.abort()
    assert found == {'x': 'original' if mended else 'aborted', 'y': 'by the second', 'z': 'by the first'}
    for session in (first, second, third):
        session.close()


# -- b: a power cut can take back an acknowledged commit

@FORMS
def test_every_connection_syncs_every_commit(opener, mended, tmp_path):
    session = Session(opener(tmp_path))
    session.manager.begin()
    session.root()['key'] = 'value'
    session.manager.commit()
    session.manager.begin()
    storage = session.connection._storage
    assert session.root()['key'] == 'value'
    with storage._store_connection_pool.borrowing() as store:   # the very connection that committed
        connections = [storage._load_connection.connection, store.connection]
        levels = [each.execute('PRAGMA synchronous').fetchone()[0] for each in connections]
    fresh, cursor = storage._adapter.connmanager.open_for_store()
    levels.append(fresh.execute('PRAGMA synchronous').fetchone()[0])
    storage._adapter.connmanager.rollback_and_close(fresh, cursor)
    assert levels == ([2, 2, 2] if mended else [1, 1, 1])       # 2 is FULL, 1 is NORMAL
    session.close()


def test_what_a_transaction_writes_stands_in_memory_until_it_commits(tmp_path):
    """A temporary file was written for each commit of a connection that had once committed many objects."""
    db = openDatabase(f'sqlite:{tmp_path}')
    session = Session(db)
    with session.connection._storage._store_connection_pool.borrowing() as store:
        assert store.connection.execute('PRAGMA temp_store').fetchone()[0] == 2
    session.close()
    db.close()


# -- c: two packs at once destroy the database

def packedWithin(db, meanwhile):
    """Pack, and call meanwhile from within, when the pack lock is held."""
    packundo = db.storage._adapter.packundo
    inner = packundo.pre_pack

    def prePack(*args, **options):
        meanwhile()
        return inner(*args, **options)
    packundo.with_options = lambda options: packundo
    packundo.pre_pack = prePack
    db.pack()


@FORMS
def test_a_second_pack_is_refused_while_one_runs(opener, mended, tmp_path):
    first, second = opener(tmp_path), opener(tmp_path)
    entered = []

    def another():
        with pytest.raises(PackRunning, match=str(tmp_path)) if mended else nullcontext():
            packedWithin(second, lambda: entered.append('second'))
    packedWithin(first, another)
    assert entered == ([] if mended else ['second'])
    packedWithin(second, lambda: entered.append('later'))
    assert 'later' in entered       # the refusal left nothing locked


def test_two_threads_that_share_a_database_pack_one_at_a_time(tmp_path):
    db = openDatabase(f'sqlite:{tmp_path}')
    inside, over = threading.Event(), threading.Event()

    def wait():
        inside.set()
        assert over.wait(DEADLINE)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(packedWithin, db, wait)
        assert inside.wait(DEADLINE)
        with pytest.raises(PackRunning):
            db.pack()
        with pytest.raises(PackRunning):    # the refusal has not let go of the other's lock
            db.pack()
        over.set()
        running.result(DEADLINE)
    db.pack()
    db.close()


CHILD = '''
import sys
from p01.remote.storage import openDatabase
db = openDatabase('sqlite:' + sys.argv[1])
packundo = db.storage._adapter.packundo
def wait(*args, **options):
    print('inside', flush=True)
    sys.stdin.read()
packundo.with_options = lambda options: packundo
packundo.pre_pack = wait
db.pack()
'''


def test_another_process_excludes_and_its_death_lets_go(tmp_path):
    db = openDatabase(f'sqlite:{tmp_path}')
    child = subprocess.Popen([sys.executable, '-c', CHILD, str(tmp_path)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == 'inside\n'
        with pytest.raises(PackRunning):
            db.pack()
        child.send_signal(signal.SIGKILL)
        child.wait(DEADLINE)
        db.pack()
    db.close()


# -- d: processes that open a new folder at once fail over its tables

def openedTogether(openOne, folder, number=8):
    """The errors of so many threads that open a folder at the same moment."""
    start, errors = threading.Barrier(number), []

    def run():
        start.wait(DEADLINE)
        try:
            openOne(folder)
        except Exception as error:
            errors.append(error)
    with ThreadPoolExecutor(number) as pool:
        for done in [pool.submit(run) for _ in range(number)]:
            done.result(DEADLINE)
    return errors


@FORMS
def test_a_new_folder_is_opened_by_many_at_once(opener, mended, tmp_path):
    errors = []
    for attempt in range(3 if mended else 20):
        errors += openedTogether(opener, tmp_path / str(attempt))
        if errors:
            break
    assert bool(errors) is not mended, errors


def test_who_opens_waits_for_the_one_before_but_not_for_ever(monkeypatch, tmp_path):
    lock = FileLock(tmp_path / 'open.lock')
    assert lock.acquire()
    monkeypatch.setattr(sqlite, 'OPENING', 0.0)
    with pytest.raises(DatabaseLocked, match='opens it'):
        openDatabase(f'sqlite:{tmp_path}')
    lock.release()
    openDatabase(f'sqlite:{tmp_path}').close()


# -- e: without its file of ids, new objects clash with those that are there

@FORMS
def test_new_objects_get_new_ids_though_the_file_of_ids_is_lost(opener, mended, tmp_path):
    def addMany(name):
        session = Session(opener(tmp_path))
        session.manager.begin()
        root = session.root()
        known = len(root)
        for each in range(100):
            root[f'{name}-{each}'] = PersistentMapping()
        try:
            session.manager.commit()
            assert len({value._p_oid for value in root.values()}) == known + 100
        finally:
            session.close()
            session.connection.db().close()
    addMany('before')
    (tmp_path / 'oids.sqlite3').unlink()
    if mended:
        addMany('after')
    else:
        with pytest.raises(ValueError, match='same oid'):
            addMany('after')


# -- f: a pack deletes what was moved into a new object while it began

@FORMS
def test_a_pack_keeps_what_moves_while_it_begins(opener, mended, tmp_path):
    db = opener(tmp_path)
    session = Session(db)
    with session.manager:
        session.root()['old'] = PersistentMapping(thing=PersistentMapping(v='precious'))
    packundo = db.storage._adapter.packundo
    inner = packundo.fill_object_refs

    def afterTheList(*args):
        with session.manager:
            root = session.root()
            root['new'] = PersistentMapping(thing=root['old'].pop('thing'))
        return inner(*args)
    packundo.with_options = lambda options: packundo
    packundo.fill_object_refs = afterTheList
    db.pack()
    session.connection.cacheMinimize()
    session.manager.begin()
    try:
        with nullcontext() if mended else pytest.raises(POSKeyError):
            assert session.root()['new']['thing']['v'] == 'precious'
    finally:
        session.close()


# -- g: a file never gets smaller

@FORMS
def test_a_packed_file_is_small(opener, mended, tmp_path):
    db = opener(tmp_path)
    session = Session(db)
    with session.manager:
        session.root()['many'] = PersistentMapping({each: PersistentMapping(v='x' * 4000) for each in range(5000)})
    with session.manager:
        del session.root()['many']
    session.close()
    db.pack()
    db.close()
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert (size < 1 << 20) is mended, size
