# SPDX-License-Identifier: ZPL-2.1
"""The line between a supervisor and a process of its own, and how the main threads of both wait:
for each other, and signals.

The supervisor gives orders once, and holds its end of the line as long as it lives. The process
says pairs of a word and a value: 'files' (what it has imported), 'checked' (what its App is),
'works' (its box), 'fault' (why it ends), 'runs' (names of jobs that it waits for), 'leaves' (people
want it to end), 'full' (it has done what one process does), 'told' (whether a signal told it to
end) and 'ended' (in good order: when, and what a drain had left then).
"""
from __future__ import annotations

import contextlib
import json
import marshal
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from p01.remote.ground.question import GENTLESIGNAL

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}        # each asks a supervisor to end
QUIT = signal.SIGQUIT               # and this one what its processes do
TELL = 0.5          # seconds after which a stop says what it waits for

# nothing is imported before the paths are those of the supervisor but what is within Python
CHILDCODE = """import marshal, sys
orders = marshal.load(open({heard}, 'rb', closefd=False))
sys.path[:], sys.argv[:] = orders.pop('path'), orders.pop('argv')
from p01.remote.engine.process import main
main(orders, {heard}, {says})"""


class Child:
    """A process of a supervisor, started anew: nobody may fork with an open database."""

    def __init__(self, number: int, orders: dict[str, Any]) -> None:
        self.number = number
        self.born = time.time()
        self.works = False
        self.box = ''                           # see blackbox; '' as long as it does not work
        self.reason = ''                        # why it ends
        self.files: list[str] = []              # that it has imported, as far as it was not heard
        # of the jobs that it waits for, by their ids, once it has said so
        self.names: dict[int, str] | None = None
        self.ended = self.told = False          # in good order; a signal told it to end
        # until when it is to end that people want to end, on the monotonic clock; 0 for none
        self.leaves = 0.0
        self.line, says = os.pipe()
        heard, self.orders = os.pipe()
        self.rest = b''
        os.set_blocking(self.line, False)
        # until it has said what it does with them; one it waits for all the time
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, QUIT, GENTLESIGNAL})
        try:
            code = CHILDCODE.format(heard=heard, says=says)
            self.process = subprocess.Popen([sys.executable, *flags(sys.orig_argv), '-c', code],
                                            stdin=subprocess.DEVNULL, pass_fds=(heard, says))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(heard)
            os.close(says)
        with contextlib.suppress(BrokenPipeError), open(self.orders, 'wb', closefd=False) as file:
            marshal.dump({**orders, 'path': [str(each) for each in sys.path],
                          'argv': [str(each) for each in sys.argv], 'number': number,
                          'parent': os.getpid()}, file)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def alive(self) -> bool:
        """Whether it has not ended. What a job of it forked may hold on to its line."""
        return self.process.poll() is None

    @property
    def code(self) -> int:
        """With which status it ended; that of a signal is negative."""
        return self.process.returncode or 0

    def said(self) -> Iterator[tuple[str, Any]]:
        """What it has said since."""
        with contextlib.suppress(BlockingIOError):
            while self.line >= 0:
                data = os.read(self.line, 65536)
                self.rest += data
                if not data:
                    os.close(self.line)
                    self.line = -1
        *lines, self.rest = self.rest.split(b'\n')
        for line in lines:
            word, value = json.loads(line)
            yield word, value

    def close(self) -> None:
        """It has ended."""
        for handle in (self.line, self.orders):
            if handle >= 0:
                os.close(handle)
        self.line = self.orders = -1


def flags(words: list[str]) -> list[str]:
    """The options of Python itself in a command line, such as -O and -X dev; those that lead to
    what is run end them."""
    found: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith('-') or word == '-':
            break
        if word in ('-X', '-W', '--check-hash-based-pycs'):
            found += [word, next(rest, '')]
        elif word.startswith(('-X', '-W', '--')):
            found.append(word)
        else:
            letters = word[1:]
            end = min((letters.index(letter) for letter in 'cm' if letter in letters),
                      default=len(letters))
            if letters[:end].strip('i'):            # it is not for a person
                found.append('-' + letters[:end].replace('i', ''))
            if end < len(letters):
                break
    return found


class Line:
    """The process's own end of the line."""

    def __init__(self, heard: int, says: int) -> None:
        self.heard = heard              # ends when the supervisor is gone
        self.says = says
        self.lock = threading.Lock()    # threads say something, too

    def say(self, word: str, value: Any = None) -> None:
        """Say something, if anybody hears it."""
        with self.lock, contextlib.suppress(OSError):
            data = json.dumps([word, value]).encode() + b'\n'
            while data:
                data = data[os.write(self.says, data):]

    def gone(self, seconds: float = 0.0) -> bool:
        """Whether the supervisor has died, or dies within so many seconds: nobody would tell us to
        end."""
        return bool(select.select([self.heard], [], [], seconds)[0])


class Wait:
    """How a main thread waits: for handles that can be read, for signals, and for other threads
    that wake it."""

    def __init__(self) -> None:
        self.inner, self.outer = os.pipe()
        for handle in (self.inner, self.outer):
            os.set_blocking(handle, False)

    @contextlib.contextmanager
    def signals(self, numbers: Iterable[int], told: list[int]) -> Iterator[None]:
        """Be woken by signals, whose numbers are told: a handler that raises could break a commit.
        In a main thread."""
        old = {number: signal.signal(number, lambda number, frame: told.append(number))
               for number in numbers
               # ignored: nohup started us
               if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}
        before = signal.set_wakeup_fd(self.outer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            # told to end, it does, whatever comes yet
            for number, handler in old.items() if not told else ():
                signal.signal(number, handler)

    def wake(self) -> None:
        """Wake whoever waits; for other threads."""
        with contextlib.suppress(BlockingIOError):      # it is awake
            os.write(self.outer, b'.')

    def wait(self, handles: Iterable[int], seconds: float | None) -> None:
        """Wait until woken, or one of the handles can be read, at most so many seconds; None for
        ever."""
        poller = select.poll()
        for handle in (self.inner, *handles):
            poller.register(handle, select.POLLIN)
        poller.poll(None if seconds is None else max(0.0, seconds) * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(self.inner, 4096)
