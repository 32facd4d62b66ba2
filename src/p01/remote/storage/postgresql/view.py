# SPDX-License-Identifier: ZPL-2.1
"""One view of a PostgreSQL database: one connection, whose REPEATABLE READ transaction is the snapshot, and takes the vote, too.

Nobody waits for a lock that is everybody's, and transactions have no common order: what has changed between two snapshots is
what the older one cannot see, as PostgreSQL itself says it (xid8). When nothing else takes part in a transaction, the vote, the
commit and the signal are one message; else the commit is a second one.

A vote that meets what others have changed is undone, and written anew in a READ COMMITTED transaction, where what stands in
the way is locked and can be seen. The snapshot is gone then; of it there are the states that the changes are based on.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ZODB.POSException import ConflictError, ReadConflictError
from ZODB.utils import newTid, p64, u64

from p01.remote.storage import core
from p01.remote.storage.faults import Disconnected
from p01.remote.storage.iteration import Row
from p01.remote.storage.pending import Pending
from p01.remote.storage.postgresql.arrays import LONG, long, longs, numbers
from p01.remote.storage.postgresql.link import Link, Step
from p01.remote.storage.postgresql.packing import Pack
from p01.remote.storage.postgresql.portions import PORTION, loaded, objects, portions, restoring
from p01.remote.storage.postgresql.schema import CONFLICT, OTHERS
from p01.remote.storage.postgresql.server import Server

MANY = 1_000            # objects that are asked for at once
ROOM = 64 << 20         # bytes of objects that were asked for in advance
TRIM = 1_000            # commits of a process after which it trims the table of changes
BEGIN, WRITE, COMMIT, ROLLBACK = (Step(name) for name in (b'begin', b'write', b'commit', b'rollback'))
START, NOTIFY, TRIMMING = (Step(name) for name in (b'start', b'notify', b'trim'))
POLLED, VOTED, JUDGED = (0, 0, 0, 1), (1,) * 10, (1,) * 8       # which values are binary
KEYS = b'DECLARE keys CURSOR FOR SELECT oid, tid FROM zodb_object WHERE tid BETWEEN %d AND %d ORDER BY tid, oid'


class View(core.View):
    """One view of a database on a server."""

    shared: Server
    alone = False           # whether nothing else takes part in the transaction, so that the vote may commit it
    telling = False         # whether the commit wakes those who listen

    def __init__(self, shared: Server, first: bool = True) -> None:
        super().__init__(shared, first)
        self.session = random.getrandbits(62) + 1       # marks our commits, whose changes we need not be told
        self.link: Link | None = None
        self.open = False           # whether a transaction of PostgreSQL is
        self.snapshot = False       # whether it is a snapshot
        self.polls = False          # whether a ZODB connection uses us, with transactions
        self.lost = False           # whether the snapshot was lost with its connection, in the midst of a transaction
        self.seen = ''              # the snapshot whose changes have been told
        self.known = 0              # no revision of ours is older
        self.fetched: dict[int, tuple[bytes, int]] = {}         # what was asked for in advance
        self.kept: dict[int, tuple[bytes, int]] | None = None   # what is left of a snapshot that the vote has let go of
        self.noted: list[int] | None = None                     # in such a vote: all objects that are written
        self.committed = False      # whether the vote has committed

    # -- the connection

    def run(self, *steps: Any, behind: Sequence[Step] = ()) -> list[Any]:
        """See Link."""
        link = self.connected()
        try:
            return link.run(*steps, behind=behind)
        except BaseException:
            if link.broken:
                self.lose()
            raise

    def connected(self) -> Link:
        """The connection. Raises Disconnected."""
        if self.link is not None and self.link.broken:
            self.lose()
        if self.lost:
            raise Disconnected('The connection to PostgreSQL was lost in the midst of this transaction; abort, and try again.')
        if self.link is None:
            try:
                self.link = self.shared.connect()
            except BaseException:
                self.lose()
                raise
        return self.link

    def lose(self) -> None:
        """The connection is gone, and with it the snapshot; what has changed since it nobody can tell."""
        link, self.link = self.link, None
        if link is not None:
            link.close()
        self.open = self.snapshot = False
        self.seen, self.lost = '', self.polls

    # -- reading

    def poll(self) -> list[int] | None:
        """See core."""
        self.end()
        polled, self.polls = self.polls, True
        result = self.begin()
        now, changed = result.get_value(0, 0).decode(), numbers(result.get_value(0, 1)) if self.seen else ()
        forget, self.seen = polled and not self.seen, now
        if forget or len(changed) >= core.CHANGES or OTHERS in changed:
            return None
        return list(changed)

    def begin(self) -> Any:
        """Begin a snapshot; what has changed since the one that was seen last, if any was."""
        cut = self.link is not None
        while True:
            ask = START
            if self.seen:
                low, high, running = self.seen.encode().split(b':')
                ask = Step(b'poll', [high, b'{%s}' % running, low, long(self.session)], POLLED)
            try:
                result = self.run(BEGIN, ask)[1]
                break
            except Disconnected:
                if not cut:
                    raise
                cut, self.lost = False, False       # it was idle: once more
        self.open = self.snapshot = True
        return result

    def end(self) -> None:
        """See core. Nobody waits for it."""
        if self.open:
            self.open = self.snapshot = False
            assert self.link is not None
            self.link.send(ROLLBACK)
        if self.fetched:
            self.fetched = {}
        self.kept, self.lost, self.alone, self.telling = None, False, False, False

    def ask(self, name: bytes, *values: bytes) -> Any:
        """What a statement finds in the snapshot, which begins if there is none."""
        if not self.snapshot:
            if self.kept is not None:
                raise ReadConflictError('This transaction has met a conflict, and cannot load any more.')
            result = self.run(BEGIN, START)[1]
            self.open = self.snapshot = True
            self.seen = self.seen or result.get_value(0, 0).decode()
        return self.run(Step(name, values, (1,) * len(values)))[0]

    def number(self, name: bytes) -> int:
        """What a statement counts, in the snapshot or, when there is none, now."""
        result = self.ask(name) if self.open else self.run(Step(name))[0]
        return int(LONG.unpack(result.get_value(0, 0))[0])

    def read(self, oid: int) -> tuple[bytes, int] | None:
        """See core."""
        found = self.fetched.pop(oid, None)
        if found is None and self.kept is not None:
            found = self.kept.get(oid)
        if found is None:
            result = self.ask(b'load', long(oid))
            if result.ntuples:
                found = result.get_value(0, 0), LONG.unpack(result.get_value(0, 1))[0]
        return found

    def prefetch(self, oids: Iterable[bytes]) -> None:
        """Load many at once; kept until each is loaded, or the snapshot ends."""
        with self.lock:
            self.shared.own()
            waiting, room = map(u64, oids), ROOM
            while room > 0 and (some := list(islice(waiting, MANY))):
                for oid, tid, state in loaded(self.ask(b'loads', longs(some))):
                    self.fetched[oid] = state, tid
                    room -= len(state)

    def last(self) -> int:
        """See core."""
        return self.number(b'last')

    def after(self, oid: int, number: int) -> list[int]:
        """See core."""
        result = self.ask(b'after', long(oid), long(number))
        return [LONG.unpack(result.get_value(row, 0))[0] for row in range(result.ntuples)]

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """See core."""
        link = self.shared.connect()
        link.run(BEGIN, b'SET LOCAL enable_seqscan TO on', KEYS % (start, stop))

        def found() -> Iterator[Row]:
            try:
                while True:
                    keys = link.run(b'FETCH %d FROM keys' % MANY)[0]
                    oids = [LONG.unpack(keys.get_value(row, 0))[0] for row in range(keys.ntuples)]
                    if not oids:
                        break
                    have = {row[0]: row for row in loaded(link.run(Step(b'loads', [longs(oids)], (1,)))[0])}
                    yield from map(have.__getitem__, oids)
            finally:
                link.close()
        return found()

    def __len__(self) -> int:
        with self.lock:
            return self.number(b'count')

    def getSize(self) -> int:
        """Bytes of the objects and their index."""
        with self.lock:
            return self.number(b'size')

    # -- committing

    def newId(self) -> int:
        """See core."""
        with self.lock:
            return self.shared.newId(self.connected())

    def vote(self, pending: Pending) -> list[Row]:
        """See core."""
        if self.noted is not None:      # what has been resolved
            return self.judge(pending)
        self.committed = False
        self.known = max([self.known, *(serial for serial, _ in pending.stores.values())])
        self.tid = pending.given or newTid(p64(self.known) if self.known else None)
        self.known = max(self.known, u64(self.tid))
        if not pending.restores and self.atOnce(pending):
            return []
        self.noted = sorted({*pending.stores, *pending.restores})
        if self.kept is None:
            self.kept = {}
        assert self.link is not None or not self.open
        self.connected().send(*([ROLLBACK] if self.open else []), WRITE)
        self.open, self.snapshot = True, False
        for statement, values in restoring(pending):
            self.run(Step(statement, values, (1,) * len(values)))
        return self.judge(pending)

    def atOnce(self, pending: Pending) -> bool:
        """Write all in the snapshot's transaction, and commit it when we are alone; False when something is in the way."""
        alone = self.alone and pending.size < PORTION and not pending.given
        noted = objects(sorted(pending.stores))
        for values, last in portions(pending):
            step = Step(b'vote', [self.tid, long(self.session if last else 0), *values, noted], VOTED)
            steps = [step] if self.open else [BEGIN, step]
            if alone:
                found = self.finish(*steps)
            else:
                found = self.run(*steps)[-1]
                self.open = self.snapshot = True
            if found is not None and found.ntuples:
                self.kept = {oid: (state, tid) for oid, tid, state in loaded(found) if oid != CONFLICT}
                return False
        self.committed = alone
        return True

    def judge(self, pending: Pending) -> list[Row]:
        """Write what nothing is in the way of; returns what is, or commits when nothing is and we are alone."""
        found: list[Row] = []
        for values, _ in portions(pending):
            found += loaded(self.run(Step(b'judge', [self.tid, *values], JUDGED))[0])
        for oid, current, _ in found:
            if oid < CONFLICT:
                oid = CONFLICT - 1 - oid
                raise ReadConflictError(oid=p64(oid), serials=(p64(current), p64(pending.checks[oid])))
            if current >= u64(self.tid):        # the clock of another host is ahead
                self.known = max(self.known, current)
                raise ConflictError(oid=p64(oid), serials=(p64(current), p64(pending.stores[oid][0])))
        if not found:
            given = pending.given or bool(pending.restores)
            note = Step(b'renote' if given else b'note', [self.tid, long(self.session), objects(self.noted or [])], (1, 1, 1))
            if self.alone:
                self.finish(note)
                self.committed = True
            else:
                self.run(note)
        return found

    def finish(self, *steps: Step) -> Any:
        """Execute statements and commit; what the last one found, None when its answer was lost and it was done all the same.

        Raises Disconnected when it was not done, or when that cannot be found out.
        """
        behind = [NOTIFY] if self.telling else []
        if next(self.shared.commits) % TRIM == 0:
            behind.append(TRIMMING)
        try:
            results = self.run(*steps, COMMIT, behind=behind)
        except Disconnected:
            if not self.shared.outcome(u64(self.tid), self.session):
                raise
            results = [None, None]
        self.open = self.snapshot = False
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
        if self.committed:              # what came between vote and commit raised: the caller does not know
            self.seen = ''
        if self.open:
            self.open = self.snapshot = False
            assert self.link is not None
            self.link.send(ROLLBACK)
        self.noted, self.kept = None, {} if self.polls else None

    # -- the rest

    def pack(self, t: float, referencesf: Callable[[bytes], Iterable[bytes]], gc: bool = True) -> None:
        """Delete what nothing leads to and is older than t, in POSIX seconds. Raises Packed while another pack runs."""
        self.writable()
        if gc:
            Pack(self.shared, t).run(referencesf)

    def release(self) -> None:
        """See core."""
        with self.lock:
            self.shared.own()
            self.lose()
