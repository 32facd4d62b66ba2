# SPDX-License-Identifier: ZPL-2.1
"""Copying a database, from every storage to another and back: nothing is missing, nothing differs,
work goes on there."""
import json
import time

import pytest
import transaction
from persistent.mapping import PersistentMapping
from ZODB.utils import p64, u64

from p01.remote import App, storage, testing, verbs
from p01.remote.cli import main
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import CopyFailed
from p01.remote.job import Job
from p01.remote.options import WorkerOptions
from p01.remote.scheduler import Cron
from p01.remote.storage import copying
from p01.remote.store.store import Store
from p01.remote.views.checksum import checksum
from tests.conftest import STORAGES

STORE = Store.__module__, Store.__name__


class Rename(Job):
    """Changes the object that its input refers to."""

    def __call__(self, remoteProcessor):
        thing, name = self.input
        thing['name'] = name
        return [thing, 'x' * 5000]


def fill(address):
    """All that a database may hold; returns the ids of jobs by what is special about them."""
    app = App(address)
    with app.transaction() as root:
        root['thing'] = PersistentMapping(name='old',
                                          more=PersistentMapping(deep=PersistentMapping(v=1)))
        processor = root[app.name]
        for name, job in (('echo', testing.EchoJob()), ('fatal',
                                                        testing.FatalJob()), ('rename', Rename())):
            processor.addJob(name, job)
        processor.addScheduler(Cron('echo', minute=(0,)))
        found = {'failed': processor.processJob('fatal', 1),
                 'done': processor.processJob('rename', [root['thing'], 'new'])}
        many = [processor.processJob('echo', number) for number in range(300)]
    app.drain()
    with app.transaction() as root:
        processor = root[app.name]
        processor.removeJob('fatal')
        found |= {'big': processor.processJob('echo', 'y' * 50_000),
                  'last': processor.processJob('echo', 'last', priority=-5),
                  'reference': processor.processJob('rename', [root['thing'], 'newer'], priority=5),
                  'delayed': processor.processJob('echo', 1, delay=3600),
                  'unique': processor.processJob('echo', 2, unique='a')}
        verbs.remove(processor.store, many[7])
        assert processor.cancelJob(processor.processJob('echo', 3, queue='other'))
    app.close()
    return found


def copied(capsys, source, target, *options, status=0):
    """What the command tells."""
    assert main(['copy', source, target, '--json', *options]) == status
    return json.loads(capsys.readouterr().out)


def refused(capsys, source, target):
    """What the command says of why not."""
    assert main(['copy', source, target]) == 2
    return capsys.readouterr().err


@pytest.fixture
def home(tmp_path):
    """A filled database."""
    address = f'sqlite:{tmp_path / "home"}'
    return address, fill(address)


@pytest.mark.parametrize('kind', [kind for kind in STORAGES if kind != 'memory'])
def test_there_and_back_and_work_goes_on(kind, home, tmp_path, capsys):
    source, jobs = home
    there, back = STORAGES[kind][0](tmp_path), f'sqlite:{tmp_path / "back"}'
    told = copied(capsys, source, there)
    again = copied(capsys, there, back)
    assert told['processors'] == again['processors'] and told['objects'] == again['objects']
    [processor] = told['processors']
    assert processor['number'] == 307 and processor['counts']['default'] == {
        'completed': 300, 'error': 1, 'queued': 4, 'delayed': 1}
    for address in (there, back):
        app = App(address)
        with app.transaction() as root:
            done = root[app.name].getJob(jobs['done'])
            assert done.output[0] is root['thing'] and root['thing']['more']['deep']['v'] == 1
            assert root[app.name].getJobError(jobs['failed'])
            assert len(root[app.name].scheduler) == 1
            known = {u64(oid) for oid in reachable(root)}
            root['fresh'] = [PersistentMapping(number=number) for number in range(200)]
        app.drain()
        with app.transaction() as root:
            processor = root[app.name]
            assert root['thing']['name'] == 'newer'
            assert processor.getJobResult(jobs['big']) == 'y' * 50_000
            assert {processor.getJobStatus(jobs[name])
                    for name in ('last', 'reference', 'unique')} == {'completed'}
            assert processor.getJobStatus(jobs['delayed']) == 'delayed'
            assert not {u64(each._p_oid) for each in root['fresh']} & known     # new ids are new
            assert processor.processJob('echo', 'new') > max(jobs.values())
        app.close()


