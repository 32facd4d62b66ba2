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
import zodburi
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from ZODB.blob import Blob
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
    ('SQLite:/var/a b%20c', '/var/a b%20c'),
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
    ('./jobs', 'mean sqlite:./jobs?'),
    ('', 'sqlite:./jobs'),
    ('mongodb://host', 'sqlite:./jobs'),
    ('sqlite:', 'lacks a usable path'),
    ('file:', 'file:./jobs.fs'),
    ('sqlite:a\0b', 'lacks a usable path'),
    ('sqlite://host/jobs', 'three slashes'),
    ('sqlite:~nosuchuser/jobs', 'cannot be followed'),
    ('file:///with%20space.fs', 'with one slash before it'),
    ('sqlite:///var/jobs?x', 'no NAME=VALUE'),
    ('file:jobs.fs?demostorage=1&create=1', '(create, demostorage)'),
    ('file:jobs.fs?connection_pool_size=many', 'connection_pool_size=10'),
    ('file:jobs.fs?connection_pool_size=1MB', 'connection_pool_size=10'),
    ('sqlite:jobs?connection_cache_size_bytes=-1', 'connection_cache_size_bytes=64MB'),
    ('memory:?storage=1', '(storage)'),
    ('zconfig:zope.conf?storage=main', '(storage)'),
    ('zeo:host:1?wait=perhaps&nothing=1', '(nothing)'),
    ('postgresql://host/db?connection_pool_size=x', 'connection_pool_size=10'),
    (b'sqlite:jobs', 'not b'),
    (None, 'an open ZODB.DB'),
])
def test_what_is_no_address_is_told_in_one_sentence(text, said):
    with pytest.raises(AddressError) as caught:
        parse(text)
    message = str(caught.value)
    assert said in message
    assert message.endswith(('.', '?')) and '\n' not in message


def test_kinds_that_are_not_here_yet_are_not_offered(monkeypatch):
    monkeypatch.setitem(addresses.KINDS, 'later',
                        addresses.Kind('p01.remote.storage.later', 'later:x', foreign=True))
    with pytest.raises(AddressError) as caught:
        parse('later:x')
    assert 'later:,' not in str(caught.value) and 'later' not in addresses.known()


@pytest.mark.parametrize('text', [
    'mongodb://user:secret@host/jobs', 'mongodb://user:sec@ret@host/jobs',
    'mongodb:host=x password=secret',
    "mongodb:password = 'sec ret' host=x", 'mongodb://host/?user=u&PASSWORD=secret&x=y',
])
def test_passwords_are_never_shown(monkeypatch, text):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert 'sec' not in str(caught.value) and 'ret' not in str(caught.value)
    monkeypatch.setitem(addresses.KINDS, 'mongodb',
                        addresses.Kind('json', 'mongodb://host', foreign=True))
    parsed = parse(text)
    assert 'sec' not in parsed.text + repr(parsed) and 'ret' not in parsed.text + repr(parsed)
    assert 'sec' in parsed.rest


SETTINGS = 'connection_pool_size=3&connection_cache_size_bytes=2KB&database_name=jobs'


@pytest.mark.parametrize('text, rest, processor, options', [
    ('file:/a.fs?blobstorage_dir=/b%20c&{}#/site/remote', '/a.fs',
     'site/remote', {'blobstorage_dir': '/b c'}),
    ('sqlite:///jobs?{}', '///jobs', '', {}),
    ('memory://name?{}#remote', 'name', 'remote', {}),
    ('zeo:host:8100?storage=main&{}#site/remote/', 'host:8100?storage=main',
     'site/remote', {'storage': 'main'}),
    ('zconfig:/z.conf?{}#main/site/remote', '/z.conf#main', 'site/remote', {}),
    ('zconfig:/z.conf?{}#/site/remote', '/z.conf', 'site/remote', {}),
    ('postgresql://u:p#w@host/db?sslmode=require&{}&connect_timeout=3#/site/remote',
     '//u:p#w@host/db?sslmode=require&connect_timeout=3', 'site/remote', {}),
    ('postgresql://host/db?{}', '//host/db', '', {}),
])
def test_options_and_processors_are_no_part_of_a_place(text, rest, processor, options):
    parsed = parse(text.format(SETTINGS))
    assert (parsed.rest, parsed.processor, parsed.options) == (rest, processor, options)
    assert parsed.settings == {'pool_size': 3, 'cache_size_bytes': 2048, 'database_name': 'jobs'}
    assert parsed.path is None or str(parsed.path) in ('/a.fs', '/jobs')


def test_memory_without_a_name_is_nobody_elses():
    for text in 'memory:', 'memory://', 'memory:?connection_pool_size=3', 'memory:#remote':
        assert (parse(text).text, parse(text).rest) == ('memory:', '')


def test_words_of_libpq_are_left_alone():
    parsed = parse('postgresql:host=db1 dbname=jobs options=-c?connection_pool_size=3 password=a#b')
    assert parsed.rest.endswith('=3 password=a#b') and not parsed.settings and not parsed.processor
    assert parse('postgresql:service=jobs#/remote').processor == 'remote'


# -- opening

