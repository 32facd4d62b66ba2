# SPDX-License-Identifier: ZPL-2.1
"""Where a worker stands that people ask about: read beside its box on this host, else asked for by
an order, which it answers."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from p01.remote.app import App
from p01.remote.engine import stacks
from p01.remote.engine.bell import bellOf
from p01.remote.ground import blackbox, clocks
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.transactions import transact
from p01.remote.store.seats import Order
from p01.remote.verbs.requests import STACKS, heard, order, revoke

STACKWAIT = 5.0      # seconds that a worker gets to say where it stands

Result = TypeVar('Result')


def stackOf(app: App, name: str, who: str) -> str | None:
    """Where the threads of the process of a worker stand, given its name; None when it does not
    answer. who: who asks."""
    with app.reading() as processor:
        seat = processor.store.seats.get(name)
        path = seat.path if seat is not None and seat.box and seat.host == blackbox.HOST else None
    text = stacks.beside(path) if path is not None and not blackbox.died(path) else ''
    # where those stand that await it knows itself alone
    awaits = path is not None and any(slot.round == blackbox.FREE
                                      for slot in blackbox.running(path))
    return text if text and not awaits else answered(app, name, who) or text or None


def answered(app: App, name: str, who: str) -> str | None:
    """Where the threads of a process stand, as it answers to an order; None when it does not in
    time."""
    def ask(processor: RemoteProcessor) -> Order | None:
        seat = processor.store.seats.get(name)
        if seat is None or seat.byHand:
            return None
        order(seat, STACKS, Order(who, clocks.now()))
        return seat.orders[STACKS]

    def hear(processor: RemoteProcessor) -> str | None:
        seat = processor.store.seats.get(name)
        return None if seat is None else heard(seat, asked)

    wanted = changed(app, ask)
    if wanted is None:
        return None
    asked = wanted
    bellOf(app.db).tell()
    until = time.monotonic() + STACKWAIT
    while time.monotonic() < until:
        text = changed(app, hear)
        if text is not None:
            return text
        time.sleep(0.1)
    changed(app, lambda processor: name in processor.store.seats
           and revoke(processor.store.seats[name], STACKS))
    return None


def changed(app: App, work: Callable[[RemoteProcessor], Result]) -> Result:
    """What work(processor) returns, in a transaction of its own."""
    return transact(app.db, lambda connection: work(app.locate(connection)))


def ofJob(text: str, jobid: int) -> tuple[str, str]:
    """Of where threads stand, what runs a job, and the others; '' where it is not said."""
    parts = text.split('\n\n')
    mine = [part for part in parts if f'runs job {jobid} for ' in part]
    return '\n\n'.join(mine), '\n\n'.join(part for part in parts if part not in mine)
