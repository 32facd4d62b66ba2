# SPDX-License-Identifier: ZPL-2.1
"""What an enqueue joins on every storage: the transaction around it, or one of its own; never
somebody else's."""
import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import transaction
from persistent.mapping import PersistentMapping
from transaction.interfaces import DoomedTransaction
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError, ReadOnlyError

from p01.remote import App, current, events, verbs
from p01.remote.exceptions import (
    InputError,
    JobFailed,
    NotCommitted,
    RemoteError,
    TransactionOver,
    WaitsForItself,
)
from p01.remote.storage.transactions import begun
from p01.remote.views import figures, listing
from tests.conftest import leftOpen

application = App('memory:')
joining = App('memory:', autocommit=False)


@application.job(retries=0)
def square(number):
    return number * number


@joining.job
def always(number):
    return number


@application.job(retries=0)
def nested(fail=False, independent=False):
    """What it writes outside of its part stays, whatever becomes of the part."""
    current.root['outer'] = 1
    try:
        with application.transaction(independent=independent) as root:
            if not independent:         # else it would conflict with the job
                root['inner'] = PersistentMapping()
            handle = square.enqueue(1)
            if fail:
                raise KeyError
    except KeyError:
        pass
    return handle.id


@application.job(retries=0)
def waits(joined):
    if joined:
        return square.enqueue(2).result(timeout=60)
    with application.transaction(independent=True):
        handle = square.enqueue(2)
    return handle.result(timeout=60)


@application.job(retries=0)
def threaded(copied):
    with ThreadPoolExecutor(1) as pool:
        context = contextvars.copy_context()
        return (pool.submit(context.run, square.enqueue, 3) if copied
                else pool.submit(square.enqueue, 3)).result().id


@pytest.fixture
def app(place):
    application.database, application._db = place.db, None
    joining.database = place.db
    application.open()
    yield application
    transaction.abort()
    for each in (application, joining):
        each.close()
        each.database = 'memory:'


def ids(app):
    with app.reading() as processor:
        return sorted(listing.ids(processor.store))


# -- with nothing around it

def test_alone_it_is_committed_when_it_returns(app):
    handles = [square.enqueue(number) for number in range(3)]
    assert ids(app) == [handle.id for handle in handles] and begun(transaction.manager) is None
    assert app.drain() == 3 and [handle.result(timeout=0) for handle in handles] == [0, 1, 4]
    assert leftOpen(app.db) == []


def test_a_look_is_no_transaction(app):
    assert figures.exact(app.processor.store) == {}
    handle = square.enqueue(1)
    transaction.abort()
    assert ids(app) == [handle.id]
    verbs.pause(app.processor.store, 'slow')           # but a change is
    square.enqueue(2)
    transaction.abort()
    assert ids(app) == [handle.id]


def test_without_autocommit_it_always_joins(app):
    always.enqueue(1)
    transaction.abort()
    assert ids(app) == []
    handle = always.enqueue(1)
    transaction.commit()
    assert ids(app) == [handle.id] and leftOpen(app.db) == []


def test_what_is_refused_leaves_the_transaction_usable_and_enqueues_nothing(app):
    with pytest.raises(InputError):
        square.enqueue(threading.Lock())
    assert ids(app) == [] and leftOpen(app.db) == []


# -- hooks

@pytest.mark.parametrize('around', ['block', 'thread', 'none'])
def test_a_hook_after_the_commit_has_a_transaction_of_its_own(app, around):
    made = []

    def hook(success):
        made.append(square.enqueue(7).id)

    if around == 'block':
        with app.transaction() as root:
            root._p_jar.transaction_manager.get().addAfterCommitHook(hook)
            made.append(square.enqueue(1).id)
    else:
        transaction.begin()
        transaction.get().addAfterCommitHook(hook)
        if around == 'thread':
            made.append(square.enqueue(1).id)
        transaction.commit()
    assert sorted(ids(app)) == sorted(made) and len(made) == (1 if around == 'none' else 2)
    square.enqueue(2)
    assert len(ids(app)) == len(made) + 1


