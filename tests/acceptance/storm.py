# SPDX-License-Identifier: ZPL-2.1
"""Kills whole trees of workers under load, again and again, and then asks what is left."""
import random
import subprocess

from p01.remote.testing import waitFor
from tests.acceptance.load import Enqueuers, completed, verdict
from tests.acceptance.trees import DEADLINE, Tree
from tests.race.stage import Stage


def storm(folder, kills, seed=None, together=False):
    """Kill so many trees, then let one finish; AssertionError when a job was lost or ran twice.
    together: their jobs share commits."""
    seed = random.randrange(1 << 32) if seed is None else seed
    chance = random.Random(seed)
    address = f'sqlite:{folder / "jobs"}'
    stage = Stage(address)
    enqueuers = Enqueuers(address, folder)
    tree = None
    try:
        for number in range(kills):
            tree = Tree(address, folder, together=together)
            if chance.random() < 0.25:      # while it begins
                ends(tree.process, chance.uniform(0.0, 0.8))
            else:
                goal = completed(stage) + chance.randrange(1, 100)
                waitFor(lambda goal=goal: completed(stage) >= goal, DEADLINE,
                        f'{goal} jobs completed (seed {seed})')
            tree.kill()
            if not number % 10:
                enqueuers.replace()
        acks = enqueuers.stop()
        tree = Tree(address, folder, drain=True, together=together)
        assert tree.process.wait(10 * DEADLINE) == 0, tree.said[-5000:]
        assert list(tree.boxes.iterdir()) == []     # nothing is left of those that died
        verdict(stage, acks, f'{kills} kills of trees (seed {seed})')
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
