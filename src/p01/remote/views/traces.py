# SPDX-License-Identifier: ZPL-2.1
"""Tracebacks as they are kept, taken apart: their frames, and which of them are the application's
own. Pure, and reads no file: the text may name any."""
from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

FRAMELINE = re.compile(r'^  File "(?P<path>[^"\n]*)", line (?P<line>\d+)'
                       r'(?:, in (?P<function>.*))?$')
LIBRARY = re.compile(r'[/\\](site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<|'
                     r'[/\\]p01[/\\]remote[/\\]')
TRACEBEGINS = 'Traceback (most recent call last)'
UNDERLINE = re.compile(r'^\s*[\^~]+\s*$')


class Frame(NamedTuple):
    """One frame of a traceback."""

    path: str
    line: int
    function: str
    code: str           # that stands there; '' where it was not known
    own: bool           # the application's: no library, not this package

    @property
    def file(self) -> str:
        """The last two parts of the path."""
        return '/'.join(re.split(r'[/\\]', self.path)[-2:])

    @property
    def place(self) -> str:
        """For people: mail/smtp.py:88 send."""
        return f'{self.file}:{self.line} {self.function}'.rstrip()


class Trace(NamedTuple):
    """A traceback, the newest call last; before: what was raised before it, as text."""

    frames: tuple[Frame, ...]
    error: str
    before: str

    @property
    def raised(self) -> Frame | None:
        """The last frame of the application's own, else the last one."""
        own = [frame for frame in self.frames if frame.own]
        return own[-1] if own else self.frames[-1] if self.frames else None


@lru_cache(maxsize=2048)        # thousands of jobs fail in the same place
def parsed(text: str) -> Trace:
    """The last traceback of a text that may have several, as a cause and what came of it."""
    before, begins, last = text.rpartition(TRACEBEGINS)
    if not begins:
        before, last = '', text
    frames: list[Frame] = []
    error: list[str] = []
    for line in last.splitlines():
        found = FRAMELINE.match(line)
        if found:
            frames.append(Frame(found['path'], int(found['line']), found['function'] or '', '',
                                not LIBRARY.search(found['path'])))
        elif line.startswith('    ') and frames and not error:
            if not frames[-1].code and not UNDERLINE.match(line):
                frames[-1] = frames[-1]._replace(code=line.strip())
        elif line.startswith('  [') or line == ':':
            continue        # repeated frames are left out
        elif line.strip() or error:
            error.append(line)
    return Trace(tuple(frames), '\n'.join(error).strip(), before.strip())
