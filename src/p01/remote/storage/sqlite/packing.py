# SPDX-License-Identifier: ZPL-2.1
"""A pack of a SQLite database: marks without a long snapshot, deletes and gives back room in steps,
so that others commit."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from persistent.TimeStamp import TimeStamp
from ZODB.utils import u64

from p01.remote.storage.faults import Packed
from p01.remote.storage.flock import FileLock
from p01.remote.storage.marking import MARKEDATONCE, ROOT, Ids, Marking
from p01.remote.storage.sqlite.file import File
from p01.remote.storage.sqlite.schema import LASTTID

PACKLOCK = 'pack.lock'
PAGES = 1_000       # that are given back in one transaction
TELLEVERY = 10.0         # seconds between two lines of the log

CHANGEDSINCE = 'SELECT zoid, tid FROM object_state WHERE tid > ? ORDER BY tid'
NEXTOLD = 'SELECT zoid FROM object_state WHERE zoid > ? AND tid <= ? ORDER BY zoid LIMIT ?'
STATE = 'SELECT state FROM object_state WHERE zoid = ?'

logger = logging.getLogger('p01.remote')


class Pack:
    """One pack, of what is older than an instant in POSIX seconds."""

    def __init__(self, file: File, before: float) -> None:
        self.file = file
        self.before = u64(TimeStamp(*time.gmtime(before)[:5], before % 60).raw())
        self.looked = 0             # the last transaction whose objects have been marked anew
        self.deleted = 0
        self.next = time.monotonic() + TELLEVERY

    def run(self, references: Callable[[bytes], Iterable[bytes]] | None) -> None:
        """Pack; without references no object is garbage. Raises Packed while another pack runs, of
        whatever process."""
        lock = FileLock(self.file.folder / PACKLOCK)
        if not lock.acquire():
            raise Packed(f'{self.file.folder} is being packed already; try again when that pack '
                         'has ended.')
        self.file.packing = True
        try:
            reader = self.file.connect()
            try:
                if references is not None:
                    self.collect(reader.execute, Marking(references, self.marked))
                self.shrink(reader.execute)
            finally:
                reader.close()
        finally:
            self.file.packing = False
            lock.release()

    def collect(self, ask: Any, marking: Marking) -> None:
        """Delete the garbage."""
        self.looked = ask(LASTTID).fetchone()[0]
        limit = min(self.before, self.looked)
        marking.mark([ROOT], reading(ask))
        self.renew(ask, marking)
        after = -1
        while True:
            with self.file.writing() as execute:
                # nobody else writes now: what is not marked, nobody can have
                self.renew(execute, marking)
                found = [oid for oid, in execute(NEXTOLD, (after, limit, MARKEDATONCE)).fetchall()]
                garbage = [(oid,) for oid in found if oid not in marking]
                if garbage:
                    execute('UPDATE known SET tid = MAX(tid, ?)', (limit,))
                    self.file.writer.executemany('DELETE FROM object_state WHERE zoid = ?', garbage)
            self.deleted += len(garbage)
            if not found:
                break
            after = found[-1]
            self.tell('%s: %s objects of it deleted', self.deleted)

    def renew(self, ask: Any, marking: Marking) -> None:
        """Mark what was committed since."""
        cursor = ask(CHANGEDSINCE, (self.looked,))
        while rows := cursor.fetchmany(MARKEDATONCE):
            self.looked = rows[-1][1]
            marking.mark([oid for oid, tid in rows], reading(ask))

    def shrink(self, ask: Any) -> None:
        """Give free pages back to the file system, and copy the log into the file."""
        free = ask('PRAGMA freelist_count').fetchone()[0]
        while free:
            with self.file.writing() as execute:
                execute(f'PRAGMA incremental_vacuum({PAGES})').fetchall()
            before, free = free, ask('PRAGMA freelist_count').fetchone()[0]
            # the file was made without auto_vacuum: the room is used again, and not given back
            if free >= before:
                break
        # nobody writes; passively, so that nobody waits for those who read
        with self.file.gate:
            self.file.execute('PRAGMA wal_checkpoint(PASSIVE)').fetchall()

    def marked(self, count: int) -> None:
        """So many objects have been marked."""
        self.tell('%s is being packed: %s objects are reached', count)

    def tell(self, text: str, count: int) -> None:
        """Write a line, now and then."""
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + TELLEVERY
            logger.info(text, self.file.folder, f'{count:,}')


def reading(ask: Any) -> Callable[[Ids], Iterable[bytes]]:
    """States of objects, one by one."""
    def states(oids: Ids) -> Iterable[bytes]:
        for oid in oids:
            row = ask(STATE, (oid,)).fetchone()
            if row is not None and row[0] is not None:
                yield row[0]
    return states
