# SPDX-License-Identifier: ZPL-2.1
"""The signal of postgresql:, LISTEN and NOTIFY. A commit tells by itself, in its own message; who
listens has a connection more."""
from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import Any

import ZODB
from ZODB.Connection import Connection

from p01.remote.storage import opened
from p01.remote.storage.faults import Fault
from p01.remote.storage.insides import committing
from p01.remote.storage.postgresql.link import Link, Step, asked, connected, patience
from p01.remote.storage.postgresql.server import Server

CHECK = 60.0        # seconds between two looks whether the connection is still there
FIRSTTRY, LONGESTTRY = 0.2, 30.0      # seconds between two tries to connect again
LISTEN = 'LISTEN p01_remote'
NOTIFY = Step(b'notify')


class Signal:
    """See storage.signals. Keeps one connection for what is to be told beside a commit, which ends
    with the storage."""

    def __init__(self, db: ZODB.DB) -> None:
        self.server = opened.part(db).shared
        self.lock = threading.RLock()       # a signal handler may tell in the midst of this
        self.telling = self.repeat = False
        self.link: Link | None = None
        inner = db.storage.close

        def close() -> None:
            self.drop()
            inner()

        db.storage.close = close

    def within(self, connection: Connection) -> bool:
        """See storage.signals."""
        committing(connection).telling = True
        return True

    def tell(self) -> None:
        """Notify."""
        with self.lock:
            self.repeat = True
            if self.telling:
                return
            self.telling = True
            try:
                while self.repeat:
                    self.repeat = False
                    self.send()
            finally:
                self.telling = False

    def send(self) -> None:
        """Notify; once more on a new connection when the old one has been cut."""
        for again in (True, False):
            try:
                if self.link is None:
                    self.link = self.server.connect()
                self.link.run(NOTIFY)
                return
            except Fault:
                self.drop()
                if not again:
                    raise

    def drop(self) -> None:
        """Close the connection."""
        link, self.link = self.link, None
        if link is not None:
            link.close()

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """See storage.signals."""
        return Listener(self.server, heard).close


class Listener(threading.Thread):
    """Listens, and connects again, with growing pauses, when the server has gone away."""

    def __init__(self, server: Server, heard: Callable[[], None]) -> None:
        super().__init__(name='p01-listener', daemon=True)
        self.server = server
        self.heard = heard
        self.ending, self.end = os.pipe()
        self.start()

    def run(self) -> None:
        """Listen."""
        pause = FIRSTTRY
        while True:
            try:
                raw = connected(self.server.conninfo())
                try:
                    asked(raw, f'SET client_min_messages TO error; {patience(raw)}{LISTEN}')
                    self.heard()            # something may have come while nobody listened
                    pause = FIRSTTRY
                    if self.hear(raw):
                        break
                finally:
                    raw.finish()
            except Exception:               # whatever libpq raises when the server is away
                pause = min(pause * 2, LONGESTTRY)
            if select.select([self.ending], [], [], pause)[0]:
                break
        os.close(self.ending)

    def hear(self, raw: Any) -> bool:
        """Listen on a connection until it breaks, which raises, or until close is called: then
        True."""
        while True:
            ready = select.select([raw.socket, self.ending], [], [], CHECK)[0]
            if self.ending in ready:
                return True
            if not ready:
                asked(raw, 'SELECT 1')
            raw.consume_input()
            told = False
            while raw.notifies():
                told = True
            if told:
                self.heard()

    def close(self) -> None:
        """Listen no more."""
        os.close(self.end)
        self.join()
