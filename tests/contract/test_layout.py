# SPDX-License-Identifier: ZPL-2.1
"""The layout has a version: newer ones are refused, older ones brought forward in small commits."""
import pytest

from p01.remote import App, testing
from p01.remote.exceptions import NewerDatabase, OlderDatabase
from p01.remote.store import store as stores
from p01.remote.verbs import migration
from p01.remote.views import figures


@pytest.fixture
def address(tmp_path):
    return f'sqlite:{tmp_path}/db'


def older(address, jobs):
    """A database of the made-up layout 0, which kept the names of jobs in capitals."""
    app = App(address)
    with app.transaction() as root:
        root[app.name].addJob('echo', testing.EchoJob())
        for number in range(jobs):
            root[app.name].processJob('echo', number)
    with app.transaction() as root:
        store = root[app.name].store
        for segment in store.segments.values():
            segment.entries = {jobid: record._replace(name=record.name.upper())
                               for jobid, record in segment.entries.items()}
        store.version = 0
    app.close()


def step(store, at):
    firsts = list(store.segments.keys(at))
    segment = store.segments[firsts[0]]
    assert len(segment.entries) <= 64
    segment.entries = {jobid: record._replace(name=record.name.lower())
                       for jobid, record in segment.entries.items()}
    return firsts[1] if len(firsts) > 1 else None


def testNewerIsRefused(address):
    app = App(address)
    with app.transaction() as root:
        root[app.name].store.version = stores.VERSION + 1
    app.close()
    with pytest.raises(NewerDatabase, match='upgrade the package'):
        App(address).open()


def testWhatThisCodeDoesNotKnowIsRefused(address):
    """A layout that has grown for those who use something keeps older code out of their databases
    only."""
    app = App(address)
    with app.transaction() as root:
        root[app.name].store.uses = ('made-up things',)
    app.close()
    with pytest.raises(NewerDatabase, match='has made-up things, which'):
        App(address).open()


def testOlderIsRefusedByTheDoor(address):
    app = App(address)
    with app.transaction() as root:
        root[app.name].addJob('echo', testing.EchoJob())
        root[app.name].store.version = 0
        with pytest.raises(OlderDatabase, match='start a worker'):
            root[app.name].processJob('echo', 1)
    app.close()


def testOlderComesForwardInSmallCommits(address, monkeypatch):
    monkeypatch.setitem(migration.STEPS, 0, step)
    older(address, 100)
    app = App(address)
    before = app.open().lastTransaction()
    with app.transaction() as root:
        store = root[app.name].store
        assert store.version == stores.VERSION and store.migrating is None
        assert {record.name for _, record in store.untaken()} == {'echo'}
        assert root[app.name].processJob('echo', 'new')
    assert app.drain() == 101
    assert before
    app.close()


def testAnInterruptedMigrationGoesOn(address, monkeypatch):
    done = []

    def failing(store, at):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(at)
        return step(store, at)

    older(address, 100)
    monkeypatch.setitem(migration.STEPS, 0, failing)
    with pytest.raises(KeyboardInterrupt):
        App(address).open()
    monkeypatch.setitem(migration.STEPS, 0, step)
    app = App(address)
    assert app.drain() == 100           # a name still in capitals would fail its job
    with app.reading() as processor:
        assert figures.exact(processor.store) == {'default': {'completed': 100}}
    app.close()
