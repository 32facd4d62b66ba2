# SPDX-License-Identifier: ZPL-2.1
"""The signal of sqlite: between processes of one host, a named pipe for each listener, beside the database.

A signal may be lost, when a listener is just starting; who listens looks by itself now and then.
"""
from __future__ import annotations

import os
import select
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import ZODB

from p01.remote.storage import opened

SUFFIX = '.bell'
FULL = 4096


class Listener(threading.Thread):
    """Calls heard() for each signal, in a daemon thread, until it is closed. Raises OSError where no pipe can be made."""

    def __init__(self, folder: Path, heard: Callable[[], None]) -> None:
        super().__init__(name='p01-listener', daemon=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f'{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}'
        os.mkfifo(self.path, 0o600)
        # for reading and writing: with a writer of its own the pipe never ends
        self.pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.heard = heard
        self.closed = False
        self.start()

    def run(self) -> None:
        """Listen."""
        while True:
            select.select([self.pipe], [], [])
            os.read(self.pipe, FULL)
            if self.closed:
                os.close(self.pipe)
                return
            self.heard()

    def close(self) -> None:
        """Listen no more."""
        self.path.unlink(missing_ok=True)
        self.closed = True
        os.write(self.pipe, b'.')
        self.join()


class Signal:
    """See storage.signals."""

    def __init__(self, db: ZODB.DB) -> None:
        place = opened.folder(db)
        assert place is not None
        self.folder = place / 'workers'

    def tell(self) -> None:
        """Signal to all listeners."""
        tell(self.folder)

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call heard() for each signal until what is returned is called. Raises OSError."""
        return Listener(self.folder, heard).close


def tell(folder: Path) -> int:
    """Signal to all listeners of a folder; returns how many there were. Pipes that their process left behind are removed."""
    told = 0
    try:
        names = [entry.path for entry in os.scandir(folder) if entry.name.endswith(SUFFIX)]
    except OSError:         # nobody has ever listened here
        return 0
    for name in names:
        try:
            pipe = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:     # ENXIO: nobody reads
            Path(name).unlink(missing_ok=True)
            continue
        try:
            os.write(pipe, b'.')
            told += 1
        except BlockingIOError:     # full: it has enough to wake up by
            told += 1
        except OSError:
            pass
        finally:
            os.close(pipe)
    return told
