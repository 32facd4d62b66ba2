# SPDX-License-Identifier: ZPL-2.1
"""Runs one job: in its transaction, to an outcome. Decides nothing about what follows a failure; policies do."""
from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from transaction.interfaces import TransientError

from p01.remote import events
from p01.remote.engine.context import Running, within
from p01.remote.engine.session import Session
from p01.remote.engine.surroundings import Surroundings
from p01.remote.exceptions import ClaimLost, JobError, RemoteError, RunLater, UnknownJob
from p01.remote.foreign import described, reasonOf, traced
from p01.remote.store.payload import Payload, pack, unpack
from p01.remote.store.records import ERROR, Attempt, Claim, Outcome, Record
from p01.remote.store.segments import Fields, success

CONFLICTS = 100     # conflicts in a row after which a run counts as failed


class Task(NamedTuple):
    """A claimed job, ready to run."""

    id: int
    record: Record
    claim: Claim


class Done(NamedTuple):
    """It ran and changed nothing: its outcome is still to be written, with others."""

    outcome: Fields


class Committed(NamedTuple):
    """It ran, and its changes and outcome are committed."""


COMMITTED = Committed()


class Failed(NamedTuple):
    """It failed for good: this is still to be written."""

    outcome: Outcome


class Again(NamedTuple):
    """It is to run again, due at an instant or at its old place in line; with the attempt that failed, if one did."""

    due: float | None
    attempt: Attempt | None


class Lost(NamedTuple):
    """Someone else has it now."""


Verdict = Done | Committed | Failed | Again | Lost


def failure(task: Task, policy: Any, error: BaseException, started: float, ended: float, worker: str,
            chance: float) -> Failed | Again:
    """What follows when a job raised: pure."""
    if isinstance(error, RunLater):
        return Again(ended + max(error.delay, 0.0), None)
    runs = task.claim.runs + 1
    reason = reasonOf(error)
    attempt = Attempt(runs, started, ended, worker, reason, traced(error))
    final = isinstance(error, JobError | UnknownJob)
    pause = None if final else policy.pause(error, runs, chance)
    if pause is None:
        text = described(error) if isinstance(error, RemoteError) else reason       # ours are whole sentences
        attempts = task.claim.attempts + (attempt,)
        return Failed(Outcome(ERROR, None, text, runs, started, ended, worker, attempts))
    return Again(ended + pause if pause else None, attempt)


