# SPDX-License-Identifier: ZPL-2.1
"""Kills whole trees of workers under load, again and again, and then asks what is left."""
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from p01.remote import App
from p01.remote.store.writer import systematic
from p01.remote.testing import waitFor
from tests.acceptance import tasks
from tests.acceptance.trees import DEADLINE, ROOT, Tree, environment
from tests.acceptance.zygote import TASKS, Acks, acked
from tests.race.stage import Stage

ENQUEUERS = 2
PACE = 0.01         # seconds between two transactions of an enqueuer: more would only make the test longer


def enqueueAll(address, number, folder):
    """Enqueue until a file says stop; each job belongs to an order that is written with it."""
    app = App(address)
    acks = Acks(folder / f'{number}.acks')
    key = number << 32
    systematic(app.db, lambda connection: tasks.openBook(connection.root(), number))
    while not (folder / 'stop').exists():
        with app.transaction() as root:
            root[f'orders {number}'].add(key)
            app.processor.processJob(TASKS + ('effect' if key % 10 else 'stumble'), (key,))
        acks.add(key)
        key += 1
        time.sleep(PACE)
    app.close()


class Enqueuers:
    """Processes that enqueue."""

    def __init__(self, address, folder):
        self.address = address
        self.folder = folder
        self.count = 0
        self.processes = []
        for _ in range(ENQUEUERS):
            self.start()

    def start(self):
        """One more."""
        self.count += 1
        self.processes.append(subprocess.Popen(
            [sys.executable, '-m', 'tests.acceptance.storm', self.address, str(self.count), str(self.folder)],
            cwd=ROOT, env=environment(self.address)))

    def replace(self):
        """Kill the oldest; a new one takes over."""
        oldest = self.processes.pop(0)
        oldest.kill()
        oldest.wait()
        self.start()

    def stop(self):
        """Let them end; returns the keys that they know to be committed."""
        (self.folder / 'stop').touch()
        assert [process.wait(DEADLINE) for process in self.processes] == [0] * len(self.processes)
        return {key for log in self.folder.glob('*.acks') for key in acked(log)}

    def kill(self):
        """Kill all that are left."""
        for process in self.processes:
            process.kill()
            process.wait()


def storm(folder, kills, seed=None):
    """Kill so many trees, then let one finish; AssertionError when a job was lost or ran twice."""
    seed = random.randrange(1 << 32) if seed is None else seed
    chance = random.Random(seed)
    address = f'sqlite:{folder / "jobs"}'
    stage = Stage(address)
    enqueuers = Enqueuers(address, folder)
    tree = None
    try:
        for number in range(kills):
            tree = Tree(address, folder)
            if chance.random() < 0.25:      # while it begins
                ends(tree.process, chance.uniform(0.0, 0.8))
            else:
                goal = completed(stage) + chance.randrange(1, 100)
                waitFor(lambda goal=goal: completed(stage) >= goal, DEADLINE, f'{goal} jobs completed (seed {seed})')
            tree.kill()
            if not number % 10:
                enqueuers.replace()
        acks = enqueuers.stop()
        tree = Tree(address, folder, drain=True)
        assert tree.process.wait(10 * DEADLINE) == 0, tree.said[-5000:]
        assert list(tree.boxes.iterdir()) == []     # nothing is left of those that died
        told(stage, acks, kills, seed)
    finally:
        enqueuers.kill()
        if tree is not None:
            tree.kill()
        stage.close()


def ends(process, seconds):
    """Wait for a process, at most so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def completed(stage):
    """How many jobs have completed so far."""
    counts = stage.do(lambda processor: processor.store.counts())
    return counts.get('default', {}).get('completed', 0)


def told(stage, acks, kills, seed):
    """What the oracle says: TQ."""
    stage.check()
    orders = stage.do(lambda processor: tasks.orders(processor._p_jar.root()))
    jobs, aside = stage.do(look)
    effects = stage.effects
    lost = {key for key in orders if key not in effects and key not in aside} | (acks - orders)
    doubled = {key for key, count in effects.items() if count > 1}
    unexpected = effects.keys() - orders | set(jobs) ^ orders | aside & effects.keys()
    print(f'{kills} kills of trees, {len(jobs):,} jobs, {len(acks):,} acknowledged, {len(aside)} put aside: '
          f'{len(lost)} lost, {len(doubled)} doubled, {len(unexpected)} unexpected (seed {seed})')
    assert (lost, doubled, unexpected) == (set(), set(), set()), f'seed {seed}'
    assert len(jobs) == len(orders)


def look(processor):
    """The keys of all jobs, and of those that were put aside because they were met by three kills."""
    jobs, aside = [], set()
    for jobid in processor.store.ids():
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
    enqueueAll(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