def test_a_component_enqueues_nothing_in_a_hook_after_the_commit(app, place):
    connection = place.db.open()
    processor = app.locate(connection)
    processor.addJob('square', square)
    transaction.commit()
    raised = []

    def hook(success):
        try:
            processor.processJob('square', (1,))
        except TransactionOver as error:
            raised.append(str(error))

    processor.processJob('square', (2,))
    transaction.get().addAfterCommitHook(hook)
    transaction.commit()
    assert len(raised) == 1 and 'committed' in raised[0]
    processor.processJob('square', (3,))
    transaction.commit()
    assert app.drain() == 2
    connection.close()


def test_a_hook_before_the_commit_joins(app):
    with app.transaction() as root:
        root._p_jar.transaction_manager.get().addBeforeCommitHook(lambda: square.enqueue(1))
    assert len(ids(app)) == 1


def test_a_failed_transaction_takes_nothing(app):
    transaction.begin()
    app.processor._p_jar.root()['bad'] = lambda: 1
    with pytest.raises(Exception, match='pickle'):
        transaction.commit()
    with pytest.raises(TransactionOver, match='abort it first'):
        square.enqueue(1)
    transaction.abort()
    assert square.enqueue(1).id and len(ids(app)) == 1


@pytest.mark.parametrize('how', ['doomed', 'hook', 'pickle', 'exception'])
def test_a_block_tells_the_error_that_it_met_and_gives_its_connection_back(app, how):
    class Refused(Exception):
        pass

    def refuse():
        raise Refused

    with pytest.raises((DoomedTransaction, Refused,
                        Exception)) as raised, app.transaction() as root:
        square.enqueue(1)
        if how == 'doomed':
            transaction.doom()
        elif how == 'hook':
            transaction.get().addBeforeCommitHook(refuse)
        elif how == 'pickle':
            root['bad'] = lambda: 1
        else:
            raise Refused
    assert raised.type.__name__ in ('DoomedTransaction', 'Refused', 'PicklingError',
                                    'AttributeError', 'TypeError')
    assert ids(app) == [] and leftOpen(app.db) == []


# -- explicit managers

def test_an_explicit_manager_is_followed_or_refused(app, place):
    for give in (lambda connection: connection, lambda connection: connection.transaction_manager):
        connection = place.db.open(transaction.TransactionManager(explicit=True))
        manager = connection.transaction_manager
        manager.begin()
        before = ids(app)
        with pytest.raises(RemoteError, match=r'app\.within'):
            square.enqueue(1)
        with app.within(give(connection)) as root:
            assert root._p_jar is connection
            handle = square.enqueue(1)
            with pytest.raises(NotCommitted):
                handle.result(timeout=0)
        assert begun(transaction.manager) is None and ids(app) == before
        manager.abort()
        assert ids(app) == before
        manager.begin()
        with app.within(give(connection)):
            handle = square.enqueue(1)
        manager.commit()
        assert ids(app) == sorted([*before, handle.id])
        square.enqueue(2)               # nothing has begun there
        connection.close()
    assert leftOpen(app.db) == []


def test_a_manager_that_is_merely_not_the_threads_is_followed_or_refused_too(app, place):
    with place.db.transaction() as connection:      # of ZODB itself
        with pytest.raises(RemoteError, match=r'app\.within'):
            square.enqueue(1)
        with app.within(connection):
            handle = square.enqueue(1)
    assert ids(app) == [handle.id]
    connection = place.connect()
    connection.root()                       # nothing has begun there
    assert len(ids(app)) == 1 and square.enqueue(2).id in ids(app)


def test_a_manager_may_have_no_connection_yet(app):
    manager = transaction.TransactionManager(explicit=True)
    with pytest.raises(TransactionOver, match='begin one first'), app.within(manager):
        pass
    manager.begin()
    with app.within(manager):
        handle = square.enqueue(1)
    manager.commit()
    assert ids(app) == [handle.id] and leftOpen(app.db) == []
    with pytest.raises(InputError, match=r'app\.within'), app.within('manager'):
        pass


def test_another_threads_explicit_connection_is_no_concern(app, place):
    opened, done = threading.Event(), threading.Event()

    def other():
        connection = place.db.open(transaction.TransactionManager(explicit=True))
        connection.transaction_manager.begin()
        opened.set()
        done.wait(60)
        connection.transaction_manager.abort()
        connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    opened.wait(60)
    try:
        handle = square.enqueue(1)
        assert ids(app) == [handle.id]
    finally:
        done.set()
        thread.join()


