# SPDX-License-Identifier: ZPL-2.1
"""Forked children, as servers make them: each opens the database for itself, or is refused; the
parent feels nothing."""
import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
import transaction
import ZODB
from persistent.mapping import PersistentMapping

from p01.remote import App, current
from p01.remote.engine.bell import bellOf
from p01.remote.exceptions import RemoteError, TransactionOver
from p01.remote.views import listing
from tests import servers
from tests.conftest import STORAGES

SEVERAL = ['sqlite', 'zeo', 'postgresql']       # storages of several processes
application = App('memory:')


@application.job
def note(who, number=0):
    return number


@pytest.fixture
def app(request, tmp_path):
    application.database = STORAGES[request.param][0](tmp_path)
    yield application
    transaction.abort()
    application.close()
    application.database = 'memory:'


several = pytest.mark.parametrize('app', SEVERAL, indirect=True)
alone = pytest.mark.parametrize('app', ['memory', 'file'], indirect=True)


def child(work):
    """Do work() in a forked child, which ends as servers' children do; returns its pid."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)        # ends it, should it hang
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)
    return pid


def ended(*pids):
    """The exit codes of children."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


@several
def test_children_enqueue_beside_their_parent(app):
    note.enqueue('parent', 0)
    with app.transaction():
        note.enqueue('parent', 1)

    def work():
        for number in range(10):
            note.enqueue(os.getpid(), number)
            with app.transaction():
                note.enqueue(os.getpid(), 100 + number)
        assert bellOf(app.db).listeners == 0

    pids = [child(work) for _ in range(3)]
    for number in range(10):
        note.enqueue('parent', 2 + number)
    assert ended(*pids) == [0, 0, 0]
    with app.reading() as processor:
        found = sorted((str(processor.getJob(jobid).input[0][0]),
                        processor.getJob(jobid).input[0][1])
                       for jobid in listing.ids(processor.store))
    assert found == sorted([('parent', number) for number in range(12)] + [
        (str(pid), number) for pid in pids for number in (*range(10), *range(100, 110))])


@several
def test_a_child_within_a_block_of_its_parent_is_refused_and_the_parent_feels_nothing(app):
    note.enqueue('parent')

    def work():
        with pytest.raises(RemoteError, match='forked'):
            note.enqueue('child')
        # which holds locks in the middle of a transaction
        if app.database.startswith('sqlite'):
            with pytest.raises(RemoteError, match='was in use'):
                contextvars.Context().run(note.enqueue, 'child')
        else:
            contextvars.Context().run(note.enqueue, 'free child')
        gc.collect()

    with app.transaction():
        note.enqueue('parent')
        assert ended(child(work)) == [0]
        note.enqueue('parent')
    note.enqueue('parent')
    with app.reading() as processor:
        found = sorted(processor.getJob(jobid).input[0][0]
                       for jobid in listing.ids(processor.store))
    assert [each for each in found if each != 'free child'] == ['parent'] * 4 \
        and 'child' not in found


@several
def test_a_child_that_ends_as_programs_do_cuts_nobody_off(app, tmp_path):
    """At its end the interpreter collects what is left; connections of the parent must not be among
    it."""
    code = f"""if True:
        import os, sys
        from p01.remote import App
        from tests.contract.test_forks import note
        app = note.app
        app.database = {app.database!r}
        note.enqueue('parent')
        pid = os.fork()
        if pid == 0:
            note.enqueue('child')
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        with app.transaction():
            note.enqueue('parent')
        note.enqueue('parent')
        app.close()
    """
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60,
                          check=False,
                          cwd=Path(__file__).parents[2])
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr
    with app.reading() as processor:
        assert len(list(listing.ids(processor.store))) == 4


@several
def test_a_child_leaves_the_block_of_its_parent_by_a_refusal(app):
    note.enqueue('parent')

    def work():
        with pytest.raises(TransactionOver, match='forked'):
            block.__exit__(None, None, None)
        if not app.database.startswith('sqlite'):
            assert note.enqueue('child').status == 'queued'

    block = app.transaction()
    root = block.__enter__()
    root['parent'] = 1
    assert ended(child(work)) == [0]
    block.__exit__(None, None, None)
    with app.transaction() as root:
        assert root['parent'] == 1
    with app.reading() as processor:
        assert len(list(listing.ids(processor.store))) == (1 if app.database.startswith('sqlite')
                                                           else 2)


@several
def test_a_child_uses_no_connection_of_its_parent(app):
    app.open()
    connection = app.db.open()
    root, current = connection.root(), connection.transaction_manager
    root['thing'] = PersistentMapping()
    transaction.commit()
    root['parent'] = 2

    def work():
        with pytest.raises(TransactionOver, match='forked'):
            root['thing']['child'] = 1
        root['thing']._p_invalidate()
        with pytest.raises(TransactionOver, match='forked'):
            root['thing'].keys()
        for verb in (current.commit, current.begin):
            with pytest.raises(TransactionOver, match='forked'):
                verb()
        if not app.database.startswith('sqlite'):
            handle = note.enqueue('child')      # the parent's transaction is none of its own
            transaction.abort()
            assert handle.status == 'queued'

    assert ended(child(work)) == [0]
    transaction.commit()
    assert root['parent'] == 2 and 'child' not in root['thing']
    connection.close()


