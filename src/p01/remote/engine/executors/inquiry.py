# SPDX-License-Identifier: ZPL-2.1
"""How processes of a pool are asked where their jobs stand: over a socket, which a thread of theirs
answers and no job notices. One whose job holds on to the GIL in C does not answer: faulthandler
could, but reads what others change meanwhile, where it is not so, and ends the process then."""
from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

from p01.remote.engine.seams import Attempted
from p01.remote.engine.stacks import jobText, labelled

ANSWERBYTES = 1 << 18       # of an answer, at most
DEAF = '  It does not answer: it holds on to the GIL, or is stopped.\n'
BEGINS = '  It does not work yet.\n'


class Inquiry:
    """How one process is asked: our end and its end of the socket. Raises OSError."""

    def __init__(self) -> None:
        self.job: Attempted | None = None       # that it runs
        self.pid = 0
        self.thread = 0             # of the process that runs jobs; 0 as long as it does not listen
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

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


def answers(asked: Iterable[Inquiry], until: float) -> list[str]:
    """Where jobs stand whose processes were asked, as they say until an instant of the monotonic
    clock."""
    jobs = [(each, each.job) for each in asked]
    return [described(each, job, each.hear(until)) for each, job in jobs if job is not None]


def described(each: Inquiry, job: Attempted, text: str) -> str:
    """Where the job of a process stands, given what that says."""
    runs = jobText(job.task.id, job.began)
    if not text:
        return f'Process {each.pid}{runs}:\n{DEAF if each.thread else BEGINS}'
    return labelled(text, {each.thread: runs}, f' of process {each.pid}')
