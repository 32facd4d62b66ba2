# SPDX-License-Identifier: ZPL-2.1
"""What came of a run, and what follows from a failure. Pure, but for a policy or an error of the
application's own."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from p01.remote import events
from p01.remote.engine.hints import hintFor, isBlobless
from p01.remote.exceptions import (
    Cancelled,
    JobError,
    JobNotFound,
    NotCommitted,
    NotLoaded,
    RemoteError,
    RunLater,
    TimedOut,
    TimeLimit,
    UnknownJob,
    WorkerDied,
)
from p01.remote.ground.foreign import Raised, described, guarded, reasonOf, traced
from p01.remote.instants import duration
from p01.remote.job import RAISING, Job
from p01.remote.options import DEATHS, Policy
from p01.remote.store.outcomes import Stored
from p01.remote.store.records import (
    CANCELLED,
    ERROR,
    Attempt,
    Claim,
    Conflicts,
    Outcome,
    Record,
    Said,
)
from p01.remote.store.seats import Holder, Seat
from p01.remote.store.store import Store
from p01.remote.verbs.claims import EXPIRED
from p01.remote.verbs.requests import applying, withdrawn

OPENATONCE = 8           # transactions of jobs on an event loop that are open at once


class Task(NamedTuple):
    """A claimed job, ready to run."""

    id: int
    record: Record
    claim: Claim


class Done(NamedTuple):
    """It ran and changed nothing: its outcome is still to be written, with others."""

    outcome: Stored


class Committed(NamedTuple):
    """It ran, and its changes and outcome are committed."""


class Joined(NamedTuple):
    """It ran, and what it did is in a transaction that others share: what came of it is known when
    that has ended."""


COMMITTED = Committed()
JOINED = Joined()


class Failed(NamedTuple):
    """It failed for good: this is still to be written. cause is a word, see events.JobErred."""

    outcome: Outcome
    cause: str = 'error'


class Again(NamedTuple):
    """It is to run again, due at an instant or at its old place in line; with the attempt that
    failed, or why it asks to."""

    due: float | None
    attempt: Attempt | None
    reason: str = ''
    died: bool = False      # it has taken a process down


class Lost(NamedTuple):
    """Someone else has it now."""


Verdict = Done | Committed | Joined | Failed | Again | Lost
Runs = Sequence[tuple[Task, Verdict]]


def failure(task: Task, policy: Policy, error: BaseException, started: float, ended: float,
            worker: str, chance: float, conflicts: Conflicts | None = None,
            said: Said | None = None) -> Failed | Again:
    """What follows when a job raised that has said something or nothing. Instants are POSIX
    seconds, chance is a random number from 0 to 1."""
    if isinstance(error, RunLater):
        delay = guarded(lambda: max(float(error.delay), 0.0))
        if not isinstance(delay, Raised):
            return Again(ended + delay, None, described(error))
    runs = task.claim.runs + 1
    if isinstance(error, Cancelled):
        outcome = Outcome(CANCELLED, None, described(error), runs, started, ended, worker,
                          task.claim.attempts, conflicts, said=said)
        return Failed(outcome, 'cancelled')
    # of a time limit the reason says where it stood; it is raised in our own code
    attempt = Attempt(runs, started, ended, worker, reasonOf(error) + hintFor(error),
                      '' if isinstance(error, TimedOut) else traced(error), said)
    pause = None if final(error) else pauseOf(policy, error, runs, chance)
    if pause is not None and isinstance(error, NotLoaded):
        # time for a deployment
        pause = max(pause, RAISING.pause(error, min(runs, RAISING.retries), chance) or 0.0)
    if pause is None:
        plain = isinstance(error, TimedOut) or not isinstance(error, RemoteError)
        text = attempt.reason if plain else described(error)        # ours are whole sentences
        attempts = task.claim.after(attempt)
        cause = 'not loaded' if isinstance(error, UnknownJob) else \
            'timeout' if isinstance(error, TimedOut | TimeLimit) else 'error'
        return Failed(Outcome(ERROR, None, text, runs, started, ended, worker, attempts,
                              conflicts), cause)
    return Again(ended + pause if pause else None, attempt)


def laid(task: Task, policy: Policy, error: WorkerDied, started: float, ended: float,
         worker: str, said: Said | None) -> Failed | Again:
    """What follows when the process of an executor died that ran a job, and no other one."""
    runs, deaths = task.claim.runs + 1, task.claim.deaths + 1
    attempt = Attempt(runs, started, ended, worker, reasonOf(error), '', said)
    if survives(policy, runs, deaths):
        return Again(None, attempt, died=True)
    return Failed(Outcome(ERROR, None, f'Put aside: {fatal(deaths)} this job ({error}).', runs,
                          started, ended, worker, task.claim.after(attempt)), 'put aside')


def survives(policy: Policy, runs: int, deaths: int) -> bool:
    """Whether a job runs again whose worker died, after so many failed runs, so many of them by
    such deaths."""
    if policy.deaths is not None:
        return deaths <= policy.deaths
    return runs <= policy.retries and deaths < DEATHS


def fatal(deaths: int) -> str:
    """How many workers died, in words."""
    return 'its worker died while it ran' if deaths == 1 \
        else f'{deaths} workers died while they ran'


def final(error: BaseException) -> bool:
    """Whether another run would end alike, whatever the policy: the job said so, or did what no run
    can do."""
    return isinstance(error, JobError | NotCommitted) or isBlobless(error) \
        or isinstance(error, UnknownJob) and not isinstance(error, NotLoaded)


def policyOf(behaviour: Job) -> Policy:
    """How a job is retried; the default where its behaviour cannot say so."""
    policy = guarded(getattr, behaviour, 'policy')
    return Policy() if isinstance(policy, Raised) else policy


def pauseOf(policy: Policy, error: BaseException, runs: int, chance: float) -> float | None:
    """What a policy says, see Policy.pause; None as well when it raises or gives no duration: it is
    the application's."""
    pause = guarded(lambda: policy.pause(error, runs, chance))
    if pause is None or isinstance(pause, Raised):
        return None
    pause = guarded(duration, pause)
    return None if isinstance(pause, Raised) else pause


