# SPDX-License-Identifier: ZPL-2.1
"""Standard streams that never stop anybody: closed ones lead nowhere, full or broken ones swallow,
poor ones get ASCII signs.

What a command or a job did must not depend on who listens.
"""
from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Mapping
from typing import Any, TextIO

ASCII = {'○': 'o', '◷': '@', '▶': '>', '✔': '+', '✖': 'x', '⊘': '/', '↻': '~', '▲': '!', '⏸': '=',
         '…': '~', '–': '-', '—': '-',
         '×': 'x', 'µ': 'u', '─': '-', '━': '-', '╸': '-', '╺': '-', '│': '|', '·': '.', '“': '"',
         '”': '"', '‘': "'", '’': "'",
         **dict(zip('▁▂▃▄▅▆▇█', '.,:-=+*#')), **dict.fromkeys(map(chr, range(0x2800, 0x2900)), '*')}
HANDLER = 'p01.remote.signs'        # for errors of encoding


def _signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return ''.join(ASCII.get(letter, '?')
                   for letter in error.object[error.start:error.end]), error.end


codecs.register_error(HANDLER, _signs)


class Lenient(io.RawIOBase):
    """A descriptor that takes whatever is written: after the first failure all of it vanishes."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or swallow."""
        while self.error is None:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:     # somebody who shares it has made it so
                select.select([], [self.descriptor], [])
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.descriptor)


def prepare() -> None:
    """Make the standard streams of this process lenient. Streams that somebody else has put there
    stay."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # closed: else the next file that is opened takes its place, and what is printed
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(os.devnull)       # noqa: SIM115 - as long as the process
    sys.stdout = lenient(sys.stdout, sys.__stdout__, 1)
    sys.stderr = lenient(sys.stderr, sys.__stderr__, 2)


def lenient(stream: Any, own: Any, descriptor: int) -> Any:
    """A lenient stream in the place of one of Python's own."""
    if stream is None:
        return open(os.devnull, 'w', encoding='utf-8', errors='replace')
    if stream is own and isinstance(stream, io.TextIOWrapper) \
            and not isinstance(rawOf(stream), Lenient):
        buffer = io.BufferedWriter(Lenient(descriptor))
        real = os.isatty(descriptor)
        return io.TextIOWrapper(buffer, 'ascii' if real and isPlain(os.environ)
                                else stream.encoding, HANDLER,
                                line_buffering=real or descriptor == 2)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=HANDLER)
    return stream


def apart() -> tuple[TextIO, TextIO]:
    """Standard input and output, for one who speaks a protocol there. From now on everybody else in
    this process, and in those that it starts, reads nothing, and prints to the error stream."""
    sys.stdout.flush()
    mine = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return open(mine[0], encoding='utf-8', errors='replace'), open(mine[1], 'w', encoding='utf-8')


def rawOf(stream: Any) -> Any:
    """What a text stream stands on, where it has such a thing."""
    return getattr(getattr(stream, 'buffer', None), 'raw', None)


def isPlain(environ: Mapping[str, str]) -> bool:
    """Whether somebody has asked for the locale C, whatever Python makes of it."""
    for name in ('LC_ALL', 'LC_CTYPE', 'LANG'):
        value = environ.get(name)
        # Python itself sets LC_CTYPE so, where LANG is C
        if value and not (name == 'LC_CTYPE' and value == 'C.UTF-8'):
            return value in ('C', 'POSIX')
    return False


def finish() -> str:
    """Write what is left; returns why it could not be written, '' when it was, or when nobody wants
    it any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    error = getattr(rawOf(sys.stdout), 'error', None)
    return '' if error is None or error.errno == errno.EPIPE else error.strerror or str(error)
