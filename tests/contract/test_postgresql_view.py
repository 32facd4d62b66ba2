# SPDX-License-Identifier: ZPL-2.1
"""postgresql: as a storage: snapshots and commits that meet, answers that never come, clocks that
are wrong."""
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import transaction
import ZODB
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from ZODB.POSException import ConflictError, ReadConflictError
from ZODB.utils import u64

from p01.remote import App, current
from p01.remote.storage import openDatabase, pending
from p01.remote.storage.faults import Disconnected
from p01.remote.storage.postgresql import openStorage, portions, schema, view
from p01.remote.storage.postgresql.link import Step
from p01.remote.storage.postgresql.session import Session
from tests import servers

pytestmark = pytest.mark.postgresql
DEADLINE = 60


@pytest.fixture
def server():
    return servers.postgresql()


@pytest.fixture
def address(server):
    return server.database()


@pytest.fixture
def db(address):
    db = openDatabase(address)
    yield db
    db.close()


def connected(db):
    """A connection with a transaction manager of its own, and its root."""
    connection = db.open(transaction.TransactionManager())
    return connection, connection.root()


@contextmanager
def raw(address):
    """A connection to the server, past ours."""
    with psycopg.connect(address.partition(':')[2], autocommit=True) as connection:
        yield connection


def voted(connection):
    """Have a connection's transaction as far as its vote; returns it."""
    current = connection.transaction_manager.get()
    connection.tpc_begin(current)
    connection.commit(current)
    connection.tpc_vote(current)
    return current


def finish(connection, current):
    """End what has been voted."""
    connection.tpc_finish(current)
    connection.transaction_manager.abort()


# -- what others have changed

def test_an_older_transaction_that_commits_later_is_told(db):
    (first, one), (second, two), (third, three) = connected(db), connected(db), connected(db)
    one['a'], one['b'] = PersistentMapping(n=0), PersistentMapping(n=0)
    first.transaction_manager.commit()
    for each in (second, third):
        each.transaction_manager.begin()
    assert (three['a']['n'], three['b']['n'], two['a']['n']) == (0, 0, 0)
    one['a']['n'] = 1
    older = voted(first)
    two['b']['n'] = 1
    second.transaction_manager.commit()
    third.transaction_manager.begin()
    assert (three['a']['n'], three['b']['n']) == (0, 1)
    finish(first, older)
    third.transaction_manager.begin()
    assert (three['a']['n'], three['b']['n']) == (1, 1)


def test_two_who_change_different_objects_do_not_wait_for_each_other(db):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'], one['b'] = PersistentMapping(n=0), PersistentMapping(n=0)
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    one['a']['n'] = two['b']['n'] = 1
    each = voted(first), voted(second)
    finish(second, each[1])
    finish(first, each[0])
    for connection, root in ((first, one), (second, two)):
        connection.transaction_manager.begin()
        assert (root['a']['n'], root['b']['n']) == (1, 1)


def test_who_has_not_asked_for_very_long_forgets_all(address, db, monkeypatch):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'] = PersistentMapping(n=0)
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    assert two['a']['n'] == 0
    second.transaction_manager.abort()
    for number in range(1, 20):
        one['a']['n'] = number
        first.transaction_manager.commit()
    with raw(address) as server:
        server.execute(schema.OTHER.replace(f'OFFSET {schema.CHANGESKEPT}', 'OFFSET 1'))
        assert server.execute('SELECT zodb_trim()')
        assert server.execute('SELECT count(*) FROM zodb_change').fetchone()[0] <= 2
    second.transaction_manager.begin()
    assert two['a']['n'] == 19
    second.transaction_manager.abort()
    with raw(address) as server:        # others have trimmed all since
        server.execute("UPDATE zodb_store SET trimmed = '1000000000'")
    assert second._storage.poll_invalidations() is None


def test_commits_trim_by_themselves(address, db, monkeypatch):
    monkeypatch.setattr(view, 'TRIM', 1)
    with raw(address) as server:
        server.execute(schema.OTHER.replace(f'OFFSET {schema.CHANGESKEPT}', 'OFFSET 5'))
    first, one = connected(db)
    for number in range(50):
        one['a'] = number
        first.transaction_manager.commit()
    with raw(address) as server:
        assert server.execute('SELECT count(*) FROM zodb_change').fetchone()[0] < 20


def test_more_changes_than_can_be_told(db, monkeypatch):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'] = PersistentMapping(n=0)
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    assert two['a']['n'] == 0
    monkeypatch.setattr(portions, 'CHANGES', 3)
    one['a']['n'] = 1
    one['many'] = PersistentMapping({number: PersistentMapping() for number in range(10)})
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    assert two['a']['n'] == 1


