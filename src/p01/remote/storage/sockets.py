# SPDX-License-Identifier: ZPL-2.1
"""The signal of sqlite: between processes of one host, a socket for each listener.

Beside the database lies a small file for each of them, locked as long as it listens, which says
where it hears. The socket itself is not there: whoever copies the folder, while workers live, meets
plain files only, and in the copy nobody holds them.

A signal may be lost, when a listener is just starting; who listens looks by itself now and then.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import ZODB
from ZODB.Connection import Connection

from p01.remote.storage import opened

SUFFIX = '.bell'
FOLDERPREFIX = 'p01.remote-'
# sockets with a name and no file; elsewhere one in a folder of its own
HASNAMES = sys.platform == 'linux'

KNOWNSOCKETS = 1_000       # listeners whose socket is kept in mind
_heard: dict[str, bytes] = {}           # file of a listener that was seen alive → its socket's name


class Listener(threading.Thread):
    """Calls heard() for each signal, in a daemon thread, until it is closed. Raises OSError where
    it cannot listen."""

    def __init__(self, folder: Path, heard: Callable[[], None]) -> None:
        super().__init__(name='p01-listener', daemon=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f'{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}'
        self.place = name = newName()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self.socket.bind(name)
            self.file = locked(self.path, name)
        except BaseException:
            self.socket.close()
            clear(name)
            raise
        self.heard = heard
        self.ends = False
        self.start()

    def run(self) -> None:
        """Listen. Whatever comes is a signal and nothing more: anybody on this host may send it."""
        while True:
            self.socket.recv(16)
            if self.ends:
                break
            self.heard()
        self.socket.close()

    def close(self) -> None:
        """Listen no more."""
        self.ends = True
        self.path.unlink(missing_ok=True)
        os.close(self.file)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            with contextlib.suppress(ConnectionError):  # it woke by another signal, and has ended
                sender.sendto(b'.', self.place)         # waits while it is full
        self.join()
        clear(self.place)


def newName() -> bytes:
    """A name for a socket. Raises OSError."""
    if HASNAMES:
        return f'\0{FOLDERPREFIX}{uuid.uuid4().hex}'.encode()
    # nobody else can have made that folder
    return os.fsencode(os.path.join(tempfile.mkdtemp(prefix=FOLDERPREFIX), 'bell'))


def clear(name: bytes) -> None:
    """Remove the folder of a socket that has one."""
    folder = os.path.dirname(name)
    if os.path.basename(folder).startswith(FOLDERPREFIX.encode()):
        shutil.rmtree(folder, ignore_errors=True)


def locked(path: Path, name: bytes) -> int:
    """The descriptor of a new file that holds a socket's name; it is locked before anybody can see
    it. Raises OSError."""
    fresh = path.with_suffix('.new')
    file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, name)
        fresh.rename(path)
    except FileNotFoundError:       # somebody tidied up just then
        os.close(file)
        return locked(path, name)
    except BaseException:
        os.close(file)
        fresh.unlink(missing_ok=True)
        raise
    return file


class Signal:
    """See storage.signals."""

    def __init__(self, db: ZODB.DB) -> None:
        place = opened.folder(db)
        assert place is not None
        self.folder = place / 'workers'

    def tell(self) -> None:
        """Signal to all listeners."""
        tell(self.folder)

    def within(self, connection: Connection) -> bool:
        """See storage.signals."""
        return False

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call heard() for each signal until what is returned is called. Raises OSError."""
        return Listener(self.folder, heard).close


def tell(folder: Path) -> int:
    """Signal to all listeners of a folder; returns how many there were. What their process left
    behind is removed."""
    told = 0
    try:
        files = [entry.path for entry in os.scandir(folder) if entry.name.endswith(SUFFIX)]
    except OSError:         # nobody has ever listened here
        return 0
    for file in files:
        name = _heard.get(file)
        if name is None or not ring(name):      # not known yet, or ended
            _heard.pop(file, None)
            if not isHeld(file):
                remove(file)
                continue
            name = nameIn(file)
            # it lives where no signal gets, as in another container
            if not ring(name):
                continue
            # others have removed the files of those that ended
            if len(_heard) >= KNOWNSOCKETS:
                _heard.clear()
            _heard[file] = name
        told += 1
    return told


def ring(name: bytes) -> bool:
    """Signal to a socket; whether somebody listens there."""
    if not name:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b'.', socket.MSG_DONTWAIT, name)
        except BlockingIOError:     # full: it has enough to wake up by
            pass
        except OSError:
            return False
    return True


def isHeld(file: str) -> bool:
    """Whether the listener of this file lives."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:     # another user's
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def nameIn(file: str) -> bytes:
    """The name that a listener's file holds; none when it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError:
        return b''


def remove(file: str) -> None:
    """Remove what a process left that was killed. In a copy, the socket may be that of somebody who
    lives."""
    name = nameIn(file)
    Path(file).unlink(missing_ok=True)
    if not HASNAMES and not ring(name):
        clear(name)
