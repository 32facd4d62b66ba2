# SPDX-License-Identifier: ZPL-2.1
"""Databases, Apps and processes that close beside workers, idle or busy, in any order: clean, and
nothing is lost."""
import gc
import logging
import subprocess
import sys
import threading

import pytest

from p01.remote import App, storage
from p01.remote.engine import closing
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.insides import isClosed
from p01.remote.storage.transactions import transact
from p01.remote.testing import waitFor
from p01.remote.views import listing
from tests.acceptance.trees import DEADLINE, environment

going = threading.Event()
began = threading.Event()
own = []


def hold(remoteProcessor=None):
    """A job that runs until it is let go."""
    began.set()
    going.wait(60)


def closes(remoteProcessor=None):
    """A job that closes what it runs on."""
    own[0].close()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING)
    began.clear()
    going.clear()
    yield lambda: [record.getMessage() for record in caplog.records
                   if record.levelno >= logging.WARNING]
    going.set()


def started(db, workers=1):
    """A processor in a database, with a worker that works."""
    def work(connection):
        processor = connection.root()['remote'] = RemoteProcessor()
        processor.__name__ = 'remote'
        processor.addJob('hold', hold)
        if workers > 1:
            from p01.remote.worker import MultiWorker
            processor.workerFactory = MultiWorker
            processor.workerArguments = {'waitTime': 0.1, 'maxThreads': workers}
    transact(db, work)
    transact(db, lambda connection: connection.root()['remote'].startProcessing())
    waitFor(
        lambda: transact(
            db, lambda connection: len(connection.root()['remote'].store.seats)) >= workers, 30)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith('p01.remote.')]


@pytest.mark.parametrize('workers', [1, 3])
def test_a_database_closes_beside_idle_workers(db, lines, workers):
    started(db, workers)
    db.close()
    db.close()
    assert isClosed(db)
    waitFor(lambda: not threads(), 10, 'a worker goes on')
    assert lines() == []


def test_a_database_waits_for_the_running_job(place, lines):
    started(place.db)
    jobid = transact(place.db, lambda connection: connection.root()['remote'].processJob('hold'))
    assert began.wait(30)
    closer = threading.Thread(target=place.db.close)
    closer.start()
    going.set()
    closer.join(30)
    assert not closer.is_alive()
    waitFor(lambda: not threads(), 10, 'a worker goes on')
    assert lines() == []
    if place.kind != 'memory':
        place.db = storage.openDatabase(place.address)
        assert transact(
            place.db, lambda connection: connection.root()['remote'].getJobStatus(
                jobid)) == 'completed'
        assert transact(
            place.db, lambda connection: len(connection.root()['remote'].store.seats)) == 0


def test_a_job_that_does_not_end_goes_back(place, lines, monkeypatch):
    from p01.remote.engine import closing
    started(place.db)
    jobid = transact(place.db, lambda connection: connection.root()['remote'].processJob('hold'))
    assert began.wait(30)
    real = closing.ended
    monkeypatch.setattr(closing, 'ended', lambda loops, patience: real(loops, 0.2))
    place.db.close()
    going.set()
    waitFor(lambda: not threads(), 10, 'a worker goes on')
    if place.kind != 'memory':
        place.db = storage.openDatabase(place.address)
        job = transact(place.db, lambda connection: connection.root()['remote'].getJob(jobid))
        assert (job.status, job.runCounter, job.attempts) == ('queued', 0, ())


def test_a_worker_ends_whose_database_was_closed_past_us(db, lines):
    """By who had its close before a worker came."""
    close = type(db).close
    started(db)
    close(db)
    waitFor(lambda: not threads(), 10, 'a worker goes on')


def test_an_app_closes_beside_its_worker_and_opens_again(place, lines):
    place.db.close()            # a file serves one of them
    app = App(place.address)
    app.open()
    with app.transaction():
        app.processor.addJob('hold', hold)
        app.processor.workerArguments = {'waitTime': 0.1}
    with app.transaction():
        app.processor.startProcessing()
    app.close()
    app.close()
    waitFor(lambda: not threads(), 10, 'a worker goes on')
    app.open()
    app.close()
    assert lines() == []


def test_a_job_cannot_close_what_it_runs_on(db):
    app = App(db)
    own[:] = [db]
    with app.transaction():
        app.processor.addJob('closes', closes)
        jobid = app.processor.processJob('closes')
    app.drain()
    with app.reading() as processor:
        assert 'cannot close' in processor.getJobError(jobid)


SCRIPT = '''
import logging, sys
logging.basicConfig(level=logging.WARNING)
from p01.remote import App
app = App(sys.argv[1])
app.open()
with app.transaction():
    from tests.acceptance import tasks
    tasks.prepare(app.processor._p_jar.root())
with app.transaction():
    app.processor.startProcessing()
    if sys.argv[2] == 'busy':
        app.processor.processJob('tests.acceptance.tasks.wait', (1, sys.argv[3]))
if sys.argv[2] == 'busy':
    import pathlib, time
    while not list(pathlib.Path(sys.argv[3]).iterdir()):
        time.sleep(0.01)                # between two looks whether the job runs
'''


@pytest.mark.parametrize('state', ['idle', 'busy'])
def test_a_process_ends_beside_its_worker(place, tmp_path, state):
    """Without a word; the job that ran is nobody's fault, however often."""
    if place.kind == 'memory':
        pytest.skip('memory ends with its process')
    place.db.close()
    marks = tmp_path / 'marks'
    marks.mkdir()
    for _ in range(4):
        for mark in marks.iterdir():
            mark.unlink()
        done = subprocess.run([sys.executable, '-c', SCRIPT, place.address, state, str(marks)],
                              capture_output=True, text=True,
                              env=environment(place.address), timeout=DEADLINE, check=False)
        assert done.returncode == 0
        assert all('is gone (it was told to stop)' in line
                   for line in done.stderr.splitlines()), done.stderr
        gc.collect()
    app = App(place.address)
    (marks / '1.go').touch()
    app.drain()
    with app.reading() as processor:
        views = [processor.store.view(jobid) for jobid in listing.ids(processor.store)]
    assert [(view.status, view.attempts)
            for view in views] == [('completed', ())] * (4 if state == 'busy' else 0)
    app.close()
    place.db = storage.openDatabase(place.address)


def test_what_runs_alongside_ends_before_the_database(place, lines):
    """As who gives back the jobs of a neighbour that died; nothing begins once the end has
    begun."""
    let, done = threading.Event(), []

    def work():
        let.wait(30)
        with place.db.transaction() as connection:
            connection.root()['worked'] = True
        done.append('worked')

    closing.watch(place.db)
    closing.alongside(place.db, work)
    closer = threading.Thread(target=place.db.close)
    closer.start()
    waitFor(lambda: place.db in closing.ending, 10, 'it does not close')
    assert closing.alongside(place.db, done.append, 'late') is None
    let.set()
    closer.join(30)
    assert done == ['worked'] and isClosed(place.db)
    assert lines() == []
