# SPDX-License-Identifier: ZPL-2.1
"""Processes that enqueue all the time, and the oracle that says afterwards what was lost, doubled
or never asked for.

Each job belongs to an order of the application's own, which is written in the same transaction.
"""
import os
import subprocess
import sys
import time
from pathlib import Path

from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError

from p01.remote import App
from p01.remote.storage.transactions import transact
from p01.remote.testing import waitFor
from p01.remote.views import figures, listing
from tests.acceptance import tasks
from tests.acceptance.trees import DEADLINE, ROOT, environment
from tests.acceptance.zygote import TASKS, Acks, acked

ENQUEUERS = 2
# seconds between two transactions of an enqueuer: more would only make the test longer
PACE = 0.01


def enqueueAll(address, number, folder, lenient):
    """Enqueue until a file says stop. A storage that is away ends this, or when lenient leaves
    unknown what was committed."""
    app = App(address)
    acks = Acks(folder / f'{number}.acks')
    unknown = Acks(folder / f'{number}.unknown')
    key = number << 32
    transact(app.db, lambda connection: tasks.openBook(connection.root(), number))
    while not (folder / 'stop').exists():
        try:
            with app.transaction() as root:
                root[f'orders {number}'].add(key)
                app.processor.processJob(TASKS + ('effect' if key % 10 else 'stumble'), (key,))
            acks.add(key)
        except TransientError as error:
            # a conflict is always a fault: nobody else writes what we write
            if not lenient or not away(error):
                raise
            unknown.add(key)
        key += 1
        time.sleep(PACE)
    app.close()


def away(error):
    """Whether it says that the storage is away; RelStorage makes a conflict of that where it locks
    objects."""
    while isinstance(error, ConflictError):
        error = error.__cause__
    return isinstance(error, TransientError)


class Enqueuers:
    """Processes that enqueue."""

    def __init__(self, address, folder, lenient=False):
        self.address = address
        self.folder = folder
        self.lenient = lenient
        self.log = folder / 'enqueuers.log'
        self.count = 0
        self.processes = []
        for _ in range(ENQUEUERS):
            self.start()

    def start(self):
        """One more."""
        self.count += 1
        with open(self.log, 'ab') as log:
            self.processes.append(subprocess.Popen(
                [sys.executable, '-m', 'tests.acceptance.load', self.address, str(self.count),
                 str(self.folder),
                 *(['lenient'] if self.lenient else [])], cwd=ROOT, env=environment(self.address),
                stdout=log, stderr=log))

    def ready(self):
        """Wait until all have enqueued."""
        waitFor(lambda: all(acked(self.folder / f'{number}.acks')
                            for number in range(1, self.count + 1)), DEADLINE,
                'nobody enqueues')

    def check(self):
        """AssertionError when one has ended."""
        assert [process.poll()
                for process in self.processes] == [None] * len(self.processes), self.said[-20_000:]

    def replace(self):
        """Kill the oldest; a new one takes over."""
        oldest = self.processes.pop(0)
        oldest.kill()
        oldest.wait()
        self.start()

    def stop(self):
        """Let them end; returns the keys that they know to be committed."""
        (self.folder / 'stop').touch()
        assert [process.wait(DEADLINE)
                for process in self.processes] == [0] * len(self.processes), self.said[-5000:]
        return self.keys('acks')

    @property
    def said(self):
        """What they had to say."""
        return self.log.read_text()

    @property
    def unknown(self):
        """The keys of which nobody knows whether they are committed."""
        return self.keys('unknown')

    def keys(self, kind):
        """The keys in the logs of a kind."""
        return {key for log in self.folder.glob(f'*.{kind}') for key in acked(log)}

    def kill(self):
        """Kill all that are left."""
        for process in self.processes:
            process.kill()
            process.wait()


def counts(stage):
    """How many jobs there are of each status."""
    return stage.do(lambda processor: figures.exact(processor.store)).get('default', {})


def completed(stage):
    """How many jobs have completed so far."""
    return counts(stage).get('completed', 0)


def verdict(stage, acks, what, unknown=None):
    """What the oracle says: TQ. unknown are the keys without an answer, where all who enqueued
    could tell."""
    stage.check()
    orders = stage.do(lambda processor: tasks.orders(processor._p_jar.root()))
    jobs, aside = stage.do(look)
    effects = stage.effects
    lost = {key for key in orders if key not in effects and key not in aside} | (acks - orders)
    doubled = {key for key, count in effects.items() if count > 1}
    unexpected = effects.keys() - orders | set(jobs) ^ orders | aside & effects.keys()
    answers = ''
    if unknown is not None:
        unexpected |= orders - acks - unknown
        answers = f', {len(unknown):,} unknown of which {len(unknown & orders):,} are there'
    print(f'{what}, {len(jobs):,} jobs, {len(acks):,} acknowledged{answers}, {len(aside)} put '
          f'aside: {len(lost)} lost, {len(doubled)} doubled, {len(unexpected)} unexpected')
    assert (lost, doubled, unexpected) == (set(), set(), set()), what
    assert len(jobs) == len(orders)


def look(processor):
    """The keys of all jobs, and of those that were put aside because they were met by three
    kills."""
    jobs, aside = [], set()
    for jobid in listing.ids(processor.store):
        job = processor.getJob(jobid)
        [key] = job.input[0]
        jobs.append(key)
        if job.status == 'error' and job.error.startswith('Put aside'):
            aside.add(key)
        else:
            assert job.status == 'completed', f'job {jobid} is {job.status}: {job.error}'
    return jobs, aside


if __name__ == '__main__':
    os.nice(5)      # the workers come first
    enqueueAll(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:] == ['lenient'])
