# SPDX-License-Identifier: ZPL-2.1
"""What comes between, on every storage: a signal handler, a __del__, a handler of log lines, a data manager may enqueue at any
point of what the same thread does. It works, or is refused by a sentence; nobody waits for himself, and no id is given twice.
"""
import sys
from contextlib import contextmanager

import pytest
import transaction

from p01.remote import App
from p01.remote.exceptions import RemoteError, TransactionOver
from tests.conftest import STORAGES

application = App('memory:')


@application.job
def note(what):
    return what


@pytest.fixture(params=list(STORAGES))
def app(request, tmp_path):
    application.database = STORAGES[request.param][0](tmp_path)
    yield application
    transaction.abort()
    application.close()
    application.database = 'memory:'


class Manager:
    """A data manager that enqueues in one of its phases."""

    transaction_manager = None

    def __init__(self, app, phase, order):
        self.app, self.phase, self.order, self.said = app, phase, order, []

    def sortKey(self):
        return self.order

    def __getattr__(self, name):
        if not name.startswith('tpc_') and name not in ('commit', 'abort'):
            raise AttributeError(name)

        def step(txn):
            if name == self.phase:
                try:
                    with self.app.transaction(independent=True):
                        note.enqueue(name)
                except TransactionOver as error:
                    self.said.append(str(error))
        return step


@contextmanager
def between(name, do):
    """Have do() called once, as the function of that name begins."""
    def look(frame, event, arg):
        if event == 'call' and frame.f_code.co_name == name:
            sys.setprofile(None)
            do()

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


def said(work):
    """What a call is refused with, '' if it is not."""
    try:
        work()
    except RemoteError as error:
        return str(error)
    return ''


@pytest.mark.parametrize('phase, order, refused', [
    ('tpc_begin', '!', False), ('tpc_begin', '~~', True), ('commit', '!', True), ('commit', '~~', True),
    ('tpc_vote', '!', True), ('tpc_vote', '~~', True), ('tpc_finish', '!', True), ('tpc_finish', '~~', False)])
def test_within_a_commit(app, phase, order, refused):
    manager = Manager(app, phase, order)
    note.enqueue('before')
    with app.transaction() as root:
        root['x'] = phase
        root._p_jar.transaction_manager.get().join(manager)
    assert ['in the midst of a commit' in text for text in manager.said] == [True] * refused
    note.enqueue('after')
    assert app.drain() == 3 - refused


def test_within_an_enqueue(app):
    note.enqueue('before')
    found = []
    with app.transaction():
        with between('turn', lambda: found.append(said(lambda: note.enqueue('between')))):
            one = note.enqueue('one')
        two = note.enqueue('two')
    assert len(found) == 1
    assert 'in the midst of an enqueue' in found[0]
    assert app.drain() == 3
    assert (one.result(timeout=0), two.result(timeout=0)) == ('one', 'two')


def test_while_the_database_is_opened(app):
    found = []
    with between('systematic', lambda: found.append(said(lambda: note.enqueue('between')))):
        note.enqueue('one')
    assert len(found) == 1
    assert 'is opening the database' in found[0]
    assert app.drain() == 1


def test_a_part_whose_whole_has_ended(app):
    """Generators that hold transactions may be finished in any order."""
    def held():
        with app.transaction():
            note.enqueue('within')
            yield

    whole, part = held(), held()
    next(whole)
    next(part)
    assert list(whole) == []
    assert 'is over' in said(lambda: note.enqueue('too late'))
    assert list(part) == []
    note.enqueue('after')
    assert app.drain() == 3
