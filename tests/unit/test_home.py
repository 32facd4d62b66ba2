# SPDX-License-Identifier: ZPL-2.1
"""Which processor of a database is meant, and that nobody adds one unasked."""
import contextlib

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from zope.container.btree import BTreeContainer

from p01.remote import App, testing
from p01.remote.cli.argument import at
from p01.remote.exceptions import NoProcessor, OldProcessor
from p01.remote.front.named import loadApp
from p01.remote.processor import RemoteProcessor
from p01.remote.storage import openDatabase

LOOKS = [('status',), ('doctor',), ('jobs', 'list'), ('jobs', 'show', '1'), ('queues', 'list')]
CHANGES = [('jobs', 'cancel', '1'), ('jobs', 'retry',
                                     '1'), ('jobs', 'remove', '--yes'), ('queues', 'pause', 'mail'),
           ('queues', 'resume', 'mail'), ('pack',)]
ADDS = [('enqueue', 'echo', '1'), ('worker', '--drain')]


@contextlib.contextmanager
def written(address):
    """The root of the database at an address; committed."""
    db = openDatabase(address)
    try:
        with db.transaction() as connection:
            yield connection.root()
    finally:
        db.close()


def state(address):
    """The names in the root, and the last transaction."""
    db = openDatabase(address)
    try:
        with db.transaction() as connection:
            return sorted(connection.root()), db.lastTransaction()
    finally:
        db.close()


@pytest.fixture
def address(tmp_path, monkeypatch):
    """A database that has something in it, and no processor."""
    for name in ('P01_REMOTE_APP', 'P01_REMOTE_PROCESSOR'):
        monkeypatch.delenv(name, raising=False)
    address = f'sqlite:{tmp_path}/jobs'
    with written(address) as root:
        root['orders'] = OOBTree()
    return address


def other(address):
    """Put processors into the database, as an application would."""
    with written(address) as root:
        root['Application'] = BTreeContainer()
        root['Application']['site'] = BTreeContainer()
        for place, name in (root['Application'], 'one'), (root['Application']['site'], 'two'):
            place[name] = RemoteProcessor()
            place[name].addJob('echo', testing.EchoJob())


@pytest.mark.parametrize('verb', [*LOOKS, *CHANGES], ids=' '.join)
def test_verbs_that_look_add_nothing(address, run, verb):
    before = state(address)
    status, out, err = run(*verb, address) if len(verb) == 1 else run(*verb[:2], address, *verb[2:])
    assert state(address)[0] == before[0] and (verb == ('pack',) or state(address) == before)
    if verb != ('pack',):
        assert 'no processor' in out + err and (status == 2 or verb == ('doctor',))


@pytest.mark.parametrize('verb', [*LOOKS, *CHANGES[:-1], *ADDS], ids=' '.join)
def test_no_verb_adds_a_processor_to_a_database_that_has_another(address, run, verb):
    other(address)
    before = state(address)
    status, out, err = run(*verb[:1], address, *verb[1:]) if verb[0] not in ('jobs', 'queues') \
        else run(*verb[:2], address, *verb[2:])
    said = ' '.join((out + err).split())
    assert state(address) == before and 'it has /one, /site/two: name one' in said \
        and '--processor' in said
    assert status == 2 or verb == ('doctor',)


def test_an_app_adds_one_where_others_are_when_its_name_is_given(address):
    other(address)
    with pytest.raises(NoProcessor, match='/site/two'):
        App(address).open()
    app = App(address, name='mine')
    app.open()
    app.close()
    assert 'mine' in state(address)[0]
    app = App(address, name='mine')
    app.adds = False
    assert app.open()
    app.close()


def test_processors_of_old_are_named_as_such(address):
    with written(address) as root:
        root['old'] = RemoteProcessor.__new__(RemoteProcessor)
        root['old'].__setstate__({'_processor': OOBTree(), '_jobs': OOBTree()})
    with pytest.raises(NoProcessor, match=r'/old \(of 0\.5\)'):
        App(address).open()
    with pytest.raises(OldProcessor):
        App(address, processor='old').open()


def test_an_app_alone_adds_its_own(address):
    app = App(address)
    app.open()
    app.close()
    assert 'p01.remote' in state(address)[0]


WAYS = [lambda address, path: App(address,
                                  processor=path), lambda address, path: App(f'{address}#{path}'),
        lambda address, path: loadApp(at(address, path))]


