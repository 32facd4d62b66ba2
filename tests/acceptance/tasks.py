# SPDX-License-Identifier: ZPL-2.1
"""Jobs for the tests that kill: each counts its effects in the database, so that a lost or doubled
one shows.

Worker processes import this module; P01_TEST_DATABASE names their database.
"""
import asyncio
import ctypes
import os
import resource
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

from BTrees.OOBTree import OOTreeSet
from persistent.mapping import PersistentMapping

from p01.remote import App, current
from p01.remote.exceptions import Cancelled, TimeLimit
from p01.remote.store.payload import unpack

app = App(os.environ.get('P01_TEST_DATABASE', 'memory:'))
interlude = []      # what race tests want done between a job's work and its commit, once each


def prepare(root):
    """Make the counters."""
    root['effects'] = OOTreeSet([(-1, '')])     # an empty one would conflict
    root['sum'] = PersistentMapping(value=0)
    openBook(root, 0)


def openBook(root, number):
    """A set for the orders of one who enqueues: nobody else writes to it, so that any conflict is
    the queue's fault."""
    root[f'orders {number}'] = OOTreeSet()


def orders(root):
    """The keys of all orders."""
    return {key for name, book in root.items() if name.startswith('orders ') for key in book}


def count(root, key):
    """Count one effect. Two of the same key do not conflict: a doubled one must not be hidden by
    that."""
    root['effects'].add((key, uuid.uuid4().hex))


def effects(root):
    """How often each key was counted."""
    return Counter(key for key, _ in root['effects'] if key >= 0)


def keyOf(task):
    """The key of a claimed job."""
    return unpack(task.record.input)[0][0]


def meanwhile():
    """What happens elsewhere, while this job is paused."""
    if interlude:
        interlude.pop(0)()


@app.job
def effect(key):
    """Changes the database."""
    count(current.root, key)
    meanwhile()
    return key


@app.job
def whose(key):
    """Counts, and says in which process."""
    count(current.root, key)
    return os.getpid()


@app.job
def closes(key):
    """Counts, and closes the files of its process, as what makes daemons does."""
    count(current.root, key)
    os.closerange(3, 256)


kept = []           # memory that this process does not give back


@app.job
def leak(key, megabytes):
    """Counts, and takes memory for good."""
    count(current.root, key)
    kept.append(bytes(range(256)) * (megabytes * 4000))
    time.sleep(0.03)
    return os.getpid()


@app.job(detached=True, retries=3, backoff=0)
def errand(key, folder):
    """Notes that it runs, in which process, and waits until it may go on."""
    Path(folder, f'{key}.{current.attempt}').write_text(str(os.getpid()))
    while not Path(folder, 'go').exists():
        time.sleep(0.01)
    return key


@app.job(together=True)
def labour(key, log, seconds):
    """Says outside that it runs, counts, has another one count, and takes so long."""
    until = time.perf_counter() + seconds
    with open(log, 'ab', buffering=0) as file:
        file.write(f'{key}\n'.encode())
    count(current.root, key)
    current.processor.processJob('tests.acceptance.tasks.effect', (-key,))
    while time.perf_counter() < until:
        pass
    return key


def addTo(root, number):
    """Add to the sum, which any other who does so meets."""
    root['sum']['value'] += number


@app.job
def add(key):
    """Counts, and adds to the sum."""
    count(current.root, key)
    addTo(current.root, 1)
    meanwhile()


@app.job(retries=0)
def chain(key, fails=False, unique=None):
    """Counts, and has another one count, under a key that a job may hold; then it may fail."""
    count(current.root, key)
    current.processor.processJob('tests.acceptance.tasks.effect', (key + 100,), unique=unique)
    if fails:
        raise ValueError(key)


@app.job
def pure(key):
    """Changes nothing."""
    meanwhile()
    return os.getpid(), key


@app.job(retries=3, backoff=0)
def stumble(key):
    """Fails twice, having changed the database, then counts."""
    count(current.root, key)
    meanwhile()
    if current.job.runCounter < 3:
        raise ValueError(f'run {current.job.runCounter} of {key}')
    return key


@app.job(retries=0)
def fails(key):
    """Changes the database, leaves a thread of its own behind that ends, and fails."""
    count(current.root, key)
    threading.Thread(target=meanwhile).start()
    raise ValueError(f'{key} fails')


@app.job(retries=0)
async def failsLater(key):
    """Fails behind an await, with a transaction of its own and a task that it leaves."""
    left = asyncio.create_task(asyncio.sleep(60))
    async with app.transaction() as root:
        count(root, key)
        raise ValueError(f'{key} fails, and {left} is left')


@app.job(retries=0)
def interrupt():
    """Raises what the terminal raises."""
    raise KeyboardInterrupt


@app.job(retries=3, backoff=0)
def wait(key, folder, first='wait'):
    """Says that it runs, waits in its first run until it is let go, and counts."""
    count(current.root, key)
    path = os.path.join(folder, f'{key}.{current.attempt}')
    with open(path, 'w') as file:
        file.write(str(os.getpid()))
    if current.job.runCounter == 1 and first == 'wait':
        while not os.path.exists(os.path.join(folder, f'{key}.go')):
            time.sleep(0.01)
    return os.getpid()


@app.job(retries=3, backoff=0)
def heed(key, folder, way='check'):
    """Says that it runs, and works until it is asked to end; 'hold' does not let go of the GIL,
    'churn' computes."""
    count(current.root, key)
    with open(os.path.join(folder, f'{key}.{current.attempt}'), 'w') as file:
        file.write(str(os.getpid()))
    if way == 'hold':
        ctypes.PyDLL(None).sleep(60)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if way == 'check':
            current.check()
        if way == 'churn':
            churn(40)
        else:
            time.sleep(0.01)


