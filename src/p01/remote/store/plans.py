# SPDX-License-Identifier: ZPL-2.1
"""How far a job is that does something with many others."""
from __future__ import annotations

from persistent import Persistent

from p01.remote.ground.door import Closed


class Plan(Closed, Persistent):
    """What is left to do for a job that does something with many, written with each of its commits:
    whoever runs it again goes on there."""

    below: int | None = None        # ids that are still to be looked at; None: it has not begun
    done = left = 0                 # jobs that it was done with, and that it could not be done with
