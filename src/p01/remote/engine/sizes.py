# SPDX-License-Identifier: ZPL-2.1
"""How many jobs share a commit: as many as are done in a while that may be lost, fewer where they
meet others. Pure."""
from __future__ import annotations

from collections.abc import Collection

# seconds of work that share a commit: what a kill, or one that meets others, repeats
GROUPLASTS = 0.05
# seconds; a job that took longer has a commit of its own the next time
LONGALONE = GROUPLASTS / 2
MOSTATONCE = 1000         # jobs of one commit
LEASTATONCE = 2           # else it is none that they share
WEIGHT = 4 << 20    # bytes of changes in one commit
SHRINK = 4          # how many times fewer jobs share a commit after one that met others
GROUPGROWTH = 1.06       # how many times more after one that met nobody


class Sizes:
    """What one worker has learned of its jobs, by their names. Durations are seconds."""

    def __init__(self) -> None:
        self.limits: dict[str, float] = {}      # of those that have met others lately
        self.long: set[str] = set()             # those whose last run took long

    def most(self, names: Collection[str]) -> int:
        """How many jobs of these names may share a commit; fewer than LEAST: none may."""
        if not self.limits and not self.long:
            return MOSTATONCE
        if not self.long.isdisjoint(names):
            return 1
        return int(min((self.limits.get(name, MOSTATONCE) for name in names), default=MOSTATONCE))

    def took(self, name: str, duration: float) -> None:
        """A run took so long."""
        if duration > LONGALONE:
            self.long.add(name)
        elif self.long:
            self.long.discard(name)

    def met(self, names: Collection[str], count: int) -> None:
        """A commit of so many jobs of these names met others."""
        for name in names:
            self.limits[name] = max(1.0, min(count, self.limits.get(name, MOSTATONCE)) / SHRINK)

    def went(self, names: Collection[str], count: int) -> None:
        """A commit of so many jobs of these names met nobody; one that was smaller than it might
        have been says little."""
        for name in names if self.limits else ():
            limit = self.limits.get(name, 0.0)
            if 2 * count >= int(limit) > 0:
                self.limits[name] = limit * GROUPGROWTH
                if limit * GROUPGROWTH > MOSTATONCE:
                    del self.limits[name]
