# SPDX-License-Identifier: ZPL-2.1
"""Addresses: what is understood, what is opened, and what is said when it cannot be."""
import logging
import os
import subprocess
import sys
import warnings

import pytest
import transaction
import ZODB
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.MappingStorage import MappingStorage

from p01.remote.exceptions import AddressError, DatabaseLocked, PackageMissing
from p01.remote.storage import address as addresses
from p01.remote.storage import folder, kind, openDatabase, parse


@pytest.fixture
def opened():
    """Opens databases, and closes them afterwards."""
    databases = []

    def openOne(address, **settings):
        databases.append(openDatabase(address, **settings))
        return databases[-1]
    yield openOne
    for db in databases:
        db.close()


def write(db, key, value):
    with db.transaction() as connection:
        connection.root()[key] = value


def read(db, key):
    with db.transaction() as connection:
        return connection.root().get(key)


# -- the grammar

@pytest.mark.parametrize('text, path', [
    ('sqlite:/var/jobs', '/var/jobs'),
    ('sqlite:///var/jobs', '/var/jobs'),
    ('SQLite:///var/a b%20c', '/var/a b%20c'),
    ('file:/var/jobs.fs', '/var/jobs.fs'),
    ('  file:///var/x/../jobs.fs ', '/var/jobs.fs'),
])
def test_a_path_is_absolute_and_as_typed(text, path):
    parsed = parse(text)
    assert str(parsed.path) == path
    assert parsed.text == text.strip()


def test_home_and_the_working_folder_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert parse('sqlite:~/jobs').path == tmp_path / 'jobs'
    assert parse('sqlite:./jobs').path == tmp_path / 'jobs'
    assert parse('sqlite:jobs').path == tmp_path / 'jobs'


@pytest.mark.parametrize('text, said', [
    ('./jobs', 'sqlite:, file:, memory:'),
    ('', 'sqlite:./jobs'),
    ('mongodb://host', 'sqlite:./jobs'),
    ('sqlite:', 'lacks a usable path'),
    ('file:', 'file:./jobs.fs'),
    ('sqlite:a\0b', 'lacks a usable path'),
    ('sqlite://host/jobs', 'three slashes'),
    ('sqlite:~nosuchuser/jobs', 'cannot be followed'),
    (b'sqlite:jobs', 'not b'),
    (None, 'an open ZODB.DB'),
])
def test_what_is_no_address_is_told_in_one_sentence(text, said):
    with pytest.raises(AddressError) as caught:
        parse(text)
    message = str(caught.value)
    assert said in message
    assert message.endswith('.') and '\n' not in message


def test_kinds_that_are_not_here_yet_are_not_offered(monkeypatch):
    monkeypatch.setitem(addresses.KINDS, 'later', addresses.Kind('p01.remote.storage.later', 'later:x'))
    with pytest.raises(AddressError) as caught:
        parse('later:x')
    assert 'later:,' not in str(caught.value) and 'later' not in addresses.known()


@pytest.mark.parametrize('text', [
    'mongodb://user:secret@host/jobs', 'mongodb://user:sec@ret@host/jobs', 'mongodb:host=x password=secret',
    "mongodb:password = 'sec ret' host=x", 'mongodb://host/?user=u&PASSWORD=secret&x=y',
])
def test_passwords_are_never_shown(monkeypatch, text):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert 'sec' not in str(caught.value) and 'ret' not in str(caught.value)
    monkeypatch.setitem(addresses.KINDS, 'mongodb', addresses.Kind('json', 'mongodb://host'))
    parsed = parse(text)
    assert 'sec' not in parsed.text + repr(parsed) and 'ret' not in parsed.text + repr(parsed)
    assert 'sec' in parsed.rest


# -- opening