def churn(depth):
    """Calls, of many sizes, that come and go."""
    sizes = [depth] * (depth % 7)
    return depth and churn(depth - 1) + sum(len([each * 1.5 for each in range(count)])
                                            for count in sizes)


@app.job(retries=1, backoff=0, capture=True)
def tells(key, folder, count=3):
    """Says how far it is, logs and prints, waits until it is let go, and goes on."""
    for number in range(count):
        current.progress(number, count + 1, f'row {number}')
        current.log.info('logged %d', number)
        print('printed', number)
    with open(os.path.join(folder, f'{key}.{current.attempt}'), 'w') as file:
        file.write(str(os.getpid()))
    while not os.path.exists(os.path.join(folder, f'{key}.go')):
        time.sleep(0.01)
    current.progress(count + 1, count + 1, 'done')
    print('last')


@app.job(detached=True, retries=0, capture=True, soft=0.5)
def reports(key, folder, looks):
    """Says how far it is, logs and prints, until it is to end; if it looks, it says that it runs
    long, too."""
    current.progress(1, 4, 'row 1')
    current.log.info('logged')
    print('printed')
    with open(os.path.join(folder, f'{key}.{current.attempt}'), 'w') as file:
        file.write(str(os.getpid()))
    while True:
        time.sleep(0.01)
        try:
            if looks:
                current.check()
        except TimeLimit:
            current.progress(2, 4, 'long')
        except Cancelled:
            current.log.info('tidied up')
            raise


class Brake:
    """Joins a transaction and is asked last: when the database has promised to commit and holds its
    locks."""

    def __init__(self, manager, reached):
        self.transaction_manager = manager
        self.tpc_vote = reached

    def sortKey(self):
        return '~'

    def ignore(self, transaction):
        pass

    abort = tpc_begin = commit = tpc_finish = tpc_abort = ignore


@app.job(retries=3, backoff=0)
def vote(key, folder):
    """Waits in its first run until it is let go, within its commit."""
    count(current.root, key)
    path = os.path.join(folder, f'{key}.{current.attempt}')

    def reached(transaction):
        with open(path, 'w') as file:
            file.write(str(os.getpid()))
        while not os.path.exists(os.path.join(folder, f'{key}.go')):
            time.sleep(0.01)

    if current.job.runCounter == 1:
        manager = current.root._p_jar.transaction_manager
        manager.get().join(Brake(manager, reached))


@app.job(timeout=1)
def overrun(key, folder):
    """Takes for ever in its first run."""
    count(current.root, key)
    with open(os.path.join(folder, f'{key}.{current.attempt}'), 'w') as file:
        file.write(str(os.getpid()))
    while current.job.runCounter == 1:
        time.sleep(0.01)
    return current.job.runCounter


# -- jobs that take their worker down

@app.job
def leave(key, status):
    """Ends the process."""
    count(current.root, key)
    os._exit(status)


@app.job
def crash(key):
    """Reads from nowhere: SIGSEGV."""
    count(current.root, key)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def limitMemory():
    """Let this process have 32 MB more than it has."""
    held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (32 << 20), resource.RLIM_INFINITY))


@app.job
def devour(key):
    """Takes all memory that the process may have, until the C library finds none and aborts, as a
    library would."""
    count(current.root, key)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limitMemory()
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    while library.malloc(ctypes.c_size_t(1 << 20)):
        pass
    ctypes.memset(library.malloc(ctypes.c_size_t(1 << 30)), 1, 1)


hoard = []          # what greedy took; kept, as a leak would be


@app.job(retries=1, backoff=0)
def greedy(key):
    """Takes all memory that the process may have, and keeps it."""
    count(current.root, key)
    limitMemory()
    while True:
        hoard.append(bytearray(1 << 16))


# -- on an event loop

@app.job(backoff=0)
async def flight(key, folder, seconds=0.0):
    """Says that it runs, awaits, and counts; its second run awaits for no time."""
    with open(os.path.join(folder, f'{key}.{current.attempt}'), 'w') as file:
        file.write(str(os.getpid()))
    until = time.monotonic() + (seconds if not os.path.exists(os.path.join(folder, 'go')) else 0.0)
    while time.monotonic() < until and not os.path.exists(os.path.join(folder, 'go')):
        await asyncio.sleep(0.01)
    async with app.transaction() as root:
        count(root, key)
    return os.getpid()


@app.job(retries=1, backoff=0)
async def dive(key):
    """SIGSEGV, between two awaits."""
    await asyncio.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


@app.job(retries=0, timeout=1)
async def hog(key):
    """Holds the event loop, and never awaits."""
    await asyncio.sleep(0.01)
    while True:
        time.sleep(0.01)


async def cling(key, folder, way):
    """Says that it runs, and then how it does not end: by itself, by a cancel, or at all."""
    with open(os.path.join(folder, f'{key}.{current.attempt}'), 'w') as file:
        file.write(str(os.getpid()))
    while True:
        try:
            if way == 'block':
                time.sleep(60)
            elif way == 'hold':
                ctypes.PyDLL(None).sleep(60)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if way != 'swallow':
                raise


clings = app.job(retries=0, name='tests.acceptance.tasks.clings')(cling)
limited = app.job(retries=0, timeout=1, name='tests.acceptance.tasks.limited')(cling)
