# SPDX-License-Identifier: ZPL-2.1
"""RemoteProcessor: the door. It checks what comes in and delegates; it decides nothing. See
IRemoteProcessor."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from zope.interface import implementer
from zope.location.interfaces import ILocation

from p01.remote import events, logs, verbs, worker  # noqa: F401 - logs subscribes itself
from p01.remote.engine import pulled, requests
from p01.remote.engine.behaviours import behaviourOf, prepared
from p01.remote.engine.bell import wake
from p01.remote.engine.enqueuing import enqueue
from p01.remote.engine.firing import reckoned
from p01.remote.engine.inline import runDue
from p01.remote.engine.pledge import pledge
from p01.remote.engine.seams import Hired
from p01.remote.exceptions import InputError, NotLoaded, RemoteError, UnknownJob
from p01.remote.ground import checks, clocks
from p01.remote.ground.door import Part, Placed
from p01.remote.ground.foreign import Raised, described, listed, reasonOf, short
from p01.remote.instants import duration, seconds
from p01.remote.interfaces import IRemoteProcessor
from p01.remote.job import Job, found, instants, wrapped
from p01.remote.options import Retention, Span, Unique
from p01.remote.scheduler import Scheduler, SchedulerItem
from p01.remote.storage.connection import idle
from p01.remote.storage.origin import contained
from p01.remote.storage.places import pathOf
from p01.remote.store import payload
from p01.remote.store.records import FINISHED, Asked
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views import listing
from p01.remote.views.filters import EVERYJOB


@implementer(IRemoteProcessor, ILocation)
class RemoteProcessor(Placed, Persistent):
    """Takes jobs, and starts workers that process them."""

    jobs: Part[OOBTree[str, Job]] = Part(lambda processor: OOBTree())       # by name
    store: Part[Store] = Part(lambda processor: Store())
    scheduler: Part[Scheduler] = Part(Scheduler)
    workerFactory: Callable[..., Hired] = worker.SimpleWorker
    workerArguments: dict[str, Any] = {'waitTime': 1.0}
    inputLimit = payload.LIMIT      # bytes of a job's pickled input
    outputLimit = payload.LIMIT     # bytes of a job's pickled output
    retention = Retention()         # how long finished jobs stay

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.jobs, self.store, self.scheduler = OOBTree(), Store(), Scheduler(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Options are looked at where they are set: a wrong one would stop the workers. Raises
        InputError."""
        if name in ('inputLimit', 'outputLimit'):
            value = checks.wholeOf(value, name, 0)
        elif name == 'retention' and not isinstance(value, Retention):
            raise InputError("retention must be an options.Retention such as "
                             f"Retention(completed='7d'), not {short(value)}.")
        super().__setattr__(name, value)

    # -- behaviours

    def addJob(self, name: str, job: Any) -> None:
        """Register a Job instance or an importable callable under a name."""
        name = checks.nameOf(name, "A job's name")
        job = wrapped(job)
        if job.__parent__ is None and job._p_jar is None:
            job.__parent__, job.__name__ = self, name
        self.jobs[name] = job

    def removeJob(self, name: str) -> None:
        """Forget a registered job; those enqueued under its name will fail with that reason."""
        if name not in self.jobs:
            raise UnknownJob(f'No job is registered as {name!r}.')
        del self.jobs[name]

    def getJobByName(self, name: str) -> Job | None:
        """The job that is registered or imports under this name; None without one."""
        try:
            return self.registered(name)
        except UnknownJob:
            return None

    def registered(self, name: str) -> Job:
        """The job that is registered or imports under this name. Raises UnknownJob."""
        job = self.jobs.get(name) if isinstance(name, str) else None
        if job is None and isinstance(name, str) and '.' in name:
            job = getattr(found(name), 'prototype', None)
        if not isinstance(job, Job):
            known = listed(sorted(self.jobs)) or 'none yet'
            raise UnknownJob(f'No job is registered as {name!r}; add it with addJob (registered: '
                             f'{known}).')
        return job

    def behaviour(self, name: str) -> Job:
        """The registered job, or one that raises UnknownJob when it is called. Raises what the
        storage does."""
        return behaviourOf(self, name)

    # -- jobs

    def processJob(self, name: str, input: Any = None, *, queue: str | None = None,
                   priority: int = 0,
                   delay: Span | None = None,
                   at: datetime | float | None = None, unique: str | Unique | None = None,
                   expires: Span | datetime | None = None) -> int:
        """Enqueue a job in the current transaction; returns its id."""
        idle(self._p_jar)
        # stored plain, see checks.nameOf
        name = str.__str__(name) if isinstance(name, str) else name
        try:
            behaviour = self.registered(name)
        except NotLoaded as error:
            cause = error.__cause__ or error
            raise UnknownJob(f'No job is registered as {name!r}, and it cannot be imported '
                             f'({reasonOf(cause)}); name a job that can be, or add it with '
                             'addJob.') from cause
        [jobid] = enqueue(self, name, behaviour, (input,), queue=queue, priority=priority,
                          delay=delay, at=at,
                          unique=unique, expires=expires)
        return jobid

    def getJob(self, jobid: int) -> Job:
        """The job as it is now: its behaviour, filled with what is known of it. Raises
        JobNotFound."""
        return self.filled(self.store.view(jobid))

    def filled(self, view: View) -> Job:
        """A job from its view."""
        record, outcome = view.record, view.outcome
        input = contained(payload.unpack, record.input)
        if isinstance(input, Raised):
            input = f'(cannot be loaded: {described(input.error)})'
        values: dict[str, Any] = {
            'id': view.id, '__name__': str(view.id), '__parent__': self, 'name': record.name,
            'input': input,
            'status': view.status, 'queue': record.queue, 'priority': record.priority,
            'runCounter': view.runs,
            'attempts': view.attempts, 'worker': view.worker, 'output': None, 'error': view.error,
            **instants(created=record.created, queued=record.created, due=view.due, started=None,
                       completed=None)}
        if outcome is not None:
            values.update(conflicts=outcome.conflicts, tid=outcome.tid,
                          **instants(started=outcome.started, completed=outcome.completed))
            output = contained(payload.unpack, outcome.output)
            if isinstance(output, Raised):
                values['error'] = f'The output cannot be loaded ({reasonOf(output.error)}).'
            else:
                values['output'] = output
        return self.behaviour(record.name).filled(values)

    def getJobStatus(self, jobid: int) -> str:
        """The status of a job. Raises JobNotFound."""
        return self.store.view(jobid).status

    def getJobResult(self, jobid: int) -> Any:
        """The output of a job, None while there is none. Raises JobNotFound."""
        outcome = self.store.view(jobid).outcome
        return None if outcome is None else payload.unpack(outcome.output)

    def getJobError(self, jobid: int) -> str:
        """The text of a job's error, of its last failed run while it is retried; '' without one.
        Raises JobNotFound."""
        return self.store.view(jobid).error

    def cancelJob(self, jobid: int, running: bool = False, grace: Span = requests.GRACE,
                  who: str = '') -> bool:
        """Cancel a job that waits, or with running ask its worker to end it; see
        IRemoteProcessor."""
        idle(self._p_jar)
        seconds, now = duration(grace, 'grace'), clocks.now()
        if verbs.cancel(self.store, jobid, now):
            return True
        return running \
            and requests.interrupt(self, jobid, Asked(str(who) or requests.asker(), now, seconds))

    def retryJob(self, jobid: int) -> bool:
        """Run a failed or cancelled job again; whether it was one. Raises JobNotFound."""
        idle(self._p_jar)
        done = verbs.revive(self.store, jobid, clocks.now())
        if done and self._p_jar is not None:
            pledge(self._p_jar, jobid, 'queued again')
        return done

    def removeJobs(self, stati: Iterable[str] | str | None = None) -> dict[str, int]:
        """Remove finished jobs of these stati, None for all that finished; returns how many by
        status.

        Raises ValueError for a status that is not a finished one.
        """
        if stati is not None and not isinstance(stati, Iterable):
            raise InputError(f'removeJobs takes a list of stati, not {stati!r}.')
        wanted = FINISHED if stati is None else (stati,) if isinstance(stati, str) else tuple(stati)
        for status in wanted:
            if status not in FINISHED:
                raise InputError(f'Only finished jobs can be removed ({", ".join(FINISHED)}), not '
                                 f'{status!r}; cancel waiting ones first.')
        counts = dict.fromkeys(wanted, 0)
        for status in counts:
            for jobid in list(listing.ended(self.store, EVERYJOB, status)):
                if verbs.remove(self.store, jobid, clocks.now()):
                    counts[status] += 1
        return counts

    # -- schedules

    def addScheduler(self, item: SchedulerItem, now: datetime | float | None = None) -> str:
        """Add a Delay or Cron item; returns its key. Raises UnknownJob for a job that is not
        registered."""
        if not isinstance(item, SchedulerItem):
            raise InputError(f'A scheduler takes Delay and Cron items, not {item!r}.')
        behaviour = self.registered(item.jobName)
        checks.priorityOf(item.priority)
        payload.pack(prepared(behaviour, item.input, item.jobName),
                     f'The input of {item.jobName!r}',
                     self.inputLimit)
        key = self.scheduler.add(item, self.now(now))
        if now is None:
            reckoned(self.scheduler, item, self.now(now))
        wake(self._p_jar)
        return key

    def reScheduleItem(self, item: SchedulerItem, now: datetime | float | None = None) -> None:
        """Compute anew when an item is due."""
        self.scheduler.reschedule(item, self.now(now))
        wake(self._p_jar)

    def reScheduleItems(self, now: datetime | float | None = None) -> None:
        """Compute anew when each item is due."""
        self.scheduler.rescheduleAll(self.now(now))
        wake(self._p_jar)

    def now(self, now: datetime | float | None) -> float:
        """An instant in POSIX seconds; None is now."""
        return clocks.now() if now is None else seconds(now, 'now')

    # -- processing in the caller's transaction

    def pullNextJob(self, now: datetime | float | None = None) -> Job | None:
        """Take the next job that is due into the caller's hands; None when there is none. Finish it
        with completeJob."""
        return pulled.pull(self, self.now(now))

    def completeJob(self, jobid: int, output: Any = None) -> None:
        """Complete a job that was pulled. Raises ClaimLost when it is not in anybody's hands."""
        pulled.complete(self, jobid, output)

    def processNextJob(self, now: datetime | float | None = None) -> bool:
        """Run the next job that is due, here, in a savepoint of the caller's transaction; whether
        there was one."""
        return runDue(self, None if now is None else seconds(now, 'now'), 1) > 0

    def processJobs(self, now: datetime | float | None = None) -> int:
        """Run everything that is due, here, in the caller's transaction; returns how many runs
        there were."""
        return runDue(self, None if now is None else seconds(now, 'now'))

    # -- workers of this process

    def path(self) -> tuple[str, ...]:
        """The names on the way here from the root, or from Zope's root folder. Raises RemoteError
        when it is not stored."""
        if self._p_jar is None:
            raise RemoteError('The processor has no place in a database yet; store it under a name '
                              'before you start it.')
        return pathOf(self)

    def startProcessing(self) -> None:
        """Start a worker thread; nothing happens when one runs."""
        path, db, oid = self.path(), self._p_jar.db(), self._p_oid
        _ = self.store                  # raises OldProcessor
        if not worker.isRunning(db, oid):
            worker.start(db, self.workerFactory(db, list(path), **self.workerArguments), oid)

    def stopProcessing(self) -> None:
        """Stop the worker thread after its running job."""
        if self._p_jar is not None:
            worker.stop(self._p_jar.db(), self._p_oid)

    @property
    def isProcessing(self) -> bool:
        """Whether a worker thread of this process runs."""
        return self._p_jar is not None and worker.isRunning(self._p_jar.db(), self._p_oid)
