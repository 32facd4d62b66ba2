# SPDX-License-Identifier: ZPL-2.1
"""The front on every storage: @app.job, enqueue, handles, transactions."""
import subprocess
import sys
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import pytest
import transaction
import ZODB
from persistent.mapping import PersistentMapping

from p01.remote import App, RemoteError, current
from p01.remote.exceptions import (
    ArgumentsError,
    InputError,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotCommitted,
)
from p01.remote.worker import SimpleWorker

application = App('memory:')


@application.job
def square(number, plus=0):
    return number * number + plus


@application.job(name='mail', queue='post', priority=7, retries=0)
def send(text):
    current.root['sent'] = current.root.get('sent', ()) + (text,)
    if text == 'bad':
        raise ValueError('no such address')


@application.job(retries=0)
def many(number):
    """Changes more objects than a connection keeps, with savepoints in between."""
    root, cache = current.root, current.processor._p_jar._cache.cache_size
    root['many'] = root.get('many', ()) + (number,)
    transaction.savepoint(optimistic=True)
    root[f'objects {number}'] = PersistentMapping({at: PersistentMapping()
                                                   for at in range(cache + 10)})


def test_a_function_that_is_added_to_a_processor_stays_free_of_its_connection(app):
    manager = transaction.TransactionManager()
    connection = app.db.open(manager)
    app.locate(connection).addJob('squares', square)
    manager.commit()
    connection.cacheMinimize()
    connection.close()      # what belongs to it can be used no more
    with app.transaction():
        handle = square.enqueue(3)
        jobid = app.processor.processJob('squares', (4,))
    assert app.drain() == 2
    assert handle.result(0) == 9 and app.handle(jobid).result(0) == 16


def test_a_job_that_changes_more_than_the_cache_keeps_runs_once(app):
    with app.transaction():
        handles = [many.enqueue(number) for number in range(6)]
    assert app.drain() == 6
    assert [handle.status for handle in handles] == ['completed'] * 6
    with app.transaction() as root:
        assert root['many'] == tuple(range(6))


def test_a_job_is_a_function_still(app):
    assert square(3) == 9 and square.__name__ == 'square'
    assert 'square' in repr(square)


class Rigid:
    """What can be pickled, and not loaded again."""

    def __setstate__(self, state):
        raise ValueError('of an older version')

    def __getstate__(self):
        return 1


@application.job
def rigid():
    return Rigid()


def test_an_output_that_cannot_be_loaded(app):
    handle = rigid.enqueue()
    assert app.drain() == 1
    assert handle.status == 'completed'
    with pytest.raises(JobFailed, match=r'cannot be loaded .*of an older version'):
        handle.result()
    assert 'of an older version' in str(handle.exception())


def test_from_enqueue_to_result(app):
    with app.transaction() as root:
        root['order'] = 'paid'
        handle = square.enqueue(3, plus=1)
        assert handle.status == 'queued'
        with pytest.raises(NotCommitted):
            handle.result(timeout=0)
    assert (handle.id, handle.status, handle.done()) == (1, 'queued', False)
    assert app.drain() == 1
    assert (handle.status, handle.done(), handle.result(),
            handle.result(timeout=0)) == ('completed', True, 10, 10)
    assert handle.exception() is None and not handle.running() and not handle.cancelled()
    assert handle.job.name.endswith('square') and handle.job.input == ((3,), {'plus': 1})
    assert app.handle(1).result() == 10
    assert app.drain() == 0


def test_an_exception_aborts_all_of_it(app):
    with app.transaction():
        first = square.enqueue(1)
    with pytest.raises(KeyError), app.transaction() as root:
        root['order'] = 'paid'
        handle = square.enqueue(2)
        raise KeyError
    with pytest.raises(JobNotFound):
        handle.status  # noqa: B018 - the question is the test
    with app.transaction() as root:
        assert 'order' not in root
        assert square.enqueue(3).id not in (first.id, handle.id)
    assert app.drain() == 2


def test_a_commit_that_fails_tells_its_own_error(app):
    with pytest.raises(Exception, match='pickle'), app.transaction() as root:
        root['bad'] = lambda: 1
        handle = square.enqueue(1)
    with pytest.raises(JobNotFound):
        app.handle(handle.id).status  # noqa: B018
    assert app.drain() == 0


def test_a_failed_job(app):
    with app.transaction():
        good, bad = send.enqueue('good'), send.enqueue('bad')
    assert app.drain() == 2
    assert (good.status, bad.status) == ('completed', 'error')
    with pytest.raises(JobFailed, match='no such address'):
        bad.result()
    assert isinstance(bad.exception(), JobFailed) and 'no such address' in str(bad.exception())
    with app.transaction() as root:
        assert root['sent'] == ('good',)
    assert (good.job.queue, good.job.priority) == ('post', 7)


def test_cancel(app):
    with app.transaction():
        handle = square.enqueue(1)
    assert (handle.cancel(), handle.cancel()) == (True, False)
    assert handle.cancelled() and handle.done()
    with pytest.raises(JobCancelled):
        handle.result()
    with pytest.raises(JobCancelled):
        handle.exception()
    with app.transaction():
        early = square.enqueue(1)
        assert early.cancel() and early.status == 'cancelled'
    assert early.cancelled() and app.drain() == 0


