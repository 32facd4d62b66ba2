# SPDX-License-Identifier: ZPL-2.1
"""Worker processes that cannot begin, or end by a fault of their own: begun again after growing
pauses, given up in the end."""
from __future__ import annotations

import os
import time

from p01.remote import events
from p01.remote.ground import subscribers
from p01.remote.ground.clocks import pauseAfter
from p01.remote.ground.foreign import reasonOf

FAILURES = 5           # failures in a row after which the command gives up
FIRSTRESTART, LONGESTRESTART = 0.5, 32.0      # seconds after the first failure, and at most
FAULT = 1           # exit status of a process that could not begin, or whose loops ended by a fault
SOFTWARE = 70         # of one whose own code failed while it worked (EX_SOFTWARE)


class Starts:
    """What a supervisor knows of how its processes begin."""

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient                      # it is never given up: the source may change
        self.works: set[int] = set()                # the numbers of those that have begun to work
        self.said: dict[int, str] = {}              # why they ended
        self.failures: dict[int, int] = {}          # in a row
        # when to begin once more, on the monotonic clock
        self.again: dict[int, float] = {}
        # why the command gives up; '' as long as it does not
        self.reason = ''

    def begins(self, number: int) -> None:
        """A process is to begin."""
        self.works.discard(number)
        self.again.pop(number, None)
        self.said.pop(number, None)

    def hurry(self) -> None:
        """Those that wait may begin at once."""
        self.again = dict.fromkeys(self.again, 0.0)

    def pause(self, number: int, code: int, how: str) -> float:
        """Seconds until a process that ended may begin again, 0 for at once; how says how it ended.

        One that could not begin, or ended by a fault of its own, is told of, and waits; reason is
        set when there is no end of it, and nobody else works.
        """
        if number in self.again:
            return max(0.0, self.again[number] - time.monotonic())
        if number in self.works and code != FAULT:      # a job took it down, or a person
            self.failures.pop(number, None)
            return 0.0
        working = bool(self.works - {number})
        self.works.discard(number)
        reason = self.said.get(number, '').rstrip('.') or f'it {how} before it worked'
        count = self.failures[number] = self.failures.get(number, 0) + 1
        if count >= FAILURES and not working and not self.patient:
            self.reason = reason
        wait = pauseAfter(count, FIRSTRESTART, LONGESTRESTART)
        follows = f'after {count} failures in a row the command gives up' if self.reason \
            else f'it begins again in {wait:.1f} s'
        subscribers.notify(events.WorkerFailed(str(number), reason, follows))
        self.again[number] = time.monotonic() + wait
        return wait


def broken(number: int, error: BaseException) -> None:
    """End a process that nobody can tell anything any more, as one that is killed: what it runs is
    blamed for it."""
    subscribers.notify(events.WorkerFailed(str(number), reasonOf(error), 'its process is broken'))
    os._exit(SOFTWARE)