@pytest.mark.parametrize('name, text', [('sqlite', 'sqlite:{}/deep/jobs'), ('file', 'file:{}/deep/jobs.fs')])
def test_what_is_on_disk_is_made_on_first_use_and_found_again(opened, tmp_path, name, text):
    text = text.format(tmp_path)
    db = openDatabase(text, pool_size=3, cache_size=123)
    assert (db.getPoolSize(), db.getCacheSize()) == (3, 123)
    write(db, 'key', 'value')
    db.close()
    again = opened(text)
    assert read(again, 'key') == 'value'
    assert kind(again) == name
    assert folder(again) == parse(text).path if name == 'sqlite' else tmp_path / 'deep'


def test_an_open_database_is_returned_as_it_is(opened):
    db = opened('memory:')
    assert openDatabase(db) is db


def test_unknown_settings_are_refused_before_anything_is_opened(tmp_path):
    with pytest.raises(TypeError, match='poolsize'):
        openDatabase(f'file:{tmp_path}/jobs.fs', poolsize=3)
    assert not list(tmp_path.iterdir())


def test_memory_is_fresh_unless_it_is_named(opened):
    first, second = opened('memory:'), opened('memory:')
    write(first, 'key', 'value')
    assert read(second, 'key') is None
    assert kind(first) == 'memory' and folder(first) is None


def test_named_memory_is_shared_until_the_last_one_closes_it(opened):
    first, second = openDatabase('memory:shared'), openDatabase('memory:shared')
    assert opened('memory:other') is not first
    write(first, 'key', 'value')
    first.close()
    assert read(second, 'key') == 'value'
    second.close()
    second.close()      # harmless
    assert read(opened('memory:shared'), 'key') is None


@pytest.mark.parametrize('text', ['memory:', 'sqlite:{}/jobs', 'file:{}/jobs.fs'])
def test_conflicts_are_resolved(opened, tmp_path, text):
    db = opened(text.format(tmp_path))
    write(db, 'tree', OOBTree({'begin': 0}))
    managers = [transaction.TransactionManager(explicit=True) for _ in range(2)]
    connections = [db.open(manager) for manager in managers]
    for manager in managers:
        manager.begin()
    for number, connection in enumerate(connections):
        connection.root()['tree'][f'key-{number}'] = number
    for manager in managers:
        manager.commit()
    for connection in connections:
        connection.close()
    with db.transaction() as connection:
        assert list(connection.root()['tree']) == ['begin', 'key-0', 'key-1']


@pytest.mark.parametrize('text', ['memory:', 'sqlite:{}/jobs', 'file:{}/jobs.fs'])
def test_opening_and_writing_is_silent(tmp_path, caplog, text):
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter('error')
        for _ in 'ab':
            db = openDatabase(text.format(tmp_path))
            write(db, 'key', PersistentMapping())
            db.close()
    assert [record.getMessage() for record in caplog.records] == []


def test_only_what_is_used_is_imported():
    code = ('import sys; from p01.remote.storage import openDatabase; openDatabase("memory:").close(); '
            'print([name for name in sys.modules if name.startswith(("relstorage", "ZEO", "sqlite3"))])')
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == '[]\n'


# -- what cannot be opened

def test_a_filestorage_is_for_one_process(opened, tmp_path):
    text = f'file:{tmp_path}/jobs.fs'
    opened(text)
    with pytest.raises(DatabaseLocked) as caught:
        openDatabase(text)
    assert f'{tmp_path}/jobs.fs' in str(caught.value)
    assert 'sqlite:' in str(caught.value) and 'zeo:' in str(caught.value)


def test_a_failed_open_leaves_no_lock(opened, tmp_path):
    text = f'file:{tmp_path}/jobs.fs'
    with pytest.raises(ValueError):
        openDatabase(text, database_name='x', databases={'x': None})
    opened(text)


