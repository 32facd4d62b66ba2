# SPDX-License-Identifier: ZPL-2.1
"""Does one thing to a database and is killed at its N-th system call of a kind that writes or
syncs.

`strace -f` counts the calls of each thread and kind, and kills at call LIMIT. So one process runs
under strace and forks for each N: the child opens the database, and a new thread makes LIMIT - N
idle calls of that kind before it begins.
"""
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress

from persistent.mapping import PersistentMapping

from p01.remote import App
from p01.remote.engine import group, sizes
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.storage import file, packing, sqlite  # noqa: F401 - loaded before the fork
from p01.remote.views import listing
from tests.acceptance import tasks

LIMIT = 1000
CALLS = {       # with an idle call of each
    'write': lambda handle: os.write(handle, b'.'),
    'pwrite64': lambda handle: os.pwrite(handle, b'.', 0),
    'fsync': os.fsync,
    'fdatasync': os.fdatasync,
    'ftruncate': lambda handle: os.ftruncate(handle, 0),
}
SURVIVED = 77
DEADLINE = 60
TASKS = 'tests.acceptance.tasks.'


class Acks:
    """A log outside the database, in which nothing stands that is not on the disk."""

    def __init__(self, path):
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def add(self, key):
        """Say that something is committed."""
        os.write(self.handle, f'{key}\n'.encode())
        os.fsync(self.handle)


def acked(path):
    """The keys in a log; the last line may be torn."""
    return {int(line) for line in path.read_text().split('\n')[:-1]} if path.exists() else set()


# -- what is done

def enqueue(app, acks):
    """Enqueue with changes of the application's own, and once abort."""
    for key in range(3):
        with app.transaction() as root:
            root['orders 0'].add(key)
            app.processor.processJob(TASKS + 'effect', (key,))
        acks.add(key)
        try:
            with app.transaction() as root:
                root['orders 0'].add(key + 50)
                app.processor.processJob(TASKS + 'effect', (key + 50,))
                raise InterruptedError
        except InterruptedError:
            pass


def claim(app, acks):
    """Claim, give back, claim."""
    loop = newLoop(app)
    loop.book(time.time(), 3)
    loop.book(time.time(), 1)
    loop.book(time.time(), 4)


def complete(app, acks):
    """Run jobs with effects, and settle."""
    loop = newLoop(app)
    for task in loop.book(time.time(), 4)[0]:
        loop.act(task)
        acks.add(tasks.keyOf(task))
    loop.book(time.time(), 4)


def together(app, acks):
    """Run jobs that share a commit, and settle."""
    group.LASTS = sizes.LONGALONE = 60.0     # however slow it is here
    loop = newLoop(app, together=True)
    loop.batch.average = 1e-4         # it claims them all at once
    loop.poll(time.time())
    assert loop.group.names             # they did
    for jobid in listing.ids(loop.runner.fresh().store):
        acks.add(app.processor.getJob(jobid).input[0][0])
    loop.book(time.time(), 4)


def retry(app, acks):
    """Run jobs that fail, until they do not."""
    loop = newLoop(app)
    for _ in range(4):
        for task in loop.book(time.time(), 2)[0]:
            loop.act(task)


def rescue(app, acks):
    """Give the jobs of a dead worker back."""
    newLoop(app).book(time.time(), 0)


def pack(app, acks):
    """Pack away what nothing refers to any more."""
    for number in range(2):
        with app.transaction() as root:
            root['rest'] = PersistentMapping({key: PersistentMapping() for key in range(40)})
        with app.transaction() as root:
            root['kept', number] = root.pop('rest')[number]
        packing.pack(app.db)


def die(app, acks):
    """Die with a committed job, a running job and a claimed job at hand."""
    loop = newLoop(app)
    [first, second, _] = loop.book(time.time(), 3)[0]
    loop.act(first)
    loop.post.mark(second.id, None)


def newLoop(app, **options):
    """A worker."""
    return Loop(app.db, app.locate, 'victim', WorkerOptions(**options))


STEPS = {step.__name__: step for step in (enqueue, claim, complete, together, retry, rescue, pack,
                                            die)}


# -- the process under strace

def serve(handle):
    """Fork for each request on this socket, and answer with the child's status."""
    with socket.socket(fileno=handle) as requests:
        while data := requests.recv(65536):
            pid = os.fork()
            if not pid:
                requests.close()
                child(**json.loads(data))
            requests.send(str(os.waitpid(pid, 0)[1]).encode())      # no system call that is counted


def child(step, address, acks, call, number):
    """Open the database here, and begin in a thread whose calls are not counted yet."""
    app = App(address)
    app.open()
    log = Acks(acks)
    nowhere = os.open(os.devnull, os.O_WRONLY)

    def work():
        for _ in range(LIMIT - number if number else 0):
            with suppress(OSError):         # nothing can be synced there, but the call counts
                CALLS[call](nowhere)
        try:
            STEPS[step](app, log)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(SURVIVED)
    threading.Thread(target=work).start()
    threading.Event().wait()


class Zygote:
    """The process under strace, seen from the test."""

    def __init__(self, environment, folder):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.requests = here
        self.log = folder / 'zygote.log'
        calls = ','.join(CALLS)
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                ['strace', '-f', '-qq', '-o', os.devnull, '-e', f'trace={calls}', '-e',
                 f'inject={calls}:signal=KILL:when={LIMIT}',
                 sys.executable, '-m', 'tests.acceptance.zygote', str(there.fileno())],
                env=environment, cwd=environment['P01_TEST_ROOT'], stdout=log, stderr=log,
                pass_fds=[there.fileno()])
        there.close()

    def run(self, step, address, acks, call='write', number=0):
        """Let a child do this and kill it at its call of that number, 0 for none; returns its
        status as os.wait has it."""
        self.requests.send(json.dumps({'step': step, 'address': address, 'acks': str(acks),
                                       'call': call,
                                       'number': number}).encode())
        ready, _, _ = select.select([self.requests], [], [], DEADLINE)
        answer = self.requests.recv(100) if ready else b''
        assert answer, f'{step} {number}: no answer; {self.log.read_text()[-2000:]}'
        return int(answer)

    def close(self):
        """End it."""
        self.requests.close()
        self.process.wait(DEADLINE)


if __name__ == '__main__':
    serve(int(sys.argv[1]))
