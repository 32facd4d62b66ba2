# SPDX-License-Identifier: ZPL-2.1
"""Jobs that share a commit: they run one after the other in one transaction, each behind a
savepoint.

What they did is committed with all their outcomes at once. Until then nothing is known of them
anywhere else: whatever ends the transaction, they only run again, each by itself. What a job that
failed did is taken back to the savepoint before it. A job that cannot be among others has them
committed first, and runs by itself.
"""
from __future__ import annotations

from collections.abc import Callable

from transaction.interfaces import TransientError

from p01.remote.engine.runner import Runner
from p01.remote.engine.sizes import GROUPLASTS, LEASTATONCE, WEIGHT, Sizes
from p01.remote.engine.verdict import (
    COMMITTED,
    JOINED,
    Committed,
    Done,
    Runs,
    Task,
    Verdict,
    began,
    failure,
)
from p01.remote.engine.ways import Way
from p01.remote.ground import subscribers
from p01.remote.ground.foreign import Raised, guarded, interrupts
from p01.remote.storage.insides import weightOf
from p01.remote.storage.marks import BEGIN, Mark, markable
from p01.remote.storage.transactions import LIVE, begun
from p01.remote.store.outcomes import Stored, endOf, startOf


class Group:
    """The jobs of one worker thread that share a transaction of its session; keep(runs) takes what
    came of them."""

    mark: Mark                              # behind the last one that succeeded

    def __init__(self, runner: Runner, keep: Callable[[Runs], None]) -> None:
        self.runner = runner
        self.keep = keep
        self.sizes = Sizes()
        self.apart: set[str] = set()        # names of jobs that end or doom their transactions
        self.names: set[str] = set()        # of those that are open
        self.more = False                   # whether another job waits behind the one that runs
        # when the first one of the group did, on the monotonic clock
        self.began = 0.0
        # those that run by themselves, now or once more; an outage leaves them here, as long as
        # nobody knows how their transaction ended
        self.unsure: list[Task] = []
        runner.share = self.open

    def run(self, task: Task, more: bool) -> Verdict:
        """Run a job, along with those that are open or by itself; more says that others wait.
        Raises what the storage does."""
        if self.runner.session.shared:
            if self.admits(task) and self.along(task, more):
                return JOINED
            self.finish()
        # one that took its worker down may do so again
        self.more = more and not task.claim.deaths
        self.unsure = [task]
        verdict = self.runner.run(task)
        self.unsure = []
        if self.sizes.limits and isinstance(verdict, Committed):
            self.sizes.went((task.record.name,), 1)
        return verdict

    # -- who shares

    def open(self, task: Task, way: Way, outcome: Stored) -> bool:
        """Whether a job that ran by itself leaves its commit to those behind it. Raises what its
        objects do when pickled."""
        name, runner = task.record.name, self.runner
        manager = runner.session.manager
        self.sizes.took(name, endOf(outcome) - startOf(outcome))
        if manager.parts:
            self.apart.add(name)
        if not self.more or runner.conflicts or name in self.apart \
                or self.sizes.most((name,)) < LEASTATONCE:
            return False
        self.began, current = runner.post.began, begun(manager)
        if self.full() or current.status != LIVE[0] or not markable(current) \
                or BEGIN.spoken(current) \
                or BEGIN.hooked(current) and not runner.around.intact():
            return False
        self.mark = Mark(current)
        runner.session.shared, self.names = [(task, Done(outcome))], {name}
        return True

    def admits(self, task: Task) -> bool:
        """Whether a job may run along with those that are open."""
        name, runner = task.record.name, self.runner
        if name in self.apart or task.claim.deaths or task.id not in runner.mine:
            return False
        if len(runner.session.shared) >= min(self.sizes.most((name,)), self.sizes.most(self.names)):
            return False
        way = runner.ways.get(name)
        found = guarded(lambda: runner.way(task, runner.behaviour(task))) if way is None else way
        return not isinstance(found, Raised) and found.together

    def full(self) -> bool:
        """Whether it is enough for one commit."""
        return self.runner.clock.monotonic() - self.began > GROUPLASTS \
            or weightOf(self.runner.session.connection) > WEIGHT

    # -- along with others

    def along(self, task: Task, more: bool) -> bool:
        """Run a job in the open transaction; False when it has to run by itself: what it did there
        is taken back."""
        runner, started = self.runner, self.runner.clock.now()
        found = self.outcome(task, started)
        verdict: Verdict
        if not isinstance(found, Raised) and self.tidy():
            verdict = Done(found)
            self.sizes.took(task.record.name, endOf(found) - started)
            last = self.mark.place.spoken(self.mark.current) or not markable(self.mark.current)
        else:
            if not self.back(task):
                return True
            if not isinstance(found, Raised) or runner.session.manager.refused \
                    or isinstance(found.error, TransientError):
                return False
            verdict = failure(task, runner.ways[task.record.name].policy, found.error, started,
                              runner.clock.now(), runner.name, runner.chance(), None, runner.said)
            # written soon, see Loop.keep
            last = isinstance(found.error, MemoryError) or runner.late()
        if runner.around.entered and not runner.around.intact():
            runner.around.leave()
        runner.session.shared.append((task, verdict))
        self.names.add(task.record.name)
        if last or not more or self.full():
            self.finish()
        elif isinstance(verdict, Done):
            self.advance()
        return True

    def outcome(self, task: Task, started: float) -> Stored | Raised:
        """Run a job: its outcome, or what it raises."""
        runner, manager = self.runner, self.runner.session.manager
        runner.conflicts = None
        if subscribers.heard():
            runner.tell(began(task, runner.name))
        manager.shared, manager.refused = True, False
        try:
            found = guarded(runner.outcome, task, runner.ways[task.record.name], runner.processor,
                            started)
        finally:
            manager.shared = False
        if manager.refused:
            self.apart.add(task.record.name)
        return found

    def tidy(self) -> bool:
        """Whether the job at hand left the transaction as one that others may follow."""
        runner, mark = self.runner, self.mark
        return not runner.session.manager.refused and mark.stands() \
            and (runner.around.intact() or not mark.place.hooked(mark.current))

    def back(self, task: Task) -> bool:
        """Take back what the job at hand did; where that cannot be, all have run again by
        themselves, and False is returned."""
        if self.mark.stands() and not isinstance(guarded(self.mark.back), Raised):
            return True
        self.again([*self.runner.session.shared, (task, JOINED)], True)
        return False

    def advance(self) -> None:
        """Have what came so far stay, whatever becomes of the next job."""
        made = guarded(Mark, self.mark.current)
        if isinstance(made, Raised):        # an object cannot be pickled: it is found out whose
            self.again(self.runner.session.shared, not isinstance(made.error, TransientError))
        else:
            self.mark = made

    # -- the end

    def finish(self) -> None:
        """Commit what is open; what cannot be committed together runs again. Raises what the
        storage does."""
        runner, runs = self.runner, self.runner.session.shared
        if not runs:
            return
        runner.session.shared = []
        try:
            self.commit(runs)
        except BaseException as error:      # it may have committed all the same
            if interrupts(error):
                raise
            self.again(runs, not isinstance(error, TransientError))
        else:
            self.ended(runs)

    def commit(self, runs: Runs) -> None:
        """Commit the changes and outcomes of jobs."""
        runner = self.runner
        if len(runs) > 1:
            runner.post.blur()
        if not runner.around.entered:       # hooks are the jobs', too
            runner.around.enter()
        runner.post.complete(runner.processor.store, {task.id: verdict.outcome
                                                      for task, verdict in runs
                                                  if isinstance(verdict, Done)})
        runner.session.commit()
        if not runner.around.intact():
            runner.around.leave()

    def ended(self, runs: Runs) -> None:
        """What came of jobs is committed: tell, and hand on what failed."""
        self.sizes.went(self.names, len(runs))
        if subscribers.heard():
            for task, verdict in runs:
                if isinstance(verdict, Done):
                    self.runner.completed(task, verdict.outcome)
        self.keep([(task, COMMITTED if isinstance(verdict, Done) else verdict)
                   for task, verdict in runs])

    def again(self, runs: Runs, broken: bool) -> None:
        """Run jobs again, each by itself, whose transaction was not committed, unless it was;
        broken says that the connection is. Raises what the storage does."""
        self.unsure = [task for task, _ in runs]
        if broken:
            self.runner.renew()
        else:
            self.runner.end()
        if self.runner.settled(self.unsure[0]):
            self.unsure = []
            self.ended(runs)
            return
        self.sizes.met(self.names, len(runs))
        self.more = False
        while self.unsure:
            verdict = self.runner.run(self.unsure[0])
            self.keep([(self.unsure.pop(0), verdict)])
