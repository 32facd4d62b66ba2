# SPDX-License-Identifier: ZPL-2.1
"""What a process does beside its jobs: signs of life, giving back what waits behind a long job,
time limits of threads.

A worker with short jobs shows other hosts that it lives by its own commits, and holds nothing for
long. On its own host its box says so. All that needs the database has a thread of its own, for as
long as it takes: the database may be away.
"""
from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ZODB.DB import DB

from p01.remote import verbs
from p01.remote.engine import closing, death, limit, orders, presence, requests, rescuing
from p01.remote.engine.bell import bellOf
from p01.remote.engine.neighbours import Neighbours, bury
from p01.remote.engine.seams import Locate, Processor, Working
from p01.remote.engine.seating import seated
from p01.remote.ground import foreign, fork, subscribers
from p01.remote.ground.clocks import CLOCK
from p01.remote.store.seats import BEATS, Seat

LOOKEVERY = 0.5          # seconds between two looks
LONGJOB = 0.5          # seconds that a job runs until those claimed with it go back to the others

logger = logging.getLogger('p01.remote')


class Heartbeat(threading.Thread):
    """One thread for all loops of a process. It is a daemon, and stops beating when the process is
    stopped, as it should."""

    def __init__(self) -> None:
        super().__init__(name='p01-heartbeat', daemon=True)
        self.loops: weakref.WeakSet[Working] = weakref.WeakSet()
        self.beaten: weakref.WeakKeyDictionary[Working, float] = weakref.WeakKeyDictionary()
        self.chores: weakref.WeakKeyDictionary[Working,
                                               threading.Thread] = weakref.WeakKeyDictionary()
        # when people were heard last, on the monotonic clock, and who still listens
        self.heard = 0.0
        self.listening: weakref.WeakKeyDictionary[Working,
                                                  threading.Thread] = weakref.WeakKeyDictionary()
        self.neighbours = Neighbours()

    def run(self) -> None:
        """Beat as long as there are loops."""
        while True:
            self.neighbours.wait(self.poll(CLOCK.monotonic()))
            with _lock:
                if not self.loops:
                    _heartbeat.clear()
                    self.neighbours.close()
                    return

    def poll(self, now: float) -> float:
        """Do for each loop what it needs; returns seconds until the next look."""
        with _lock:
            loops = list(self.loops)
        presence.beat(now)
        for loop in loops:
            chores = self.due(loop, now)
            if chores and self.ident is None:
                self.work(loop, chores, now)    # nobody has started us: whoever asks wants it done
            elif chores and not (loop in self.chores and self.chores[loop].is_alive()):
                thread = closing.alongside(loop.db, self.work, loop, chores, now)
                if thread is not None:
                    self.chores[loop] = thread
        self.mourn(loops)
        self.hear(loops, now)
        return LOOKEVERY

    def hear(self, loops: list[Working], now: float) -> None:
        """Hear what people ask of the jobs that run long enough."""
        if now - self.heard < orders.LISTENEVERY:
            return
        places: dict[tuple[DB, Locate], list[Working]] = {}
        for loop in loops:
            if loop.post.running and now - loop.post.began > LONGJOB or loop.handed.running():
                places.setdefault((loop.db, loop.locate), []).append(loop)
        for (db, locate), busy in places.items():
            known = self.listening.get(busy[0])
            if known is None or not known.is_alive():
                self.heard = now
                thread = closing.alongside(db, orders.hear, db, locate, busy)
                if thread is not None:
                    self.listening[busy[0]] = thread

    def mourn(self, loops: list[Working]) -> None:
        """Have the jobs of those of this host go back who have died."""
        folders: dict[Path, dict[tuple[DB, Locate], None]] = {}
        for loop in loops:
            if loop.post.box.file is not None and not loop.post.alone:
                folders.setdefault(loop.post.box.path.parent, {})[loop.db, loop.locate] = None
        for folder, places in folders.items():
            boxes = self.neighbours.dead(folder)
            for place in places if boxes else ():
                closing.alongside(place[0], bury, boxes, [place])

    def due(self, loop: Working, now: float) -> list[Callable[[Working], None]]:
        """What a loop needs whose jobs run."""
        chores: list[Callable[[Working], None]] = [overrunBeside] if late(loop, now) else []
        post = loop.post
        if not post.began:
            return chores
        if now - post.began > LONGJOB:
            chores += [spare] if post.hand[1] else []
            chores += [settle] if loop.known else []
        if post.end() and now > post.end() + slackOf(loop):
            chores.append(overrun)
        if not post.alone \
                and now - max(post.began, self.beaten.get(loop, 0.0)) > loop.options.lease / BEATS:
            chores.append(beat)
        return chores

    def work(self, loop: Working, chores: list[Callable[[Working], None]], now: float) -> None:
        """Do what a loop needs; what the storage refuses is due again at the next look."""
        for chore in chores:
            try:
                chore(loop)
                if chore is beat:
                    self.beaten[loop] = now
            except Exception as error:          # the storage is away
                logger.warning('Worker %s, %s: %s', loop.name, chore.__name__,
                               foreign.reasonOf(error))