def test_tasks_of_one_thread_do_not_meet(app, place):
    async def explicit(opened, done):
        connection = place.db.open(transaction.TransactionManager(explicit=True))
        connection.transaction_manager.begin()
        opened.set()
        await done.wait()
        with pytest.raises(RemoteError, match=r'app\.within'):
            square.enqueue(1)
        connection.transaction_manager.abort()
        connection.close()

    async def block(opened, done, fail):
        with app.transaction():
            square.enqueue(2)
            opened.set()
            await done.wait()
            if fail:
                raise KeyError

    async def plain(opened, done):
        for each in opened:
            await each.wait()
        handle = square.enqueue(3)
        transaction.abort()
        for each in done:
            each.set()
        return handle

    async def all_():
        opened, done = [asyncio.Event() for _ in range(3)], [asyncio.Event() for _ in range(3)]
        found = await asyncio.gather(explicit(opened[0], done[0]), block(opened[1], done[1], True),
                                     block(opened[2], done[2], False), plain(opened, done),
                                     return_exceptions=True)
        assert found[0] is None and isinstance(found[1], KeyError) and found[2] is None
        return found[3]

    handle = asyncio.run(all_())
    assert handle.id in ids(app) and len(ids(app)) == 2 and leftOpen(app.db) == []


def test_a_task_that_outlives_the_block_it_was_started_in(app):
    async def late(done):
        await done.wait()
        return square.enqueue(1).id

    async def start():
        done = asyncio.Event()
        with app.transaction():
            task = asyncio.create_task(late(done))
        done.set()
        return await task

    assert asyncio.run(start()) in ids(app)


# -- parts

@pytest.mark.parametrize('fail', [False, True])
@pytest.mark.parametrize('independent', [False, True])
def test_a_block_within_a_job_is_a_part_of_it(app, fail, independent):
    handle = nested.enqueue(fail, independent)
    assert app.drain() == 1 + (not fail)
    with app.transaction() as root:
        assert root['outer'] == 1 and ('inner' in root) is not (fail or independent)
    assert len(ids(app)) == 1 + (not fail) and handle.status == 'completed'


@pytest.mark.parametrize('fail', [False, True])
def test_a_block_within_a_block_is_a_part_of_it(app, fail):
    with pytest.raises(ZeroDivisionError), app.transaction() as root:
        with app.transaction():
            square.enqueue(1)
        raise ZeroDivisionError
    assert ids(app) == []
    with app.transaction() as root:
        first = square.enqueue(1)
        try:
            with app.transaction() as same:
                assert same._p_jar is root._p_jar
                second = square.enqueue(2)
                root['inner'] = 1
                if fail:
                    raise KeyError
        except KeyError:
            pass
        assert ('inner' in root) is not fail
    assert ids(app) == [first.id] + [] * fail + [second.id] * (not fail)


def test_the_first_segment_of_a_connection_may_go_with_a_part(app, caplog):
    with app.transaction() as root:
        root['outer'] = 1
        with pytest.raises(KeyError), app.transaction():
            square.enqueue(1)
            raise KeyError
        kept = square.enqueue(2)
    assert ids(app) == [kept.id]
    assert not caplog.records       # connections log what they cannot load


def test_an_independent_block_stays_whatever_becomes_of_the_outer_one(app):
    with pytest.raises(KeyError), app.transaction():
        square.enqueue(1)
        with app.transaction(independent=True):
            kept = square.enqueue(2)
        raise KeyError
    assert ids(app) == [kept.id] and kept.status == 'queued'


def test_a_part_that_commits_in_the_middle_takes_back_what_came_after(app):
    with app.transaction() as root:
        root['outer'] = 1
        with pytest.raises(KeyError), app.transaction():
            root['first'] = 1
            transaction.commit()
            root['second'] = 2
            square.enqueue(2)
            raise KeyError
        root['last'] = 1
    with app.transaction() as root:
        assert {'outer', 'first', 'last'} <= root.keys() and 'second' not in root
    assert ids(app) == []


