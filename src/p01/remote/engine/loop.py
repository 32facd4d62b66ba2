# SPDX-License-Identifier: ZPL-2.1
"""The loop of one worker thread: claim, run, settle; poll(now) returns the seconds to wait."""
from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping

from ZODB.DB import DB

from p01.remote.engine import closing, heartbeat, orders, presence
from p01.remote.engine.batch import Batch
from p01.remote.engine.bell import bellOf
from p01.remote.engine.booking import Booking
from p01.remote.engine.group import Group
from p01.remote.engine.handed import Handed
from p01.remote.engine.migration import migrate
from p01.remote.engine.outage import Outage
from p01.remote.engine.post import Post
from p01.remote.engine.quota import Quota
from p01.remote.engine.runner import Runner
from p01.remote.engine.seams import Locate
from p01.remote.engine.session import Session
from p01.remote.engine.verdict import JOINED, Lost, Runs, Task, Verdict
from p01.remote.exceptions import ProcessorGone
from p01.remote.ground.clocks import CLOCK, Clock
from p01.remote.ground.foreign import interrupts, reasonOf
from p01.remote.options import WorkerOptions
from p01.remote.storage.insides import isClosed
from p01.remote.store.outcomes import Stored

TROUBLES = 5        # troubles in a row after which a drain gives up

logger = logging.getLogger('p01.remote.loop')