# -- conflicts

def test_conflicts_are_resolved_on_top_of_what_others_wrote(db):
    (first, one), (second, two) = connected(db), connected(db)
    one['n'] = Length()
    one['tree'] = OOBTree()
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    for root, key in ((one, 1), (two, 2)):
        root['n'].change(key)
        root['tree'][key] = PersistentMapping()
    two['alone'] = two['n']         # an unresolvable one as well? no: only we write the root
    first.transaction_manager.commit()
    second.transaction_manager.commit()
    first.transaction_manager.begin()
    for root in (one, two):
        assert root['n']() == 3 and list(root['tree']) == [1, 2]


def test_a_conflict_that_cannot_be_resolved_leaves_nothing(db):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'] = PersistentMapping(n=0)
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    one['a']['n'] = 1
    two['a']['n'] = 2
    two['b'] = PersistentMapping()
    first.transaction_manager.commit()
    with pytest.raises(ConflictError):
        second.transaction_manager.commit()
    second.transaction_manager.abort()
    assert two['a']['n'] == 1 and 'b' not in two
    two['a']['n'] = 3
    second.transaction_manager.commit()


def test_who_has_read_what_another_changes_is_told_at_once(db):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'], one['b'] = PersistentMapping(n=0), PersistentMapping(n=0)
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    one['a']['n'] = 1
    assert two['a']['n'] == 0
    second.readCurrent(two['a'])
    two['b']['n'] = 1
    current = voted(first)              # who holds the lock on a
    with pytest.raises(ReadConflictError):
        second.transaction_manager.commit()
    second.transaction_manager.abort()
    finish(first, current)
    second.transaction_manager.begin()
    assert two['a']['n'] == 1
    second.readCurrent(two['a'])
    two['b']['n'] = 1
    second.transaction_manager.commit()


def test_a_clock_that_is_ahead_stops_nobody(db, address):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'] = PersistentMapping(n=0)
    one['l'] = Length()
    first.transaction_manager.commit()
    ahead = u64(one['a']._p_serial) + (60 << 32)        # an hour
    with raw(address) as server:
        server.execute('UPDATE zodb_object SET tid = %s', (ahead,))
    second.cacheMinimize()
    second.transaction_manager.begin()
    two['a']['n'] = 1
    second.transaction_manager.commit()
    assert u64(two['a']._p_serial) > ahead
    for _ in range(3):                      # a conflict with what is ahead
        second.transaction_manager.begin()
        first.cacheMinimize()
        first.transaction_manager.begin()
        one['l'].change(1)
        two['l'].change(1)
        second.transaction_manager.commit()
        try:
            first.transaction_manager.commit()
        except ConflictError:
            first.transaction_manager.abort()
            one['l'].change(1)
            first.transaction_manager.commit()
    first.transaction_manager.begin()
    assert one['l']() == 6


def test_two_commits_of_the_same_moment_do_not_meet(address, db, monkeypatch):
    """Their revisions differ, and when they do not, one of them takes another."""
    monkeypatch.setattr(view, 'newTid', lambda old: b'\x04\x00\x00\x00\x00\x00\x10\x00')
    connections = [connected(db) for _ in range(4)]
    for number, (connection, root) in enumerate(connections):
        assert root is not None
        connection.transaction_manager.begin()
        connection.add(box := PersistentMapping(n=number))
        connection._storage.session.slot = 7 if number % 2 else connection._storage.session.slot
        connection._storage.known = 0
        box['n'] = number
        connection.transaction_manager.commit()
    with raw(address) as server:
        tids = [tid for tid, in server.execute('SELECT tid FROM zodb_change')]
    assert len(set(tids)) == len(tids) >= 4


# -- much

def test_a_transaction_that_goes_in_portions(db, monkeypatch):
    monkeypatch.setattr(portions, 'PORTION', 2_000)
    monkeypatch.setattr(view, 'PORTION', 2_000)
    monkeypatch.setattr(pending, 'MEMORYROOM', 5_000)
    (first, one), (second, two) = connected(db), connected(db)
    one['tree'] = OOBTree({number: PersistentMapping(filling='x' * 500) for number in range(100)})
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    assert [len(each['filling']) for each in two['tree'].values()] == [500] * 100
    for number in range(100):
        one['tree'][number]['filling'] = 'y' * 500
    two['tree'][99]['filling'] = 'z'
    second.transaction_manager.commit()
    with pytest.raises(ConflictError):
        first.transaction_manager.commit()
    first.transaction_manager.abort()
    assert {each['filling'][0] for each in one['tree'].values()} == {'x', 'z'}


