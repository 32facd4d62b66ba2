# SPDX-License-Identifier: ZPL-2.1
"""What a job says, for who watches it from wherever: while it runs, by the board of its process,
or, from another host, by what its worker shows in the database while it is asked to; then what is
kept."""
from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine import presence
from p01.remote.engine.progress import wordsOf
from p01.remote.engine.requests import asker
from p01.remote.engine.seams import Locate, Processor
from p01.remote.ground import blackbox, clocks
from p01.remote.storage.transactions import transact
from p01.remote.store.records import Progress, Said
from p01.remote.store.seats import Order, Seat
from p01.remote.store.views import View
from p01.remote.verbs.requests import WATCH, watch

ASKAGAIN = 10.0        # seconds after which a worker of another host is asked anew


class Seen(NamedTuple):
    """What a job has said by now: how far it is, None for nothing; the bytes that it ever logged,
    and the last of them."""

    progress: Progress | None = None
    written: int = 0
    log: bytes = b''

    @property
    def text(self) -> str:
        """The last of them."""
        return self.log.decode(errors='replace')

    def since(self, written: int) -> str:
        """What it has logged behind so many bytes, as far as that is kept; whole lines."""
        new = self.written - written
        if new <= 0:
            return ''
        return (self.log[-new:] if new < len(self.log) else self.log).decode(errors='replace')


NOTSEEN = Seen()


def seatOf(processor: Processor, jobid: int) -> Seat | None:
    """The seat of the worker that has a job; None for none."""
    return next((seat for seat in processor.store.seats.values() if jobid in seat.claims), None)


def seen(processor: Processor, view: View) -> Seen:
    """What a job says while it runs, or what is kept of that."""
    kept = keptOf(view)
    seat = seatOf(processor, view.id) if view.outcome is None else None
    if seat is None:
        return NOTSEEN if kept is None else Seen(kept.progress, kept.written, kept.log.encode())
    if (words := wordsOf(seat).get(view.id)) is not None:
        return Seen(words.progress and Progress(*words.progress), words.written, words.log)
    shown = seat.show.said.get(view.id) if seat.show is not None else None
    return NOTSEEN if shown is None else Seen(*shown)


def keptOf(view: View) -> Said | None:
    """What is kept of a job that does not run: of its last run."""
    if view.outcome is not None and view.outcome.said is not None:
        return view.outcome.said
    return view.attempts[-1].said if view.attempts else None


def isNear(seat: Seat) -> bool:
    """Whether what the jobs of a worker say can be read from here, or is said nowhere."""
    return not seat.pid or seat.host == blackbox.HOST or seat.process == presence.PROCESS


def follow(db: DB, locate: Locate, jobids: Iterable[int]) -> None:
    """Have the workers of other hosts that run these jobs show what they say, for a while; to be
    asked again as long as somebody watches."""
    now = clocks.now()

    def work(connection: Connection) -> None:
        processor = locate(connection)
        for jobid in jobids:
            seat = seatOf(processor, jobid)
            if seat is not None and not isNear(seat):
                wanted = seat.orders.get(WATCH)
                if wanted is None or abs(now - wanted.when) > ASKAGAIN:
                    watch(seat, Order(asker(), now))

    transact(db, work)


def isFar(processor: Processor, jobid: int) -> bool:
    """Whether a job runs where somebody must be asked to show what it says."""
    seat = seatOf(processor, jobid)
    return seat is not None and not isNear(seat)
