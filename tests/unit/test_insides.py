# SPDX-License-Identifier: ZPL-2.1
"""What we use of other libraries means what we think: each test here fails when a release changes
it."""
import gc
import pickle
import weakref

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from transaction.interfaces import NoTransaction
from ZODB.blob import BlobStorage
from ZODB.broken import find_global
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileStorageError, packed_version
from ZODB.MappingStorage import MappingStorage
from ZODB.POSException import ConflictError, ReadOnlyError
from ZODB.utils import get_pickle_metadata, p64, z64

from p01.remote.storage import insides, origin
from p01.remote.storage.transactions import Lasting, Part
from p01.remote.store.lines import Stretches

PROVEN = set()          # of insides.INSIDES, by owner and name


def proves(owner, *names):
    """Says what a test is the canary of."""
    def marked(test):
        PROVEN.update((owner, name) for name in names)
        return test
    return marked


class Manager(Lasting):
    """An explicit manager."""


@pytest.fixture
def db():
    found = DB(DemoStorage(name='memory'))
    with found.transaction() as connection:
        for name in ('one', 'two', 'three'):
            connection.root()[name] = PersistentMapping(name=name)
    del connection
    yield found
    found.close()


@pytest.fixture
def opened(db):
    """Connections, each with a manager of its own and a transaction that has begun."""
    found = []

    def make():
        manager = transaction.TransactionManager(explicit=True)
        found.append((manager, db.open(manager)))
        manager.begin()
        return found[-1][1]

    yield make
    for manager, connection in found:
        if manager._txn is not None:
            manager.abort()
        connection.close()


@pytest.fixture
def jar(opened):
    return opened()


class Spy:
    """A data manager that commits before all connections, and looks."""

    def __init__(self, manager, look=lambda txn: None, key=''):
        self.manager, self.look, self.key = manager, look, key
        self.seen = []
        manager.get().join(self)

    def sortKey(self):
        return self.key

    def commit(self, txn):
        self.seen.append(('commit', self.look(txn)))

    def tpc_vote(self, txn):
        self.seen.append(('vote', list(insides.participants(txn))))

    def tpc_begin(self, txn):
        pass

    abort = tpc_finish = tpc_abort = tpc_begin


class Calls:
    """Notes how a storage is called."""

    def __init__(self, monkeypatch, storage):
        self.made = []
        for name in ('load', 'store', 'tpc_begin', 'tpc_vote'):
            self.watch(monkeypatch, storage, name)

    def watch(self, monkeypatch, storage, name):
        inner = getattr(storage, name)

        def called(*args):
            self.made.append((name, args))
            return inner(*args)

        monkeypatch.setattr(storage, name, called)

    def of(self, name):
        return [args for each, args in self.made if each == name]


# -- transaction

@proves(transaction.TransactionManager, '_txn')
def test_whether_a_transaction_has_begun():
    manager = transaction.TransactionManager()
    # which began none
    assert insides.begun(manager) is None and insides.begun(manager) is None
    current = manager.get()
    assert insides.begun(manager) is current
    manager.commit()
    assert insides.begun(manager) is None
    manager.begin()
    manager.abort()
    assert insides.begun(manager) is None


@proves(transaction.ThreadTransactionManager, 'manager')
def test_the_thread_has_a_manager_that_can_be_put_in_its_place():
    before, ours = transaction.manager.manager, transaction.TransactionManager()
    assert vars(transaction.manager)['manager'] is before       # as surroundings look at it
    transaction.manager.manager = ours
    try:
        current = transaction.begin()
        assert current is ours.get() is insides.begun(transaction.manager) \
            and insides.begun(before) is None
        transaction.abort()
        assert insides.begun(ours) is None
    finally:
        transaction.manager.manager = before


@proves(transaction.TransactionManager, '_synchs')
def test_who_follows_a_manager(db):
    manager = transaction.TransactionManager()
    connection = db.open(manager)
    assert insides.followers(manager) == [connection]
    connection.close()
    assert insides.followers(manager) == []