def test_a_wait_ends(app):
    with app.transaction():
        handle = square.enqueue(1)
    for timeout in (0, 0.01):
        with pytest.raises(FutureTimeout, match='queued'):
            handle.result(timeout=timeout)
    with pytest.raises(TimeoutError):
        handle.exception(timeout=0)
    with pytest.raises(JobNotFound):
        app.handle(12345).result(timeout=0)


def test_using(app):
    with app.transaction():
        high = square.using(priority=5).enqueue(1)
        late = square.using(delay=3600, queue='slow').enqueue(2)
        only = square.using(unique='order').enqueue(3)
        same = square.using(unique='order').enqueue(3)
        usual = square.enqueue(4)
    assert only.id == same.id
    assert (high.job.priority, late.status, late.job.queue) == (5, 'delayed', 'slow')
    assert (usual.job.priority, usual.job.queue) == (0, 'default')
    assert app.drain() == 3
    assert late.status == 'delayed'
    with pytest.raises(InputError, match='prority'):
        square.using(prority=5)


def test_outside_of_a_transaction_block_it_is_one_of_its_own(app):
    handle = square.enqueue(2)
    assert handle.status == 'queued'
    transaction.abort()
    assert app.drain() == 1 and handle.result(timeout=0) == 4
    assert not [each for each in transaction.manager.manager._synchs.as_weakref_list()
                if each() is not None]


def test_it_joins_a_transaction_that_somebody_has_begun_in_the_thread(app):
    transaction.begin()
    handle = square.enqueue(2)
    assert handle.status == 'queued'
    with pytest.raises(NotCommitted):
        handle.result(timeout=0)
    transaction.abort()
    with pytest.raises(JobNotFound):
        handle.status  # noqa: B018
    transaction.begin()
    handle, other = square.enqueue(3), square.enqueue(4)
    transaction.commit()
    assert app.drain() == 2 and (handle.result(), other.result()) == (9, 16)
    assert not [each for each in transaction.manager.manager._synchs.as_weakref_list()
                if each() is not None]


def test_it_joins_the_users_own_connection(app, place):
    app.db  # noqa: B018 - opens
    connection = place.db.open()
    try:
        root = connection.root()
        root['order'] = 'paid'
        handle = square.enqueue(3)
        transaction.abort()
        with pytest.raises(JobNotFound):
            handle.status  # noqa: B018
        root['order'] = 'sent'
        handle = square.enqueue(3)
        assert app.processor._p_jar is connection
        transaction.commit()
        assert handle.status == 'queued' and app.drain() == 1
    finally:
        transaction.abort()
        connection.close()


def test_the_first_use_may_be_within_the_users_transaction(app, place):
    """The queue is set up after the user's snapshot was taken."""
    connection = place.db.open()
    try:
        orders = connection.root()['orders'] = PersistentMapping()
        transaction.commit()
        orders['order'] = 'paid'
        with pytest.raises(RemoteError, match='began before'):
            square.enqueue(3)
        transaction.commit()
        assert orders['order'] == 'paid'
        handle = square.enqueue(3)
        transaction.commit()
        assert handle.status == 'queued' and app.drain() == 1 and handle.result() == 9
    finally:
        transaction.abort()
        connection.close()


def test_arguments_are_checked_at_enqueue(app):
    with app.transaction():
        good = square.enqueue(1)
        for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {'minus': 2})):
            with pytest.raises(ArgumentsError, match='square'):
                square.enqueue(*args, **kwargs)
        after = square.enqueue(2)
    assert app.drain() == 2 and (good.result(), after.result()) == (1, 4)


def test_a_component_worker_runs_jobs_of_the_front(app, place):
    with app.transaction():
        handle = square.enqueue(5)
    assert SimpleWorker(place.db, [app.name]).processNextJob() is True
    assert handle.result() == 25
    with app.transaction():
        jobid = app.processor.processJob(square.name, (6,))
    app.drain()
    assert app.handle(jobid).result() == 36


def test_several_apps_in_one_database(place):
    apps = [App(place.db, name=name) for name in ('one', 'two')]
    ids = []
    for each in apps:
        with each.transaction():
            each.processor.addJob('square', square.function)
            ids.append(each.processor.processJob('square', (3,)))
    assert ids == [1, 1]
    assert [each.drain() for each in apps] == [1, 1]
    for each in apps:
        each.close()
    # given open, it stays open
    assert isinstance(place.db, ZODB.DB) and place.db.open().root()['one']


def test_another_process_sees_the_result(tmp_path):
    address = f'sqlite:{tmp_path / "jobs"}'
    application.database = address
    try:
        with application.transaction():
            done, waits = square.enqueue(7), square.using(delay=60).enqueue(8)
        code = ('import sys; from p01.remote import App; from tests.contract import test_front as '
                'front\napp = front.application; app.database = sys.argv[1]\n'
                'assert app.handle(1).status == "queued"; assert app.drain() == 1\n'
                'print(app.handle(1).result(timeout=0), app.handle(2).status, '
                'app.handle(2).cancel())\nwith app.transaction(): print(front.square.enqueue(9).id '
                '> 2)\n')
        found = subprocess.run([sys.executable, '-c', code, address], capture_output=True,
                               text=True, timeout=60,
                               cwd=Path(__file__).parents[2], check=False)
        assert found.stdout.split() == ['49', 'delayed', 'True', 'True'], found.stderr
        assert (done.result(timeout=0), waits.status) == (49, 'cancelled')
        assert application.drain() == 1
    finally:
        application.close()
        application.database = 'memory:'