def test_a_job_that_is_drained_within_a_block_has_its_own_transaction(app):
    handle = nested.enqueue()
    with pytest.raises(KeyError), app.transaction():
        app.drain()
        raise KeyError
    assert handle.status == 'completed' and len(ids(app)) == 2


# -- commits in the middle

@pytest.mark.parametrize('way', ['thread', 'connection', 'transaction'])
def test_a_commit_in_the_middle_commits_its_part(app, way):
    def end(root, verb):
        manager = root._p_jar.transaction_manager
        getattr({'thread': transaction, 'connection': manager, 'transaction': manager.get()}[way],
                verb)()

    with pytest.raises(KeyError), app.transaction() as root:
        first = square.enqueue(1)
        end(root, 'commit')
        assert ids(app) == [first.id]
        square.enqueue(2)
        end(root, 'abort')
        third = square.enqueue(3)
        root['third'] = 3
        end(root, 'commit')
        root['last'] = 4
        square.enqueue(4)
        raise KeyError
    assert ids(app) == sorted([first.id, third.id]) and leftOpen(app.db) == []
    with app.transaction() as root:
        assert root['third'] == 3 and 'last' not in root


def test_the_thread_has_its_own_manager_again(app):
    own = transaction.manager.manager
    with app.transaction():
        assert transaction.manager.manager is not own
        with app.transaction(independent=True):
            pass
    assert transaction.manager.manager is own
    with pytest.raises(KeyError), app.transaction():
        raise KeyError
    assert transaction.manager.manager is own
    transaction.begin()                     # somebody uses it
    with app.transaction():
        assert transaction.manager.manager is own
    transaction.abort()


