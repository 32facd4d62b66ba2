# SPDX-License-Identifier: ZPL-2.1
"""However many threads work, enqueue and look on, ZODB has nothing to warn of; and a pool is as its
owner had it afterwards."""
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import ZODB
from ZODB.DemoStorage import DemoStorage

from p01.remote import App, testing
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from tests.conftest import NAME, inside, newProcessor

THREADS = 24
DEADLINE = 60


def together(work):
    """Call work in threads that are all amidst it at once."""
    barrier = threading.Barrier(THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        for each in [pool.submit(work, barrier) for _ in range(THREADS)]:
            each.result(DEADLINE)


def test_many_threads_enqueue_and_look_on(db, caplog):
    app = App(db)           # which was opened by its address
    with app.transaction():
        app.processor.addJob('echo', testing.EchoJob())

    def work(barrier):
        with app.transaction():
            jobid = app.processor.processJob('echo', 1)
            barrier.wait(DEADLINE)
        with app.reading() as processor:
            assert processor.getJobStatus(jobid) == 'queued'
            barrier.wait(DEADLINE)
    with caplog.at_level(logging.WARNING, 'ZODB'):
        together(work)
    assert not [record for record in caplog.records if 'pool_size' in record.getMessage()]
    app.close()


def test_many_loops_on_a_database_that_somebody_else_opened(caplog):
    db = ZODB.DB(DemoStorage())
    connection = db.open()
    processor = connection.root()[NAME] = newProcessor()
    for number in range(100):
        processor.processJob('echo', number)
    connection.transaction_manager.commit()

    def work(barrier):
        loop = Loop(db, inside, 'worker', WorkerOptions(drain=True))
        barrier.wait(DEADLINE)
        loop.work()
        barrier.wait(DEADLINE)
        loop.close()
        loop.free()                 # again, as who is not sure
    with caplog.at_level(logging.WARNING, 'ZODB'):
        together(work)
    assert not [record for record in caplog.records if 'pool_size' in record.getMessage()]
    assert db.getPoolSize() == 7
    connection.close()
    db.close()


def test_a_pool_is_as_large_as_it_was_asked_for(tmp_path):
    app = App(f'file:{tmp_path / "jobs.fs"}', pool_size=3)
    assert app.db.getPoolSize() == 3
    app.close()