def reachable(root):
    """The ids of all that a root leads to."""
    source = copying.Snapshot(root._p_jar.db())
    found = copying.LLTreeSet([0])
    list(copying.walk(source, found))
    source.close()
    return [p64(oid) for oid in found]


def test_what_it_prints(home, tmp_path, capsys):
    source, _ = home
    assert main(['copy', source, f'file:{tmp_path / "there.fs"}']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'objects' in lines[0] and 'each was read back and is the same' in lines[0]
    assert lines[1].startswith('✔ 307 jobs compared: ') and 'checksum' in lines[1]


def test_a_database_that_is_not_empty_stays_as_it_is(home, tmp_path, capsys):
    source, _ = home
    other = f'sqlite:{tmp_path / "other"}'
    fill(other)
    assert 'not empty' in refused(capsys, source, other)
    assert 'itself' in refused(capsys, source, source)
    assert 'no database' in refused(capsys, f'sqlite:{tmp_path / "nowhere"}', other)
    assert not (tmp_path / 'nowhere').exists()
    assert 'leave out what follows the #' in refused(capsys, source,
                                                     f'sqlite:{tmp_path / "empty"}#/site/remote')
    assert not (tmp_path / 'empty').exists()


def test_living_workers_are_in_the_way(home, tmp_path, capsys):
    source, _ = home
    app = App(source)
    loop = Loop(app.db, app.locate, 'busy', WorkerOptions())
    loop.ready()
    assert loop.book(time.time(), 1)[0]
    there = f'sqlite:{tmp_path / "there"}'
    assert '1 worker (busy)' in refused(capsys, source, there)
    copied(capsys, source, there, '--force')
    loop.close()
    app.close()


def test_a_copy_that_was_broken_off_is_begun_again(home, tmp_path, capsys, monkeypatch):
    source, _ = home
    there = f'sqlite:{tmp_path / "there"}'
    monkeypatch.setattr(copying, 'COPIEDATONCE', 10)
    inner, count = copying.Writer.flush, []

    def flush(self):
        inner(self)
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(copying.Writer, 'flush', flush)
        assert main(['copy', source, there]) == 130
    db = storage.openDatabase(there)
    with db.transaction() as connection:
        assert dict(connection.root()) == {}
    assert len(db.storage) > 20
    db.close()
    capsys.readouterr()
    copied(capsys, source, there)


def test_a_change_meanwhile_is_told(home, tmp_path, capsys, monkeypatch):
    source, _ = home
    app = App(source)
    inner = copying.compare

    def compare(*args):
        with app.transaction():
            app.processor.processJob('echo', 'late')
        inner(*args)
    monkeypatch.setattr(copying, 'compare', compare)
    there = f'sqlite:{tmp_path / "there"}'
    told = copied(capsys, source, there, status=1)
    assert told['changed'] is True
    assert told['processors'][0]['number'] == 307       # the copy is of one moment
    app.close()


def test_objects_and_jobs_that_differ_are_found(home, tmp_path, capsys):
    source, jobs = home
    there = f'sqlite:{tmp_path / "there"}'
    copied(capsys, source, there)
    here, app = storage.openDatabase(source), App(there)
    with app.transaction() as root:
        root['thing']['name'] = 'other'
    with copying.Snapshot(here) as old, copying.Snapshot(app.db) as new:
        oids = copying.LLTreeSet([0])
        list(copying.walk(old, oids))
        with pytest.raises(CopyFailed, match='differs'):
            copying.compare(old, new, oids, lambda *_: None)
    for verb, name in ((lambda store, jobid: verbs.cancel(store, jobid, time.time()), 'last'),
                       (lambda store, jobid: verbs.revive(store, jobid, time.time()), 'failed'),
                       (lambda store, jobid: store._p_jar.get(
                           store.entry(jobid)[1].input._p_oid).__setattr__('value', b'?'),
                        'big')):
        manager = transaction.TransactionManager(explicit=True)
        connection = app.db.open(manager)
        manager.begin()
        store = app.locate(connection).store
        before = checksum(store, jobs[name])
        assert before == checksum(store, jobs[name])
        verb(store, jobs[name])
        manager.commit()
        manager.begin()
        assert checksum(store, jobs[name]) != before
        manager.abort()
        connection.close()
    here.close()
    app.close()
