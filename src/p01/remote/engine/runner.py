# SPDX-License-Identifier: ZPL-2.1
"""Runs one job: in its transaction, to an outcome. What follows a failure its policy decides."""
from __future__ import annotations

import random
from collections.abc import Callable, Container
from typing import Any

from transaction.interfaces import TransientError

from p01.remote import events
from p01.remote.engine import limit
from p01.remote.engine.aside import aside
from p01.remote.engine.awaiting import Awaiting
from p01.remote.engine.clashes import FIRSTPAUSE, LONGESTPAUSE, TOLDFROM, hotOf
from p01.remote.engine.context import Running, within
from p01.remote.engine.post import Post
from p01.remote.engine.seams import Processor
from p01.remote.engine.session import SNAPSHOT, Session
from p01.remote.engine.surroundings import Surroundings
from p01.remote.engine.verdict import (
    COMMITTED,
    JOINED,
    Again,
    Committed,
    Done,
    Failed,
    Lost,
    Task,
    Verdict,
    began,
    completed,
    failure,
    policyOf,
)
from p01.remote.engine.ways import Way, wayOf
from p01.remote.exceptions import ClaimLost, TimedOut
from p01.remote.ground import subscribers
from p01.remote.ground.clocks import pauseAfter
from p01.remote.ground.foreign import interrupts
from p01.remote.job import Job
from p01.remote.options import CONFLICTS, Policy
from p01.remote.store.outcomes import Stored, endOf, refers, saying, startOf, success
from p01.remote.store.payload import packOutput, unpack
from p01.remote.store.records import Conflicts, Said


