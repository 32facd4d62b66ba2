# SPDX-License-Identifier: ZPL-2.1
"""One view of a SQLite database. A read transaction is its snapshot, and the index by revision says
what has changed since."""
from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ZODB.POSException import ReadConflictError
from ZODB.utils import newTid, p64, u64

from p01.remote.storage import core
from p01.remote.storage.faults import Fault, LockTimeout
from p01.remote.storage.iteration import Row
from p01.remote.storage.pending import Pending
from p01.remote.storage.sqlite.file import EACH, GATEWAIT, PAGE, File
from p01.remote.storage.sqlite.packing import Pack
from p01.remote.storage.sqlite.schema import LASTTID, Unfit

CHANGED = 'SELECT zoid, tid FROM object_state WHERE tid > ? ORDER BY tid LIMIT ?'
LOAD = 'SELECT state, tid FROM object_state WHERE zoid = ?'
CHANGE = 'UPDATE object_state SET tid = ?, state_size = ?, state = ? WHERE zoid = ? AND tid = ?'
ADD = ('INSERT INTO object_state (tid, state_size, state, zoid) VALUES (?, ?, ?, ?) ON CONFLICT '
       '(zoid) DO NOTHING')
RESTORE = ('INSERT INTO object_state (tid, state_size, state, zoid) VALUES (?, ?, ?, ?) ON '
           'CONFLICT (zoid) DO UPDATE SET tid = excluded.tid, state_size = excluded.state_size, '
           'state = excluded.state WHERE excluded.tid >= tid')
REMOVE = 'DELETE FROM object_state WHERE zoid = ? AND tid <= ?'
AFTER = 'SELECT zoid FROM object_state WHERE zoid >= ? AND state IS NOT NULL ORDER BY zoid LIMIT ?'
SIZETHERE = 'SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()'
HISTORYROWS = ('SELECT zoid, tid, state FROM object_state WHERE tid BETWEEN ? AND ? AND state IS '
               'NOT NULL '
        'ORDER BY tid, zoid')


