# SPDX-License-Identifier: ZPL-2.1
"""What happens to jobs and workers, for subscribers of zope.event (and with zope.component, its
handlers).

Events are told by the thread in which they happen, after the fact. What a subscriber raises is
logged once and changes nothing; but its job or worker waits for it, so keep them short. Instants
are POSIX seconds; seconds are how long a run took, queue is the job's, each where it is known.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from p01.remote.ground.foreign import listed


@dataclass(frozen=True)
class ProcessorStarted:
    """A processor's worker thread was started."""

    name: str


@dataclass(frozen=True)
class ProcessorStopped:
    """A processor's worker thread has ended."""

    name: str


@dataclass(frozen=True)
class JobQueued:
    """A job was enqueued; its transaction may still be aborted."""

    id: int
    name: str
    queue: str = field(default='', compare=False)


@dataclass(frozen=True)
class JobsUncommitted:
    """A transaction that holds jobs, the first of which is this one, has been open for long, or has
    ended without a commit.

    where is the line that enqueued, as file:line; lost says that no commit can come any more.
    """

    id: int
    name: str
    where: str
    reason: str
    lost: bool


@dataclass(frozen=True)
class JobStarted:
    """A run of a job begins."""

    id: int
    name: str
    attempt: int
    worker: str
    queue: str = field(default='', compare=False)


@dataclass(frozen=True)
class JobCompleted:
    """A run of a job succeeded."""

    id: int
    name: str
    attempt: int
    worker: str
    seconds: float
    queue: str = field(default='', compare=False)


@dataclass(frozen=True)
class JobRetried:
    """A run failed, and the job will run again."""

    id: int
    name: str
    attempt: int
    worker: str
    reason: str
    due: float | None
    queue: str = field(default='', compare=False)
    seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class JobPostponed:
    """A job has asked to run later, see RunLater."""

    id: int
    name: str
    worker: str
    reason: str
    due: float | None
    queue: str = field(default='', compare=False)


@dataclass(frozen=True)
class JobConflicted:
    """A run met others on the same object for the third time or more, and is repeated: object is
    its class, oid and name."""

    id: int
    name: str
    attempt: int
    worker: str
    conflicts: int
    object: str


@dataclass(frozen=True)
class JobErred:
    """A job ended, and not by success; told once, after the commit that made it so.

    cause is 'error' (it raised), 'timeout', 'put aside' (its workers died), 'expired' or 'not
    loaded' (its code is not there). attempt is the run that was its last, 0 for one that never ran;
    worker the one that ran it, '' for none.
    """

    id: int
    name: str
    attempt: int
    worker: str
    reason: str
    cause: str = 'error'
    queue: str = field(default='', compare=False)
    seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class JobStopped(JobErred):
    """A job that ran was cancelled, as people asked."""

    cause: str = 'cancelled'


@dataclass(frozen=True)
class ClaimRefused:
    """A worker finished a job that was no longer its own; the job's changes were undone."""

    id: int
    name: str
    worker: str


@dataclass(frozen=True)
class WorkerRescued:
    """The jobs of a worker that is no more went back; running are those that are blamed for why,
    ends what became of them."""

    worker: str
    jobs: int
    running: tuple[int, ...]
    why: str
    ends: tuple[JobRetried | JobErred, ...] = ()


@dataclass(frozen=True)
class WorkersStopping:
    """Workers were told to stop, and these jobs run: id, name and seconds; they get so many
    more."""

    jobs: tuple[tuple[int, str, float], ...]
    grace: float

    @property
    def text(self) -> str:
        """The jobs in words."""
        return worded(self.jobs)


@dataclass(frozen=True)
class WorkersEnded:
    """Worker processes are ended now; these jobs still run, and go back."""

    jobs: tuple[tuple[int, str, float], ...]

    @property
    def text(self) -> str:
        """The jobs in words."""
        return worded(self.jobs)


@dataclass(frozen=True)
class WorkerRecycled:
    """A worker process has done what one does (why); another one begins in its place, and its
    running jobs end."""

    worker: str
    why: str


@dataclass(frozen=True)
class SourceChanged:
    """The source of an application has changed, this file and perhaps others: the worker processes
    are replaced, one after the other."""

    file: str


@dataclass(frozen=True)
class LeftBehind:
    """A worker process has ended its work, and waits, so many seconds at most, for threads and
    processes that jobs left."""

    names: tuple[str, ...]
    patience: float


@dataclass(frozen=True)
class SchedulesDeclared:
    """Schedules were brought in step with the code that a worker has: those that are new, changed,
    retired."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]

    @property
    def text(self) -> str:
        """What was done, in words."""
        return '; '.join(f'{word} {listed(names)}' for word, names in
                         (('added', self.added), ('changed',
                                                  self.changed), ('retired', self.retired))
                         if names)


@dataclass(frozen=True)
class ScheduleFailed:
    """A schedule's item was due, and its job could not be enqueued; told once for each reason,
    until it could."""

    key: str
    jobName: str
    reason: str


@dataclass(frozen=True)
class StorageLost:
    """A worker cannot reach its database; it will try again, with growing pauses."""

    worker: str
    reason: str


@dataclass(frozen=True)
class StorageBack:
    """A worker reaches its database again."""

    worker: str


def worded(jobs: tuple[tuple[int, str, float], ...]) -> str:
    """Running jobs in words."""
    return ', '.join(f'job {jobid}{" " * bool(name)}{name}, which runs for {seconds:.1f} s'
                     for jobid, name, seconds in jobs) or 'their last bookkeeping'


@dataclass(frozen=True)
class WorkerFailed:
    """A worker failed by a fault that is neither a job's nor the storage's; follows says what it
    does now."""

    worker: str
    reason: str
    follows: str