class Runner:
    """Runs jobs one after the other in a session, for who has a post."""

    def __init__(self, session: Session, post: Post) -> None:
        self.session = session
        self.post, self.name = post, post.name
        self.mark, self.asked = post.mark, post.asked
        self.mine: Container[int] = ()      # what is held in this snapshot
        self.deadline = 0.0                 # of the job that runs, as mark says
        self.clock = session.clock
        # the processor, looked up once for all jobs until end
        self.found: Processor | None = None
        self.around = Surroundings(None, session.manager)
        self.behaviours: dict[str, Job] = {}    # by name, looked up as the processor is
        self.ways: dict[str, Way] = {}          # what these say
        self.conflicts: Conflicts | None = None     # that the running job has met
        self.chance = random.random
        self.jobid = 0                      # of the job that runs
        self.said: Said | None = None       # what the last run has said
        # whether a job leaves its commit to those behind it, see group
        self.share: Callable[[Task, Way, Stored], bool] | None = None
        session.guard(self.fence)

    def fresh(self) -> Processor:
        """The processor, in a transaction: the last one if nothing has used it, or a new one."""
        session = self.session
        if session.begun is None or self.clock.monotonic() - session.begun > SNAPSHOT:
            if session.begun is not None:       # else a job has committed: what was looked up stays
                self.end()
            session.share()
        if self.found is None:
            self.found = self.session.processor()
            self.around = Surroundings(self.found, self.session.manager)
            self.mine = self.post.held(self.found.store)
            self.behaviours.clear()
            self.ways.clear()
        return self.found

    @property
    def processor(self) -> Processor:
        """The processor, in the transaction that is open."""
        assert self.found is not None
        return self.found

    def end(self) -> None:
        """Have no transaction, and the thread's own surroundings."""
        self.around.leave()
        self.found = None
        self.session.end()

    def renew(self) -> None:
        """Have a new connection: nobody knows what a commit that broke off has left in this one."""
        self.end()
        self.session.reopen()
        self.around = Surroundings(None, self.session.manager)

    def run(self, task: Task) -> Verdict:
        """Run a job until there is a verdict on it; a conflict runs it again, and costs no attempt
        until there are many."""
        self.conflicts = None
        conflict: TransientError | None = None
        while True:
            try:
                if conflict is not None:
                    if self.settled(task):
                        return COMMITTED
                    if self.met() >= getattr(self.policy(task), 'conflicts', CONFLICTS):
                        return self.failed(task, conflict, self.clock.now())
                return self.once(task, conflict is not None)
            except ClaimLost:
                self.end()
                self.tell(events.ClaimRefused(task.id, task.record.name, self.name))
                return Lost()
            except TransientError as error:
                conflict = error
                self.clash(task, error)

    def met(self) -> int:
        """How many conflicts the running job has met."""
        return 0 if self.conflicts is None else self.conflicts.number

    def clash(self, task: Task, error: TransientError) -> None:
        """A job met a conflict: undo, tell, and stay apart from whom it met. Raises the error when
        there is no end of it."""
        count = self.met() + 1
        if count > 2 * CONFLICTS and self.found is None:
            raise error             # it is not the job that meets them
        self.conflicts = Conflicts(count, hotOf(error, self.session.connection))
        self.end()
        if count >= TOLDFROM:
            self.tell(events.JobConflicted(task.id, task.record.name, task.claim.runs + 1,
                                           self.name, *self.conflicts))
        self.clock.sleep(pauseAfter(count, FIRSTPAUSE, LONGESTPAUSE))

    def settled(self, task: Task) -> bool:
        """Whether its outcome is committed: a commit that raised, whatever it raised, may have done
        its work."""
        return self.post.recorded(self.fresh().store, task.id)

    def behaviour(self, task: Task) -> Job:
        """The behaviour of a job; fresh has been called. Raises what the storage does."""
        name = task.record.name
        found = self.behaviours.get(name)
        if found is None:
            # to look for it may import a module, which may take the process down
            self.mark(task.id, None)
            found = self.behaviours[name] = self.processor.behaviour(name)
        return found

    def policy(self, task: Task) -> Policy:
        """The policy of a job. Raises what the storage does."""
        way = self.ways.get(task.record.name)
        if way is not None:
            return way.policy
        self.fresh()
        return policyOf(self.behaviour(task))

    def way(self, task: Task, behaviour: Job) -> Way:
        """How a job is run. Raises what the application's code does."""
        if not self.around.entered:
            self.around.enter()
        self.mark(task.id, behaviour.policy.timeout)
        found = self.ways[task.record.name] = wayOf(behaviour, self.post.options)
        return found

    def once(self, task: Task, again: bool = False) -> Verdict:
        """Run a job once, or again after a conflict. Raises TransientError for a conflict, and of
        it ClaimLost."""
        processor = self.fresh()
        if task.id not in self.mine:        # cancelled, or with somebody else by now
            if again:
                raise ClaimLost
            return Lost()
        started = self.clock.now()
        way = self.ways.get(task.record.name)
        behaviour = self.behaviour(task) if way is None else way.behaviour
        heard = subscribers.heard()
        if heard:
            self.tell(began(task, self.name))
        try:
            if way is None:
                way = self.way(task, behaviour)
            outcome = self.outcome(task, way, processor, started)
        except TransientError:
            raise
        # SystemExit, CancelledError …: no job takes its worker down by raising
        except BaseException as error:
            if interrupts(error):
                raise
            self.end()
            if self.late() and task.id not in self.post.held(self.fresh().store):
                # the time limit was told of already, see heartbeat.overrun
                return Lost()
            return self.failed(task, error, started)
        if way.detached or not (self.session.joined() or refers(outcome)):
            verdict: Verdict = Done(outcome)
        else:
            verdict = self.commit(task, way, processor, outcome, started)
        # hooks of the commit are the job's, too
        if self.around.entered and (way.detached or not self.around.intact()):
            self.around.leave()
        if heard and isinstance(verdict, Done | Committed):
            self.completed(task, outcome)
        return verdict

    def outcome(self, task: Task, way: Way, processor: Processor, started: float) -> Stored:
        """Run a job and pack what it returns: the outcome of a success, see outcomes.success.
        Raises what the job does."""
        output = self.call(task, way, processor, started)
        kept = None if output is None else \
            packOutput(output, f'The output of job {task.id} ({task.record.name})',
                       processor.outputLimit, self.session.connection)
        found = success(kept, task.claim.runs + 1, started, self.clock.now(), task.claim.attempts,
                        self.conflicts)
        return found if self.said is None else saying(found, self.said)

    def completed(self, task: Task, outcome: Stored) -> None:
        """Tell that it has completed."""
        self.tell(completed(task, self.name, endOf(outcome) - startOf(outcome)))

    def call(self, task: Task, way: Way, processor: Processor | None, started: float) -> Any:
        """Call the behaviour, with the job's surroundings."""
        if way.detached:
            self.end()
            processor, self.around = None, Surroundings(None, self.session.manager)
        self.deadline, self.said = self.mark(task.id, way.timeout), None
        if self.deadline:
            self.punctual(way)              # it may have met a conflict at the end of its time
        kind = Awaiting if way.asynchronous else Running
        job = kind(processor, way.behaviour, task, unpack(task.record.input), started, self.name,
                   self.session.db, self.asked)
        job.soft = self.post.began + way.soft if way.soft else 0.0      # of all repetitions
        if not self.around.entered:
            self.around.enter()
        manager, self.jobid = self.session.manager, task.id
        manager.lasting, manager.parts = not way.detached, 0    # it may commit, and abort
        try:
            # an async def is handed to the event loop as a rule, see handed
            output = aside(job, way.perform, way.timeout) if isinstance(job, Awaiting) else \
                within(job, way.perform)
        finally:
            manager.lasting = False
            self.said = job.silence()
        if self.deadline:
            self.punctual(way)
        return output

    def fence(self) -> None:
        """Ready a part that the running job commits itself. Raises ClaimLost."""
        self.post.fence(self.processor.store, self.jobid)

    def late(self) -> bool:
        """Whether the time of the running job is over."""
        return self.deadline != 0.0 and self.clock.monotonic() > self.deadline

    def punctual(self, way: Way) -> None:
        """Raises TimedOut when the time of the running job is over."""
        if self.late():
            raise TimedOut(limit.text(way.timeout, []))

    def tell(self, event: object) -> None:
        """Tell subscribers, in the thread's own surroundings."""
        self.around.leave()
        subscribers.notify(event)

    def failed(self, task: Task, error: BaseException, started: float) -> Failed | Again:
        """Undo what a run did that failed; what follows. Raises what the storage does."""
        policy = self.policy(task)
        self.end()
        return failure(task, policy, error, started, self.clock.now(), self.name, self.chance(),
                       self.conflicts, self.said)

    def commit(self, task: Task, way: Way, processor: Processor, outcome: Stored,
               started: float) -> Verdict:
        """Commit a job's changes and its outcome, unless it leaves that to those behind it."""
        try:
            if self.share is not None and way.together and self.share(task, way, outcome):
                return JOINED
            self.post.complete(processor.store, {task.id: outcome})
            self.session.commit()
        except TransientError:
            raise
        # one that raises may have committed: look; hooks raise what they like
        except BaseException as error:
            if interrupts(error):
                raise
            policy = self.policy(task)
            self.renew()
            if not self.settled(task):
                self.end()
                return failure(task, policy, error, started, self.clock.now(), self.name,
                               self.chance(), self.conflicts, self.said)
        return COMMITTED
