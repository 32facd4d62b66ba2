# SPDX-License-Identifier: ZPL-2.1
"""What people have done: the last of it, each line written in the transaction of what was done."""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from BTrees.LOBTree import LOBTree
from persistent import Persistent

from p01.remote.ground.door import Closed

LINESKEPT = 1_000
WHOLENGTH, WHATLENGTH = 100, 300        # characters that are kept


class Line(NamedTuple):
    """Something that people have done: when, in POSIX seconds, who, by which face, what."""

    when: float
    who: str
    face: str
    what: str


class Audit(Closed, Persistent):
    """The last lines, in the order of their keys. Nobody writes them but people, so that these
    meet each other alone."""

    def __init__(self) -> None:
        # by the microsecond, behind the last one
        self.lines: LOBTree[tuple[float, str, str, str]] = LOBTree()

    def note(self, line: Line) -> None:
        """Keep one more line."""
        key = int(line.when * 1_000_000)
        if self.lines:
            key = max(key, self.lines.maxKey() + 1)     # whatever the clock does
        self.lines[key] = (line.when, line.who[:WHOLENGTH], line.face, line.what[:WHATLENGTH])
        if len(self.lines) > LINESKEPT:
            del self.lines[self.lines.minKey()]

    def newest(self, below: int | None = None) -> Iterator[tuple[int, Line]]:
        """The lines with keys below one, the newest first."""
        found = self.lines.items() if below is None else self.lines.items(None, below - 1)
        return ((key, Line(*fields)) for key, fields in reversed(list(found)))