def test_many_objects_are_fetched_at_once(db):
    first, one = connected(db)
    one['many'] = [PersistentMapping(n=number) for number in range(50)]
    first.transaction_manager.commit()
    oids = [each._p_oid for each in one['many']]
    second, two = connected(db)
    second.prefetch(oids)
    storage = second._storage
    assert len(storage.fetched) == 50
    assert [each['n'] for each in two['many']] == list(range(50))
    assert not storage.fetched
    second.prefetch(oids)
    second.transaction_manager.begin()
    assert not storage.fetched


# -- answers that do not come

@pytest.mark.parametrize('alone', [True, False])
@pytest.mark.parametrize('done', [True, False])
def test_a_commit_without_an_answer_is_found_out(db, server, alone, done):
    first, one = connected(db)
    one['a'] = 0
    first.transaction_manager.commit()
    other = Other(first.transaction_manager)
    storage = first._storage
    inner = storage.session.run

    def run(*steps, behind=()):
        if view.COMMIT not in steps:
            return inner(*steps, behind=behind)
        if done:
            inner(*steps, behind=behind)
        storage.session.lose()
        raise Disconnected()

    one['a'] = 1
    if not alone:
        first.transaction_manager.get().join(other)
    storage.session.run = run
    if done:
        first.transaction_manager.commit()
    else:
        with pytest.raises(Disconnected):
            first.transaction_manager.commit()
        first.transaction_manager.abort()
    del storage.session.run
    assert one['a'] == (1 if done else 0)
    one['a'] = 2
    first.transaction_manager.commit()
    _, two = connected(db)
    assert two['a'] == 2


class Other:
    """Something else that takes part."""

    def __init__(self, manager):
        self.transaction_manager = manager

    def sortKey(self):
        return '~'

    def nothing(self, transaction):
        """Agrees."""

    abort = commit = tpc_begin = tpc_vote = tpc_finish = tpc_abort = nothing


def test_a_commit_that_was_given_up_cannot_come_true_later(db, address):
    """Who asks whether a commit was done makes sure that it will not be, when it was not."""
    first, one = connected(db)
    one['a'] = 1
    storage = first._storage
    current = voted(first)
    # as if its connection were gone for us only
    link, storage.session.link = storage.session.link, None
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(storage.shared.outcome, u64(storage.tid), storage.session.number)
        with raw(address) as server:            # it waits for who is at it
            servers.until(lambda: server.execute("SELECT count(*) FROM pg_stat_activity WHERE "
                                                 "wait_event = 'transactionid'")
                          .fetchone()[0], 'waiting')
        assert not asked.done()
        link.close()
        assert asked.result(DEADLINE) is False
    storage.session.open = False
    first.tpc_abort(current)
    first.transaction_manager.abort()
    _, two = connected(db)
    assert 'a' not in two


def test_a_snapshot_that_is_lost_is_never_followed_by_a_newer_one(db, server):
    (first, one), (second, two) = connected(db), connected(db)
    one['a'], one['b'] = PersistentMapping(n=0), PersistentMapping(n=0)
    first.transaction_manager.commit()
    second.transaction_manager.begin()
    assert two['a']['n'] == 0
    assert server.cut(server.made[-1])
    one = reopened(first)
    one['a']['n'] = one['b']['n'] = 1
    first.transaction_manager.commit()
    with pytest.raises(Disconnected):
        two['b']['n']
    with pytest.raises(Disconnected):
        two['b']['n']
    two['a']['n'] = 5
    with pytest.raises(Disconnected):
        second.transaction_manager.commit()
    second.transaction_manager.abort()
    assert (two['a']['n'], two['b']['n']) == (1, 1)


def reopened(connection):
    """Its root in a new transaction, whatever happened to the last one."""
    connection.transaction_manager.begin()
    return connection.root()


def test_an_idle_connection_that_was_cut_is_replaced_in_silence(db, server):
    first, one = connected(db)
    one['a'] = 1
    first.transaction_manager.commit()
    first.transaction_manager.abort()
    first.close()
    assert server.cut(server.made[-1])
    first, one = connected(db)
    assert one['a'] == 1
    one['a'] = 2
    first.transaction_manager.commit()


# -- how many messages

application = App('memory:')


@application.job
def increase():
    """Changes the database."""
    current.root['n']['n'] += 1


