# SPDX-License-Identifier: ZPL-2.1
"""What comes between, on every storage: a signal handler, a __del__, a handler of log lines, a data
manager may enqueue at any point of what the same thread does. It works, or is refused by a
sentence; nobody waits for himself, and no id is given twice.
"""
import sys
from contextlib import contextmanager

import pytest
import transaction
from persistent.mapping import PersistentMapping

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
    ('tpc_begin', '!', False), ('tpc_begin', '~~', True), ('commit', '!',
                                                           True), ('commit', '~~', True),
    ('tpc_vote', '!', True), ('tpc_vote', '~~', True), ('tpc_finish', '!',
                                                        True), ('tpc_finish', '~~', False)])
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
    with between('transact', lambda: found.append(said(lambda: note.enqueue('between')))):
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


@contextmanager
def call(number, do):
    """Have do() called once, as the function begins that is called as the number-th within; gives a
    list of those called."""
    calls = []

    def look(frame, event, arg):
        if event == 'call':
            calls.append(frame.f_code)
            if len(calls) == number:
                sys.setprofile(None)
                do()

    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize('block', [False, True])
def test_at_every_point_of_an_enqueue(app, block):
    """As a signal handler would: between any two calls of an enqueue of its own, and of one in a
    transaction around it."""
    def one():
        if block:
            with app.transaction():
                kept.append(note.enqueue('one'))
        else:
            kept.append(note.enqueue('one'))

    if app.place.startswith('zeo'):
        pytest.skip("ZEO waits with threading.Event, which nobody may interrupt who asks ZEO again")
    kept, between, refused = [], [], set()

    def handler():
        text = said(lambda: between.append(note.enqueue('between')))
        if text:
            refused.add(text.split(';')[0])

    one()
    with call(0, None) as calls:
        one()
    for number in range(1, len(calls) + 1, 1 if len(calls) < 400 else 2):
        with call(number, handler):
            one()
    assert between
    assert refused
    ids = [handle.id for handle in kept + between]
    assert len(set(ids)) == len(ids)
    assert app.drain() == len(ids)
    assert {handle.status for handle in kept + between} == {'completed'}


class Slow(PersistentMapping):
    """Something comes when it is made, as a signal handler may."""

    meanwhile: list = []

    def __new__(cls, *args, **kwargs):
        for do in [cls.meanwhile.pop() for _ in cls.meanwhile[:1]]:
            do()
        return super().__new__(cls, *args, **kwargs)


@pytest.mark.parametrize('load', [lambda root: root['slow'], lambda root: root['holds']['slow']])
def test_nobody_enqueues_in_the_midst_of_a_load_of_the_same_connection(app, load):
    """It may need what is being loaded, which would then be there twice."""
    with app.transaction() as root:
        root['slow'] = Slow(one=1)
        root['holds'] = PersistentMapping(slow=root['slow'])
    said = []

    def between():
        for call in (lambda: note.enqueue('between'),
                     lambda: app.processor.processJob(note.prototype.path, (('between',), {}))):
            try:
                said.append(call())
            except TransactionOver as error:
                said.append(str(error))

    with app.transaction() as root:
        root._p_jar.cacheMinimize()
        Slow.meanwhile.append(between)
        assert load(root)['one'] == 1 and not Slow.meanwhile
        assert len(said) == 2 and all('in the midst' in str(each) for each in said)
        note.enqueue('behind')
    assert app.drain() == 1


def test_at_every_point_of_a_load(app):
    """Where it hurts is FileStorage: who commits waits until nobody reads."""
    if app.place.startswith('zeo'):
        pytest.skip("ZEO waits with threading.Event, which nobody may interrupt who asks ZEO again")
    note.enqueue('first')
    said = []

    def between():
        try:
            said.append(note.enqueue('between').id)
        except TransactionOver as error:
            said.append(str(error))

    with app.reading() as processor:
        settings = processor.store.settings
        settings._p_deactivate()
        with call(0, None) as calls:
            settings._p_activate()
        for number in range(1, len(calls) + 1):
            settings._p_deactivate()
            with call(number, between):
                settings._p_activate()
    assert len(said) == len(calls)
    assert all(isinstance(each, int) or 'in the midst of a commit, begin or load' in each
               for each in said)
    assert app.drain() == 1 + sum(isinstance(each, int) for each in said)
