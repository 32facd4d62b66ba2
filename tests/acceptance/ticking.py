# SPDX-License-Identifier: ZPL-2.1
"""Workers that fire schedules in real time, and are killed at random; each tick must have one job,
run once."""
import random
import subprocess
import sys
import threading
import time
from itertools import pairwise

from BTrees.OOBTree import OOBTree

from p01.remote import App, current
from p01.remote.engine.loop import Loop
from p01.remote.testing import waitFor
from p01.remote.views import listing
from tests.acceptance.trees import DEADLINE, ROOT, environment

CODE = """
import sys
from pathlib import Path
from tests.acceptance.ticking import work
work(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
"""
ITEMS = 20
RATE = 0.5          # seconds between two ticks of one
application = App('memory:')


@application.job(deaths=1000, conflicts=1000)
def note(name):
    """Count how often it ran for a tick."""
    ran = current.root['ran']
    ran[name, current.tick.timestamp()] = ran.get((name, current.tick.timestamp()), 0) + 1


def work(address, number, folder):
    """Work, until a file says stop."""
    app = App(address)
    app.open()
    loop = Loop(app.db, app.locate, number)
    thread = threading.Thread(target=loop.work)
    thread.start()
    while not (folder / 'stop').exists():
        time.sleep(0.05)
    loop.stop()
    thread.join()
    loop.close()
    app.close()


def spawn(address, number, folder):
    """One more process."""
    with open(folder / 'said', 'ab') as log:
        return subprocess.Popen([sys.executable, '-c', CODE, address, str(number), str(folder)],
                                cwd=ROOT,
                                env=environment(address), stdout=log, stderr=log)


def ticked(address, folder, workers, ticks):
    """Let so many workers fire so many ticks, while one after the other is killed; AssertionError
    for a tick that has no job, or two. Returns what was done, in words."""
    chance = random.Random()
    app = App(address)
    with app.transaction() as root:
        root['ran'] = OOBTree()
    for number in range(ITEMS):
        app.schedules.add(str(number), note, every=RATE, missed='all', args=(str(number),))
    started, kills, processes = 0, 0, []
    try:
        while (done := ran(app)) < ticks:
            while len(processes) < workers:
                started += 1
                processes.append(spawn(address, started, folder))
            waitFor(lambda done=done: ran(app) > done, DEADLINE, said(folder))
            pause = time.monotonic() + chance.random()
            waitFor(lambda pause=pause: time.monotonic() > pause, DEADLINE)
            victim = processes.pop(chance.randrange(len(processes)))
            victim.kill()
            victim.wait()
            kills += 1
        for name in map(str, range(ITEMS)):
            app.schedules.pause(name)
        processes.append(spawn(address, started + 1, folder))
        waitFor(lambda: over(app), DEADLINE, said(folder))
        (folder / 'stop').touch()
        assert [process.wait(DEADLINE)
                for process in processes] == [0] * len(processes), said(folder)
        return f'{verified(app)}, {kills} kills among {workers} workers'
    finally:
        for process in processes:
            process.kill()
            process.wait()
        app.close()


def ran(app):
    """How many runs were committed."""
    with app.reading() as processor:
        return len(processor._p_jar.root()['ran'])


def over(app):
    """Whether no job waits or runs."""
    with app.reading() as processor:
        return not [jobid for jobid in listing.ids(processor.store)
                    if not processor.store.over(jobid)]


def verified(app):
    """Each tick from the first to the last had one job, which ran once; how many there were, in
    words."""
    with app.reading() as processor:
        runs = dict(processor._p_jar.root()['ran'].items())
        jobs = [processor.store.entry(jobid)[1].extras for jobid in listing.ids(processor.store)]
        stati = {processor.getJobStatus(jobid) for jobid in listing.ids(processor.store)}
        lost = sum(item.passed + item.skipped for item in processor.scheduler.values())
    ticks = [(each['schedule'], each['tick']) for each in jobs]
    found = lost, stati, len(ticks)
    assert found == (0, {'completed'}, len(set(ticks))), found
    assert runs == dict.fromkeys(ticks, 1)
    for name in map(str, range(ITEMS)):
        found = sorted(tick for key, tick in ticks if key == name)
        assert [round(late - early, 6)
                for early, late in pairwise(found)] == [RATE] * (len(found) - 1)
    return f'{len(ticks):,} ticks'


def said(folder):
    """What they had to say."""
    return (folder / 'said').read_text()[-5000:]