@alone
def test_a_child_is_told_that_a_database_of_one_process_is_not_its_own(app):
    note.enqueue('parent')

    def work():
        for _ in range(2):
            with pytest.raises(RemoteError, match='opened before the process was forked'):
                note.enqueue('child')

    assert ended(child(work)) == [0]
    note.enqueue('parent')
    with app.reading() as processor:
        assert len(list(listing.ids(processor.store))) == 2


def test_a_child_is_told_that_an_open_database_is_its_parents(tmp_path):
    db = ZODB.DB(str(tmp_path / 'jobs.fs'))
    application.database = db
    try:
        note.enqueue('parent')

        def work():
            with pytest.raises(RemoteError, match='belongs to the parent'):
                note.enqueue('child')

        assert ended(child(work)) == [0]
        note.enqueue('parent')
    finally:
        application.close()
        application.database = 'memory:'
        db.close()


@several
def test_a_fork_amidst_the_work_of_other_threads(app):
    """The locks that they hold at that moment, and the connections that they use, are not the
    child's."""
    app.open()
    ends, made = threading.Event(), []

    def busy():
        while not ends.is_set():
            made.append(note.enqueue('thread').id)
            bellOf(app.db).tell()

    def work():
        if app.database.startswith('sqlite'):
            with suppress(RemoteError):             # as a rule: it is in use
                note.enqueue('child')
                return
            os._exit(3)
        note.enqueue('child')

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        servers.until(lambda: len(made) > 5, 'enqueuing')
        # a thread that is within SQLite just then has its mutexes locked for ever: one in twenty
        number = 60 if app.database.startswith('sqlite') else 4
        codes = [ended(child(work))[0] for _ in range(number)]
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert set(codes) <= {0, 3}
    with app.reading() as processor:
        assert len(list(listing.ids(processor.store))) == len(made) + codes.count(0)


@several
def test_a_parent_that_closes_before_its_child_loses_nothing(app):
    """As a program that becomes a daemon does."""
    note.enqueue('parent')
    here, there = os.pipe()

    def work():
        note.enqueue('child')
        os.write(ready[1], b'.')
        os.read(here, 1)
        note.enqueue('child, alone')

    ready = os.pipe()
    pid = child(work)
    os.read(ready[0], 1)
    address = app.database
    app.close()
    os.write(there, b'.')
    assert ended(pid) == [0]
    other = App(address)
    with other.reading() as processor:
        found = sorted(processor.getJob(jobid).input[0][0]
                       for jobid in listing.ids(processor.store))
    other.close()
    for each in (here, there, *ready):
        os.close(each)
    assert found == ['child', 'child, alone', 'parent']


# By name: tblib, which Dask installs, has exceptions pickled without their __init__, and a
# SystemExit then without its code.
ENDS = {'none': None, 'exit': SystemExit(7), 'exit text': SystemExit('text'), 'error': ValueError(),
        'interrupt': KeyboardInterrupt()}


@application.job(retries=0)
def forking(ends):
    current.root['runs'] = current.root.get('runs', 0) + 1
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if ENDS[ends] is not None:
        raise ENDS[ends]
    return 'child'


@application.job(retries=0)
async def forkingLater(ends):
    async with application.transaction() as root:
        root['runs'] = root.get('runs', 0) + 1
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if ENDS[ends] is None:
        await asyncio.sleep(0)      # the event loop is the parent's
    raise ENDS[ends]


@pytest.mark.parametrize('app', ['memory', 'sqlite'], indirect=True)
@pytest.mark.parametrize('ends, status', [('none', 0), ('error', 1), ('exit', 7)])
def test_a_child_that_an_async_job_forked_ends_with_its_step(app, ends, status):
    here = os.getpid()
    handle = forkingLater.enqueue(ends)
    try:
        assert app.drain() == 1
    finally:
        if os.getpid() != here:
            os._exit(99)
    assert handle.result(timeout=0) == status
    with app.transaction() as root:
        assert root['runs'] == 1


@pytest.mark.parametrize('app', [*SEVERAL, 'file', 'memory'], indirect=True)
@pytest.mark.parametrize('ends, status', [('none', 0), ('exit', 7), ('exit text', 1), ('error', 1),
                                          ('interrupt', 1)])
def test_a_child_that_a_job_forked_ends_with_the_job(app, ends, status):
    """The rest is the parent's: its outcome, its commit, its next jobs. Else the job would run in
    the child once more."""
    here = os.getpid()
    handle = forking.enqueue(ends)
    try:
        assert app.drain() == 1
    finally:
        if os.getpid() != here:
            os._exit(99)
    assert handle.result(timeout=0) == status
    with app.transaction() as root:
        assert root['runs'] == 1
