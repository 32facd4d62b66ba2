# SPDX-License-Identifier: ZPL-2.1
"""What a running job can ask: `from p01.remote import current`."""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import datetime
from threading import get_ident
from typing import Any

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine import progress
from p01.remote.engine.progress import Progress
from p01.remote.engine.seams import Processor
from p01.remote.engine.verdict import Task
from p01.remote.exceptions import Cancelled, RemoteError
from p01.remote.ground import fork
from p01.remote.instants import utc
from p01.remote.job import Job, instants
from p01.remote.store.records import PROCESSING


def never(jobid: int) -> bool:
    """That nobody can ask for the end of a run, which is in its caller's own transaction."""
    return False


class Running:
    """A job that runs."""

    __slots__ = ('processor', 'behaviour', 'task', 'input', 'started', 'worker', 'db', 'asked',
                 'thread', 'done', '_job')

    def __init__(self, processor: Processor | None, behaviour: Job, task: Task, input: Any,
                 started: float, worker: str,
                 db: DB | None = None, asked: Callable[[int], bool] = never) -> None:
        self.processor = processor
        self.behaviour = behaviour
        self.task = task            # a runner's Task
        self.input = input
        self.started = started      # POSIX seconds
        self.worker = worker
        self.db = db                # of a worker; None in the caller's own transaction
        self.asked = asked          # whether the run of a job is to end, given its id
        self.thread = get_ident()
        self.done: Progress | None = None
        self._job: Job | None = None

    @property
    def run(self) -> int:
        """Which run of the job this is, from 1."""
        return int(self.task.claim.runs + 1)

    @property
    def job(self) -> Job:
        """The job; made when it is asked for."""
        if self._job is None:
            record, claim = self.task.record, self.task.claim
            self._job = self.behaviour.filled({
                'id': self.task.id, '__name__': str(self.task.id), '__parent__': self.processor,
                'name': record.name,
                'input': self.input, 'status': PROCESSING, 'queue': record.queue,
                'priority': record.priority,
                'runCounter': self.run, 'worker': self.worker, 'attempts': claim.attempts,
                **instants(created=record.created, queued=record.created, due=record.due,
                           started=self.started)})
        return self._job


class Awaiting(Running):
    """A job that is an async def, which runs."""

    __slots__ = ('blocks',)

    def __init__(self, processor: Processor | None, behaviour: Job, task: Task, input: Any,
                 started: float, worker: str,
                 db: DB | None = None, asked: Callable[[int], bool] = never) -> None:
        super().__init__(processor, behaviour, task, input, started, worker, db, asked)
        self.blocks = 0             # of `with app.transaction()` that it is in

    def meet(self, connection: Connection, part: int) -> None:
        """Have the commit of a transaction of its own meet whoever has taken the job over. Raises
        ClaimLost. Nobody can where no worker has it."""


running: ContextVar[Running | None] = ContextVar('running', default=None)


def within(job: Running, perform: Callable[[Running], Any]) -> Any:
    """Have a job performed, in a context of its own: no context variable that it sets outlives
    it."""
    return copy_context().run(_within, job, perform)


def _within(job: Running, perform: Callable[[Running], Any]) -> Any:
    running.set(job)
    mark = fork.mark
    try:
        return perform(job)
    finally:
        if fork.mark is not mark:
            fork.end(sys.exception(), f'job {job.task.id} {job.task.record.name}')
        if job.done is not None and job.db is not None:
            progress.say(job.db, job.task.id, None)


class Current:
    """The job that runs here; outside of one, asking raises RemoteError."""

    def _running(self) -> Running:
        found = running.get()
        if found is None:
            raise RemoteError('No job runs here; current is for the code of jobs.')
        return found

    @property
    def processor(self) -> Any:
        """The job's processor; None in a detached job."""
        return self._running().processor

    @property
    def root(self) -> Any:
        """The root of the database, in the job's transaction."""
        jar = getattr(self._running().processor, '_p_jar', None)
        if jar is None:
            raise RemoteError('A detached job has no database at hand; return what is to be '
                              'stored.')
        return jar.root()

    @property
    def job(self) -> Job:
        """The job, see IJob."""
        return self._running().job

    @property
    def attempt(self) -> str:
        """The attempt's id, 'jobid.number': pass it to other systems as the fencing token, or as
        the idempotency key's tail."""
        found = self._running()
        return f'{found.task.id}.{found.run}'

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the job's id and name."""
        found = self._running()
        return logging.LoggerAdapter(logging.getLogger('p01.remote.job'),
                                     {'jobid': found.task.id, 'jobName': found.task.record.name})

    @property
    def tick(self) -> datetime | None:
        """The instant that the job stands for, an aware datetime of UTC; None for a job of no
        schedule."""
        tick = (self._running().task.record.extras or {}).get('tick')
        return None if tick is None else utc(tick)

    @property
    def schedule(self) -> str | None:
        """The name of the schedule that the job comes from; None for a job of none."""
        return (self._running().task.record.extras or {}).get('schedule')

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants the job to end: it may clean up, and then call check, or return
        what it has."""
        found = self._running()
        return found.asked(found.task.id)

    def check(self) -> None:
        """Raises Cancelled when somebody wants the job to end: it then ends cancelled, and what it
        changed is undone.

        Cancelled is no Exception, so that `except Exception` lets it pass. A job that does not end
        within the grace that was given has its process killed.
        """
        found = self._running()
        if found.asked(found.task.id):
            raise Cancelled

    def progress(self, done: float, total: float | None = None, text: str = '') -> None:
        """Say how far the job is: so much, of how much if that is known, and what it does.

        `p01-remote status` and `jobs show` of the same host tell it while the job runs; afterwards
        it is gone. Raises InputError, and what check raises.
        """
        self.check()
        found = self._running()
        found.done = progress.checked(done, total, text)
        if found.db is not None:
            progress.say(found.db, found.task.id, found.done)

    def __bool__(self) -> bool:
        return running.get() is not None


current = Current()
