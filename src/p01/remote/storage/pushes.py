# SPDX-License-Identifier: ZPL-2.1
"""The signal of zeo:, the invalidations that the server sends to its clients for every commit."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ZODB


class Signal:
    """See storage.signals. There is nothing to tell: the server does."""

    def __init__(self, db: ZODB.DB) -> None:
        # ZODB keeps, weakly, those that want to hear of invalidations: the storages of its connections
        self.instances = db._mvcc_storage._instances

    def tell(self) -> None:
        """The server has told already."""

    def within(self, connection: Any) -> bool:
        """Every commit tells."""
        return True

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """See storage.signals."""
        ear = Ear(heard)
        self.instances.add(ear)

        def close() -> None:
            self.instances.discard(ear)
            ear.heard = deaf

        return close


class Ear:
    """Stands among the connections' storages and hears what they hear."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self.heard = heard

    def _invalidate(self, tid: bytes, oids: Any) -> None:
        self.heard()

    def _invalidateCache(self) -> None:
        self.heard()


def deaf() -> None:
    """Hears nothing."""
