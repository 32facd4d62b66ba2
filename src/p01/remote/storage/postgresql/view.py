# SPDX-License-Identifier: ZPL-2.1
"""One view of a PostgreSQL database. The REPEATABLE READ transaction that is its snapshot takes the
vote, too.

Nobody waits for a lock that is everybody's. When nothing else takes part in a transaction, the
vote, the commit and the signal are one message; else the commit is a second one.

A vote that meets what others have changed is undone, and written anew in a READ COMMITTED
transaction, where what stands in the way is locked and can be seen. The snapshot is gone then; of
it there are the states that the changes are based on.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from ZODB.POSException import ConflictError, ReadConflictError
from ZODB.utils import newTid, p64, u64

from p01.remote.storage import core
from p01.remote.storage.faults import Disconnected
from p01.remote.storage.iteration import Row
from p01.remote.storage.pending import Pending
from p01.remote.storage.postgresql.arrays import INT8FORMAT, long, longs
from p01.remote.storage.postgresql.link import Step
from p01.remote.storage.postgresql.packing import Pack
from p01.remote.storage.postgresql.portions import PORTION, loaded, objects, portions, restoring
from p01.remote.storage.postgresql.schema import CONFLICT
from p01.remote.storage.postgresql.server import Server
from p01.remote.storage.postgresql.session import BEGIN, SLOTS, Session

ASKEDATONCE = 1_000            # objects that are asked for at once
AHEADBYTES = 64 << 20         # bytes of objects that were asked for in advance
TRIM = 1_000            # commits of a process after which it trims the table of changes
COMMIT, NOTIFY, TRIMMING = (Step(name) for name in (b'commit', b'notify', b'trim'))
VOTED, JUDGED = (1,) * 10, (1,) * 8     # all their values are binary
ALLKEYS = (b'DECLARE keys CURSOR FOR SELECT oid, tid FROM zodb_object WHERE tid BETWEEN %d AND %d '
        b'ORDER BY tid, oid')


class View(core.View):
    """One view of a database on a server."""

    shared: Server
    # whether nothing else takes part in the transaction, so that the vote may commit it
    alone = False
    telling = False         # whether the commit wakes those who listen

    def __init__(self, shared: Server, first: bool = True) -> None:
        super().__init__(shared, first)
        self.session = Session(shared)
        self.known = 0              # no revision of ours is older
        self.fetched: dict[int, tuple[bytes, int]] = {}         # what was asked for in advance
        # what is left of a snapshot that the vote has let go of
        self.kept: dict[int, tuple[bytes, int]] | None = None
        # in such a vote: all objects that are written
        self.noted: list[int] | None = None
        self.committed = False      # whether the vote has committed

    # -- reading

    def poll(self) -> list[int] | None:
        """See core."""
        self.end()
        return self.session.poll()

    def end(self) -> None:
        """See core."""
        self.session.end()
        if self.fetched:
            self.fetched = {}
        self.kept, self.session.lost, self.alone, self.telling = None, False, False, False

    def ask(self, name: bytes, *values: bytes) -> Any:
        """What a statement finds in the snapshot. Raises ReadConflictError when the vote has let go
        of it."""
        if self.kept is not None and not self.session.snapshot:
            raise ReadConflictError('This transaction has met a conflict, and cannot load any '
                                    'more.')
        return self.session.ask(name, *values)

    def count(self, name: bytes) -> int:
        """What a statement counts, in the snapshot or, when there is none, now."""
        result = self.ask(name) if self.session.open else self.session.run(Step(name))[0]
        return int(INT8FORMAT.unpack(result.get_value(0, 0))[0])

    def read(self, oid: int) -> tuple[bytes, int] | None:
        """See core."""
        found = self.fetched.pop(oid, None)
        if found is None and self.kept is not None:
            found = self.kept.get(oid)
        if found is None:
            result = self.ask(b'load', long(oid))
            if result.ntuples:
                found = result.get_value(0, 0), INT8FORMAT.unpack(result.get_value(0, 1))[0]
        return found

    def prefetch(self, oids: Iterable[bytes]) -> None:
        """Load many at once; kept until each is loaded, or the snapshot ends."""
        with self.lock:
            self.shared.own()
            waiting, room = map(u64, oids), AHEADBYTES
            while room > 0 and (some := list(islice(waiting, ASKEDATONCE))):
                for oid, tid, state in loaded(self.ask(b'loads', longs(some))):
                    self.fetched[oid] = state, tid
                    room -= len(state)

    def last(self) -> int:
        """See core."""
        return self.count(b'last')

    def after(self, oid: int, number: int) -> list[int]:
        """See core."""
        result = self.ask(b'after', long(oid), long(number))
        return [INT8FORMAT.unpack(result.get_value(row, 0))[0] for row in range(result.ntuples)]

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """See core."""
        link = self.shared.connect()
        try:
            link.run(BEGIN, b'SET LOCAL enable_seqscan TO on', ALLKEYS % (start, stop))
        except BaseException:
            link.close()
            raise

        def found() -> Iterator[Row]:
            try:
                while True:
                    keys = link.run(b'FETCH %d FROM keys' % ASKEDATONCE)[0]
                    oids = [INT8FORMAT.unpack(keys.get_value(row, 0))[0]
                            for row in range(keys.ntuples)]
                    if not oids:
                        break
                    have = {row[0]: row
                            for row in loaded(link.run(Step(b'loads', [longs(oids)], (1,)))[0])}
                    yield from map(have.__getitem__, oids)
            finally:
                link.close()
        return found()

    def __len__(self) -> int:
        with self.lock:
            return self.count(b'count')

    def getSize(self) -> int:
        """Bytes of the objects and their index."""
        with self.lock:
            return self.count(b'size')

    # -- committing

    def vote(self, pending: Pending) -> list[Row]:
        """See core."""
        if self.noted is not None:      # what has been resolved
            return self.judge(pending)
        self.committed = False
        self.known = max([self.known, *(serial for serial, _ in pending.stores.values())])
        self.number(pending.given)
        placed = bool(pending.blobs)
        self.place(pending)
        if not pending.restores and self.atOnce(pending):
            return []
        if not placed:                  # perhaps it was only the number
            self.session.slot = random.randrange(SLOTS)
            self.number(pending.given)
        self.noted = sorted({*pending.stores, *pending.restores})
        if self.kept is None:
            self.kept = {}
        self.session.write()
        for statement, values in restoring(pending):
            self.session.run(Step(statement, values, (1,) * len(values)))
        return self.judge(pending)

    def number(self, given: bytes | None) -> None:
        """The revision that is being committed, behind all that we know of.

        Two views that commit in the same moment would have the same one, some times in a second:
        the clocks of their processes are not that fine. So each has slots of its own.
        """
        now = u64(newTid(None))
        tid = now - now % SLOTS + self.session.slot
        tid += max(0, self.known - tid + SLOTS) // SLOTS * SLOTS
        self.tid = given or p64(tid)
        self.known = max(self.known, u64(self.tid))

    def atOnce(self, pending: Pending) -> bool:
        """Write all in the snapshot's transaction, and commit it when we are alone; False when
        something is in the way."""
        alone = self.alone and pending.size < PORTION and not pending.given
        noted = objects(sorted(pending.stores))
        if not self.session.open:
            self.session.begin()
        for values, last in portions(pending):
            step = Step(b'vote', [self.tid, long(self.session.number if last else 0), *values,
                                  noted], VOTED)
            found = self.finish(step) if alone else self.session.run(step)[-1]
            if found is not None and found.ntuples:
                self.kept = {oid: (state, tid) for oid, tid, state in loaded(found)
                             if oid != CONFLICT}
                return False
        self.committed = alone
        return True

    def judge(self, pending: Pending) -> list[Row]:
        """Write what nothing is in the way of; returns what is, or commits when nothing is and we
        are alone."""
        found: list[Row] = []
        for values, _ in portions(pending):
            found += loaded(self.session.run(Step(b'judge', [self.tid, *values], JUDGED))[0])
        for oid, current, _ in found:
            if oid < CONFLICT:
                oid = CONFLICT - 1 - oid
                raise ReadConflictError(oid=p64(oid),
                                        serials=(p64(current), p64(pending.checks[oid])))
            if current >= u64(self.tid):        # the clock of another host is ahead
                self.known = max(self.known, current)
                raise ConflictError(oid=p64(oid),
                                    serials=(p64(current), p64(pending.stores[oid][0])))
        if not found:
            name = b'renote' if pending.given or pending.restores else b'note'
            note = Step(name, [self.tid, long(self.session.number),
                               objects(self.noted or [])], (1, 1, 1))
            if self.alone:
                self.finish(note)
                self.committed = True
            else:
                self.session.run(note)
        return found

    def finish(self, *steps: Step) -> Any:
        """Execute statements and commit; what the last one found, None when its answer was lost and
        it was done all the same.

        Raises Disconnected when it was not done, or when that cannot be found out.
        """
        behind = [NOTIFY] if self.telling else []
        if next(self.shared.commits) % TRIM == 0:
            behind.append(TRIMMING)
        try:
            results = self.session.run(*steps, COMMIT, behind=behind)
        except Disconnected:
            if not self.shared.outcome(u64(self.tid), self.session.number):
                raise
            results = [None, None]
        self.session.open = self.session.snapshot = False
        return results[-2] if steps else None

    def commit(self, tid: int) -> None:
        """See core."""
        try:
            if not self.committed:
                self.finish()
        finally:
            self.noted = None
            self.end()

    def rollback(self) -> None:
        """See core."""
        # what came between vote and commit raised: the caller does not know
        if self.committed:
            self.session.seen = ''
        self.session.end()
        self.noted, self.kept = None, {} if self.session.polls else None

    # -- the rest

    def pack(self, t: float, referencesf: Callable[[bytes], Iterable[bytes]],
             gc: bool = True) -> None:
        """Delete what nothing leads to and is older than t, in POSIX seconds. Raises Packed while
        another pack runs."""
        self.writable()
        if gc:
            Pack(self.shared, t).run(referencesf)
        if self.shared.blobs is not None:
            self.sweep(self.new_instance())

    def release(self) -> None:
        """See core."""
        with self.lock:
            self.shared.own()
            self.session.lose()