class Runner:
    """Runs jobs one after the other in a session.

    complete(store, jobid, outcome) writes an outcome into the running transaction, recorded(store, jobid) tells whether one
    is committed, mark(jobid, timeout) is told what runs; None where nobody asks.
    """

    def __init__(self, session: Session, name: str, complete: Callable[[Any, int, Fields], None],
                 recorded: Callable[[Any, int], bool], mark: Callable[[int, float | None], None] | None,
                 clock: Callable[[], float] = time.time) -> None:
        self.session = session
        self.name = name
        self.complete = complete
        self.recorded = recorded
        self.mark = mark
        self.clock = clock
        self.found: Any = None              # the processor, looked up once for all jobs until end
        self.around = Surroundings(None, session.manager)
        self.behaviours: dict[str, Any] = {}    # by name, looked up as the processor is
        self.ready: dict[str, Callable[[Running], Any]] = {}    # what these have ready
        self.chance = random.random

    def fresh(self) -> Any:
        """The processor, in a transaction: the last one if nothing has used it, or a new one."""
        if not self.session.fresh():
            self.end()
            self.session.share()
        if self.found is None:
            self.found = self.session.processor()
            self.around = Surroundings(self.found, self.session.manager)
            self.behaviours.clear()
            self.ready.clear()
        return self.found

    def behaviour(self, name: str) -> Any:
        """The behaviour of the jobs of this name; fresh has been called."""
        found = self.behaviours.get(name)
        if found is None:
            found = self.behaviours[name] = self.found.behaviour(name)
        return found

    def end(self) -> None:
        """Have no transaction, and the thread's own surroundings."""
        self.around.leave()
        self.found = None
        self.session.end()

    def run(self, task: Task) -> Verdict:
        """Run a job until there is a verdict on it; conflicts run it again at once and count as nothing."""
        conflict: TransientError | None = None
        for _ in range(CONFLICTS):
            try:
                if conflict is not None and self.settled(task):
                    return COMMITTED
                return self.once(task)
            except ClaimLost:
                self.end()
                self.tell(events.ClaimRefused(task.id, task.record.name, self.name))
                return Lost()
            except TransientError as error:
                self.end()
                conflict = error
                time.sleep(random.random() * 0.01)      # apart from whom it met
        if self.settled(task):
            return COMMITTED
        assert conflict is not None
        now = self.clock()
        return self.told(task, failure(task, self.policy(task), conflict, now, now, self.name, self.chance()))

    def settled(self, task: Task) -> bool:
        """Whether its outcome is committed: a commit that raised, whatever it raised, may have done its work."""
        return self.recorded(self.fresh().store, task.id)

    def policy(self, task: Task) -> Any:
        """The policy of a job's behaviour."""
        self.fresh()
        return self.behaviour(task.record.name).policy

    def once(self, task: Task) -> Verdict:
        """Run a job once. Raises TransientError for a conflict."""
        processor = self.fresh()
        started = self.clock()
        behaviour = self.behaviour(task.record.name)
        heard = events.heard()
        if heard:
            self.tell(events.JobStarted(task.id, task.record.name, task.claim.runs + 1, self.name))
        try:
            output = self.call(task, behaviour, processor, started)
            kept = None if output is None else \
                pack(output, f'The output of job {task.id} ({task.record.name})', processor.outputLimit)
        except TransientError:
            raise
        except BaseException as error:      # SystemExit, CancelledError …: no job takes its worker down by raising
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise                       # only there can it come from the terminal
            self.end()
            return self.told(task, failure(task, behaviour.policy, error, started, self.clock(), self.name, self.chance()))
        if self.session.ended() and not behaviour.detached:
            # old code that commits for itself: its result is written with the next bookkeeping
            self.session.end()
            self.fresh()
        ended = self.clock()
        runs = task.claim.runs + 1
        outcome = success(kept, runs, started, ended, self.name, task.claim.attempts)
        if behaviour.detached or not (self.session.joined() or isinstance(kept, Payload)):
            verdict: Verdict = Done(outcome)
        else:
            verdict = self.commit(task, processor, behaviour, outcome, started)
        if self.around.entered and (behaviour.detached or not self.around.intact()):    # hooks of the commit are the job's, too
            self.around.leave()
        if heard and isinstance(verdict, Done | Committed):
            self.tell(events.JobCompleted(task.id, task.record.name, runs, self.name, ended - started))
        return verdict

    def call(self, task: Task, behaviour: Any, processor: Any, started: float) -> Any:
        """Call the behaviour, with the job's surroundings."""
        if behaviour.detached:
            self.end()
            processor, self.around = None, Surroundings(None, self.session.manager)
        if self.mark is not None:
            self.mark(task.id, behaviour.policy.timeout)
        job = Running(processor, behaviour, task, unpack(task.record.input), started, self.name)
        if not self.around.entered:
            self.around.enter()
        perform = self.ready.get(task.record.name)
        if perform is None:
            perform = self.ready[task.record.name] = behaviour.ready()
        return within(job, perform)

    def tell(self, event: object) -> None:
        """Tell subscribers, in the thread's own surroundings."""
        self.around.leave()
        events.notify(event)

    def commit(self, task: Task, processor: Any, behaviour: Any, outcome: Fields, started: float) -> Verdict:
        """Commit a job's changes together with its outcome."""
        try:
            self.complete(processor.store, task.id, outcome)
            self.session.commit()
        except TransientError:
            raise
        except Exception as error:      # a commit that raises may have committed: look
            self.end()
            if not self.settled(task):
                self.end()
                return self.told(task, failure(task, behaviour.policy, error, started, self.clock(), self.name,
                                               self.chance()))
        return COMMITTED

    def told(self, task: Task, verdict: Failed | Again) -> Verdict:
        """Tell of a failure."""
        if isinstance(verdict, Failed):
            self.tell(events.JobErred(task.id, task.record.name, verdict.outcome.runs, self.name, verdict.outcome.error))
        elif verdict.attempt is not None:
            self.tell(events.JobRetried(task.id, task.record.name, verdict.attempt.number, self.name,
                                        verdict.attempt.reason, verdict.due))
        return verdict