def expired(owner: Holder) -> list[object]:
    """The events that tell of the jobs that expired in an owner's last claims; a transaction that
    is repeated begins anew."""
    found, owner._v_expired = owner._v_expired, ()
    return [events.JobErred(jobid, name, 0, '', EXPIRED, 'expired') for jobid, name in found]


def refused(store: Store, seat: Seat, tasks: Iterable[Task]) -> list[object]:
    """The events that tell of those of some jobs, whose runs an outage ended, that are somebody
    else's by now."""
    return [events.ClaimRefused(task.id, task.record.name, seat.name)
            for task in tasks if task.id not in seat.claims
            and workerOf(store, task.id) != seat.name]


def workerOf(store: Store, jobid: int) -> str:
    """Who ran a job last, '' when that is not known; if it was we who ended it, it was committed
    all the same."""
    with suppress(JobNotFound):         # it has ended since, and was removed
        return str(store.view(jobid).worker)
    return ''


def withdrawal(seat: Seat, task: Task, verdict: Failed | Again) -> Failed:
    """What a run that failed is, or that asks to be repeated, whose job was asked to end."""
    if isinstance(verdict, Again):
        ended = seat.asked[task.id].when if verdict.attempt is None else verdict.attempt.ended
        return Failed(withdrawn(seat, task.id, ended, verdict.attempt), 'cancelled')
    return Failed(applying(seat.asked[task.id], verdict.outcome), 'cancelled')


def ends(task: Task, verdict: Failed | Again, worker: str) -> list[object]:
    """The events that tell of a run that failed, or that asks to be repeated later."""
    queue = task.record.queue
    if isinstance(verdict, Failed):
        outcome = verdict.outcome
        if outcome.status == CANCELLED:
            return [events.JobStopped(task.id, task.record.name, outcome.runs, worker,
                                      outcome.error, queue=queue, seconds=outcome.seconds)]
        return [events.JobErred(task.id, task.record.name, outcome.runs, worker, outcome.error,
                                verdict.cause, queue, outcome.seconds)]
    if verdict.attempt is None:
        return [events.JobPostponed(task.id, task.record.name, worker, verdict.reason, verdict.due,
                                    queue)]
    attempt = verdict.attempt
    return [events.JobRetried(task.id, task.record.name, attempt.number, worker, attempt.reason,
                              verdict.due, queue, attempt.ended - attempt.started)]


def began(task: Task, worker: str) -> events.JobStarted:
    """The event that tells that a run begins."""
    return events.JobStarted(task.id, task.record.name, task.claim.runs + 1, worker,
                             task.record.queue)


def completed(task: Task, worker: str, seconds: float) -> events.JobCompleted:
    """The event that tells that a run has succeeded, which took so long."""
    return events.JobCompleted(task.id, task.record.name, task.claim.runs + 1, worker, seconds,
                               task.record.queue)