@pytest.mark.parametrize('name, text', [('sqlite',
                                         'sqlite:{}/deep/jobs'), ('file', 'file:{}/deep/jobs.fs')])
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
    code = ('import sys; from p01.remote.storage import openDatabase; '
            'openDatabase("memory:").close(); print([name for name in sys.modules if '
            'name.startswith(("relstorage", "ZEO", "sqlite3"))])')
    assert subprocess.run([sys.executable, '-c', code], capture_output=True,
                          text=True).stdout == '[]\n'


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


@pytest.mark.parametrize('form', ['file:{}/old.fs', 'zconfig:{}/zodb.conf'])
def test_a_filestorage_of_python_2_is_called_that(tmp_path, form):
    (tmp_path / 'old.fs').write_bytes(b'FS21' + bytes(60))
    (tmp_path / 'zodb.conf').write_text('<zodb main>\n<filestorage>\npath '
                                        f'{tmp_path}/old.fs\n</filestorage>\n</zodb>\n')
    with pytest.raises(AddressError,
                       match=r'old\.fs is a FileStorage of Python 2; .*zodbupdate --convert-py3'):
        openDatabase(form.format(tmp_path))
    (tmp_path / 'old.fs').write_bytes(b'something else')
    with pytest.raises(AddressError, match=r'old\.fs is not a FileStorage'):
        openDatabase(form.format(tmp_path))


def test_a_folder_with_another_main_file(tmp_path):
    (tmp_path / 'main.sqlite3').write_text('no SQLite at all' * 100)
    with pytest.raises(AddressError, match='holds no database'):
        openDatabase(f'sqlite:{tmp_path}')


@pytest.mark.parametrize('body', ['import surelyNotInstalled',
                                  ('def openDatabase(address, **settings): import '
                                  'surelyNotInstalled')])
def test_a_missing_package_names_the_extra(monkeypatch, tmp_path, body):
    (tmp_path / 'fakekind.py').write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'fakekind', raising=False)
    monkeypatch.setitem(addresses.KINDS, 'fake',
                        addresses.Kind('fakekind', 'fake:x', extra='zeo', foreign=True))
    with pytest.raises(PackageMissing) as caught:
        openDatabase('fake:user')
    assert 'pip install "p01.remote[zeo]"' in str(caught.value) \
        and 'surelyNotInstalled' in str(caught.value)


def test_a_broken_module_of_ours_is_not_called_a_missing_package(monkeypatch, tmp_path):
    (tmp_path / 'fakekind.py').write_text('import p01.remote.nothing')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'fakekind', raising=False)
    monkeypatch.setitem(addresses.KINDS, 'fake',
                        addresses.Kind('fakekind', 'fake:x', extra='zeo', foreign=True))
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
    assert [folder(db)
            for db in (plain, blobs, demo, wrapped)] == [tmp_path, tmp_path, tmp_path, None]


# -- the URIs of zodburi

@pytest.mark.parametrize('uri', [
    'file://{}/a.fs', 'file://{}/a.fs?connection_pool_size=3&connection_cache_size=99',
    'file://{}/a b.fs?quota=10mb',
    'file://{}/b.fs?blobstorage_dir={}/blobs&database_name=main&connection_cache_size_bytes=3MB',
    'memory://',
    'memory://x?connection_pool_timeout=9',
    'file://{}/x/../c.fs?connection_historical_pool_size=2'])
def test_what_zodburi_opens_is_opened_as_well(tmp_path, uri):
    uri = uri.format(*[tmp_path] * 2)
    factory, options = zodburi.resolve_uri(uri)
    (tmp_path / 'x').mkdir()
    theirs = ZODB.DB(factory(), **options)
    if uri.startswith('file'):
        write(theirs, 'key', 'value')
    found = described(theirs, options)
    theirs.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    ours = openDatabase(uri)
    assert described(ours, options) == found \
        and read(ours, 'key') == ('value' if uri.startswith('file') else None)
    ours.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def described(db, options):
    """What an address can say of a database; for the settings that zodburi has anyway, ZODB.DB's
    own default will do."""
    given = {name for name, value in options.items() if zodburi._DEFAULT_DBKW.get(name) != value}
    values = {'pool_size': db.getPoolSize(), 'cache_size': db.getCacheSize(),
              'cache_size_bytes': db.getCacheSizeBytes(),
              'database_name': db.database_name, 'pool_timeout': db.pool._timeout,
              'historical_pool_size': db.historical_pool.size}
    storage = db.storage
    name = storage.getName() if kind(db) == 'file' else ''
    blobs = getattr(getattr(storage, 'fshelper', None), 'base_dir', '')
    return name, blobs, getattr(storage, '_quota', None), {name: values[name] for name in given}


def test_blobs_are_kept_where_the_address_says(opened, tmp_path):
    db = opened(f'file:{tmp_path}/a.fs?blobstorage_dir={tmp_path}/blobs')
    write(db, 'blob', Blob(b'content'))
    with db.transaction() as connection, connection.root()['blob'].open() as stream:
        assert stream.read() == b'content'
    assert folder(db) == tmp_path and kind(db) == 'file'
