# SPDX-License-Identifier: ZPL-2.1
"""The manager that is lent to other people's code: whoever ends its transaction has the next one
begin behind it."""
import os

import pytest
import transaction
from persistent.mapping import PersistentMapping
from transaction.interfaces import AlreadyInTransaction, DoomedTransaction

from p01.remote.exceptions import StorageAway, TransactionOver
from p01.remote.storage.transactions import Lasting, begun, opened, transact
from tests.conftest import leftOpen

WAYS = {
    'manager': lambda manager, root, verb: getattr(manager, verb)(),
    'transaction': lambda manager, root, verb: getattr(manager.get(), verb)(),
    'connection': lambda manager, root, verb: getattr(root._p_jar.transaction_manager, verb)(),
    'with': lambda manager, root, verb: manager.__exit__(*((None,) * 3 if verb == 'commit'
                                                           else (KeyError, KeyError(), None))),
}


@pytest.fixture
def lent(place):
    manager = Lasting()
    connection = place.db.open(manager)
    manager.begin()
    manager.lasting = True
    yield manager, connection.root()
    manager.lasting = False
    if begun(manager) is not None:
        manager.abort()
    connection.close()


def seen(place):
    with opened(place.db) as connection:
        return dict(connection.root())


@pytest.mark.parametrize('way', WAYS)
def test_each_part_is_committed_and_another_begins(place, lent, way):
    manager, root = lent
    for number in range(3):
        root[f'part {number}'] = number
        WAYS[way](manager, root, 'commit')
        assert seen(place)[f'part {number}'] == number
    root['last'] = 1
    assert 'last' not in seen(place) and manager.parts == 3
    manager.lasting = False
    manager.commit()
    assert seen(place)['last'] == 1 and begun(manager) is None


@pytest.mark.parametrize('way', WAYS)
def test_an_abort_takes_back_its_part_only(place, lent, way):
    manager, root = lent
    root['first'] = 1
    manager.commit()
    root['second'] = 2
    WAYS[way](manager, root, 'abort')
    assert 'second' not in root and root['first'] == 1
    root['third'] = 3
    manager.commit()
    assert {'first', 'third'} <= seen(place).keys() and 'second' not in seen(place)


def test_each_part_sees_what_others_committed(place, lent):
    manager, root = lent
    for end in (manager.commit, manager.abort, lambda: manager.get().abort()):
        other = place.connect(place.openAgain())
        other.root()[repr(end)] = PersistentMapping()
        other.transaction_manager.commit()
        end()
        # a ZEO client is told of others' commits when a transaction begins
        manager.begin()
        assert repr(end) in root


def test_begin_in_the_middle(lent):
    manager, root = lent
    first = manager.get()
    manager.begin()
    assert manager.get() is not first and manager.lasting
    root['x'] = 1
    with pytest.raises(AlreadyInTransaction, match='commit or abort it before'):
        manager.begin()
    manager.abort()
    assert 'x' not in root


def test_a_doomed_part_says_so(lent):
    manager, root = lent
    root['x'] = 1
    manager.doom()
    with pytest.raises(DoomedTransaction):
        manager.commit()
    manager.abort()
    root['y'] = 1
    manager.commit()


def test_a_part_that_cannot_begin_fails_and_the_one_before_it_does_not(place, lent):
    manager, root = lent

    class Away:
        def newTransaction(self, current):
            raise OSError('away')

        beforeCompletion = afterCompletion = lambda self, current: None

    root['x'] = 1
    away = Away()
    manager._synchs.add(away)
    manager.commit()
    assert seen(place)['x'] == 1
    with pytest.raises(StorageAway, match='away'):
        manager.commit()
    manager.unregisterSynch(away)
    manager.abort()
    root['y'] = 1
    manager.commit()
    assert seen(place)['y'] == 1


def test_a_connection_goes_back_whatever_happened(place):
    class Refused(Exception):
        pass

    def refuse():
        raise Refused

    def doomed(manager):
        manager.doom()
        manager.commit()

    def hooked(manager):
        manager.get().addBeforeCommitHook(refuse)
        manager.commit()

    def unpicklable(manager):
        manager.commit()

    for work, error in ((doomed, DoomedTransaction), (hooked, Refused), (unpicklable, Exception)):
        with pytest.raises(error), opened(place.db) as connection:
            connection.root()['x'] = lambda: 1
            work(connection.transaction_manager)

    def work(connection):
        connection.root()['x'] = 1
        connection.transaction_manager.doom()

    with pytest.raises(DoomedTransaction):
        transact(place.db, work)
    assert leftOpen(place.db) == []
    assert 'x' not in seen(place)


def test_a_forked_child_commits_nothing_of_its_parent(memory):
    manager = Lasting()
    connection = memory.connect()
    manager.begin()
    child = os.fork()
    if child == 0:
        try:
            manager.commit()
        except TransactionOver:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    manager.commit()
    connection.transaction_manager.abort()


def test_what_has_begun_is_told_without_beginning_it():
    manager = transaction.TransactionManager()
    assert begun(manager) is None and begun(manager) is None
    current = manager.get()
    assert begun(manager) is current
    transaction.abort()
    assert begun(transaction.manager) is None
