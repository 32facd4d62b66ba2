# SPDX-License-Identifier: ZPL-2.1
"""One SQLite database: the connection through which a process writes, and who may write."""
from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from p01.remote.storage.faults import Damaged, Fault, Full, LockTimeout
from p01.remote.storage.shared import Shared
from p01.remote.storage.sqlite import forks, mounts, schema
from p01.remote.storage.sqlite.gate import Gate

FILENAME, COMMITLOCK, BLOBS = 'main.sqlite3', 'commit.lock', 'blobs'
GATEWAIT = 30.0                 # seconds to wait for others that commit
IDS = 128                   # object ids that a process reserves at once, with an fsync
# bytes that the log keeps when it begins anew; beyond them somebody holds an old snapshot
LOGSIZE = 64 << 20
# pages of a process, about, after which it has the log copied into the file
CHECKPOINT = 1_000
PAGE, EACH = 4096, 4        # bytes of a page, and pages that a commit changes at least
FRAMESIZE = PAGE + 24           # bytes of a page in the log
LOGAHEAD = 8 << 20             # bytes that the log is longer than it need be
# bytes that must be free beyond what is written: the log, until it is copied into the file
SPARE = 4 << 20
# Sync every commit, on macOS to the disk itself; what is sorted stands in memory.
PRAGMAS = ('synchronous = FULL', 'fullfsync = ON', 'temp_store = MEMORY',
            f'journal_size_limit = {LOGSIZE}',
            'wal_autocheckpoint = 0')
NEXTOID = 'SELECT MAX(oid, (SELECT IFNULL(MAX(zoid), 0) + 1 FROM object_state)) FROM known'


class File(Shared):
    """A database in a folder, for all views of this process. All checkpoints happen with the right
    to write.

    SQLite before 3.51.3 can damage a file when one process commits while another copies the log
    into it. Who has the right to write does so at the end of a commit; the last one to close, and a
    pack, ask for it first.
    """

    def __init__(self, folder: Path, readOnly: bool = False, wait: float = GATEWAIT,
                 blobs: Path | None = None) -> None:
        super().__init__(str(folder), readOnly, blobs or folder / BLOBS)
        self.folder, self.path, self.wait = folder, folder / FILENAME, wait
        mounts.check(folder)
        forks.check(self.path)
        self.pages = 0                          # since the last checkpoint of ours
        self.packing = False                    # whether a pack of this process is at work
        self.views: weakref.WeakSet[Any] = weakref.WeakSet()
        self.gate = Gate(folder / COMMITLOCK, wait)
        try:
            with self.gate:
                self.writer = self.connect(not readOnly)
                try:
                    schema.prepare(self.writer, self.path, readOnly)
                except BaseException:
                    self.writer.close()
                    raise
        except BaseException:
            self.gate.close()
            raise
        self.execute = self.writer.execute
        forks.files.add(self)

    def connect(self, writing: bool = False) -> sqlite3.Connection:
        """A new connection."""
        connection = sqlite3.connect(self.path, timeout=self.wait, isolation_level=None,
                                     check_same_thread=False)
        try:
            for setting in (*PRAGMAS, f'query_only = {int(not writing)}'):
                connection.execute(f'PRAGMA {setting}').fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self) -> Any:
        """Begin to write; what is returned executes statements. Call end() then. Raises
        LockTimeout."""
        self.gate.acquire()
        try:
            self.execute('BEGIN IMMEDIATE')
        except BaseException:
            self.gate.release()
            raise
        return self.execute

    def end(self, commit: bool) -> None:
        """Commit, which syncs, or roll back. Others may write then, whatever happens."""
        try:
            if commit:
                self.execute('COMMIT')
                self.checkpoint()
        finally:
            try:
                if self.writer.in_transaction:      # it was not to be committed, or could not
                    self.execute('ROLLBACK')
            finally:
                self.gate.release()

    def checkpoint(self) -> None:
        """Copy of the log what no reader needs there, now and then.

        SQLite would try it after each commit while others read, and with a sync of its own. So long
        the log cannot begin anew, as when two processes take turns; then it is made longer in
        advance, since a sync of a file that grows takes two to three times as long.
        """
        if self.pages >= CHECKPOINT:
            self.pages = 0
            _, used, copied = self.execute('PRAGMA wal_checkpoint(PASSIVE)').fetchone()
            if used > copied:
                with suppress(OSError):         # the disk is full, say: the next commits will tell
                    self.lengthen(LOGAHEAD + used * FRAMESIZE)

    def lengthen(self, size: int) -> None:
        """Have so many bytes in the log's file, of zeros, which are no commits."""
        with open(f'{self.path}-wal', 'r+b') as log:
            there = log.seek(0, os.SEEK_END)
            if there < size:
                log.write(bytes(size - there))
                log.flush()
                os.fsync(log.fileno())

    def atWork(self, views: list[Any]) -> bool:
        """In a forked child: whether somebody in the parent had a snapshot in one of these views,
        or was within SQLite. Whoever is holds the gate, his view's lock, or packs."""
        return self.packing or self.writer.in_transaction or not self.gate.lock.acquire(False) \
            or any(view.snapshot or not view.lock.acquire(False) for view in views)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A transaction of its own."""
        execute, commit = self.begin(), False
        try:
            yield execute
            commit = True
        finally:
            self.end(commit)

    def reserve(self, view: Any) -> range:
        """See Shared."""
        try:
            with self.writing() as execute:
                first = execute(NEXTOID).fetchone()[0]
                execute('UPDATE known SET oid = ?', (first + IDS,))
        except sqlite3.Error as error:
            raise self.told(error) from error
        return range(first, first + IDS)

    def room(self, size: int) -> None:
        """Raises Full unless so many bytes can be written: a commit that fails for the disk had
        better fail before its end."""
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if free < 2 * size + SPARE:
            raise Full(f'The disk of {self.folder} has {free / 1e6:.1f} MB left, and a commit '
                       f'needs {(2 * size + SPARE) / 1e6:.1f}; make room there.')

    def told(self, error: sqlite3.Error) -> Exception:
        """An error of SQLite in our words."""
        name = getattr(error, 'sqlite_errorname', '')
        if name.startswith(('SQLITE_BUSY', 'SQLITE_LOCKED', 'SQLITE_PROTOCOL')):
            return LockTimeout(f'{self.path} is locked by another program ({error}); close it '
                               'there.')
        if name.startswith(('SQLITE_CORRUPT', 'SQLITE_NOTADB')):
            return Damaged(f'{self.path} is damaged ({error}); restore it from a backup.')
        if name == 'SQLITE_FULL':
            return Full(f'{self.path} cannot grow ({error}); make room there.')
        if name.startswith('SQLITE_READONLY'):
            return Fault(f'{self.path} cannot be written ({error}); check the permissions of the '
                         'folder and of its files.')
        return Fault(f'{self.path} cannot be read or written ({error}); check the folder, its '
                     'permissions and its disk.')

    def close(self) -> None:
        """See Shared. The last one to close copies the log into the file."""
        self.closed = True
        forks.files.discard(self)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(LockTimeout):      # then it is not the last one
                self.gate.acquire()
                stack.callback(self.gate.release)
            for view in list(self.views):
                view.disconnect()
            self.writer.close()
        self.gate.close()
