# SPDX-License-Identifier: ZPL-2.1
"""The temporary tables of postgresql: empty after each commit, however it went, and never large."""
import os

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from transaction.interfaces import TransientError

from p01.remote.storage import openDatabase, temporary
from tests import servers

pytestmark = pytest.mark.postgresql


@pytest.fixture
def db():
    db = openDatabase(servers.postgresql().database())
    yield db
    db.close()


class Hand:
    """A connection of its own."""

    def __init__(self, db):
        self.manager = transaction.TransactionManager(explicit=True)
        self.connection = db.open(self.manager)
        self.storage = self.connection._storage

    def put(self, key, value):
        self.manager.begin()
        self.connection.root()[key] = value
        self.manager.commit()

    def asked(self, question):
        """The answer of the connection that commits."""
        with self.storage._store_connection_pool.borrowing() as store:
            store.cursor.execute(question)
            return store.cursor.fetchone()[0]

    def rows(self):
        return [self.asked(f'SELECT count(*) FROM {name}') for name in temporary.TABLES]

    def close(self):
        self.connection.close()


@pytest.fixture
def hand(db):
    hand = Hand(db)
    yield hand
    hand.close()


def test_nothing_is_left_by_commits_conflicts_and_aborts(db, hand):
    other = Hand(db)
    hand.put('a', PersistentMapping(v=1))
    assert hand.rows() == [0, 0, 0]
    hand.manager.begin()
    hand.connection.root()['a']['v'] = 2
    other.put('a', 3)
    hand.connection.root()['b'] = PersistentMapping()
    with pytest.raises(TransientError):
        hand.manager.commit()
    hand.manager.abort()
    assert hand.rows() == other.rows() == [0, 0, 0]
    hand.manager.begin()
    hand.connection.root()['c'] = PersistentMapping()
    hand.manager.commit()
    other.manager.begin()
    assert set(other.connection.root()) == {'a', 'c'}
    other.manager.abort()
    other.close()


def test_resolved_conflicts_leave_nothing(db, hand):
    """They go through a second table."""
    hand.put('tree', OOBTree({number: number for number in range(5)}))
    other = Hand(db)
    hand.manager.begin()
    hand.connection.root()['tree'][7] = 7
    other.manager.begin()
    other.connection.root()['tree'][8] = 8
    other.manager.commit()
    hand.manager.commit()
    assert hand.rows() == other.rows() == [0, 0, 0]
    hand.manager.begin()
    assert list(hand.connection.root()['tree']) == [0, 1, 2, 3, 4, 7, 8]
    hand.manager.abort()
    other.close()


def test_a_commit_in_two_steps_leaves_nothing(hand, monkeypatch):
    """As RelStorage commits when it has to know the id of a transaction while it votes."""
    inner = hand.storage._adapter.lock_database_and_move
    seen = []

    def twice(storing, loading, *args, **options):
        found = inner(storing, loading, *args, **{**options, 'commit': False})
        hand.storage._adapter.txncontrol.commit_phase2(storing, found[1], loading)
        seen.append(found)
        return found
    monkeypatch.setattr(hand.storage._adapter, 'lock_database_and_move', twice)
    hand.put('a', PersistentMapping(v=1))
    assert len(seen) == 1 and hand.rows() == [0, 0, 0]
    monkeypatch.undo()
    hand.put('b', PersistentMapping(v=1))
    hand.manager.begin()
    assert hand.connection.root()['a']['v'] == hand.connection.root()['b']['v'] == 1
    hand.manager.abort()


def test_deleted_rows_take_little_room(hand):
    sizes = []
    for _ in range(60):
        hand.put('big', PersistentMapping(v=os.urandom(20_000)))
        sizes.append(hand.asked("SELECT pg_total_relation_size('temp_store')"))
    assert max(sizes) < 4 * temporary.ROOM
    assert sizes[-1] < max(sizes)       # it has shrunk again on the way


def test_a_commit_of_another_form_is_refused():
    """A RelStorage that commits otherwise must not leave rows for the next commit to publish."""
    class Connection:
        deleted = 0
    assert temporary.committing(Connection, 'a; COMMIT; b') == f'a; {temporary.clearing(Connection)}COMMIT; b'
    with pytest.raises(RuntimeError, match='does not know'):
        temporary.committing(Connection, 'a; b')
