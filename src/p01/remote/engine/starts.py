# SPDX-License-Identifier: ZPL-2.1
"""Worker processes that cannot begin, or end by a fault of their own: begun again after growing pauses, given up in the end."""
from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import ParamSpec, TypeVar

from p01.remote import events
from p01.remote.exceptions import RemoteError
from p01.remote.foreign import Raised, described, guarded, reasonOf

TRIES = 5           # failures in a row after which the command gives up
FIRST = 0.5         # seconds after the first failure, twice as long after each further one
FAULT = 1           # exit status of a process that could not begin, or whose loops ended by a fault

P = ParamSpec('P')
Result = TypeVar('Result')


# -- in the worker process

def attempt(line: Connection | None, step: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Do a step of a process's start; what it raises ends the process with one sentence, which its supervisor tells."""
    done = guarded(step, *args, **kwargs)
    if not isinstance(done, Raised):
        return done
    fail(line, done.error)
    raise AssertionError('unreachable')


def fail(line: Connection | None, error: BaseException) -> None:
    """End this process; its supervisor tells why."""
    reason = described(error) if isinstance(error, RemoteError) else reasonOf(error)
    if line is None:
        sys.exit(reason)
    say(line, reason)
    sys.exit(FAULT)


def say(line: Connection | None, reason: str = '') -> None:
    """Tell the supervisor why this process ends; without a reason, that it works."""
    if line is not None:
        with suppress(OSError, ValueError):     # it is gone
            line.send(reason)


# -- in the supervisor

class Starts:
    """What a supervisor knows of how its processes begin."""

    def __init__(self) -> None:
        self.lines: dict[int, Connection] = {}      # by the number of the process
        self.works: set[int] = set()                # those that have begun to work
        self.said: dict[int, str] = {}              # why they ended
        self.failures: dict[int, int] = {}          # in a row
        self.again: dict[int, float] = {}           # when to begin once more, on the monotonic clock
        self.reason = ''                            # why the command gives up; '' as long as it does not

    def line(self, number: int) -> Connection:
        """The line for a process that is to begin, on which it says how it does."""
        if number in self.lines:
            self.lines[number].close()
        self.works.discard(number)
        self.again.pop(number, None)
        self.said.pop(number, None)
        self.lines[number], theirs = Pipe(duplex=False)
        return theirs

    def listen(self, number: int) -> None:
        """Hear what a process has said."""
        with suppress(EOFError, OSError):
            while self.lines[number].poll():
                said = self.lines[number].recv()
                if said:
                    self.said[number] = said.rstrip('.')
                else:
                    self.works.add(number)

    def pause(self, number: int, code: int, how: str) -> float:
        """Seconds until a process that ended may begin again, 0 for at once; how says how it ended.

        One that could not begin, or ended by a fault of its own, is told of, and waits; reason is set when there is no end of
        it, and nobody else works.
        """
        self.listen(number)
        if number in self.again:
            return max(0.0, self.again[number] - time.monotonic())
        if number in self.works and code != FAULT:      # a job took it down, or a person
            self.failures.pop(number, None)
            return 0.0
        working = bool(self.works - {number})
        self.works.discard(number)
        reason = self.said.get(number) or f'it {how} before it worked'
        count = self.failures[number] = self.failures.get(number, 0) + 1
        if count >= TRIES and not working:
            self.reason = reason
        wait = FIRST * 2 ** min(count - 1, 6) * (0.75 + random.random() / 4)
        follows = f'after {count} failures in a row the command gives up' if self.reason else f'it begins again in {wait:.1f} s'
        events.notify(events.WorkerFailed(str(number), reason, follows))
        self.again[number] = time.monotonic() + wait
        return wait
