# SPDX-License-Identifier: ZPL-2.1
"""The loop of one worker thread: claim, run, settle; poll(now) returns the seconds to wait."""
from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from transaction.interfaces import TransientError
from ZODB.DB import DB

from p01.remote import verbs
from p01.remote.engine import closing, heartbeat, janitor, orders, presence
from p01.remote.engine.batch import Batch
from p01.remote.engine.bell import bellOf
from p01.remote.engine.group import Group
from p01.remote.engine.janitor import Janitor
from p01.remote.engine.ledger import Ledger
from p01.remote.engine.migration import migrate
from p01.remote.engine.outage import Outage
from p01.remote.engine.post import Post
from p01.remote.engine.runner import Runner
from p01.remote.engine.session import Session
from p01.remote.engine.ticker import Look, Ticker
from p01.remote.engine.verdict import JOINED, Lost, Runs, Task, Verdict, expired, refused
from p01.remote.exceptions import ProcessorGone
from p01.remote.ground.foreign import interrupts, reasonOf
from p01.remote.options import WorkerOptions
from p01.remote.storage.opened import deepen
from p01.remote.storage.transactions import TRIES, pause
from p01.remote.store.seats import BEATS, Seat
from p01.remote.store.store import Store
from p01.remote.verbs.claims import GRACE
from p01.remote.views import figures

PATIENCE = 5        # troubles in a row after which a drain gives up
IDLE = 3600.0       # seconds; nothing is due sooner than this

logger = logging.getLogger('p01.remote.loop')