class Loop:
    """Works on the jobs of the processor that locate(connection) finds, in the thread that
    calls."""

    leave: Callable[[], None] | None = None     # what it does instead when people want it to end
    quota: Quota | None = None                  # of its process

    def __init__(self, db: DB, locate: Locate, name: str, options: WorkerOptions | None = None,
                 clock: Clock = CLOCK) -> None:
        self.db = db
        self.locate = locate
        self.options = options or WorkerOptions()
        self.clock = clock
        # first: what cannot be opened leaves nothing behind
        self.session = Session(db, locate, clock)
        self.post = Post(db, name, self.options, clock)
        self.name = self.post.name
        self.outage = Outage(self.name)
        presence.live.add(self.name)
        self.runner = Runner(self.session, self.post)
        self.stopping = threading.Event()
        self.bell = bellOf(db)
        self.handed = Handed(self.runner, lambda: self.bell.nudge())
        self.booking = Booking(self.runner, self.stopping, self.handed)
        self.batch = Batch()
        self.group = Group(self.runner, self.keep)
        self.done, self.idle = 0, False
        # a thread is in work; our database is about to close; people want nothing more to begin
        self.working = self.dismissed = self.quiet = False
        self.gone = threading.Event()
        heartbeat.watch(self)
        closing.enter(self)

    @property
    def known(self) -> dict[int, Stored]:
        """See seams.Working."""
        return self.booking.ledger.plain()

    def forget(self, known: Mapping[int, Stored]) -> None:
        """See seams.Working."""
        self.booking.ledger.forget(known)

    # -- the loop

    def ready(self) -> None:
        """Find the processor, and bring its layout forward. Raises RemoteError where there is none,
        NewerDatabase."""
        store = self.runner.fresh().store
        db, oid = store._p_jar.db(), store._p_oid       # it may live in another database of several
        self.runner.end()
        migrate(db, oid)
        self.bell = bellOf(db)

    def poll(self, now: float) -> float:
        """Do what there is to do; returns seconds until the next look, 0 for at once."""
        self.keep(self.handed.collect(self.stopping.is_set()))
        most = self.handed.size(self.batch.size(), self.batch.aim())
        tasks, wait = self.book(now, most if self.quota is None else self.quota.share(most))
        self.idle = not tasks and not self.handed.held
        if not tasks:
            return self.handed.rest(wait)
        began, ran, enough = self.clock.monotonic(), 0, 2 * self.batch.aim()
        left, ways = self.post.hold(tasks), self.runner.ways
        try:
            while left and not self.stopping.is_set():
                try:
                    task = left.popleft()
                except IndexError:
                    break           # the heartbeat was quicker, and has given back what was left
                ran += 1
                way = ways.get(task.record.name)        # a look here spares most jobs the call
                if (way is None or way.asynchronous) and self.handed.takes(task):
                    continue
                verdict = self.perform(task, bool(left))
                if isinstance(verdict, Lost):
                    break           # we were thought dead: others have the rest already
                if self.clock.monotonic() - began > enough:
                    break           # jobs take longer than they did: let others have the rest
            self.group.finish()
        finally:
            self.post.rest()
        if ran:
            self.batch.ran(self.clock.monotonic() - began, ran)
            if self.booking.turns is not None:
                self.booking.turns.ran(task.claim.queue for task in tasks[:ran])
        return 0.0

    def act(self, task: Task) -> Verdict:
        """Run a job and keep its outcome."""
        try:
            return self.perform(task) if not self.handed.takes(task) \
                else self.handed.finish(self.keep)
        finally:
            self.post.rest()

    def perform(self, task: Task, more: bool = False) -> Verdict:
        """Run a job and keep its outcome; the box says that it runs until it says something else.
        more: others wait behind it."""
        verdict = self.group.run(task, more)
        if verdict is not JOINED:
            self.keep([(task, verdict)])
        return verdict

    def keep(self, runs: Runs) -> None:
        """Keep what came of jobs."""
        self.done += len(runs)
        self.booking.keep(runs)

    def book(self, now: float, count: int) -> tuple[list[Task], float]:
        """Settle what is done, claim what is next; returns the jobs to run, and how long to wait
        when there are none."""
        booked = self.booking.book(now, count, self.group.unsure)
        self.group.unsure = []
        if self.quiet or booked.orders:
            orders.obey(self, booked.orders)
        if booked.tasks:                    # else it says nothing about those with claims
            self.batch.booked(booked.took)
        booked = self.booking.fire(booked, now, count)
        return booked.tasks, min(max(0.0, booked.wait - booked.took), self.options.waitTime)

    def work(self) -> None:
        """Poll until stopped, or with options.drain until nothing is due."""
        if not self.options.drain:
            self.bell.listen()
        self.working = True
        try:
            self.cycle()
        finally:
            if not self.options.drain:
                self.bell.unlisten()

    def cycle(self) -> None:
        """Poll, and wait for the bell in between. A storage that is away is waited for, with
        growing pauses."""
        heard = self.bell.rings
        while not self.stopping.is_set() or self.handed.lasts():
            try:
                wait = self.poll(self.clock.now())
            except (MemoryError, ProcessorGone):
                raise       # this process, or this loop, is of no use any more; others go on
            except BaseException as error:  # storages raise what they like; what they hold is safe
                if interrupts(error):
                    raise
                if isClosed(self.db):
                    logger.warning('Worker %s ends: its database was closed.', self.name)
                    break
                self.endure(error)
                continue
            self.outage.over()
            if wait and self.idle and self.options.drain:
                break
            # a ring during the poll was perhaps too late for it: wait returns at once
            heard = self.bell.wait(heard, wait, self.handed.called)

    def endure(self, error: BaseException) -> None:
        """Say once that the storage is away, pause, and begin anew with a fresh connection.

        A drain gives up in the end, and any loop when the fault is not the storage's.
        """
        wait = self.outage.failed(error)
        if self.outage.troubles > TROUBLES and (self.options.drain or not self.outage.away):
            raise error
        self.stopping.wait(wait)
        try:
            with contextlib.suppress(Exception):        # it is broken anyway
                self.runner.end()
            self.session.reopen()
        except Exception as again:          # still away
            logger.debug('%s: %s', self.name, again)

    def stop(self) -> None:
        """End after the running job; for other threads and signal handlers."""
        self.stopping.set()
        self.bell.ring()

    def close(self) -> None:
        """Give back what is claimed, and leave. Where the storage is away, others find our seat by
        its box or lease."""
        try:
            self.keep(self.handed.close())
            self.booking.leave()
        except BaseException as error:      # of whatever class: it must not be taken for alive
            logger.warning('Worker %s leaves its seat to others: %s', self.name, reasonOf(error))
            if interrupts(error):
                raise
        finally:
            self.free()

    def free(self) -> None:
        """Leave without a word in the database."""
        with contextlib.suppress(Exception):            # it may be broken
            self.runner.end()
        self.handed.close()
        self.session.close()
        presence.live.discard(self.name)
        heartbeat.unwatch(self)
        self.post.leave()
        closing.leave(self)