@proves(transaction.Transaction, '_resources')
def test_who_takes_part_in_a_transaction(jar):
    current = jar.transaction_manager.get()
    assert insides.participants(current) == [] and not insides.joined(current)
    jar.root()['one'].clear()
    spy = Spy(jar.transaction_manager)
    assert insides.participants(current) == [jar, spy] and insides.joined(current)
    jar.transaction_manager.commit()
    (_, _), (_, voting) = spy.seen
    assert set(voting) == {jar, spy}        # at the vote, too


@proves(transaction.Transaction, '_before_commit', '_after_commit', '_before_abort', '_after_abort')
@pytest.mark.parametrize('end', ['commit', 'abort'])
def test_hooks_are_lists_that_can_be_cut(end):
    manager, called = transaction.TransactionManager(), []
    current = manager.begin()
    kinds = ('BeforeCommit', 'AfterCommit', 'BeforeAbort', 'AfterAbort')
    for kind in kinds:
        for word in ('kept', 'cut'):
            getattr(current, f'add{kind}Hook')(lambda *args: called.append(args[-2:]), (kind, word))
    for hooks, kind in zip(insides.hooksOf(current), kinds, strict=True):
        assert [args[-2:] for _, args, kwargs in hooks
                if kwargs == {}] == [(kind, 'kept'), (kind, 'cut')]
        del hooks[1:]
    getattr(manager, end)()
    assert called == [(kind, 'kept') for kind in kinds if kind.endswith(end.capitalize())]


def test_there_are_no_other_kinds_of_hooks():
    """One of a new kind would be lost with a job that is taken back, or that seems to have changed
    nothing."""
    assert {name for name in dir(transaction.Transaction) if name.startswith('add')} == {
        'addBeforeCommitHook', 'addAfterCommitHook', 'addBeforeAbortHook', 'addAfterAbortHook'}
    alone = transaction.Transaction()
    assert {name for name, value in vars(alone).items() if value == []} == {
        '_resources', '_before_commit', '_after_commit', '_before_abort', '_after_abort'}


@proves(transaction.Transaction, '__dict__')
def test_a_transaction_can_be_of_a_class_of_ours():
    class Ours(transaction.Transaction):
        ended = ()

        def commit(self):
            self.ended += ('commit',)
            super().commit()

        def abort(self):
            self.ended += ('abort',)
            super().abort()

    manager = transaction.TransactionManager()
    # managers end them by their methods
    for end in (manager.commit, manager.abort, manager.begin):
        current = manager.begin()
        insides.turn(current, Ours)
        end()
        assert current.ended and insides.begun(manager) is not current
    assert type(Manager().begin()) is Part


def test_a_savepoint_ends_with_its_transaction(jar):
    manager = jar.transaction_manager
    first, second = manager.savepoint(), manager.savepoint()
    assert first.valid and second.valid
    first.rollback()
    assert first.valid and not second.valid
    manager.abort()
    assert not first.valid


@proves(transaction.Transaction, 'data')
def test_who_has_the_least_key_commits_when_all_have_begun(jar, monkeypatch):
    calls = Calls(monkeypatch, insides.storageOf(jar))
    jar.root()['one'].clear()
    spy = Spy(jar.transaction_manager, lambda txn: (txn.data(jar), len(calls.of('store'))))
    jar.transaction_manager.commit()
    (_, (data, stored)), _ = spy.seen
    # which is what the storage knows the transaction by
    assert calls.of('tpc_begin') == [(data,)]
    assert stored == 0 and len(calls.of('store')) == 1


# -- connections

@proves(Connection, '_storage')
def test_a_connection_loads_from_its_snapshot(opened):
    first, second = opened(), opened()
    oid = first.root()['one']._p_oid
    before = insides.storageOf(first).load(oid)
    second.root()['one']['key'] = 1
    second.transaction_manager.commit()
    assert insides.storageOf(first).load(oid) == before != insides.storageOf(opened()).load(oid)
    first.root()['two']['key'] = 2
    first.transaction_manager.savepoint()
    assert b'key' in insides.storageOf(first).load(first.root()['two']._p_oid)[0]