@pytest.mark.parametrize('way', WAYS, ids=['App', 'address', '--processor'])
@pytest.mark.parametrize('path', ['/site/two', 'site/two', 'one'])
def test_an_app_works_for_the_processor_at_a_path(address, way, path):
    other(address)
    names = state(address)[0]
    app = way(address, path)
    with app.transaction():
        jobid = app.processor.processJob('echo', 'said')
        assert app.processor.path() == tuple(path.strip('/').split('/'))
    assert app.handle(jobid).status == 'queued' and app.drain() == 1 \
        and app.handle(jobid).result() == 'said'
    app.close()
    assert state(address)[0] == names


@pytest.mark.parametrize('path', ['nothing', 'site', 'site/nothing', 'orders'])
def test_a_path_that_leads_to_no_processor_is_told(address, path):
    other(address)
    before = state(address)
    with pytest.raises(NoProcessor) as caught:
        App(address, processor=path).open()
    assert path in str(caught.value) \
        and ('/site/two' in str(caught.value) or 'name a processor' in str(caught.value))
    assert state(address) == before


def test_every_verb_takes_a_processor(address, run, monkeypatch):
    other(address)
    assert run('enqueue', address, 'echo', '1', '--processor', '/site/two')[:2] == (0, '1\n')
    monkeypatch.setenv('P01_REMOTE_PROCESSOR', 'site/two')
    assert run('enqueue', address, 'echo', '2')[:2] == (0, '2\n')
    for verb in [*LOOKS, *CHANGES]:
        where = 1 if verb[0] not in ('jobs', 'queues') else 2
        status, _, err = run(*verb[:where], address, *verb[where:])
        assert status in (0, 1) and not err, (verb, err)
    assert run('jobs', 'list', address, '--json')[1] \
        and run('jobs', 'list', f'{address}#one', '--processor', '/one')[0] == 2
    # what is named wins over the environment
    assert run('jobs', 'list', f'{address}#one')[0] == 1


def test_a_module_s_app_is_told_where_its_processor_is(address, run, tmp_path, monkeypatch):
    other(address)
    (tmp_path / 'atapath.py').write_text(f'from p01.remote import App\napp = App({address!r})\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run('enqueue', 'atapath:app', 'echo', '1', '--processor', 'one')[:2] == (0, '1\n')
    assert run('jobs', 'show', 'atapath:app#/one', '1', '--json')[1]['input'] == 1


@pytest.mark.parametrize('target, found', [
    ('sqlite:jobs', 'sqlite:jobs#/a/b'), ('zconfig:z.conf', 'zconfig:z.conf#/a/b'),
    ('zconfig:z.conf#main', 'zconfig:z.conf#main/a/b'),
    ('shop:app', 'shop:app#/a/b'), ('postgresql://u:p#w@h/db',
                                    'postgresql://u:p#w@h/db#/a/b'), ('postgres://u:p#w@h/db',
                                                                      'postgres://u:p#w@h/db#/a/b')])
def test_a_target_with_a_path(target, found):
    assert at(target, '/a/b') == found and at(target, 'a/b/') == found


def test_the_root_folder_of_zope_may_be_the_processor(tmp_path):
    with written(f'sqlite:{tmp_path}/jobs') as root:
        root['Application'] = RemoteProcessor()
    app = App(f'sqlite:{tmp_path}/jobs', processor='Application')
    with app.transaction() as root:
        assert app.processor is root['Application']
    app.close()


def test_a_processor_may_live_in_a_mounted_database(tmp_path):
    (tmp_path / 'zodb.conf').write_text(''.join(
        f'<zodb {name}>\n<filestorage>\npath {tmp_path}/{name}.fs\n</filestorage>\n</zodb>\n'
        for name in ('main', 'jobs')))
    with written(f'zconfig:{tmp_path}/zodb.conf#main') as root:
        jobs = root._p_jar.get_connection('jobs').root()
        jobs['padding'] = [OOBTree() for _ in range(3)]
        jobs['remote'] = BTreeContainer()
        jobs['remote']['remote'] = RemoteProcessor()
        jobs['remote']['remote'].addJob('echo', testing.EchoJob())
    with written(f'zconfig:{tmp_path}/zodb.conf#main') as root:
        root['site'] = root._p_jar.get_connection('jobs').root()['remote']
    app = App(f'zconfig:{tmp_path}/zodb.conf#main/site/remote')
    with app.transaction():
        jobid = app.processor.processJob('echo', 'said')
    assert app.drain() == 1 and app.handle(jobid).result() == 'said'
    app.close()


def test_a_given_database_is_looked_through_as_well():
    db = openDatabase('memory:')
    with db.transaction() as connection:
        connection.root()['one'] = RemoteProcessor()
    with pytest.raises(NoProcessor):
        App(db)
    assert App(db, processor='one').db is db
    transaction.abort()
    db.close()
