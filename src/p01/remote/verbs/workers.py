# SPDX-License-Identifier: ZPL-2.1
"""A worker's seat: taken, given up, taken away; edge f is evict with ends' retry, release or settle
in one commit."""
from __future__ import annotations

from collections.abc import Mapping

from p01.remote.store.outcomes import Stored
from p01.remote.store.records import Outcome
from p01.remote.store.seats import PULLED, Holder, Seat
from p01.remote.store.shards import Shard
from p01.remote.store.store import Store
from p01.remote.verbs.ends import keep, release, settle

HANDLEASE = 3600.0  # seconds that a pulled job may stay in its caller's hands


def sit(store: Store, seat: Seat) -> None:
    """A worker thread begins."""
    free = list(store.pasts)
    if free:
        # another one than who begins at the same time, as a rule
        seat.history = store.pasts.pop(free[hash(seat.name) % len(free)])
    store.seats[seat.name] = seat


def rise(store: Store, seat: Seat, outcomes: Mapping[int, Outcome | Stored]) -> None:
    """A worker thread ends; its claims go back, its counts stay."""
    settle(store, seat, outcomes)
    release(store, seat, list(seat.claims))
    depart(store, seat)


def evict(store: Store, seat: Seat) -> None:
    """A worker is dead: fence it off, keep its counts. Whatever it still tries to commit meets
    the fence."""
    seat.fence()
    depart(store, seat)


def depart(store: Store, seat: Seat) -> None:
    """A seat goes; its counts and its history stay."""
    del store.seats[seat.name]
    keep(store, seat)
    seat.fold()
    store.pasts[seat.name] = seat.history


def pulled(store: Store, now: float) -> Seat:
    """The seat of jobs that were pulled by hand."""
    seat = store.seats.get(PULLED)
    if seat is None:
        seat = store.seats[PULLED] = Seat(PULLED, '', 0, '', '', HANDLEASE, now)
    seat.beat = now
    return seat


def absorb(store: Store, hand: Holder, shard: Shard) -> None:
    """Keep the counts of who has no seat: a caller who ran jobs by hand, or somebody who took them
    in. What came of jobs goes to a history that no worker writes, so that these meet each other
    alone."""
    if hand.tally:
        shard.count(hand.tally)
    if hand.recent:
        store.past.add(hand.minute, hand.recent)
