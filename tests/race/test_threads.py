# SPDX-License-Identifier: ZPL-2.1
"""Enqueuers and workers in threads: no enqueuer meets a conflict, nothing is lost, nothing is done
twice."""
import threading
import uuid
from collections import Counter

import pytest
from BTrees.OOBTree import OOTreeSet

from p01.remote import job
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.views import listing
from tests.conftest import NAME, commit, counted, inside, stored

ENQUEUERS, WORKERS = 8, 2
# of each enqueuer; elsewhere a commit costs more
TRANSACTIONS = {'memory': 200, 'sqlite': 200}


class Effect(job.Job):
    """Leaves a mark of its own for each run that commits."""

    def __call__(self, remoteProcessor):
        remoteProcessor._p_jar.root()['marks'].add((self.input, uuid.uuid4().hex))


class Threads:
    """Runs functions in threads, and keeps what they raise."""

    def __init__(self):
        self.errors = []
        self.threads = []

    def start(self, work, *args):
        def run():
            try:
                work(*args)
            except BaseException as error:
                self.errors.append(error)
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), 'a thread hangs'
        assert self.errors == []


@pytest.mark.slow
@pytest.mark.parametrize('name', ['effect', 'echo'])
def test_many_hands(place, name):
    processor = stored(place)
    processor.addJob('effect', Effect())
    processor._p_jar.root()['marks'] = OOTreeSet([('', '')])
    commit(processor)
    ids = [[] for _ in range(ENQUEUERS)]
    begin = threading.Barrier(ENQUEUERS)

    def enqueue(number):
        connection = place.connect(explicit=True)
        begin.wait()
        for turn in range(TRANSACTIONS.get(place.kind, 40)):
            connection.transaction_manager.begin()
            mine = [inside(connection).processJob(name, f'{number}-{turn}-{each}')
                    for each in range(1 + turn % 3)]
            if turn % 10 == 9:
                connection.transaction_manager.abort()
            else:
                # a conflict here is an error of the thread
                connection.transaction_manager.commit()
                ids[number].extend(mine)

    loops = [Loop(place.db, inside, f'worker{number}', WorkerOptions())
             for number in range(WORKERS)]
    enqueuers, workers = Threads(), Threads()
    for loop in loops:
        workers.start(loop.work)
    for number in range(ENQUEUERS):
        enqueuers.start(enqueue, number)
    enqueuers.join()
    for loop in loops:
        loop.stop()
    workers.join()
    for loop in loops:
        loop.close()
    last = Loop(place.db, inside, 'last', WorkerOptions(drain=True))
    last.work()
    last.close()
    every = [jobid for some in ids for jobid in some]
    processor._p_jar.transaction_manager.begin()
    assert len(every) == len(set(every)) and list(listing.ids(processor.store)) == sorted(every)
    assert counted(processor) == {'completed': len(every)}
    assert all(processor.getJob(jobid).runCounter == 1 for jobid in every[::7])
    if name == 'effect':
        marks = Counter(key for key, _ in processor._p_jar.root()['marks'] if key)
        assert len(marks) == len(every) and set(marks.values()) == {1}


def test_readers_see_no_half_states(place):
    """Counts and statuses, asked for while others work, always fit together within one
    transaction."""
    processor = stored(place)
    for number in range(300):
        processor.processJob('echo', number)
    commit(processor)
    loop = Loop(place.db, inside, 'worker', WorkerOptions(drain=True))
    workers = Threads()
    workers.start(loop.work)
    reader = inside(place.connect())
    while workers.threads[0].is_alive():
        reader._p_jar.transaction_manager.begin()
        assert sum(counted(reader).values()) == 300
    workers.join()
    loop.close()
    reader._p_jar.transaction_manager.begin()
    assert counted(reader) == {'completed': 300}
    assert NAME in reader._p_jar.root()
