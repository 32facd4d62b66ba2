# SPDX-License-Identifier: ZPL-2.1
"""zconfig: the files of ZODB and Zope, several databases that know of each other, and what is said
of a bad file."""
import pytest
import transaction
from persistent.mapping import PersistentMapping

from p01.remote import storage, testing, worker
from p01.remote.exceptions import AddressError, DatabaseLocked, PackageMissing
from p01.remote.processor import RemoteProcessor
from p01.remote.storage import kind, openDatabase, parse
from tests import servers

# As Zope 5 and Plone 6 write it, and what people add to it.
ZOPECONF = '''
%define INSTANCE {folder}
%define VAR $INSTANCE/var
%import nosuchpackage.of.a.product
instancehome $INSTANCE
debug-mode off
default-zpublisher-encoding utf-8
<environment>
    CHAMELEON_CACHE $VAR/cache
    PRICE 5$$
</environment>
<eventlog>
    level INFO
    <logfile>
        path $VAR/event.log
    </logfile>
</eventlog>
<product-config jobs>
    nosuchkey some value
</product-config>
<zodb_db main>
    # Main database
    cache-size 30000
    %include storage.conf
    mount-point /
</zodb_db>
<zodb_db Catalog>
    <mappingstorage catalog/>
    mount-point /catalog:/site/catalog
    container-class Products.ZCatalog.ZCatalog
    connection-class ZODB.Connection.Connection
</zodb_db>
'''
STORAGE = '''
<filestorage>
    path $(P01_TEST_VAR)/Data.fs
</filestorage>
'''
RELSTORAGE = '%import relstorage\n<zodb>\n<relstorage>\n{}\n</relstorage>\n</zodb>'


@pytest.fixture
def zope(tmp_path, monkeypatch):
    """The address of a zope.conf."""
    (tmp_path / 'var').mkdir()
    monkeypatch.setenv('P01_TEST_VAR', str(tmp_path / 'var'))
    (tmp_path / 'storage.conf').write_text(STORAGE)
    (tmp_path / 'zope.conf').write_text(ZOPECONF.format(folder=tmp_path))
    return f'zconfig:{tmp_path}/zope.conf'


@pytest.fixture
def opened():
    databases = []

    def openOne(address, **settings):
        databases.append(openDatabase(address, **settings))
        return databases[-1]
    yield openOne
    transaction.abort()
    for db in databases:
        db.close()


def refused(address, error=AddressError):
    with pytest.raises(error) as caught:
        openDatabase(address)
    message = str(caught.value)
    assert message.endswith('.') and '\n' not in message
    return message


def written(folder, text):
    (folder / 'zodb.conf').write_text(text)
    return f'zconfig:{folder}/zodb.conf'


# -- what is understood

def test_a_zope_conf_opens_its_main_database(opened, zope, tmp_path):
    db = opened(zope)
    assert (db.database_name, kind(db), db.getCacheSize()) == ('main', 'file', 30000)
    assert storage.folder(db) == tmp_path / 'var'
    assert set(db.databases) == {'main', 'catalog'}
    assert kind(db.databases['catalog']) == 'memory'


def test_another_one_by_its_name_and_settings_that_win(opened, zope):
    db = opened(f'{zope}#Catalog', cache_size=7, pool_size=3)
    assert (db.database_name, db.getCacheSize(), db.getPoolSize()) == ('catalog', 7, 3)
    assert parse(f'{zope}#Catalog').text == f'{zope}#Catalog'


def test_closing_the_one_closes_all(opened, zope):
    for address in (zope, f'{zope}#catalog'):
        db = openDatabase(address)
        db.close()
        db.close()      # harmless
    opened(zope)        # its lock is free


def test_a_configuration_of_zodb_with_one_database(opened, tmp_path):
    path = tmp_path / 'a b.conf'
    path.write_text(f'<zodb>\n<filestorage>\npath {tmp_path}/$$jobs.fs\n</filestorage>\n</zodb>')
    db = opened(f'zconfig://{path}')
    assert kind(db) == 'file' and (tmp_path / '$jobs.fs').exists()


def test_without_a_main_one_the_first_is_opened(opened, tmp_path):
    text = '<zodb one>\n<mappingstorage/>\n</zodb>\n<zodb two>\n<mappingstorage/>\n</zodb>'
    assert opened(written(tmp_path, text)).database_name == 'one'


def test_packages_that_bring_storages(opened, tmp_path):
    pytest.importorskip('ZEO', reason='needs the extra p01.remote[zeo]')
    address = servers.zeo().database()
    where, _, query = address[len('zeo:'):].partition('?storage=')
    text = (f'%import ZEO\n<zodb>\n<clientstorage>\nserver {where}\nstorage {query}\nwait-timeout '
            '20\n</clientstorage>\n</zodb>')
    assert kind(opened(written(tmp_path, text))) == 'zeo'


