# SPDX-License-Identifier: ZPL-2.1
"""What came of the jobs that a worker ran, until a bookkeeping has committed it."""
from __future__ import annotations

from collections.abc import Mapping

from transaction.interfaces import TransientError

from p01.remote import verbs
from p01.remote.engine.verdict import Again, Failed, Task, ends, failure, withdrawal
from p01.remote.exceptions import OutputError
from p01.remote.ground import subscribers
from p01.remote.ground.foreign import reasonOf
from p01.remote.options import Policy
from p01.remote.storage.origin import fromStorage
from p01.remote.store.outcomes import Stored, refers
from p01.remote.store.records import Outcome
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store


class Ledger:
    """Keeps each verdict through outages and conflicts, and tells of it once, after the commit that
    made it so."""

    def __init__(self, worker: str, drain: bool) -> None:
        self.worker = worker
        self.drain = drain
        # jobs that asked to run later: a drain runs them once, else it had no end
        self.later: set[int] = set()
        self.outcomes: dict[int, Stored] = {}       # of jobs without effects
        self.verdicts: dict[int, tuple[Task, Failed | Again]] = {}      # on runs that failed
        # what to tell after the commit
        self.told: list[object] = []

    def take(self, task: Task, verdict: Failed | Again) -> None:
        """Keep what follows from a run that failed."""
        self.verdicts[task.id] = task, verdict
        if self.drain and isinstance(verdict, Again) and verdict.attempt is None:
            self.later.add(task.id)

    def fail(self, task: Task, outcome: Stored, error: BaseException) -> None:
        """A job's output cannot be stored, which fails the job. Raises an error that is the
        storage's."""
        if isinstance(error, TransientError | MemoryError) or fromStorage(error):
            raise error
        del self.outcomes[task.id]
        cause = OutputError(f'The output of job {task.id} ({task.record.name}) cannot be '
                            f'stored ({reasonOf(error)}); return plain values.')
        started, ended = outcome[:2]
        self.verdicts[task.id] = task, failure(task, Policy(), cause, started, ended, self.worker,
                                               0.0)

    def settle(self, store: Store, seat: Seat, now: float = 0.0) -> None:
        """Write everything; part of the caller's transaction, which may be repeated."""
        self.told = []
        outcomes: dict[int, Stored | Outcome] = dict(self.outcomes)
        for jobid, (task, verdict) in self.verdicts.items():
            if jobid not in seat.claims:        # somebody else has it now
                continue
            if jobid in seat.asked:
                verdict = withdrawal(seat, task, verdict)
            if isinstance(verdict, Failed):
                outcomes[jobid] = verdict.outcome
            else:
                verbs.retry(store, seat, jobid, verdict.due, verdict.attempt, died=verdict.died)
            self.told += ends(task, verdict, self.worker)
        verbs.settle(store, seat, outcomes)

    def plain(self) -> dict[int, Stored]:
        """The outcomes that another thread may write: their outputs are no objects of our
        connection."""
        return {jobid: each for jobid, each in dict(self.outcomes).items() if not refers(each)}

    def forget(self, known: Mapping[int, Stored]) -> None:
        """Another thread has written these; what came since stays."""
        for jobid, each in known.items():
            if self.outcomes.get(jobid) is each:
                self.outcomes.pop(jobid, None)      # it may be cleared just now

    def committed(self) -> None:
        """What settle wrote is committed: tell of it, and forget it."""
        told, self.told = self.told, []
        self.outcomes.clear()
        self.verdicts.clear()
        for event in told:
            subscribers.notify(event)
