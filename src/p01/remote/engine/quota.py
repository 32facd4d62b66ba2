# SPDX-License-Identifier: ZPL-2.1
"""What one worker process does until another one takes its place: so many jobs, or until it takes
so much memory."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from p01.remote.engine.seams import Working
from p01.remote.exceptions import InputError
from p01.remote.ground import amounts
from p01.remote.ground.words import count, size
from p01.remote.options import WorkerOptions

MEMORYLOOK = 0.1        # seconds between two looks at the memory


class Quota:
    """Shared by the loops of a process. full(why) is called once, in the thread of any of them."""

    def __init__(self, options: WorkerOptions, loops: Sequence[Working],
                 full: Callable[[str], None]) -> None:
        self.jobs, self.memory = options.maxJobs, options.maxMemory
        self.loops = loops
        self.full = full
        self.looked = 0.0
        self.over = False

    def share(self, most: int) -> int:
        """How many jobs a loop may have at once, at most so many."""
        if self.over:
            return 0
        done = sum(loop.done + len(loop.handed.running()) for loop in self.loops)
        if self.jobs:
            # what runs is in hand for as long as it likes: nobody waits for that
            left = self.jobs - done - sum(bool(loop.post.running) for loop in self.loops)
            if left <= 0:
                return self.end(f'it has begun {count(self.jobs - left, "job")}')
            # others have some of it in their hands, or it waits for an event loop
            left -= sum(len(loop.post.hand[1]) + loop.handed.waiting() for loop in self.loops)
            most = max(0, min(most, -(-left // len(self.loops))))
        now = time.monotonic()
        if self.memory and done and now - self.looked > MEMORYLOOK:
            self.looked = now
            taken = amounts.taken()
            if taken >= self.memory:
                return self.end(f'it takes {size(taken)} of memory, after {count(done, "job")}')
        return most

    def end(self, why: str) -> int:
        """It is full; returns that nothing more may be had."""
        self.over = True
        self.full(why)
        return 0


def prove(options: WorkerOptions) -> None:
    """Raises InputError when a process takes more than it may before its first job."""
    taken = amounts.taken()
    if 0 < options.maxMemory <= taken:
        raise InputError(f'--max-memory is {size(options.maxMemory)}, and a worker process takes '
                         f'{size(taken)} before its first job; allow more.')
