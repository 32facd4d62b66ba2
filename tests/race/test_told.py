# SPDX-License-Identifier: ZPL-2.1
"""A storage that is away is told of at once: a transaction that cannot begin is no conflict, and is
not repeated."""
import time

import pytest
from transaction import TransactionManager
from transaction.interfaces import TransientError

from p01.remote.exceptions import StorageAway
from p01.remote.storage.transactions import transact
from tests.race.stage import Stage


class AwayForNow(TransientError):
    pass


@pytest.fixture
def begun(monkeypatch):
    begun, inner = [], TransactionManager.begin

    def begin(manager):
        begun.append(inner(manager))
        raise AwayForNow('the storage is away')
    stage = Stage('memory:')
    loop = stage.loop()
    monkeypatch.setattr('transaction.TransactionManager.begin', begin)
    yield stage, loop, begun
    monkeypatch.undo()
    stage.close()


def test_bookkeeping_that_cannot_begin_says_so_at_once(begun):
    _, loop, begun = begun
    with pytest.raises(StorageAway):
        loop.book(time.time(), 1)
    assert len(begun) == 1


def test_a_transaction_of_the_systems_own_that_cannot_begin_says_so_at_once(begun):
    stage, _, begun = begun
    with pytest.raises(AwayForNow):
        transact(stage.app.db, lambda connection: None)
    assert len(begun) == 1
