# SPDX-License-Identifier: ZPL-2.1
"""The bookkeeping of one worker: what is done is settled, what is next claimed, what others left
looked after.

All of it is one transaction of the system's own, which holds no job's changes and is repeated after
a conflict; what follows from it is a plain value, for when it is committed.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.engine import orders, rescuing
from p01.remote.engine.handed import Handed
from p01.remote.engine.janitor import Janitor
from p01.remote.engine.ledger import Ledger
from p01.remote.engine.runner import Runner
from p01.remote.engine.seams import Processor
from p01.remote.engine.ticker import Look, Ticker
from p01.remote.engine.turns import Turns
from p01.remote.engine.verdict import Again, Done, Failed, Runs, Task, expired, refused
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.storage.opened import deepen
from p01.remote.storage.transactions import TRIES, pause
from p01.remote.store.history import MINUTE
from p01.remote.store.outcomes import Stored, refers
from p01.remote.store.seats import BEATS, Order, Seat
from p01.remote.store.store import Store
from p01.remote.verbs import recording
from p01.remote.verbs.claims import ASIDEGRACE
from p01.remote.verbs.requests import QUIET, STOP
from p01.remote.views import figures

IDLEWAIT = 3600.0       # seconds; nothing is due sooner than this

Result = TypeVar('Result')


class Booked(NamedTuple):
    """What a bookkeeping has done."""

    tasks: list[Task]       # to be run
    round: int              # of the seat, in which they are; 0 without any
    wait: float             # seconds from its instant until the next look, where there are none
    look: Look              # at the schedules
    told: list[object]      # what is to be told
    orders: Mapping[str, Order]  # what people want of the worker
    took: float = 0.0       # seconds


class Taken(NamedTuple):
    """What a worker has claimed and is to run."""

    tasks: list[Task]
    round: int              # see Booked
    told: list[object]


class Booking:
    """Keeps the books of a worker, in the session of its runner, and commits what came of its
    jobs."""

    def __init__(self, runner: Runner, stopping: threading.Event, handed: Handed) -> None:
        self.runner = runner
        self.session, self.post, self.clock = runner.session, runner.post, runner.clock
        self.options = runner.post.options
        self.stopping = stopping                    # nothing more is to be claimed
        self.handed = handed                        # to the event loop
        self.ledger = Ledger(self.post.name, self.options.drain)
        self.janitor = Janitor(self.clock)
        self.ticker = Ticker(self.post.name)
        queues = self.options.queues
        self.turns = Turns(queues, self.options.weights) if len(queues) > 1 else None
        self.wide = self.clock.now()                # when other workers' shards were looked at last
        # how many jobs there were when they were counted last for the history, in which minute;
        # and in the transaction that is open
        self.counted = self.counting = (0, dict[str, dict[str, int]]())

    def write(self, work: Callable[[Store, Seat, float], Result]) -> Result:
        """Do work(store, seat, now) in a bookkeeping transaction. Raises what the storage does."""
        self.runner.end()
        for tried in range(TRIES):
            self.session.begin()
            try:
                store = self.session.processor().store
                now = self.clock.now()
                seat = self.post.here(store, now)
                result = work(store, seat, now)
                if seat.claims and now - seat.beat > seat.lease / BEATS:
                    seat.beat = now
                if self.session.joined():
                    self.session.commit()
                else:
                    self.session.abort()
                return result
            except TransientError:
                self.session.abort()
                if tried == TRIES - 1:
                    raise
                pause(tried, self.clock.sleep)
            except BaseException:
                self.session.abort()
                raise
        raise AssertionError('unreachable')

    def change(self, work: Callable[[Processor], Result]) -> Result:
        """Do work(processor) as write does."""
        return self.write(lambda store, seat, now: work(self.session.processor()))

    def book(self, now: float, count: int, unsure: Iterable[Task]) -> Booked:
        """Settle what is done, claim what is next, so many jobs; returns what to do.

        unsure are the jobs whose runs an outage has ended: it is told of those that are others' by
        now.
        """
        wide = abs(now - self.wide) >= ASIDEGRACE
        if wide:
            self.wide = now
        began = self.clock.monotonic()
        booked = self.write(partial(self.turn, at=now, count=count, wide=wide, unsure=unsure))
        booked = booked._replace(took=self.clock.monotonic() - began)
        if booked.tasks:
            self.post.turn(booked.round)
        self.ledger.committed()
        self.handed.committed()
        self.janitor.committed()
        self.counted = self.counting
        rescuing.tell(booked.told)
        return booked

    def fire(self, booked: Booked, now: float, count: int) -> Booked:
        """Fire the schedules that a bookkeeping has found due; returns what there is to do then.

        Where it has found nothing to run, what they enqueue is claimed in the same commits, so that
        a job begins as soon as its tick is written.
        """
        if self.ticker.declaring is not None:
            self.ticker.declaring.poll(self.change)
        if not booked.look:
            return booked
        if booked.tasks:
            self.ticker.fire(booked.look, now, self.change)
            return booked
        taken = [booked]

        def do(work: Callable[[Processor], Result]) -> Result:
            def both(store: Store, seat: Seat, _: float) -> tuple[Result, Taken]:
                return work(self.session.processor()), self.take(store, seat, now, count, False)

            result, (tasks, number, told) = self.write(both)
            if tasks:
                self.post.turn(number)
            rescuing.tell(told)
            taken[0] = booked._replace(tasks=tasks, round=number)
            return result

        self.ticker.fire(booked.look, now, do)
        return taken[0]._replace(wait=0.0)

    def turn(self, store: Store, seat: Seat, _: float, at: float, count: int, wide: bool,
             unsure: Iterable[Task]) -> Booked:
        """One bookkeeping, as of an instant; part of the caller's transaction."""
        self.ledger.settle(store, seat)
        self.handed.book(store, seat)
        gone = orders.withdraw(store, seat, at, self.handed.stop(seat.asked))
        processor = self.session.processor()
        look = self.ticker.look(processor, at)
        told: list[object] = [*gone, *self.janitor.poll(processor, self.post.rank(store), at),
                              *refused(store, seat, unsure)]
        tasks, number, late = self.take(store, seat, at, count, wide)
        self.depths(store, seat, at)
        wait = 0.0
        if not tasks and not (count and figures.behind(store)):
            due = [each for each in (figures.nextDue(store), look.coming) if each is not None]
            wait = max(0.0, min(due, default=at + IDLEWAIT) - at)
        return Booked(tasks, number, wait, look, [*told, *late], dict(seat.orders))

    def take(self, store: Store, seat: Seat, at: float, count: int, wide: bool) -> Taken:
        """Claim what is next, as of an instant; part of the caller's transaction."""
        self.claim(store, seat, at, count, wide)
        told = expired(seat)
        if self.ends(seat):
            verbs.release(store, seat, self.handed.apart(seat))
        tasks = self.tasks(store, seat)
        if tasks:
            seat.round += 1
        return Taken(tasks, seat.round if tasks else 0, told)

    def claim(self, store: Store, seat: Seat, now: float, count: int, wide: bool) -> None:
        """Have so many claims: others get those beyond, as jobs take longer than they did."""
        apart = self.handed.apart(seat)
        verbs.release(store, seat, apart[count:])
        free = count - min(len(apart), count) + len(self.ledger.later & seat.claims.keys())
        if free > 0 and QUIET not in seat.orders and not self.ends(seat):
            if self.turns is None:
                verbs.claim(store, seat, free, now, self.options.queues or None,
                            self.post.rank(store), wide)
            else:
                held = [seat.claims[jobid].queue for jobid in apart[:count]]
                verbs.claimInTurn(store, seat, self.turns.shares(free, held), free,
                                  now, self.post.rank(store), wide)
        if self.post.supervised:        # the process is ours, and so are its caches
            deepen(store._p_jar.db(), sum(len(shard.intake.open) for shard in store.shards))

    def depths(self, store: Store, seat: Seat, now: float) -> None:
        """Once a minute the first worker counts the jobs for the history: where a bookkeeping is
        written anyway, or the numbers have changed."""
        self.counting = self.counted
        minute, before = self.counted
        if minute == int(now // MINUTE):
            return
        found = before
        if self.post.rank(store)[0] == 0:
            found = figures.reckoned(store).queues
            if self.session.joined() or found != before:
                seat.touch()
                recording.looked(seat, found, now)
        self.counting = int(now // MINUTE), found

    def ends(self, seat: Seat) -> bool:
        """Whether no other job is to begin here."""
        return self.stopping.is_set() or STOP in seat.orders

    def tasks(self, store: Store, seat: Seat) -> list[Task]:
        """The jobs to run, of those claimed."""
        apart = [jobid for jobid in self.handed.claimed(store, seat)
                 if jobid not in self.ledger.later]
        if self.turns is not None and len(apart) > 1:
            apart = [apart[at]
                     for at in self.turns.order([seat.claims[jobid].queue for jobid in apart])]
        return [Task(jobid, record, seat.claims[jobid])
                for jobid, (_, record) in zip(apart, store.entries(apart), strict=True)]

    def keep(self, runs: Runs) -> None:
        """Keep what came of jobs, until the next bookkeeping writes it; what failed is written at
        once. Until then it stands in the black box that such a job runs: one that took all memory
        may leave none to write down its failure."""
        failed = False
        for task, verdict in runs:
            if isinstance(verdict, Done):
                self.ledger.outcomes[task.id] = verdict.outcome
                # the length spares the call
                if len(verdict.outcome) > 3 and refers(verdict.outcome):
                    self.pickled(task, verdict.outcome)
            elif isinstance(verdict, Failed | Again):
                failed = True
                self.ledger.take(task, verdict)
        if failed:
            if len(runs) == 1:
                self.post.unlimited()
            self.settle()

    def pickled(self, task: Task, outcome: Stored) -> None:
        """Write the outcome of a job whose output is pickled with the commit: what its code raises
        there fails the job. Raises what the storage does."""
        done = guarded(self.settle)
        if isinstance(done, Raised):
            self.ledger.fail(task, outcome, done.error)
            self.settle()

    def settle(self) -> None:
        """Write what came of jobs, and tell of it."""
        self.write(self.ledger.settle)
        self.ledger.committed()

    def leave(self) -> None:
        """Write what came of jobs, give back what is claimed, and have no seat any more."""
        def leave(store: Store, seat: Seat, now: float) -> None:
            self.ledger.settle(store, seat)
            if self.post.rank(store)[1] == 1:       # what it leaves stands until somebody comes
                recording.looked(seat, figures.reckoned(store).queues, now + MINUTE)
            verbs.rise(store, seat, {})

        self.write(leave)
        self.ledger.committed()
