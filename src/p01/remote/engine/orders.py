# SPDX-License-Identifier: ZPL-2.1
"""What people want of a process that works, and of the jobs that run in it, as its seats say: it is
read by the bookkeeping between two jobs, and every second while a job runs."""
from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeAlias

from ZODB.DB import DB

from p01.remote.engine import closing, requests, stacks
from p01.remote.engine.progress import wordsOf
from p01.remote.engine.seams import Locate, Processor, Working
from p01.remote.engine.seating import seated
from p01.remote.ground import fork
from p01.remote.ground.notes import note
from p01.remote.storage.transactions import opened
from p01.remote.store.records import Progress
from p01.remote.store.seats import Order, Seat
from p01.remote.store.store import Store
from p01.remote.verbs.requests import QUIET, STACKS, STOP, WATCH, reply, revoke, show, withdrawn

WATCHLASTS = 30.0      # seconds that a worker is watched who is asked to once
LISTENEVERY = 1.0         # seconds between two looks of a process whose job runs

P = ParamSpec('P')
Threads: TypeAlias = weakref.WeakKeyDictionary[Working, threading.Thread]
# those who answer for loops just now, and those who stop to show what their jobs say
_replies: Threads = weakref.WeakKeyDictionary()
_forsaking: Threads = weakref.WeakKeyDictionary()
# the orders to be watched that loops have seen last, and since when, on the monotonic clock
_watched: weakref.WeakKeyDictionary[Working, tuple[Order, float]] = weakref.WeakKeyDictionary()
_lock = fork.Lock()

logger = logging.getLogger('p01.remote')


def hear(db: DB, locate: Locate, loops: Iterable[Working]) -> None:
    """Hear what is asked of the loops of this process whose jobs run: those that are to end are
    noted in its box."""
    try:
        heard(db, locate, loops)
    except Exception as error:          # the storage is away, as its workers tell
        logger.debug('Nobody hears what is asked of workers: %s', error)


def heard(db: DB, locate: Locate, loops: Iterable[Working]) -> None:
    """See hear. Raises what the storage does."""
    with opened(db) as connection:
        seats = locate(connection).store.seats
        found = [(loop, seat) for loop in loops if (seat := seats.get(loop.name)) is not None]
        for loop, seat in found:
            loop.handed.stop(seat.asked)
            for jobid, asked in seat.asked.items():
                note(loop.post.box.path, loop.post.slot, jobid,
                     loop.clock.monotonic() + asked.grace)
        wanted = [(loop, dict(seat.orders)) for loop, seat in found]
    for loop, words in wanted:
        obey(loop, words)
        if WATCH in words and not stale(loop, words[WATCH]):
            publish(loop)


def withdraw(store: Store, seat: Seat, now: float, beside: Collection[int]) -> list[object]:
    """Cancel the claimed jobs that were asked to end before they began; returns what to tell. For
    their worker's bookkeeping, when what has ended is settled. Those beside are on its event loop,
    and get their grace."""
    told: list[object] = []
    for jobid in [jobid for jobid in seat.asked if jobid in seat.claims and jobid not in beside]:
        told.append(requests.end(store, seat, jobid, withdrawn(seat, jobid, now)))
    return told


def obey(loop: Working, words: Mapping[str, Order]) -> None:
    """Do what is wanted of a worker, for who reads its seat."""
    loop.quiet = QUIET in words
    if STOP in words and not loop.stopping.is_set():
        (loop.leave or partial(dismiss, loop))()
    if STACKS in words:
        beside(_replies, loop, answer, loop)
    if WATCH in words and stale(loop, words[WATCH]):
        beside(_forsaking, loop, forsake, loop, words[WATCH])


def beside(threads: Threads, loop: Working, work: Callable[P, None], *args: P.args,
           **kwargs: P.kwargs) -> None:
    """Do this for a loop in a thread beside it, unless one does it just now."""
    with _lock:
        if not (loop in threads and threads[loop].is_alive()):
            thread = closing.alongside(loop.db, work, *args, **kwargs)
            if thread is not None:
                threads[loop] = thread


def forsake(loop: Working, wanted: Order) -> None:
    """Nobody watches any more, unless somebody asks anew just now."""
    def work(_: Processor, seat: Seat) -> None:
        if seat.orders.get(WATCH) == wanted:
            revoke(seat, WATCH)
            if seat.show is not None:
                seat.show.said = {}

    with suppress(Exception):           # the storage is away
        seated(loop, work)


def stale(loop: Working, wanted: Order) -> bool:
    """Whether somebody has watched a worker, and does no more. Clocks of two hosts differ: what
    counts is since when it is seen here."""
    now = loop.clock.monotonic()
    seen, since = _watched.get(loop, (None, now))
    if seen != wanted:
        since = now
        _watched[loop] = wanted, since
    return now - since > WATCHLASTS


def publish(loop: Working) -> None:
    """Show other hosts what the running jobs of a worker say."""
    def work(_: Processor, seat: Seat) -> None:
        show(seat, {jobid: (each.progress and Progress(*each.progress), each.written, each.log)
                    for jobid, each in wordsOf(seat).items() if jobid in seat.claims})

    seated(loop, work)


def dismiss(loop: Working) -> None:
    """Have a loop end for good, after its running job."""
    loop.dismissed = True
    loop.stop()


def answer(loop: Working) -> None:
    """Write where the threads of this process stand, for who wants to know."""
    text = stacks.here(closing.loopsOf(loop.db))
    with suppress(Exception):           # the storage is away
        seated(loop, lambda _, seat: reply(seat, text))
