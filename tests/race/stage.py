# SPDX-License-Identifier: ZPL-2.1
"""A database with several worker loops on it, driven by hand in one thread, so that each
interleaving has its name."""
import time
from contextlib import contextmanager

import BTrees.check
import transaction

from p01.remote import App
from p01.remote.engine import rescuing
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.storage.transactions import transact
from p01.remote.store.store import Store
from p01.remote.views import figures, listing
from tests.acceptance import tasks
from tests.conftest import standing

TASKS = 'tests.acceptance.tasks.'


class Stage:
    """Holds the database, its loops and the shortest way to ask."""

    def __init__(self, address, new=True):
        self.app = App(address)
        self.loops = []
        if new:
            self.do(lambda processor: tasks.prepare(processor._p_jar.root()))

    def do(self, work):
        """Do work(processor) in a transaction of its own."""
        return transact(self.app.db, lambda connection: work(self.app.locate(connection)))

    def enqueue(self, name, *inputs, **options):
        """One job for each input; returns the ids."""
        return self.do(lambda processor: [processor.processJob(TASKS + name, input, **options)
                                          for input in inputs])

    def loop(self, name='a', **options):
        """A worker."""
        self.loops.append(Loop(self.app.db, self.app.locate, name, WorkerOptions(**options)))
        return self.loops[-1]

    def claim(self, loop, count=1):
        """Let a worker claim; returns its tasks."""
        return loop.book(time.time(), count)[0]

    def rescue(self, loop, ran=None, why='its worker died'):
        """Treat a worker as dead, whatever it is; ran are the jobs that it ran, None for
        unknown."""
        def work(processor):
            seat = processor.store.seats.get(loop.name)
            if seat is not None:
                rescuing.rescue(processor.store, seat, time.time(), ran, why)
        self.do(work)

    def drain(self, most=1000, later=0.0):
        """Let another worker do everything, as of now or later; returns how many runs there
        were."""
        loop = self.loop('drain')
        while not loop.poll(time.time() + later) or not loop.idle:
            most -= 1
            assert most, 'the jobs never end'
        self.leave(loop)
        return loop.done

    def leave(self, loop):
        """End a worker in good order."""
        self.loops.remove(loop)
        loop.close()

    @property
    def effects(self):
        """How often each key was counted."""
        return self.do(lambda processor: dict(tasks.effects(processor._p_jar.root())))

    def view(self, jobid):
        """A job as it is."""
        return self.do(lambda processor: processor.store.view(jobid))

    def stati(self, jobids):
        """The status of each job."""
        return [self.view(jobid).status for jobid in jobids]

    def check(self):
        """The trees are sound, the counts are those of a recount."""
        self.do(lambda processor: sound(processor))

    def close(self):
        tasks.interlude.clear()
        for loop in self.loops:
            loop.close()
        self.app.close()


def sound(processor):
    """AssertionError when a tree is damaged, or the counts are wrong."""
    store: Store = processor.store
    root = processor._p_jar.root()
    trees = [store.segments, store.seats, root['effects'], root['orders 0']]
    for shard in store.shards:
        trees += [shard.fates, shard.uniques,
                  *(tree for lines in shard.lanes for tree in standing(lines))]
    for tree in trees:
        tree._check()
        BTrees.check.check(tree)
    found = {}
    for jobid in listing.ids(store):
        view = store.view(jobid)
        counts = found.setdefault(view.record.queue, {})
        counts[view.status] = counts.get(view.status, 0) + 1
    assert figures.exact(store) == found


@contextmanager
def session(stage):
    """A processor in a connection whose transaction is committed or aborted by hand; gives
    (processor, manager)."""
    manager = transaction.TransactionManager(explicit=True)
    connection = stage.app.db.open(manager)
    manager.begin()
    try:
        yield stage.app.locate(connection), manager
    finally:
        if manager._txn is not None:
            manager.abort()
        connection.close()
