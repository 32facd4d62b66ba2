# SPDX-License-Identifier: ZPL-2.1
"""What is written into the seat of a worker beside its own thread."""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ZODB.Connection import Connection

from p01.remote.engine.seams import Processor, Working
from p01.remote.storage.transactions import transact
from p01.remote.store.seats import Seat

Result = TypeVar('Result')


def seated(loop: Working, work: Callable[[Processor, Seat], Result]) -> Result | None:
    """What work(processor, seat) returns, in a transaction of its own; None for a worker that has
    lost its seat. Raises what the storage does."""
    def within(connection: Connection) -> Result | None:
        processor = loop.locate(connection)
        seat = processor.store.seats.get(loop.name)
        return None if seat is None else work(processor, seat)

    return transact(loop.db, within)