@proves(Connection, '_normal_storage', '_savepoint_storage')
def test_a_savepoint_stands_between(jar):
    usual = insides.committing(jar)
    assert insides.storageOf(jar) is usual
    jar.root()['one']['key'] = 'x' * 1_000
    jar.transaction_manager.savepoint()
    assert insides.committing(jar) is usual is not insides.storageOf(jar)
    jar.transaction_manager.commit()
    assert insides.storageOf(jar) is usual is insides.committing(jar)


@pytest.mark.parametrize('end', ['commit', 'abort'])
def test_the_weight_of_savepoints(jar, end):
    manager = jar.transaction_manager
    assert insides.weightOf(jar) == 0
    jar.root()['one']['key'] = 'x' * 1_000
    assert insides.weightOf(jar) == 0
    manager.savepoint()
    assert 1_000 < insides.weightOf(jar) < 2_000
    getattr(manager, end)()
    assert insides.weightOf(jar) == 0


PROVEN.add((insides.TmpStore, 'getSize'))


@proves(Connection, '_registered_objects')
def test_the_last_that_was_changed_is_the_last_that_is_stored(jar, monkeypatch):
    root, calls = jar.root(), Calls(monkeypatch, insides.storageOf(jar))
    # once, though changed twice
    root['one']['key'] = root['two']['key'] = root['one']['other'] = 1
    assert insides.isLast(root['two']) and not insides.isLast(root['one'])
    jar.transaction_manager.commit()
    assert [args[0] for args in calls.of('store')] == [root['one']._p_oid, root['two']._p_oid]
    jar.transaction_manager.begin()
    assert not insides.isLast(root['two'])


@pytest.mark.parametrize('end', ['savepoint', 'abort'])
def test_nothing_is_last_behind_a_savepoint_or_an_abort(jar, end):
    one = jar.root()['one']
    one['key'] = 1
    assert insides.isLast(one)
    getattr(jar.transaction_manager, end)()
    assert not insides.isLast(one)
    if end == 'savepoint':
        one['key'] = 2
        assert not insides.isLast(one)


def storing(jar, obj, record):
    """Have an object stored by what a slip's rider does."""
    return Spy(jar.transaction_manager, lambda txn: insides.storeLast(obj, record, txn))


def recordOf(obj, value):
    return insides.headOf(type(obj)) + pickle.dumps({'data': value}, 3)


@proves(Connection, '_modified')
def test_what_is_stored_in_its_connections_stead_is_as_if_it_had_done_so(opened, monkeypatch):
    jar = opened()
    one, two = jar.root()['one'], jar.root()['two']
    calls = Calls(monkeypatch, insides.storageOf(jar))
    two['key'] = 1
    one['key'] = 2
    before = one._p_serial
    storing(jar, one, recordOf(one, {'key': 3}))
    jar.transaction_manager.commit()
    assert [args[0] for args in calls.of('store')] == [one._p_oid, two._p_oid]      # once each
    assert one._p_changed is False and one._p_serial == two._p_serial > before
    assert opened().root()['one'].data == {'key': 3}
    jar.transaction_manager.begin()
    one['key'] = 4                      # on top of the new serial, else it conflicts
    jar.transaction_manager.commit()


def test_it_is_taken_back_with_the_transaction(opened, jar):
    one, manager = jar.root()['one'], jar.transaction_manager
    one['key'] = 2
    storing(jar, one, recordOf(one, {'key': 3}))

    def fail(txn):
        assert one._p_changed           # nothing can make it a ghost meanwhile
        raise ValueError

    Spy(manager, fail, key='~')         # behind all connections
    with pytest.raises(ValueError):
        manager.commit()
    manager.abort()
    manager.begin()
    assert one.data == {'name': 'one'} and not one._p_changed


def test_it_meets_who_stored_before(opened):
    first, second = opened(), opened()
    one = first.root()['one']
    one['key'] = 1
    storing(first, one, recordOf(one, {}))
    second.root()['one']['key'] = 2
    second.transaction_manager.commit()
    with pytest.raises(ConflictError):
        first.transaction_manager.commit()


