# SPDX-License-Identifier: ZPL-2.1
"""A pack of a PostgreSQL database: marks without a long snapshot, deletes in steps that keep others
from committing for a moment."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from persistent.TimeStamp import TimeStamp
from ZODB.POSException import POSError
from ZODB.utils import u64

from p01.remote.storage.core import CHANGES
from p01.remote.storage.faults import Fault, LockTimeout, Packed
from p01.remote.storage.marking import MARKEDATONCE, ROOT, Ids, Marking
from p01.remote.storage.postgresql.arrays import INT8FORMAT, long, longs, numbers
from p01.remote.storage.postgresql.link import Step
from p01.remote.storage.postgresql.portions import loaded
from p01.remote.storage.postgresql.schema import ADVISORYLOCK, OTHERS
from p01.remote.storage.postgresql.server import Server

TELLEVERY = 10.0         # seconds between two lines of the log
LOOKAGAINEVERY = 1.0          # seconds between two looks at what others commit
MARKINGTRIES = 3           # of marking, when others have changed more than can be told
# milliseconds that those who commit wait behind us for one who does not come to an end
LOCKPATIENCE = 200
WAITS = 100         # times that we wait so long
ALONE = (b"SET LOCAL lock_timeout TO %d" % LOCKPATIENCE,
         b'LOCK TABLE zodb_object IN SHARE ROW EXCLUSIVE MODE')

logger = logging.getLogger('p01.remote')


class Behind(Exception):
    """Others have changed more than can be told."""


class Pack:
    """One pack, of what is older than an instant in POSIX seconds."""

    def __init__(self, server: Server, before: float) -> None:
        self.server = server
        self.before = u64(TimeStamp(*time.gmtime(before)[:5], before % 60).raw())
        self.seen = ''              # the snapshot until which all changes are known
        self.changed: set[int] = set()      # what was changed until then and is to be marked anew
        self.looked = 0.0
        self.deleted = 0
        self.next = time.monotonic() + TELLEVERY

    def run(self, references: Callable[[bytes], Iterable[bytes]]) -> None:
        """Pack. Raises Packed while another pack runs, of whatever process."""
        self.link = self.server.connect()
        try:
            [answer] = self.link.run(b'SELECT pg_try_advisory_lock(%d, 3)' % ADVISORYLOCK[0])
            if answer.get_value(0, 0) != b'\1':
                raise Packed(f'{self.server.name} is being packed already; try again when that '
                             'pack has ended.')
            for _ in range(MARKINGTRIES):
                try:
                    return self.collect(Marking(references, self.marked))
                except Behind:
                    self.link.send(Step(b'rollback'))
            raise Fault(f'{self.server.name} changes faster than it can be packed; try again at a '
                        'quieter time.')
        finally:
            self.end()

    def end(self) -> None:
        """Let go of the lock, and see that it is free: the server frees it for a connection that is
        closed when it comes to know, which may be after the next pack has asked."""
        try:
            if not self.link.broken:
                self.link.send(Step(b'rollback'))
                self.link.run(b'SELECT pg_advisory_unlock_all()')
        except POSError:
            logger.debug('%s: the server frees the lock of a pack', self.server.name,
                         exc_info=True)
        finally:
            self.link.close()

    def collect(self, marking: Marking) -> None:
        """Delete the garbage."""
        self.changed = set()
        self.seen = self.link.run(Step(b'start'))[0].get_value(0, 0).decode()
        limit = min(self.before,
                    INT8FORMAT.unpack(self.link.run(Step(b'last'))[0].get_value(0, 0))[0])
        marking.mark([ROOT], self.states)
        garbage: list[int] = []
        after = -1
        while True:
            self.renew(marking)
            found = self.link.run(Step(b'older', [long(after), long(limit),
                                                  long(MARKEDATONCE)], (1, 1, 1)))[0]
            oids = [INT8FORMAT.unpack(found.get_value(row, 0))[0] for row in range(found.ntuples)]
            garbage += [oid for oid in oids if oid not in marking]
            if len(garbage) >= MARKEDATONCE or not oids:
                self.delete(garbage, limit, marking)
                garbage = []
            if not oids:
                break
            after = oids[-1]

    def delete(self, garbage: list[int], limit: int, marking: Marking) -> None:
        """Delete what is garbage still."""
        if not garbage:
            return
        self.lock()
        self.renew(marking)         # nobody else writes now: what is not marked, nobody can have
        garbage = [oid for oid in garbage if oid not in marking]
        self.link.run(Step(b'remove', [longs(garbage), longs([limit] * len(garbage))], (1, 1)),
                      Step(b'commit'))
        self.deleted += len(garbage)
        self.tell('%s: %s objects of it deleted', self.deleted)

    def lock(self) -> None:
        """Begin, when nobody writes, to keep others from it. Raises LockTimeout."""
        for tried in range(1, WAITS + 1):
            try:
                self.link.run(Step(b'write'), *ALONE)
                return
            except LockTimeout:     # those who have come after us go first
                self.link.run(Step(b'rollback'))
                if tried == WAITS:
                    raise
                time.sleep(LOCKPATIENCE / 1000)

    def states(self, oids: Ids) -> Iterable[bytes]:
        """States of objects."""
        return [state
                for _, _, state in loaded(self.link.run(Step(b'loads', [longs(oids)], (1,)))[0])]

    def renew(self, marking: Marking) -> None:
        """Mark what was committed since."""
        self.look()
        while self.changed:
            changed, self.changed = self.changed, set()
            marking.mark(changed, self.states)

    def look(self) -> None:
        """Note what was committed since. Raises Behind."""
        self.looked = time.monotonic()
        low, high, running = self.seen.encode().split(b':')
        result = self.link.run(Step(b'poll', [high, b'{%s}' % running, low,
                                              long(0)], (0, 0, 0, 1)))[0]
        self.seen, changed = result.get_value(0, 0).decode(), numbers(result.get_value(0, 1))
        if OTHERS in changed or len(changed) >= CHANGES:
            raise Behind()
        self.changed.update(changed)

    def marked(self, count: int) -> None:
        """So many objects have been marked."""
        if time.monotonic() >= self.looked + LOOKAGAINEVERY:
            self.look()
        self.tell('%s is being packed: %s objects are reached', count)

    def tell(self, text: str, count: int) -> None:
        """Write a line, now and then."""
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + TELLEVERY
            logger.info(text, self.server.name, f'{count:,}')