def beat(loop: Working) -> None:
    """Write one heartbeat, if the worker still has its seat."""
    def work(_: Processor, seat: Seat) -> None:
        seat.beat = loop.clock.now()

    seated(loop, work)


def spare(loop: Working) -> None:
    """Give back what a loop has claimed and not begun. What is not written so is handed out by its
    next bookkeeping."""
    number, tasks = loop.post.hand
    spared = []
    with suppress(IndexError):
        while True:
            # whoever takes a job from the loop's deque has it: it, or we
            spared.append(tasks.pop())

    def work(processor: Processor, seat: Seat) -> None:
        if seat.round == number:
            verbs.release(processor.store, seat, [task.id for task in spared])

    try:
        seated(loop, work)
    except BaseException:
        # if it was written all the same, the loop sees it before it begins one
        tasks.extend(reversed(spared))
        raise
    bellOf(loop.db).tell()


def settle(loop: Working) -> None:
    """Write the outcomes of jobs that have ended before the one that runs: it may run for an hour,
    and until then nobody else knew of them."""
    number, known = loop.post.round, loop.known     # in this order, see work

    def work(processor: Processor, seat: Seat) -> bool:
        if seat.round != number:
            return False        # what is known may be of the next round, which the loop writes
        verbs.settle(processor.store, seat, known)
        return True

    if seated(loop, work):
        loop.forget(known)


def overrun(loop: Working) -> None:
    """End the run of a loop's own thread, whose time is over."""
    end(loop, loop.post.running, limit.standing(loop.post.thread))


def overrunBeside(loop: Working) -> None:
    """End those on its event loop whose time is over."""
    for jobid, thread in late(loop, loop.clock.monotonic()).items():
        end(loop, jobid, limit.standing(thread))


def late(loop: Working, now: float) -> dict[int, int]:
    """The jobs on the event loop of a worker whose time is over, see Handed.late, where nobody has
    ended its process for that."""
    return loop.handed.late(now - slackOf(loop))


def slackOf(loop: Working) -> float:
    """Seconds that somebody else has to end the process of a worker."""
    return limit.SLACK if loop.post.supervised else 0.0


def end(loop: Working, jobid: int, stack: limit.Stack) -> None:
    """End a run, which stands there, in a thread that nobody can end: its job goes back or has
    failed, as its policy says."""
    told: list[object] = []

    def work(processor: Processor, seat: Seat) -> None:
        told.clear()
        if jobid not in seat.claims or seat.outcome(jobid) is not None:
            return
        # what it still tries to commit conflicts, and finds that it is not ours any more
        seat.fence()
        if jobid in seat.asked:
            told.append(requests.taken(processor.store, seat, jobid, loop.clock.now(), stack=stack))
            return
        policy = death.policyOf(processor, jobid)
        told.append(rescuing.blame(processor.store, seat, jobid, seat.claims[jobid],
                                  loop.clock.now(), '', policy, True, stack))

    if jobid:
        seated(loop, work)
        for event in told:
            subscribers.notify(event)
        bellOf(loop.db).tell()


_lock = fork.Lock()
_heartbeat: list[Heartbeat] = []


def watch(loop: Working) -> None:
    """Beat for a loop from now on, as long as it is there."""
    with _lock:
        if not _heartbeat or not _heartbeat[0].is_alive():
            _heartbeat[:] = [Heartbeat()]
            _heartbeat[0].loops.add(loop)
            _heartbeat[0].start()
        _heartbeat[0].loops.add(loop)


def unwatch(loop: Working) -> None:
    """Beat for a loop no more."""
    with _lock:
        for each in _heartbeat:
            each.loops.discard(loop)


def _forked() -> None:
    """A forked process has no thread that beats."""
    for each in _heartbeat:
        each.neighbours.close()
    _heartbeat.clear()


os.register_at_fork(after_in_child=_forked)
