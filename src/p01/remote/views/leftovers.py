# SPDX-License-Identifier: ZPL-2.1
"""What a drain has left: jobs that nobody was to run, or not yet. Imports no database, since
supervisors have none."""
from __future__ import annotations

from typing import NamedTuple


class Left(NamedTuple):
    """How many jobs have not ended.

    due: could run now; elsewhere: run in other workers; paused, unserved: are due, in queues that
    are paused or that the drain did not serve, by queue; delayed: are not due yet, the first of
    them at next, in POSIX seconds.
    """

    due: int
    elsewhere: int
    paused: dict[str, int]
    unserved: dict[str, int]
    delayed: int
    next: float | None