def test_a_block_may_be_left_in_another_thread_than_it_was_entered_in(app):
    """As frameworks do with generators that they run in a pool of threads."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        block = app.transaction()
        root = one.submit(contextvars.copy_context().run, block.__enter__).result()
        root['entered'] = 1
        other.submit(contextvars.copy_context().run, block.__exit__, None, None, None).result()
        handle = one.submit(square.enqueue, 1).result()
        assert one.submit(lambda: begun(transaction.manager)).result() is None
    assert ids(app) == [handle.id] and leftOpen(app.db) == []
    with app.transaction() as root:
        assert root['entered'] == 1


# -- what comes too late

def test_a_write_behind_the_end_is_refused_and_forgotten(app):
    with app.transaction() as root:
        root['mapping'] = PersistentMapping()
        mapping = root['mapping']
    for target in (root, mapping):
        with pytest.raises(TransactionOver, match='closed'):
            target['late'] = 1
    with app.transaction() as again:
        assert 'late' not in again and 'late' not in again['mapping']
        again['other'] = again['mapping']['other'] = 1
    with app.transaction() as again:
        assert 'late' not in again and 'late' not in again['mapping']


def test_an_input_of_another_connection_is_refused_at_enqueue(app, place):
    connection = place.connect()
    connection.root()['thing'] = PersistentMapping()
    connection.transaction_manager.commit()
    thing = connection.root()['thing']
    with app.transaction():
        with pytest.raises(InputError, match='another connection'):
            square.enqueue([thing])
        kept = square.enqueue(1)
    with pytest.raises(InputError, match='another connection'):
        square.enqueue(thing)
    assert ids(app) == [kept.id]


def test_an_input_is_as_it_was_when_it_was_enqueued(app):
    with app.transaction() as root:
        thing = root['thing'] = PersistentMapping()
        plain, referring = [1], [1, thing]
        handles = square.enqueue(plain), square.enqueue(referring)
        plain.append(2)
        referring.append(2)
    assert [len(handle.job.input[0][0]) for handle in handles] == [1, 2]


# -- threads

@pytest.mark.parametrize('copied', [False, True])
def test_a_thread_that_was_given_the_context_of_a_block_is_refused(app, copied):
    with ThreadPoolExecutor(1) as pool, app.transaction():
        first = square.enqueue(1)
        work = (contextvars.copy_context().run, square.enqueue,
                2) if copied else (square.enqueue, 2)
        if copied:
            with pytest.raises(TransactionOver, match='another thread'):
                pool.submit(*work).result()
            made = []
        else:
            made = [pool.submit(*work).result().id]
    assert sorted(ids(app)) == sorted([first.id, *made])


@pytest.mark.parametrize('copied', [False, True])
def test_a_thread_of_a_job(app, copied):
    handle = threaded.enqueue(copied)
    app.drain()
    if copied:
        with pytest.raises(JobFailed, match='another thread'):
            handle.result(0)
        assert len(ids(app)) == 1
    else:
        assert handle.result(0) in ids(app)


# -- waiting

def test_a_job_that_waits_for_itself_fails_at_once(app):
    joined, independent = waits.enqueue(True), waits.enqueue(False)
    app.drain()
    with pytest.raises(JobFailed, match='enqueued in this transaction'):
        joined.result(0)
    with pytest.raises(JobFailed, match='only its own worker could run'):
        independent.result(0)
    assert issubclass(WaitsForItself, RemoteError)


# -- conflicts

def test_a_conflict_names_the_object_and_the_mend(app, place):
    with app.transaction() as root:
        root['orders'] = PersistentMapping(first=PersistentMapping())
    other = place.connect(place.openAgain())
    for change, match in ((lambda root: root['orders'].update(x=1), r"root\['orders'\].*app\.run"),
                          (lambda root: root['orders']['first'].update(x=1),
                           r"root\['orders'\]\['first'\]"),
                          (lambda root: root.update(x=1), 'the root itself.*BTree')):
        other.transaction_manager.begin()
        with pytest.raises(ConflictError, match=match) as raised, app.transaction() as root:
            change(root)
            change(other.root())
            other.transaction_manager.commit()
        assert 'oid' in str(raised.value)
    other.transaction_manager.begin()
    assert other.root()['orders']['x'] == 1


def test_run_repeats_after_a_conflict(app, place):
    with app.transaction() as root:
        root['count'] = PersistentMapping(number=0)
    other = place.connect(place.openAgain())
    runs = []

    def count(root):
        runs.append(1)
        root['count']['number'] += 1
        if len(runs) < 4:
            other.transaction_manager.begin()
            other.root()['count']['number'] += 10
            other.transaction_manager.commit()
        square.enqueue(1)
        return root['count']['number']

    assert app.run(count) == 31 and len(runs) == 4 and len(ids(app)) == 1
    runs.clear()
    with pytest.raises(ConflictError, match=r"root\['count'\]"):
        app.run(count, tries=2)
    assert len(runs) == 2 and len(ids(app)) == 1


def test_run_passes_all_else_on(app):
    runs = []

    def bad(root):
        runs.append(1)
        root['x'] = 1
        raise KeyError('no')

    with pytest.raises(KeyError, match='no'):
        app.run(bad)
    with app.transaction() as root:
        assert runs == [1] and 'x' not in root
        assert app.run(lambda root: 5) == 5


def test_an_event_for_each_job_and_none_for_a_duplicate(app, told):
    first = square.using(unique='key').enqueue(1)
    assert square.using(unique='key').enqueue(1).id == first.id
    assert [event.id for event in told if isinstance(event, events.JobQueued)] == [first.id]


def test_a_database_that_is_read_only_says_so(tmp_path):
    path = str(tmp_path / 'jobs.fs')
    application.database = f'file:{path}'
    application.open()
    application.close()
    db = DB(FileStorage(path, read_only=True))
    try:
        application.database = db
        with application.reading() as processor:
            assert list(listing.ids(processor.store)) == []
        with pytest.raises(ReadOnlyError, match='opened read-only'):
            square.enqueue(1)
        with pytest.raises(ReadOnlyError,
                           match='opened read-only'), application.transaction() as root:
            root['x'] = 1
        assert leftOpen(application.db) == []
    finally:
        application.close()
        application.database = 'memory:'
        db.close()


def test_an_applications_own_class_of_connections_stays(tmp_path):
    class Own(Connection):
        begun = 0

        def newTransaction(self, transaction, sync=True):
            self.begun += 1
            super().newTransaction(transaction, sync)

    db = DB(None)
    db.klass = Own
    application.database = db
    try:
        assert square.enqueue(1).id == 1
        with application.transaction() as root:
            assert isinstance(root._p_jar, Own) and root._p_jar.begun
        with pytest.raises(TransactionOver):
            root['late'] = 1
    finally:
        application.close()
        application.database = 'memory:'
        db.close()