@proves(Connection, '_cache')
def test_an_object_can_be_of_a_connection_that_is_older(opened, monkeypatch):
    old, new = opened(), opened()
    theirs = new.root()['new'] = PersistentMapping(key=1)
    new.transaction_manager.commit()
    oid, serial = theirs._p_oid, theirs._p_serial
    calls = Calls(monkeypatch, insides.storageOf(old))
    ours = insides.place(old, oid, serial, PersistentMapping(key=1))
    assert old.get(oid) is ours and insides.place(old, oid, serial, PersistentMapping()) is ours
    assert ours['key'] == 1 and ours._p_changed is False \
        and not insides.joined(old.transaction_manager.get())
    assert calls.made == []
    ours['key'] = 2
    old.transaction_manager.commit()
    assert calls.of('load') == [] and [args[:2] for args in calls.of('store')] == [(oid, serial)]
    assert opened().root()['new']['key'] == 2
    new.transaction_manager.begin()
    theirs['key'] = 3
    new.transaction_manager.commit()
    old.transaction_manager.begin()
    assert ours['key'] == 3             # it hears of others' changes


def test_who_changed_it_meanwhile_conflicts(opened):
    old, new = opened(), opened()
    theirs = new.root()['new'] = PersistentMapping()
    new.transaction_manager.commit()
    ours = insides.place(old, theirs._p_oid, theirs._p_serial, PersistentMapping())
    new.transaction_manager.begin()
    theirs['key'] = 3
    new.transaction_manager.commit()
    ours['key'] = 2
    with pytest.raises(ConflictError):
        old.transaction_manager.commit()


@proves(Connection, '__dict__')
def test_a_connection_keeps_what_it_is_given_and_ends_with_it(db):
    connection = db.open()
    insides.pocketOf(connection)['not.a.name'] = held = Manager()
    held.connection = connection
    known = weakref.ref(held)
    connection.close()
    del held
    again = db.open()
    assert again is connection and 'not.a.name' in insides.pocketOf(again)
    again.close()
    db.setPoolSize(0)
    del connection, again
    gc.collect()
    gc.collect()        # the first one ends its cache
    assert known() is None


def test_records_are_a_class_and_a_state(opened):
    new = opened()
    new.root()['new'] = PersistentMapping(key=1)
    new.transaction_manager.commit()
    data = insides.storageOf(opened()).load(new.root()['new']._p_oid)[0]
    head = insides.headOf(PersistentMapping)
    assert data.startswith(head) and pickle.loads(data[len(head):]) == {'data': {'key': 1}}
    assert get_pickle_metadata(data) == ('persistent.mapping', 'PersistentMapping')


def test_who_says_that_an_object_is_unchanged_again(jar):
    one, manager = jar.root()['one'], jar.transaction_manager
    before = one._p_serial
    one['key'] = 1
    seen = []
    # behind the connection's commit
    Spy(manager, lambda txn: seen.append(one._p_changed), key='~')
    manager.commit()
    assert seen == [True] and one._p_changed is False and one._p_serial > before != z64
    assert PersistentMapping()._p_serial == z64


# -- databases

@proves(DB, '_mvcc_storage')
@proves(insides.MVCCAdapter, '_instances', '_lock', 'closed')
@proves(insides.MVCCAdapterInstance, '_invalidate', '_invalidateCache')
def test_an_ear_hears_of_every_commit():
    db, heard = DB(MappingStorage()), []
    ear = insides.Ear(db, lambda: heard.append(1))
    with db.transaction() as connection:
        connection.root()['key'] = 1
    assert heard == [1]
    db._mvcc_storage.invalidate(p64(1), [z64])      # which is how a ZEO server tells
    db._mvcc_storage.invalidateCache()
    assert heard == [1, 1, 1]
    ear.close()
    ear.close()
    with db.transaction() as connection:
        connection.root()['key'] = 2
    assert heard == [1, 1, 1]
    last = insides.Ear(db, lambda: None)
    db.close()
    last.close()
    assert isinstance(db, DB)


@proves(DB, 'klass')
def test_a_database_opens_connections_of_its_class(db):
    class Ours(Connection):
        pass

    db.klass = Ours
    size = db.getPoolSize()
    db.setPoolSize(0)           # those that wait are of the old class
    db.setPoolSize(size)
    connection = db.open()
    assert type(connection) is Ours
    connection.close()


