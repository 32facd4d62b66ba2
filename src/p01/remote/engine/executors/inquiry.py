# SPDX-License-Identifier: ZPL-2.1
"""How processes of a pool are asked where their jobs stand: over a socket, which a thread of theirs
answers and no job notices; one that holds on to the GIL in C by a signal to that thread, at which
faulthandler writes to a file in memory."""
from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from subprocess import Popen
from time import monotonic, sleep

from p01.remote.engine.seams import Attempted
from p01.remote.engine.stacks import jobText, labelled
from p01.remote.ground.blackbox import STACKSIGNAL
from p01.remote.ground.boards import anonymous

ANSWERBYTES = 1 << 18       # of an answer, at most
WRITES = 0.1                # seconds at least that faulthandler has


class Inquiry:
    """How one process is asked. Raises OSError."""

    process: Popen[bytes]

    def __init__(self) -> None:
        self.job: Attempted | None = None       # that it runs
        self.thread = 0             # of the process that runs jobs; 0 as long as it does not listen
        with ExitStack() as made:
            self.file = made.enter_context(anonymous())
            self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            made.pop_all()

    def handle(self) -> int:
        """A handle that appends to the file. Raises OSError."""
        return os.open(f'/proc/self/fd/{self.file.fileno()}', os.O_WRONLY | os.O_APPEND)

    def ask(self) -> None:
        """Ask the process."""
        while self.hear(0.0):       # what it has answered too late
            pass
        with suppress(OSError):
            self.ours.send(b'?')

    def hear(self, until: float) -> str:
        """What it answers until an instant of the monotonic clock; '' for nothing."""
        with suppress(OSError):             # no time is left, or it is closed
            while True:
                self.ours.settimeout(max(0.0, until - monotonic()))
                data = self.ours.recv(ANSWERBYTES)
                if self.thread or not data:
                    return data.decode()
                self.thread = int(data, 16)
        return ''

    def close(self) -> None:
        """The process has ended."""
        self.ours.close()
        self.theirs.close()
        self.file.close()


def answers(asked: Iterable[Inquiry], until: float) -> list[str]:
    """Where jobs stand whose processes were asked, as they say until an instant of the monotonic
    clock, or hardly later."""
    now = monotonic()
    jobs = [(each, each.job) for each in asked]
    told = {each: each.hear(now + (until - now) / 2) for each, _ in jobs}
    with ExitStack() as held:
        files: dict[Inquiry, int] = {}
        for each, text in told.items():
            with suppress(OSError, ValueError):         # it has ended
                if not text and each.thread and each.process.poll() is None:
                    # a copy: the number of one that is closed may be anything by now
                    files[each] = os.dup(each.file.fileno())
                    held.callback(os.close, files[each])
        written(files, max(until, monotonic() + WRITES))
        told |= {each: os.pread(file, ANSWERBYTES, 0).decode(errors='replace')
                 for each, file in files.items()}
    return [described(each, job, told[each]) for each, job in jobs if job is not None]


def written(files: Mapping[Inquiry, int], until: float) -> None:
    """Have processes write where they stand, each into its file, and wait until all have, at most
    until an instant of the monotonic clock."""
    for each, file in files.items():
        with suppress(OSError):                 # it ends just now
            os.truncate(file, 0)                # of what was asked for before
            os.kill(each.process.pid, STACKSIGNAL)
    sizes: list[int] = []
    while files and monotonic() < until:
        sleep(0.01)
        old, sizes = sizes, [os.fstat(file).st_size for file in files.values()]
        if sizes == old and all(sizes):
            return


def described(each: Inquiry, job: Attempted, text: str) -> str:
    """Where the job of a process stands, given what that says."""
    pid, runs = each.process.pid, jobText(job.task.id, job.began)
    if not text:
        why = 'does not answer' if each.thread else 'does not work yet'
        return f'Process {pid}{runs}:\n  It {why}.\n'
    return labelled(text, {each.thread: runs}, f' of process {pid}')
