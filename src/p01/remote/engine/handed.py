# SPDX-License-Identifier: ZPL-2.1
"""What a worker's loop has handed to its event loops and executors: its part of the claims, and
what came of it, see place and asynchronous."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from p01.remote import events, verbs
from p01.remote.engine.runner import Runner
from p01.remote.engine.seams import Hearing
from p01.remote.engine.verdict import (
    JOINED,
    OPENATONCE,
    Done,
    Task,
    Verdict,
    completed,
    failure,
    laid,
)
from p01.remote.engine.ways import Way
from p01.remote.exceptions import ClaimLost, WorkerDied
from p01.remote.ground import subscribers
from p01.remote.ground.foreign import Raised, guarded, spend
from p01.remote.storage.origin import contained
from p01.remote.store.outcomes import saying, success
from p01.remote.store.payload import packOutput, portable
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store

if TYPE_CHECKING:       # who runs no such job needs no asyncio, which takes long to import
    from p01.remote.engine.attempt import Ended
    from p01.remote.engine.place import Place

# seconds, of those that running jobs get to end, that are left for what they do when they are
# cancelled
CLEANUP = 3.0
ENDINGLOOK = 0.1          # seconds between two looks at whether they have


class Handed:
    """The jobs of one worker that are elsewhere, from their hand-over until their ends are known
    here.

    All but `called` is for the worker's thread.
    """

    def __init__(self, runner: Runner, wake: Callable[[], None]) -> None:
        self.runner = runner
        self.post = runner.post
        self.wake = wake
        self.places: dict[str, Place] = {}  # by their executors, '' for those that await
        self.held: dict[int, Task] = {}
        self.back: set[int] = set()         # claims to give back
        self.lost: set[int] = set()         # of those held, what somebody else has by now
        # of the box, of those whose ends are written next
        self.slots: list[tuple[Place, int]] = []
        self.ways: dict[str, tuple[Any, Way]] = {}
        self.outputLimit = 0
        # when the worker was told to stop, on the monotonic clock
        self.since = 0.0

    def called(self) -> bool:
        """Whether an event loop has something for the worker."""
        return any(place.aio.told for place in self.places.values())

    def running(self) -> list[int]:
        """The jobs that run just now; for any thread."""
        return [jobid for place in list(self.places.values()) for jobid in list(place.aio.running)]

    def waiting(self) -> int:
        """How many have not begun, or have just ended; for any thread."""
        return max(0, len(self.held) - len(self.running()))

    def standing(self) -> list[Hearing]:
        """Ask where the jobs stand that run just now, as far as threads of this process do not show
        it; for any thread, one at a time. A place that cannot be asked, since it is closed just
        now, hides no other."""
        found = [guarded(place.standing) for place in list(self.places.values())]
        return [each for each in found if not isinstance(each, Raised)]

    def late(self, now: float) -> dict[int, int]:
        """The jobs that have run longer than they may, and the thread of one that holds the event
        loop, 0 for others; for any thread. now is on the monotonic clock."""
        return {jobid: job.thread if self.post.box.job(place.aio.step) == jobid else 0
                for place in list(self.places.values())
                for jobid, job in list(place.aio.running.items())
                if job.ends() < now and jobid not in place.aio.lost}

    # -- claims

    def size(self, most: int, aim: float) -> int:
        """How many jobs to claim, at most so many: as there is room, and so many more as are done
        in so many seconds."""
        if not self.places:
            return most
        if any(task.claim.suspect for task in self.held.values()):
            return 0                        # it runs alone
        rooms = [place.room(aim) for place in self.places.values() if place.matters()]
        return max(0, min(most, *rooms)) if rooms else most

    def takes(self, task: Task) -> bool:
        """Whether a job is for an event loop, which has it then. Raises what the storage does."""
        way = self.way(task)
        if way is None or not way.asynchronous:
            return False
        known = self.ways.get(task.record.name)
        if known is None or known[0] is not way.behaviour:
            # a copy belongs to no connection, so that another thread can use it
            self.ways[task.record.name] = known = way.behaviour, way._replace(
                behaviour=way.behaviour.filled({}))
        moved = self.portable(task)
        self.held[task.id] = task
        place = self.begun(way.executor)
        place.load += 1
        place.recent = True
        place.aio.hand(moved, known[1])
        return True

    def portable(self, task: Task) -> Task:
        """A job whose input another thread can load; Raised in its place where there is none.
        Raises what the storage does."""
        record = task.record
        if record.input is None or type(record.input) is bytes:
            return task
        found = contained(portable, record.input, f'The input of job {task.id} ({record.name})')
        return task._replace(record=record._replace(input=found))

    def begun(self, executor: str) -> Place:
        """The place of an executor, which begins with the first job for it."""
        if executor not in self.places:
            from p01.remote.engine.place import Place

            self.places[executor] = Place(self.runner, executor, self.wake)
        return self.places[executor]

    def close(self) -> list[tuple[Task, Verdict]]:
        """End the event loops; returns what came of the last jobs."""
        for place in self.places.values():
            place.close()
        return self.collect(True)

    def way(self, task: Task) -> Way | None:
        """How a job is run; None where that cannot be found out, or when it is not ours any
        more."""
        runner = self.runner
        if runner.found is None or runner.session.begun is None:
            runner.fresh()
        way = runner.ways.get(task.record.name)
        if way is not None and not way.asynchronous:
            return way
        if task.id not in runner.mine:
            return None
        if way is None:
            found = guarded(lambda: runner.way(task, runner.behaviour(task)))
            way = None if isinstance(found, Raised) else found
        if runner.found is not None:
            self.outputLimit = runner.found.outputLimit
        return way

    def stop(self, jobids: Iterable[int]) -> set[int]:
        """Have jobs end at their next await that somebody has asked to end; returns those of them
        that are here. For any thread."""
        found = {jobid for jobid in jobids if jobid in self.held}
        for place in list(self.places.values()) if found else ():
            place.aio.stop(frozenset(found))
        return found

    def book(self, store: Store, seat: Seat) -> None:
        """Part of a bookkeeping: give back what is not to run here."""
        if not self.places:
            return
        self.lost = self.held.keys() - seat.claims.keys()
        verbs.release(store, seat, self.back)
        if any(place.recent for place in self.places.values()):
            seat.prepare(1 + OPENATONCE)

    def claimed(self, store: Store, seat: Seat) -> list[int]:
        """The claims to run, once there are new ones. What runs here still and is not ours any more
        may be claimed anew: not by us, before it has ended."""
        verbs.release(store, seat, self.lost)
        return self.apart(seat)

    def apart(self, seat: Seat) -> list[int]:
        """The claims that were not handed over."""
        return [jobid for jobid in seat.claims
                if jobid not in self.held] if self.held else list(seat.claims)

    # -- ends

    def collect(self, stopping: bool = False) -> list[tuple[Task, Verdict]]:
        """What came of the jobs that have ended, and the end of those that need not begin here."""
        runs: list[tuple[Task, Verdict]] = []
        errors: list[BaseException] = []
        for place in self.places.values():
            aio, ends = place.aio, 0
            if aio.broken is not None and aio.thread is not None:
                raise aio.broken
            aio.told = False
            while aio.ended:
                each = aio.ended.popleft()
                ends += 1
                place.load -= self.held.pop(each.task.id, None) is not None
                self.slots.append((place, each.slot))
                verdict = self.verdict(each)
                if each.error is not None:
                    errors.append(each.error)
                if verdict is not None:
                    runs.append((each.task, verdict))
            place.count(ends)
            for spare in aio.spare(stopping):
                place.load -= self.held.pop(spare.task.id, None) is not None
                self.back.add(spare.task.id)
                self.slots.append((place, spare.slot))
        for error in errors:            # in the end: several jobs may have met the same
            spend(error)
        return runs

    def finish(self, keep: Callable[[list[tuple[Task, Verdict]]], None]) -> Verdict:
        """Wait until all have ended; what came of them goes to keep."""
        while self.held:
            time.sleep(0.001)
            keep(self.collect())
        return JOINED

    def verdict(self, each: Ended) -> Verdict | None:
        """What came of a run; None for one that is somebody else's by now, or goes back."""
        task, error = each.task, each.error
        if each.back:
            self.back.add(task.id)
            return None
        if isinstance(error, ClaimLost):
            self.runner.tell(events.ClaimRefused(task.id, task.record.name, self.post.name))
            return None
        runs = task.claim.runs + 1
        if not each.started:
            return None
        if error is None:
            packed: Any = guarded(packOutput, each.output,
                                  f'The output of job {task.id} ({task.record.name})',
                                  self.outputLimit, self.runner.session.connection)
            if not isinstance(packed, Raised):
                if subscribers.heard():
                    self.runner.tell(completed(task, self.post.name, each.ended - each.started))
                outcome = success(packed, runs, each.started, each.ended, task.claim.attempts,
                                  each.conflicts)
                return Done(outcome if each.said is None else saying(outcome, each.said))
            error = packed.error
        if isinstance(error, WorkerDied):
            return laid(task, each.way.policy, error, each.started, each.ended, self.post.name,
                        each.said)
        return failure(task, each.way.policy, error, each.started, each.ended, self.post.name,
                       self.runner.chance(), each.conflicts, each.said)

    def committed(self) -> None:
        """What was collected is in the database: nobody need know any more that it has begun."""
        if not self.places:
            return
        self.back.clear()
        for place in self.places.values() if self.lost else ():
            place.aio.drop(frozenset(self.lost))
        for place, slot in self.slots:
            self.post.box.write(slot, 0, 0.0)
            place.aio.slots.append(slot)
        self.slots.clear()

    def rest(self, wait: float) -> float:
        """How long the loop may rest, at most so many seconds."""
        if not self.held:
            return wait
        return min(wait, self.post.options.lease / 8, ENDINGLOOK if self.since else wait)

    def lasts(self) -> bool:
        """Whether jobs still run of a worker that is to stop; in the end they are cancelled."""
        if not self.held:
            return False
        now = time.monotonic()
        self.since = self.since or now
        grace = self.post.options.grace
        over = now - self.since - max(grace - CLEANUP, grace / 2)
        for place in self.places.values() if over > 0 else ():
            if not place.aio.ending:
                place.aio.cancel()
        return over < CLEANUP
