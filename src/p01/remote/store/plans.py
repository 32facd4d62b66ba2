# SPDX-License-Identifier: ZPL-2.1
"""How far a job is that does something with many others."""
from __future__ import annotations

from persistent import Persistent

from p01.remote.ground.door import Closed


class Plan(Closed, Persistent):
    """What is left to do for a job that does something with many, written with each of its commits:
    whoever runs it again goes on there."""

    job = 0                         # whose it is; one like it as a job of its own begins anew
    below = 0                       # ids that are still to be looked at
    done = left = 0                 # jobs that it was done with, and that it could not be done with

    def begin(self, job: int, below: int) -> None:
        """Begin for a job, unless it has begun."""
        if self.job != job:
            self.job, self.below, self.done, self.left = job, below, 0, 0