class View(core.View):
    """One view of a database in a folder."""

    shared: File

    def __init__(self, shared: File, first: bool = True) -> None:
        super().__init__(shared, first)
        self.reader: sqlite3.Connection | None = None
        self.ask: Any = None                # executes a statement of the reader
        self.snapshot = False               # whether the reader holds one
        self.seen: int | None = None        # the last transaction whose changes have been told
        # our transactions after that one, whose changes we need not be told
        self.own: set[int] = set()
        self.base = 0                       # the last transaction before the one that is voted for
        self.writing = False                # whether we have the right to write
        shared.views.add(self)

    # -- reading

    def begin(self) -> Any:
        """Begin a snapshot, which the first statement fixes; what is returned executes
        statements."""
        ask = self.ask
        if ask is None:
            self.reader = self.shared.connect()
            self.ask = ask = self.reader.execute
        ask('BEGIN')
        self.snapshot = True
        return ask

    def end(self) -> None:
        """See core."""
        if self.snapshot:
            self.snapshot = False
            self.ask('ROLLBACK')

    def poll(self) -> list[int] | None:
        """See core."""
        try:
            self.end()
            ask, seen = self.begin(), self.seen
            if seen is None:
                self.seen = ask(LASTTID).fetchone()[0]
                return []
            rows = ask(CHANGED, (seen, core.CHANGES)).fetchall()
            if not rows:
                return []
            own, self.own = self.own, set()
            if len(rows) >= core.CHANGES:
                self.seen = ask(LASTTID).fetchone()[0]
                return None
            self.seen = rows[-1][1]
            return [oid for oid, tid in rows
                    if tid not in own] if own else [oid for oid, tid in rows]
        except sqlite3.Error as error:
            raise self.shared.told(error) from error

    def one(self, statement: str, *values: Any) -> Any:
        """The first row that a statement finds in the snapshot, which begins if there is none.

        The first view, which tools read through, gives it up again unless it is committing: no
        connection of ZODB's does it there.
        """
        try:
            if self.snapshot:
                return self.ask(statement, values).fetchone()
            self.begin()
            if self.seen is None:
                self.seen = self.ask(LASTTID).fetchone()[0]
            found = self.ask(statement, values).fetchone()
            if self.first and self.transaction is None:
                self.end()
            return found
        except sqlite3.Error as error:
            raise self.shared.told(error) from error

    def number(self, statement: str) -> int:
        """What a statement counts in the snapshot; when there is none, nothing is held
        afterwards."""
        held = self.snapshot
        try:
            return int(self.one(statement)[0])
        finally:
            if not held:
                self.end()

    def read(self, oid: int) -> tuple[bytes, int] | None:
        """See core."""
        row: tuple[bytes, int] | None = self.one(LOAD, oid)
        return None if row is None or row[0] is None else row

    def last(self) -> int:
        """See core."""
        return self.number(LASTTID)

    def after(self, oid: int, number: int) -> list[int]:
        """See core."""
        self.last()
        return [found for found, in self.ask(AFTER, (oid, number))]

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """See core."""
        connection = self.shared.connect()
        connection.execute('BEGIN')
        connection.execute(LASTTID).fetchone()

        def found() -> Iterator[Row]:
            try:
                yield from connection.execute(HISTORYROWS, (start, stop))
            finally:
                connection.close()
        return found()

    def __len__(self) -> int:
        with self.lock:
            return self.number('SELECT COUNT(*) FROM object_state')

    def getSize(self) -> int:
        """Bytes of the file, and of what stands behind its end in the log; what is to be
        overwritten there does not count."""
        with self.lock:
            return max(os.stat(self.shared.path).st_size, self.number(SIZETHERE))

    # -- committing

    def vote(self, pending: Pending) -> list[Row]:
        """See core."""
        try:
            if not self.writing:
                self.shared.room(pending.size)
                execute = self.shared.begin()
                self.writing = True
                self.shared.pages += EACH + pending.size // PAGE
                self.numbered(execute(LASTTID).fetchone()[0], pending.given)
                self.place(pending)
                for oid, serial in pending.checks.items():
                    found = execute(LOAD, (oid,)).fetchone()
                    if found is None or found[1] != serial:
                        raise ReadConflictError(oid=p64(oid),
                                                serials=(p64(found[1] if found else 0),
                                                         p64(serial)))
                if pending.restores:
                    self.restoring(pending)
            return self.put(pending)
        except sqlite3.Error as error:
            raise self.shared.told(error) from error

    def numbered(self, last: int, given: bytes | None) -> None:
        """The next revision, behind all others, whatever the clocks of this host do."""
        if self.seen is not None and last < self.seen:
            raise Fault(f'{self.shared.path} is older than what this process has seen: a backup '
                        'was put in its place; restart.')
        self.base = last
        self.tid = given or newTid(p64(last) if last else None)

    def put(self, pending: Pending) -> list[Row]:
        """Write what is stored where it is based on the current revision; returns the rows where it
        is not."""
        tid, many = u64(self.tid), self.shared.writer.executemany
        changes = [oid for oid, (serial, _) in pending.stores.items() if serial]
        news = [oid for oid, (serial, _) in pending.stores.items() if not serial]
        done = 0
        if changes:
            stores = pending.storing(changes)
            done = many(CHANGE, ((tid, len(data), data, oid, serial)
                                 for oid, serial, data in stores)).rowcount
        if news:
            done += many(ADD, ((tid, len(data), data, oid)
                               for oid, _, data in pending.storing(news))).rowcount
        if done == len(pending.stores):
            return []
        found = ((oid, self.shared.execute(LOAD, (oid,)).fetchone() or (b'', 0))
                 for oid in pending.stores)
        return [(oid, current, state) for oid, (state, current) in found if current != tid]

    def restoring(self, pending: Pending) -> None:
        """Write what some other database has."""
        for oid, tid, data in pending.restoring():
            if data is None:
                self.shared.execute(REMOVE, (oid, tid))
            else:
                self.shared.execute(RESTORE, (tid, len(data), data, oid))

    def commit(self, tid: int) -> None:
        """See core."""
        try:
            self.end()      # else the log could not begin anew
        finally:
            self.writing = False
            try:
                self.shared.end(True)
            except sqlite3.Error as error:
                raise self.shared.told(error) from error
        if self.base == self.seen:      # nobody has committed since
            self.seen = tid
        else:
            self.own.add(tid)

    def rollback(self) -> None:
        """See core."""
        if self.writing:
            self.writing = False
            self.shared.end(False)

    # -- the rest

    def pack(self, t: float, referencesf: Callable[[bytes], Iterable[bytes]],
             gc: bool = True) -> None:
        """Delete what nothing leads to and is older than t, in POSIX seconds. Raises Packed while
        another pack runs."""
        self.writable()
        try:
            Pack(self.shared, t).run(referencesf if gc else None)
        except sqlite3.Error as error:
            raise self.shared.told(error) from error
        self.sweep(self.new_instance())

    def disconnect(self) -> None:
        """Close the reader."""
        reader, self.reader, self.ask, self.snapshot = self.reader, None, None, False
        if reader is not None:
            reader.close()

    def release(self) -> None:
        """See core."""
        with self.lock:
            self.shared.own()
            self.disconnect()


def openStorage(folder: str | Path, readOnly: bool = False, wait: float = GATEWAIT,
                blobs: str | Path | None = None) -> View:
    """The storage in a folder, which is there; its database is made on first use. Blobs are in its
    folder blobs, or in the one that is named.

    Who commits waits for others for so many seconds at most. Raises Unfit, and LockTimeout.
    """
    where = Path(folder).absolute()
    try:
        if not where.is_dir():
            raise Unfit(f'There is no folder {where}; make it, and its database is made on first '
                        'use.')
        return View(File(where, readOnly, wait, None if blobs is None else Path(blobs)))
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, sqlite3.Error) and 'locked' in str(error):
            raise LockTimeout(f'{where} is locked by another program ({error}); close it '
                              'there.') from error
        raise Unfit(f'{where} cannot be opened ({error}); check the folder and its permissions, '
                    'and that the disk is not full.') from error
    except sqlite3.DatabaseError as error:
        raise Unfit(f'{where} holds no database that can be read ({error}); name another folder, '
                    'or restore it from a backup.') from error