# -- a processor in a mounted database

def test_a_processor_in_another_database_of_the_file(opened, zope):
    db = opened(zope)
    connection = db.open()
    home = connection.get_connection('catalog').root()
    home['jobs'] = connection.root()['jobs'] = processor = RemoteProcessor()
    processor.__name__ = 'jobs'
    connection.get_connection('catalog').add(processor)
    processor.addJob('echo', testing.EchoJob())
    transaction.commit()
    jobid = processor.processJob('echo', 'hello')
    connection.root()['count'] = PersistentMapping()        # both databases in one transaction
    transaction.commit()
    assert processor._p_jar.db().database_name == 'catalog'
    for root in (db, db.databases['catalog']):
        simple = worker.SimpleWorker(root, ['jobs'])
        assert simple.processNextJob() is (root is db)
    transaction.begin()
    assert processor.getJobStatus(jobid) == 'completed' and processor.getJobResult(jobid) == 'hello'
    connection.close()


# -- what cannot be opened

@pytest.mark.parametrize('text, said', [
    ('', 'no <zodb> or <zodb_db> section'),
    ('[app:main]\nuse = egg:Zope#main', 'no <zodb> or <zodb_db> section'),
    ('instancehome /x\n<eventlog>\n</eventlog>', 'no <zodb> or <zodb_db> section'),
    ('<zodb>\n<mappingstorage>\n</zodb>', 'unbalanced section end (line 3'),
    ('<zodb>\n<nosuchstorage/>\n</zodb>', "'nosuchstorage'"),
    ('%import nosuchpackage\n<zodb>\n<nosuchstorage/>\n</zodb>', 'install the package'),
    ('<zodb>\n<filestorage/>\n</zodb>', "'path'"),
    ('<zodb>\n<filestorage>\npath $NOSUCH/x\n</filestorage>\n</zodb>', 'nosuch'),
    ('<zodb>\n<mappingstorage/>\nnosuchkey 1\n</zodb>', 'nosuchkey'),
    ('<zodb one>\n<mappingstorage/>\n</zodb>\n<zodb ONE>\n<mappingstorage/>\n</zodb>', "'one'"),
    ('<zodb>\n<mappingstorage/>\n</zodb>\n<zodb>\n<mappingstorage/>\n</zodb>', 'same name'),
    ('<zodb>\n<filestorage>\npath /\n</filestorage>\n</zodb>', 'cannot be opened'),
    ('%include nosuch.conf', 'cannot be read'),
])
def test_a_file_that_does_not_do(tmp_path, text, said):
    assert said.lower() in refused(written(tmp_path, text)).lower()


def test_no_file_and_no_such_database(tmp_path, zope):
    assert 'cannot be read' in refused(f'zconfig:{tmp_path}/nosuch.conf')
    assert 'cannot be read' in refused(f'zconfig:{tmp_path}')
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    assert 'cannot be read' in refused(f'zconfig:{tmp_path}/binary')
    assert 'main, catalog' in refused(f'{zope}#nosuch')
    assert 'usable path' in refused('zconfig:')


def test_a_database_that_is_open_elsewhere(opened, zope):
    opened(zope)
    assert 'ZEO' in refused(zope, DatabaseLocked)


def test_a_failure_closes_what_was_opened_before_it(opened, tmp_path):
    good = f'<zodb one>\n<filestorage>\npath {tmp_path}/good.fs\n</filestorage>\n</zodb>\n'
    bad = '<zodb two>\n<filestorage>\npath /\n</filestorage>\n</zodb>'
    assert "'two'" in refused(written(tmp_path, good + bad))
    opened(f'file:{tmp_path}/good.fs')


def test_a_storage_whose_package_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'ZEO.ClientStorage', None)
    text = '<zodb>\n<zeoclient>\nserver localhost:1\n</zeoclient>\n</zodb>'
    assert 'install it' in refused(written(tmp_path, text), PackageMissing)


def test_relstorage_on_sqlite_is_refused_since_its_faults_are_not_mended_there(tmp_path):
    pytest.importorskip('relstorage', reason='RelStorage is in p01.remote[test]')
    text = RELSTORAGE.format(f'keep-history false\n<sqlite3>\ndata-dir {tmp_path}/jobs\n</sqlite3>')
    assert 'sqlite:FOLDER' in refused(written(tmp_path, text))


def test_a_password_in_the_file_is_not_shown(tmp_path):
    pytest.importorskip('psycopg2', reason='needs the extra p01.remote[postgresql]')
    text = RELSTORAGE.format('<postgresql>\ndsn host=127.0.0.1 port=1 '
                             'password=secret\n</postgresql>')
    assert 'secret' not in refused(written(tmp_path, text))