@pytest.mark.parametrize('form', ['sqlite:{}', 'file:{}'])
def test_a_path_that_cannot_be_made(tmp_path, form):
    (tmp_path / 'plain').write_text('here is a file')
    for path in (tmp_path / 'plain' / 'below', '/proc/nothing/here'):   # refused even to root
        with pytest.raises(AddressError, match=r'cannot be opened .*permissions'):
            openDatabase(form.format(path))


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
@pytest.mark.parametrize('form', ['sqlite:{}/jobs', 'file:{}/jobs.fs'])
def test_a_folder_without_permission(tmp_path, form):
    tmp_path.chmod(0o500)
    with pytest.raises(AddressError, match='permissions'):
        openDatabase(form.format(tmp_path))


def test_a_file_where_a_folder_belongs_and_the_reverse(tmp_path):
    (tmp_path / 'plain').write_text('here is a file')
    with pytest.raises(AddressError, match='wants a folder'):
        openDatabase(f'sqlite:{tmp_path}/plain')
    with pytest.raises(AddressError, match='wants a file'):
        openDatabase(f'file:{tmp_path}')


def test_a_foreign_file_is_left_alone(tmp_path):
    (tmp_path / 'plain').write_text('precious')
    (tmp_path / 'plain.tmp').write_text('precious as well: FileStorage would empty it')
    os.mkfifo(tmp_path / 'pipe')
    before = {each.name: each.stat().st_size for each in tmp_path.iterdir()}
    for name in ('plain', 'pipe'):
        with pytest.raises(AddressError, match='is not a FileStorage'):
            openDatabase(f'file:{tmp_path}/{name}')
    assert {each.name: each.stat().st_size for each in tmp_path.iterdir()} == before


def test_a_folder_with_another_main_file(tmp_path):
    (tmp_path / 'main.sqlite3').write_text('no SQLite at all' * 100)
    with pytest.raises(AddressError, match='holds no database'):
        openDatabase(f'sqlite:{tmp_path}')


@pytest.mark.parametrize('body', ['import surelyNotInstalled',
                                  'def openDatabase(address): import surelyNotInstalled'])
def test_a_missing_package_names_the_extra(monkeypatch, tmp_path, body):
    (tmp_path / 'fakekind.py').write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'fakekind', raising=False)
    monkeypatch.setitem(addresses.KINDS, 'fake', addresses.Kind('fakekind', 'fake:x', extra='zeo'))
    with pytest.raises(PackageMissing) as caught:
        openDatabase('fake:user')
    assert 'pip install "p01.remote[zeo]"' in str(caught.value) and 'surelyNotInstalled' in str(caught.value)


def test_a_broken_module_of_ours_is_not_called_a_missing_package(monkeypatch, tmp_path):
    (tmp_path / 'fakekind.py').write_text('import p01.remote.nothing')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'fakekind', raising=False)
    monkeypatch.setitem(addresses.KINDS, 'fake', addresses.Kind('fakekind', 'fake:x', extra='zeo'))
    with pytest.raises(ModuleNotFoundError, match=r'p01\.remote\.nothing'):
        openDatabase('fake:user')


# -- databases that others opened

def test_kind_and_folder_of_a_database_that_others_opened(opened, tmp_path):
    from ZODB.blob import BlobStorage
    from ZODB.DemoStorage import DemoStorage
    plain = opened(ZODB.DB(FileStorage(str(tmp_path / 'Data.fs'))))
    blobs = opened(ZODB.DB(FileStorage(str(tmp_path / 'sub.fs'), blob_dir=str(tmp_path / 'blobs'))))
    changes = FileStorage(str(tmp_path / 'changes.fs'))
    demo = opened(ZODB.DB(DemoStorage(base=MappingStorage(), changes=changes)))
    wrapped = opened(ZODB.DB(BlobStorage(str(tmp_path / 'more'), MappingStorage())))
    assert [kind(db) for db in (plain, blobs, demo, wrapped)] == ['file', 'file', 'file', 'memory']
    assert [folder(db) for db in (plain, blobs, demo, wrapped)] == [tmp_path, tmp_path, tmp_path, None]