class Loop:
    """Works on the jobs of the processor that locate(connection) finds, in the thread that
    calls."""

    leave: Callable[[], None] | None = None     # what it does instead when people want it to end
    def __init__(self, db: DB, locate: Callable[[Any], Any], name: str,
                 options: WorkerOptions | None = None) -> None:
        self.db = db
        self.locate = locate
        self.options = options or WorkerOptions()
        # first: what cannot be opened leaves nothing behind
        self.session = Session(db, locate)
        # somebody ends this process for a job beyond its limit
        self.supervised = False
        self.post = Post(db, name, self.options)
        self.name = self.post.name
        self.outage = Outage(self.name)
        presence.live.add(self.name)
        self.runner = Runner(self.session, self.post)
        self.ledger = Ledger(self.name, self.write, self.options.drain)
        self.ticker = Ticker(self.name)
        self.batch = Batch()
        self.group = Group(self.runner, self.keep)
        self.stopping = threading.Event()
        self.bell = bellOf(db)
        self.done = 0
        self.idle = False
        self.janitor = Janitor()
        self.wide = time.time()                     # when other workers' shards were looked at last
        self.working = self.dismissed = self.quiet = False
        self.gone = threading.Event()
        heartbeat.watch(self)
        closing.enter(self)

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
        tasks, wait = self.book(now, self.batch.size())
        self.idle = not tasks
        if not tasks:
            return wait
        began, ran, enough = time.monotonic(), 0, 2 * self.batch.aim()
        left = self.post.hold(tasks)
        try:
            while left and not self.stopping.is_set():
                try:
                    task = left.popleft()
                except IndexError:
                    break           # the heartbeat was quicker, and has given back what was left
                verdict = self.perform(task, bool(left))
                ran += 1
                if isinstance(verdict, Lost):
                    break           # we were thought dead: others have the rest already
                if time.monotonic() - began > enough:
                    break           # jobs take longer than they did: let others have the rest
            self.group.finish()
        finally:
            self.post.rest()
        if ran:
            self.batch.ran(time.monotonic() - began, ran)
        return 0.0

    def act(self, task: Task) -> Verdict:
        """Run a job and keep its outcome."""
        try:
            return self.perform(task)
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
        """Keep what came of jobs. What failed is written at once, and until then it stands in the
        black box that such a job runs: one that took all memory may leave none to write down its
        failure."""
        self.done += len(runs)
        if self.ledger.take(runs):
            if len(runs) == 1:
                self.post.unlimited()
            self.write(self.ledger.settle)
            self.ledger.committed()

    def write(self, work: Callable[[Store, Seat, float], Any]) -> Any:
        """Do work in a bookkeeping transaction, which holds no job's changes and can be repeated
        freely."""
        self.runner.end()
        for tried in range(TRIES):
            self.session.begin()
            try:
                store: Store = self.session.processor().store
                now = self.runner.clock()
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
                pause(tried)
            except BaseException:
                self.session.abort()
                raise
        raise AssertionError('unreachable')

    def change(self, work: Callable[[Any], Any]) -> Any:
        """Do work(processor) as write does."""
        return self.write(lambda store, seat, now: work(self.session.processor()))

    def book(self, now: float, count: int) -> tuple[list[Task], float]:
        """Settle what is done, claim what is next; returns the jobs to run, and how long to wait
        when there are none."""
        def work(store: Store, seat: Seat, _: float) -> tuple[list[Task], float]:
            self.ledger.settle(store, seat)
            gone = orders.attend(self, store, seat, now)
            processor = self.session.processor()
            look[:] = [self.ticker.look(processor, now)]
            told[:] = [*gone, *self.janitor.poll(processor, self.post.rank(store), now)]
            told.extend(refused(store, seat, self.group.unsure))
            # jobs take longer than they did
            verbs.release(store, seat, list(seat.claims)[count:])
            free = count - len(seat.claims) + len(self.ledger.later & seat.claims.keys())
            if free > 0 and not self.quiet and not self.stopping.is_set():
                verbs.claim(store, seat, free, now, self.options.queues or None,
                            self.post.rank(store), wide)
            if self.supervised:             # the process is ours, and so are its caches
                deepen(store._p_jar.db(), sum(len(shard.intake.open) for shard in store.shards))
            told.extend(expired(seat))
            if self.stopping.is_set():
                verbs.release(store, seat, seat.claims)
            tasks = [Task(jobid, record, claim)
                     for (jobid, claim), (_, record) in zip(seat.claims.items(),
                                                            store.entries(seat.claims), strict=True)
                     if jobid not in self.ledger.later]
            if tasks:
                seat.round += 1
                turned[:] = [seat.round]
            elif figures.behind(store):
                return tasks, 0.0
            due = [instant for instant in (figures.nextDue(store), look[0].coming)
                   if instant is not None]
            return tasks, max(0.0, min(due, default=now + IDLE) - now)

        told: list[object] = []
        look: list[Look] = []               # of schedules
        turned: list[int] = []
        began = time.monotonic()
        wide = abs(now - self.wide) >= GRACE
        if wide:
            self.wide = now
        tasks, due = self.write(work)
        self.group.unsure = []
        taken = time.monotonic() - began
        if tasks:                           # else it says nothing about those with claims
            self.batch.booked(taken)
            self.post.turn(*turned)
        self.ledger.committed()
        self.janitor.committed()
        janitor.tell(told)
        if self.ticker.turn(look[0], now, self.change) and not tasks:
            return tasks, 0.0
        # due was reckoned from now
        return tasks, min(max(0.0, due - taken), self.options.waitTime)

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
        while not self.stopping.is_set():
            try:
                wait = self.poll(self.runner.clock())
            except (MemoryError, ProcessorGone):
                raise       # this process, or this loop, is of no use any more; others go on
            except BaseException as error:  # storages raise what they like; what they hold is safe
                if interrupts(error):
                    raise
                if closing.closed(self.db):
                    logger.warning('Worker %s ends: its database was closed.', self.name)
                    break
                self.endure(error)
                continue
            self.outage.over()
            if wait and self.idle and self.options.drain:
                break
            # a ring during the poll was perhaps too late for it: wait returns at once
            heard = self.bell.wait(heard, wait)

    def endure(self, error: BaseException) -> None:
        """Say once that the storage is away, pause, and begin anew with a fresh connection.

        A drain gives up in the end, and any loop when the fault is not the storage's.
        """
        wait = self.outage.failed(error)
        if self.outage.troubles > PATIENCE and (self.options.drain or not self.outage.away):
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
            def leave(store: Store, seat: Seat, now: float) -> None:
                self.ledger.settle(store, seat)
                verbs.rise(store, seat, {})

            self.write(leave)
            self.ledger.committed()
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
        self.session.close()
        presence.live.discard(self.name)
        heartbeat.unwatch(self)
        self.post.leave()
        closing.leave(self)
