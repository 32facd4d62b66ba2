# SPDX-License-Identifier: ZPL-2.1
"""The signal of postgresql:, LISTEN and NOTIFY on connections of its own."""
from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import Any

import ZODB

from p01.remote.storage import opened

CHANNEL = 'p01_remote'
CHECK = 60.0        # seconds between two looks whether the connection is still there
FIRST, LONGEST = 0.2, 30.0      # seconds between two tries to connect again


class Signal:
    """See storage.signals. Keeps one connection for telling, which ends with the storage."""

    def __init__(self, db: ZODB.DB) -> None:
        self.adapter = opened.part(db)
        self.lock = threading.RLock()       # a signal handler may tell in the midst of this
        self.telling = self.repeat = False
        self.connection: Any = None
        inner = db.storage.close

        def close() -> None:
            self.drop()
            inner()

        db.storage.close = close

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
                if self.connection is None:
                    self.connection = connect(self.adapter)
                with self.connection.cursor() as cursor:
                    cursor.execute(f'NOTIFY {CHANNEL}')
                return
            except Exception:       # whatever the driver raises when the server is away
                self.drop()
                if not again:
                    raise

    def drop(self) -> None:
        """Close the connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):        # it is broken anyway
                connection.close()

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """See storage.signals."""
        return Listener(self.adapter, heard).close


class Listener(threading.Thread):
    """Listens, and connects again, with growing pauses, when the server has gone away."""

    def __init__(self, adapter: Any, heard: Callable[[], None]) -> None:
        super().__init__(name='p01-listener', daemon=True)
        self.adapter = adapter
        self.heard = heard
        self.ending, self.end = os.pipe()
        self.start()

    def run(self) -> None:
        """Listen."""
        pause = FIRST
        while True:
            try:
                connection = connect(self.adapter)
                with contextlib.closing(connection):
                    with connection.cursor() as cursor:
                        cursor.execute(f'LISTEN {CHANNEL}')
                    self.heard()            # something may have come while nobody listened
                    pause = FIRST
                    if self.hear(connection):
                        break
            except Exception:               # whatever the driver raises when the server is away
                pause = min(pause * 2, LONGEST)
            if select.select([self.ending], [], [], pause)[0]:
                break
        os.close(self.ending)

    def hear(self, connection: Any) -> bool:
        """Listen on a connection until it breaks, which raises, or until close is called: then True."""
        while True:
            ready = select.select([connection, self.ending], [], [], CHECK)[0]
            if self.ending in ready:
                return True
            if not ready:
                with connection.cursor() as cursor:
                    cursor.execute('SELECT 1')
            connection.poll()
            if connection.notifies:
                connection.notifies.clear()
                self.heard()

    def close(self) -> None:
        """Listen no more."""
        os.close(self.end)
        self.join()


def connect(adapter: Any) -> Any:
    """A connection to the server of a RelStorage adapter, on which each statement is a transaction."""
    connection, cursor = adapter.connmanager.open(application_name='p01.remote: signal')
    cursor.close()
    connection.rollback()
    connection.autocommit = True
    return connection
