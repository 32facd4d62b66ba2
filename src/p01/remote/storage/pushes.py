# SPDX-License-Identifier: ZPL-2.1
"""The signal of zeo:, the invalidations that the server sends to its clients for every commit."""
from __future__ import annotations

from collections.abc import Callable

import ZODB
from ZODB.Connection import Connection

from p01.remote.storage.insides import Ear


class Signal:
    """See storage.signals. There is nothing to tell: the server does."""

    def __init__(self, db: ZODB.DB) -> None:
        self.db = db

    def tell(self) -> None:
        """The server has told already."""

    def within(self, connection: Connection) -> bool:
        """Every commit tells."""
        return True

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """See storage.signals."""
        return Ear(self.db, heard).close