@proves(DB, '__dict__')
def test_a_closed_database_has_no_storage():
    db = DB(DemoStorage(name='memory'))
    inner, told = db.storage.close, []
    db.storage.close = lambda: (told.append(1), inner())
    assert not insides.isClosed(db)
    close = db.close
    db.close = lambda: (told.append(2), close())        # as those of zconfig: do
    db.close()
    assert insides.isClosed(db) and told == [2, 1]


@proves(BlobStorage, '_BlobStorage__storage')
def test_what_a_storage_stands_on(tmp_path):
    inner = MappingStorage()
    outer = BlobStorage(str(tmp_path), inner)
    assert insides.base(outer) is inner
    demo = DemoStorage(base=outer)
    assert insides.base(demo) is demo.changes is not None
    assert insides.base(inner) is None


def test_a_file_begins_with_its_magic_and_packs_once(tmp_path, monkeypatch):
    storage = FileStorage(str(tmp_path / 'data.fs'))
    DB(storage)     # which stores its root
    try:
        assert (tmp_path / 'data.fs').read_bytes()[:4] == packed_version == b'FS30'
        storage._pack_is_in_progress = True
        with pytest.raises(FileStorageError, match='Already packing'):
            storage.pack(2e9, lambda data: [])
    finally:
        storage._pack_is_in_progress = False
        storage.close()


@pytest.mark.parametrize('where', ['storage', 'state'])
def test_an_error_tells_whether_the_storage_raised_it(jar, monkeypatch, where):
    def fail(*args):
        raise ReadOnlyError

    one = jar.root()['one']
    one._p_deactivate()
    if where == 'storage':
        monkeypatch.setattr(insides.storageOf(jar), 'load', fail)
    else:
        monkeypatch.setattr(PersistentMapping, '__setstate__', fail, raising=False)
    with pytest.raises(Exception) as caught:
        len(one)
    assert origin.fromStorage(caught.value) is (where == 'storage')
    assert type(insides.loadError(caught.value)) is ReadOnlyError


def test_the_state_of_what_has_no_class(opened):
    kind = type('Gone', (PersistentMapping,), {'__module__': 'gone'})
    assert insides.stateOf(PersistentMapping(a=1)) == {'data': {'a': 1}}
    broken = find_global('gone', kind.__name__)()
    broken.__setstate__({'data': {'a': 1}})
    assert insides.stateOf(broken) == {'data': {'a': 1}}


def test_trees_split_where_their_class_says():
    tree = Stretches()
    for number in range(Stretches.max_leaf_size + 1):
        tree[number] = None
    assert len(tree.__getstate__()[0]) == 3         # two leaves, and what is between them
    usual = OOBTree(dict.fromkeys(range(OOBTree.max_leaf_size)))
    assert OOBTree.max_leaf_size < Stretches.max_leaf_size and len(usual.__getstate__()[0]) == 1


# -- Zope's, where it is installed

def test_zope_keeps_what_is_around_a_thread():
    needed = 'Zope is in p01.remote[test]'
    management = pytest.importorskip('zope.security.management', reason=needed)
    hooks = pytest.importorskip('zope.component.hooks', reason=needed)
    insides.proveZope(management, hooks)
    management.newInteraction()
    try:
        interaction = management.queryInteraction()
        assert insides.interactionsOf(management).get('interaction') is interaction
        management.endInteraction()
        assert insides.interactionsOf(management).get('interaction') is None
        insides.setInteraction(management, interaction)
        assert management.queryInteraction() is interaction
    finally:
        management.endInteraction()
    site = pytest.importorskip('zope.site.folder', reason=needed).Folder()
    from zope.site.site import LocalSiteManager
    site.setSiteManager(LocalSiteManager(site))
    assert vars(site)[insides.SITEMANAGER] is site.getSiteManager()
    old = hooks.getSite()
    hooks.setSite(site)
    try:
        assert insides.sitesOf(hooks)['site'] is site
    finally:
        hooks.setSite(old)


# -- all of them

def test_each_inside_has_its_canary():
    assert {(inside.owner, inside.name) for inside in insides.INSIDES} == PROVEN


def test_no_manager_begins_for_a_look():
    with pytest.raises(NoTransaction):
        # so that Session.joined tells of a mistake
        transaction.TransactionManager(explicit=True).get()