def test_a_commit_is_one_message(db, monkeypatch):
    """Of an enqueue, with its signal, and of a job that changes something."""
    sent, inner = [], Session.run

    def run(self, *steps, behind=()):
        sent.append([step[0] if isinstance(step, Step) else step for step in (*steps, *behind)])
        return inner(self, *steps, behind=behind)

    monkeypatch.setattr(application, 'database', db)
    with application.transaction() as root:
        root['n'] = PersistentMapping(n=0)
        increase.enqueue()
    monkeypatch.setattr(Session, 'run', run)
    monkeypatch.setattr(view, 'TRIM', 1 << 60)
    for _ in range(19):         # now and then ids are reserved, behind the snapshot's back
        increase.enqueue()
    assert sum(message == [b'vote', b'commit', b'notify'] for message in sent) >= 15
    sent.clear()
    assert application.drain() == 20
    commits = [message for message in sent if b'commit' in message]
    assert [b'vote', b'commit'] in commits and all(b'vote' in message for message in commits)
    assert len(commits) >= 20
    with application.transaction() as root:
        assert root['n']['n'] == 20
    application.close()


# -- ids

def test_ids_are_never_given_twice(db, address):
    with ThreadPoolExecutor(4) as pool:
        storages = [db.storage, *(openStorage(address.partition(':')[2]) for _ in range(3))]
        found = list(itertools.chain(*pool.map(lambda storage: [storage.new_oid()
                                                                for _ in range(300)], storages)))
    assert len(set(found)) == len(found) == 1200
    for storage in storages[1:]:
        storage.close()


def test_ids_go_on_above_what_is_there(address):
    """As after a restore of the rows without the sequence, or a copy."""
    with raw(address) as server:
        server.execute("INSERT INTO zodb_object VALUES (1000000, 1, '')")
    storage = openStorage(address.partition(':')[2])
    assert u64(storage.new_oid()) > 1_000_000
    storage.close()


# -- schema

def test_newer_tables_are_refused(address):
    with raw(address) as server:
        server.execute('UPDATE zodb_store SET version = 99')
    with pytest.raises(schema.Unfit, match='upgrade the package'):
        openStorage(address.partition(':')[2])


def test_older_functions_are_replaced(address):
    with raw(address) as server:
        server.execute('DROP FUNCTION zodb_trim; UPDATE zodb_store SET code = 0')
        openStorage(address.partition(':')[2]).close()
        server.execute('SELECT zodb_trim()')


def test_what_was_dumped_and_restored_elsewhere_tells_no_changes_that_never_were(address, db):
    first, one = connected(db)
    for number in range(3):
        one['a'] = number
        first.transaction_manager.commit()
    with raw(address) as server:
        server.execute("UPDATE zodb_change SET xid = '1000000000'; UPDATE zodb_store SET trimmed = "
                       "'1000000000'")
    again = openDatabase(address)
    (second, two), (third, three) = connected(again), connected(again)
    assert two['a'] == three['a'] == 2
    second.transaction_manager.begin()
    assert second._storage.poll_invalidations() == []
    three['a'] = 3
    third.transaction_manager.commit()
    assert second._storage.poll_invalidations() == [three._p_oid]
    again.close()


def test_reading_only(address):
    storage = openStorage(address.partition(':')[2], readOnly=True)
    db = ZODB.DB(storage)
    connection, root = connected(db)
    root['a'] = 1
    with pytest.raises(Exception, match=r'^$'):         # ReadOnlyError says nothing
        connection.transaction_manager.commit()
    connection.transaction_manager.abort()
    db.close()


# -- the case that breaks others

def test_counters_under_contention(db):
    """Acknowledged increments are the counter, with conflicts that are resolved and such that are
    not."""
    first, one = connected(db)
    one['l'], one['p'] = Length(), PersistentMapping(n=0)
    first.transaction_manager.commit()
    failed = []

    def work(number):
        connection, root = connected(db)
        for _ in range(50):
            while True:
                try:
                    connection.transaction_manager.begin()
                    root['l'].change(1)
                    root['p']['n'] += 1
                    connection.transaction_manager.commit()
                    break
                except ConflictError:
                    failed.append(number)
                    connection.transaction_manager.abort()
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    first.transaction_manager.begin()
    assert (one['l'](), one['p']['n']) == (200, 200)


def test_each_schema_has_a_storage_of_its_own(address):
    words = address.partition(':')[2]
    names = 'one', 'two'
    with psycopg.connect(words, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE SCHEMA {name}')
    opened = []
    for name in names:
        parts = {**conninfo_to_dict(words), 'options': f'-c search_path={name}'}
        opened.append(ZODB.DB(openStorage(make_conninfo(**parts))))
        with opened[-1].transaction() as connection:
            connection.root()['name'] = name
    for name, db in zip(names, opened, strict=True):
        db.pack()
        with db.transaction() as connection:
            assert connection.root()['name'] == name
        db.close()
