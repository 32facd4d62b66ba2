# SPDX-License-Identifier: ZPL-2.1
"""What operators decide while the system runs."""
from __future__ import annotations

from persistent import Persistent

from p01.remote.ground.door import Closed


class Settings(Closed, Persistent):
    """What operators decide while the system runs."""

    def __init__(self) -> None:
        self.paused: dict[str, float | None] = {}       # queue → until, POSIX seconds
