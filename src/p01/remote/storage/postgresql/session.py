# SPDX-License-Identifier: ZPL-2.1
"""What a view has of the server: one connection, and the transaction that is open on it, as a rule
a snapshot.

Transactions have no common order. What has changed between two snapshots is what the older one
cannot see, as PostgreSQL itself says it (xid8): what had no number then, and what was running.
"""
from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from p01.remote.storage.core import CHANGES
from p01.remote.storage.faults import Disconnected
from p01.remote.storage.postgresql.arrays import long, numbers
from p01.remote.storage.postgresql.link import Link, Step
from p01.remote.storage.postgresql.schema import OTHERS
from p01.remote.storage.postgresql.server import Server

BEGIN, WRITE, START, ROLLBACK = (Step(name) for name in (b'begin', b'write', b'start', b'rollback'))
POLLED = 0, 0, 0, 1     # which of poll's values are binary
# of revisions, which are 14 ns each; connections at the same time have different ones, as a rule
SLOTS = 4096


class Session:
    """One connection, which is made when it is needed, and what is open on it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # marks our commits, whose changes we need not be told
        self.number = random.getrandbits(62) + 1
        self.slot = self.number % SLOTS
        self.link: Link | None = None
        self.open = False           # whether a transaction is
        self.snapshot = False       # whether it is a snapshot
        self.polls = False          # whether a ZODB connection uses us, with transactions
        # whether the snapshot was lost with its connection, in the midst of a transaction
        self.lost = False
        self.seen = ''              # the snapshot whose changes have been told

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
            raise Disconnected('The connection to PostgreSQL was lost in the midst of this '
                               'transaction; abort, and try again.')
        if self.link is None:
            try:
                self.link = self.server.connect()
                self.slot = self.link.raw.backend_pid % SLOTS
            except BaseException:
                self.lose()
                raise
        return self.link

    def lose(self) -> None:
        """The connection is gone, and with it the snapshot; what has changed since it nobody can
        tell."""
        link, self.link = self.link, None
        if link is not None:
            link.close()
        self.open = self.snapshot = False
        self.seen, self.lost = '', self.polls

    def poll(self) -> list[int] | None:
        """Begin a snapshot; the objects that others changed since the one before, None for all."""
        polled, self.polls = self.polls, True
        result = self.begin()
        now, changed = result.get_value(0,
                                        0).decode(), numbers(result.get_value(0,
                                                                              1)) if self.seen \
                                                                                  else ()
        forget, self.seen = polled and not self.seen, now
        if forget or len(changed) >= CHANGES or OTHERS in changed:
            return None
        return list(changed)

    def begin(self) -> Any:
        """Begin a snapshot; what has changed since the one that was seen last, if any was."""
        cut = self.link is not None
        while True:
            ask = START
            if self.seen:
                low, high, running = self.seen.encode().split(b':')
                ask = Step(b'poll', [high, b'{%s}' % running, low, long(self.number)], POLLED)
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
        """Let go of what is open. Nobody waits for it."""
        if self.open:
            self.open = self.snapshot = False
            assert self.link is not None
            self.link.send(ROLLBACK)

    def write(self) -> None:
        """Begin to write, past any snapshot. Nobody waits for it."""
        self.end()
        self.connected().send(WRITE)
        self.open = True

    def ask(self, name: bytes, *values: bytes) -> Any:
        """What a statement finds in the snapshot, which begins if there is none."""
        if not self.snapshot:
            result = self.run(BEGIN, START)[1]
            self.open = self.snapshot = True
            self.seen = self.seen or result.get_value(0, 0).decode()
        return self.run(Step(name, values, (1,) * len(values)))[0]
