# SPDX-License-Identifier: ZPL-2.1
"""The post of one worker thread: its seat in the database, and what it says to those who watch it,
see heartbeat and presence."""
from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ZODB.DB import DB

from p01.remote import verbs
from p01.remote.engine import declaring, fingerprint, presence
from p01.remote.engine.verdict import Task
from p01.remote.exceptions import ClaimLost
from p01.remote.ground.blackbox import BLURRED, HOST, NOTE
from p01.remote.ground.clocks import CLOCK, Clock
from p01.remote.ground.notes import placeOf
from p01.remote.options import WorkerOptions
from p01.remote.store.outcomes import Stored
from p01.remote.store.records import Claim
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store


class Note(NamedTuple):
    """That a run is to end, see ground.notes: until when it gets."""

    jobid: int
    began: float
    until: float


class Post:
    """Who a worker is, and what it runs, as memory and the box of its process say. Instants are on
    the monotonic clock."""

    def __init__(self, db: DB, label: str, options: WorkerOptions, clock: Clock = CLOCK) -> None:
        self.name = f'{label}:{os.getpid()}:{uuid.uuid4().hex[:6]}'
        self.options = options
        self.clock = clock
        # somebody ends this process for a job beyond its limit
        self.supervised = False
        self.alone = presence.alone(db)
        self.box = presence.mine(db)
        self.slot = self.box.take()
        self.write = self.box.writer(self.slot)
        self.spot = placeOf(self.slot)              # where others note that a run is to end
        self.place = '-' if self.box.file is None and not self.alone else str(self.box.path)
        self.running = 0                            # the job that runs, 0 for none
        # since when, and until when at most; 0 for never
        self.began = self.deadline = 0.0
        self.blurred = False                        # whether it may as well be another one
        self.thread = 0                             # in which thread
        # how often claims were handed out, see seats.Seat
        self.round = 0
        # the round, and the tasks of it that have not begun
        self.hand: tuple[int, deque[Task]] = (0, deque())

    # -- in the database

    def seat(self, store: Store) -> Seat | None:
        """Our seat; None when we have none, or somebody thought us dead and took it away."""
        return store.seats.get(self.name)

    def complete(self, store: Store, outcomes: Mapping[int, Stored]) -> None:
        """Write the outcomes of jobs into the transaction that they share."""
        verbs.complete(store, self.sitting(store, next(iter(outcomes))), outcomes)

    def fence(self, store: Store, jobid: int, part: int = 0) -> None:
        """Have what a job commits itself meet whoever has taken the job over; see Seat.fence. part:
        of the attempts that may commit at once, see Seat.prepare."""
        seat = self.sitting(store, jobid)
        seat.held(jobid)
        seat.slip(part).touch()

    def sitting(self, store: Store, jobid: int) -> Seat:
        """Our seat, for the sake of a job. Raises ClaimLost."""
        seat = self.seat(store)
        if seat is None:
            raise ClaimLost(f'Worker {self.name} was thought dead, and job {jobid} was taken over; '
                            'its changes here were undone.')
        return seat

    def recorded(self, store: Store, jobid: int) -> bool:
        """Whether an outcome of this job is committed."""
        seat = self.seat(store)
        return seat is not None and seat.outcome(jobid) is not None

    def held(self, store: Store) -> Mapping[int, Claim]:
        """The claims that are ours in this snapshot."""
        seat = self.seat(store)
        return seat.claims if seat is not None else {}

    def sit(self, now: float) -> Seat:
        """A new seat of ours."""
        seat = Seat(self.name, HOST, os.getpid(), presence.PROCESS, self.place, self.options.lease,
                    now)
        seat.slot, seat.round, seat.queues = self.slot, self.round, self.options.queues
        seat.code, seat.declares = fingerprint.serving, declaring.serving
        return seat

    def here(self, store: Store, now: float) -> Seat:
        """Our seat, a new one if we have none."""
        seat = self.seat(store)
        if seat is None:
            verbs.sit(store, seat := self.sit(now))
        return seat

    def rank(self, store: Store) -> tuple[int, int]:
        """Which of the workers of the same queues we are, and how many there are."""
        queues = sorted(self.options.queues)
        names = [name for name, seat in store.workers() if sorted(seat.queues) == queues]
        return names.index(self.name), len(names)

    # -- in the box

    def turn(self, number: int) -> None:
        """A new round of claims is at hand, in this thread."""
        self.round, self.thread = number, threading.get_ident()
        self.box.turn(self.slot, number)

    def hold(self, tasks: Iterable[Task]) -> deque[Task]:
        """Hold tasks of this round that are to begin one after the other. Whoever takes one out of
        the deque has it."""
        left = deque(tasks)
        self.hand = self.round, left
        return left

    def mark(self, jobid: int, timeout: float | None) -> float:
        """Say which job runs, and how long it may; one that meets a conflict has no more time than
        before.

        Returns until when, 0 for ever.
        """
        if jobid != self.running or self.blurred:
            self.blurred = False
            now = self.clock.monotonic()
            self.deadline = now + timeout if timeout else 0.0
            self.running, self.began = jobid, now
            self.write(jobid, now, self.deadline)
        elif timeout and not self.deadline:         # what it is had to be found out first
            self.deadline = self.began + timeout
            self.write(jobid, self.began, self.deadline)
        return self.deadline

    def note(self) -> Note | None:
        """The note that the run at hand is to end; None without one."""
        if self.box.map.closed:
            return None
        found = Note(*NOTE.unpack_from(self.box.map, self.spot))
        return found if found.jobid \
            and (found.jobid, found.began) == (self.running, self.began) else None

    def asked(self, jobid: int) -> bool:
        """Whether the run of this job, which is at hand, is to end."""
        if self.running != jobid or self.box.map.closed:
            return False
        asked, began, _ = NOTE.unpack_from(self.box.map, self.spot)
        return bool(asked == jobid and began == self.began)

    def end(self) -> float:
        """Until when the run at hand may last; 0 for ever."""
        found = self.note()
        return self.deadline if found is None else min(found.until, self.deadline or found.until)

    def unlimited(self) -> None:
        """Say that the job that runs has all the time there is: its own work is done."""
        self.deadline = 0.0
        if self.running:
            self.write(self.running, self.began, 0.0)

    def blur(self) -> None:
        """Say that what several jobs did is being committed: should that take the process down,
        nobody knows which one did."""
        self.deadline, self.blurred = 0.0, True
        self.write(-self.running, BLURRED, 0.0)

    def rest(self) -> None:
        """Say that no job runs."""
        if self.running:
            self.write(-self.running, 0.0, 0.0)
            self.running, self.began, self.deadline = 0, 0.0, 0.0

    def leave(self) -> None:
        """The thread works no more."""
        with contextlib.suppress(ValueError):       # the box was closed with its database
            self.box.give(self.slot)
