# SPDX-License-Identifier: ZPL-2.1
"""Where a worker stands that people ask about: read beside its box on this host, else asked for by
an order, which it answers."""
from __future__ import annotations

import re
import time

from ZODB.Connection import Connection

from p01.remote.app import App
from p01.remote.engine import stacks
from p01.remote.engine.bell import bellOf
from p01.remote.ground import blackbox, clocks
from p01.remote.storage.transactions import transact
from p01.remote.store.seats import Order
from p01.remote.verbs.requests import STACKS, heard, lastOf, order

STACKWAIT = 5.0      # seconds that a worker gets to say where it stands


def stackOf(app: App, name: str, who: str) -> str | None:
    """Where the threads of the process of a worker stand, given its name; None when it does not
    answer. who: who asks."""
    with app.reading() as processor:
        seat = processor.store.seats.get(name)
        path = seat.path if seat is not None and seat.box and seat.host == blackbox.HOST else None
    text = stacks.beside(path) if path is not None and not blackbox.died(path) else ''
    return text or answered(app, name, who)


def answered(app: App, name: str, who: str) -> str | None:
    """Where the threads of a process stand, as it answers to an order; None when it does not in
    time."""
    def ask(connection: Connection) -> tuple[bool, float | None]:
        seat = app.locate(connection).store.seats.get(name)
        if seat is None or seat.byHand:
            return False, None
        order(seat, STACKS, Order(who, clocks.now()))   # or somebody waits already: both will hear
        return True, lastOf(seat)

    asked, last = transact(app.db, ask)
    bellOf(app.db).tell()
    until = time.monotonic() + STACKWAIT
    while asked and time.monotonic() < until:
        with app.reading() as processor:
            seat = processor.store.seats.get(name)
            text = None if seat is None else heard(seat, last)
        if text is not None:
            return text
        time.sleep(0.1)
    return None


def ofJob(text: str, jobid: int) -> tuple[str, str]:
    """Of where threads stand, what runs a job, and the others; '' where it is not said."""
    parts = text.split('\n\n')
    mine = [part for part in parts if re.search(rf'[Jj]ob {jobid} ', part.partition('\n')[0])]
    return '\n\n'.join(mine), '\n\n'.join(part for part in parts if part not in mine)
