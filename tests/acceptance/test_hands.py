# SPDX-License-Identifier: ZPL-2.1
"""Eight processes enqueue while four work: no conflict reaches an application's transaction because
of the queue (P3)."""
import multiprocessing
from collections import Counter

import transaction
from persistent.mapping import PersistentMapping

from p01.remote import App
from p01.remote.engine.supervisor import Supervisor
from p01.remote.options import WorkerOptions
from p01.remote.testing import waitFor
from p01.remote.views import figures, listing

ENQUEUERS, WORKERS, TRANSACTIONS = 8, 4, 40
spawn = multiprocessing.get_context('spawn')


def note(enqueuer, number):
    """The effect of a job: a count in an object that only jobs of this number's own write."""
    from p01.remote import current
    mark = current.root[f'marks-{enqueuer}'][number]
    mark['times'] = mark.get('times', 0) + 1


def enqueue(address, enqueuer, results):
    """Enqueue, each job in one transaction with an object of the application; report the errors
    that came up."""
    app, errors = App(address), []
    for number in range(TRANSACTIONS):
        manager = transaction.TransactionManager(explicit=True)
        connection = app.db.open(manager)
        manager.begin()
        connection.root()[f'marks-{enqueuer}'][number] = PersistentMapping()
        app.locate(connection).processJob('note', (enqueuer, number))
        try:
            manager.commit()
        except Exception as error:      # any is a failure of the test
            errors.append(repr(error))
            manager.abort()
        connection.close()
    results.put(errors)
    app.close()


def test_eight_enqueue_while_four_work(tmp_path):
    address = f'sqlite:{tmp_path}/db'
    app = App(address)
    with app.transaction() as root:
        root[app.name].addJob('note', note)
        for enqueuer in range(ENQUEUERS):
            root[f'marks-{enqueuer}'] = PersistentMapping()
    supervisor = Supervisor(address, WorkerOptions(processes=WORKERS))
    supervisor.start()
    results = spawn.Queue()
    hands = [spawn.Process(target=enqueue, args=(address, number, results))
             for number in range(ENQUEUERS)]
    try:
        for hand in hands:
            hand.start()
        errors = [error for _ in hands for error in results.get(timeout=120)]
        for hand in hands:
            hand.join()
        assert errors == []

        def done():
            with app.reading() as processor:
                counts = figures.exact(processor.store)
            return counts == {'default': {'completed': ENQUEUERS * TRANSACTIONS}}

        waitFor(done, 120, 'all jobs completed')
    finally:
        supervisor.stop()
        supervisor.join(30.0)
    with app.reading() as processor:
        root = processor._p_jar.root()
        times = Counter(mark['times'] for number in range(ENQUEUERS)
                        for mark in root[f'marks-{number}'].values())
        # small integers
        assert max(listing.ids(processor.store)) < 4 * ENQUEUERS * TRANSACTIONS
    assert times == {1: ENQUEUERS * TRANSACTIONS}
    assert supervisor.restarts == 0
    app.close()
