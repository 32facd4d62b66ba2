# SPDX-License-Identifier: ZPL-2.1
"""What a job prints becomes lines of its log, too, if it is asked for (`capture=True`).

Standard streams are of the process; so while such a job runs, one in front of them looks who
prints, and hands it on. What threads print that a job has started is not told apart.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from p01.remote.ground import fork

LONGESTLINE = 2_000     # characters of a line

Hear = Callable[[str], None]
hearing: ContextVar[Hear | None] = ContextVar('hearing', default=None)


class Lines:
    """Hands on lines that come in pieces."""

    def __init__(self, hear: Hear) -> None:
        self.hear = hear
        self.rest = ''

    def take(self, text: str) -> None:
        """A piece."""
        *lines, self.rest = (self.rest + text).split('\n')
        for line in lines:
            self.hear(line.rpartition('\r')[2][:LONGESTLINE])
        if len(self.rest) > LONGESTLINE:
            self.finish()

    def finish(self) -> None:
        """What is left is a line, too."""
        rest, self.rest = self.rest, ''
        if rest:
            self.hear(rest.rpartition('\r')[2][:LONGESTLINE])


class Front:
    """Stands in front of a stream."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, and hand on to the job that prints."""
        hear = hearing.get()
        if hear is not None:
            hear(text)
        return int(self.stream.write(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_fronts: dict[str, Front] = {}
_users = [0]
_lock = fork.Lock()


@contextmanager
def captured(hear: Hear) -> Iterator[None]:
    """Hand on the lines that are printed within, in this context."""
    lines = Lines(hear)
    enter()
    token = hearing.set(lines.take)
    try:
        yield
    finally:
        hearing.reset(token)
        leave()
        lines.finish()


def enter() -> None:
    """Have the streams watched."""
    with _lock:
        _users[0] += 1
        for name in ('stdout', 'stderr'):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, Front):
                _fronts[name] = Front(stream)
                setattr(sys, name, _fronts[name])


def leave() -> None:
    """Have them as they were, when nobody needs it any more; what somebody else has put there
    stays."""
    with _lock:
        _users[0] -= 1
        if not _users[0]:
            for name, front in _fronts.items():
                if getattr(sys, name) is front:
                    setattr(sys, name, front.stream)
            _fronts.clear()
