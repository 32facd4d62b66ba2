# SPDX-License-Identifier: ZPL-2.1
"""What all views of one database on a server share in a process: how to connect to it, and which
ids are free."""
from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from p01.remote.storage.faults import Disconnected, LockTimeout
from p01.remote.storage.postgresql.arrays import INT8FORMAT, long
from p01.remote.storage.postgresql.link import Link, Refused, Step
from p01.remote.storage.postgresql.schema import IDS, SESSIONSETTINGS, STATEMENTS
from p01.remote.storage.shared import Shared

COMMITWAIT = 30.0         # seconds to wait for others that commit
AGAIN = 0.05, 1.0   # seconds between two tries to connect, at first and in the end


class Server(Shared):
    """A database on a server, for all views of this process."""

    def __init__(self, name: str, conninfo: Callable[[], str], readOnly: bool = False,
                 wait: float = COMMITWAIT,
                 blobs: Path | None = None) -> None:
        super().__init__(name, readOnly, blobs)
        # a function, since what it returns may have a password in it
        self.conninfo = conninfo
        self.wait = wait
        # of this process; at random, for those of few commits
        self.commits = itertools.count(random.randrange(1_000_000))

    def connect(self) -> Link:
        """A new connection. Raises Disconnected."""
        try:
            return Link(self.conninfo(), SESSIONSETTINGS.format(int(self.wait * 1000)), STATEMENTS)
        except Refused as error:
            raise Disconnected(f'{self.name} cannot be reached ({error}); try again.') from error

    def reserve(self, view: Any) -> range:
        """See Shared.

        It is taken within whatever transaction is open, which may be aborted: the sequence goes on
        all the same. A commit that stores one of the ids writes the log up to there, so that a
        crash of the server hands none of them out twice.
        """
        with view.lock:
            first = INT8FORMAT.unpack(view.session.run(Step(b'ids'))[0].get_value(0, 0))[0]
        return range(first, first + IDS)

    def outcome(self, tid: int, session: int) -> bool:
        """Whether a commit that was not answered has been done. Raises Disconnected when that
        cannot be found out in time."""
        deadline, pause = time.monotonic() + self.wait, AGAIN[0]
        values = [long(tid), long(session)]
        while True:
            try:
                link = self.connect()
                try:
                    settled = link.run(Step(b'settle', values, (1, 1)))[0].get_value(0, 0)
                    return not any(settled) \
                        and any(link.run(Step(b'done', values, (1, 1)))[0].get_value(0, 0))
                finally:
                    link.close()
            except (Disconnected, LockTimeout) as error:
                if time.monotonic() > deadline:
                    raise Disconnected(f'{self.name} was lost within a commit, and is away since; '
                                       'whether the commit was done is not known.') from error
            time.sleep(pause)
            pause = min(2 * pause, AGAIN[1])

    def close(self) -> None:
        """See Shared. Views close their connections themselves."""
        self.closed = True
