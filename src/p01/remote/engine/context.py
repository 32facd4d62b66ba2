# SPDX-License-Identifier: ZPL-2.1
"""What a running job can ask: `from p01.remote import current`."""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar, copy_context
from datetime import datetime
from threading import get_ident
from time import monotonic
from typing import Any, TypeVar

from ZODB.DB import DB

from p01.remote.engine import progress, tracing
from p01.remote.engine.capture import captured
from p01.remote.engine.clashes import meant
from p01.remote.engine.seams import Processor
from p01.remote.engine.verdict import Task
from p01.remote.exceptions import Cancelled, RemoteError, TimeLimit
from p01.remote.ground import fork
from p01.remote.ground.boards import Area
from p01.remote.ground.foreign import Raised, guarded, reasonOf
from p01.remote.instants import utc
from p01.remote.job import Job, instants
from p01.remote.store.records import PROCESSING, Said

Item = TypeVar('Item')


def never(jobid: int) -> bool:
    """That nobody can ask for the end of a run, which is in its caller's own transaction."""
    return False


class Running:
    """A job that runs."""

    __slots__ = ('processor', 'behaviour', 'task', 'input', 'started', 'worker', 'db', 'asked',
                 'thread', 'area', 'said', 'soft', '_job')

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
        # when it is told that it runs long, once, on the monotonic clock; 0 for never
        self.soft = 0.0
        self.area: Area | None = None       # where it says something, once it does
        self.said: Said | None = None       # what is kept of that, once it has ended
        self._job: Job | None = None

    @property
    def run(self) -> int:
        """Which run of the job this is, from 1."""
        return int(self.task.claim.runs + 1)

    def told(self) -> bool:
        """Whether a cancel comes of others, who want it to end, and not of a time limit or its own
        code."""
        return self.asked(self.task.id)

    def place(self) -> Area | None:
        """Where it says something; None where nobody could hear it."""
        if self.area is None and self.db is not None:
            self.area = progress.areaFor(self.db, self.task.id)
        return self.area

    def note(self, line: str) -> None:
        """Keep a line in its log."""
        area = self.place()
        if area is not None:
            area.write(line)

    def silence(self) -> Said | None:
        """It runs no more; returns what is kept of what it has said."""
        area, self.area = self.area, None
        self.db = None          # what its threads and tasks still say is not heard
        if area is not None:
            self.said = progress.said(area)
            area.close()
        return self.said

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


running: ContextVar[Running | None] = ContextVar('running', default=None)


def within(job: Running, perform: Callable[[Running], Any]) -> Any:
    """Have a job performed, in a context of its own: no context variable that it sets outlives
    it."""
    return copy_context().run(_within, job, perform)


def _within(job: Running, perform: Callable[[Running], Any]) -> Any:
    running.set(job)
    if job.task.record.extras is not None:
        tracing.enter(job.task.record.extras)
    mark = fork.mark
    try:
        if getattr(job.behaviour, 'capture', False):
            with captured(job.note):
                return perform(job)
        return perform(job)
    except BaseExceptionGroup as group:
        raise meant(group)      # noqa: B904 - it is of the group
    finally:
        if fork.mark is not mark:
            fork.end(sys.exception(), f'job {job.task.id} {job.task.record.name}')
        if job.area is not None:
            job.silence()


class Log(logging.LoggerAdapter[logging.Logger]):
    """The logger of a job: its records carry the job's id and name, and from level info on they are
    lines of the job's own log, too, whatever the process does with them."""

    def __init__(self, job: Running) -> None:
        super().__init__(logging.getLogger('p01.remote.job'),
                         {'jobid': job.task.id, 'jobName': job.task.record.name})
        self.job = job

    def __call__(self, msg: object, *args: object) -> None:
        """As info."""
        self.info(msg, *args, stacklevel=2)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """See logging."""
        if level >= logging.INFO:
            found = guarded(lambda: str(msg) % args if args else str(msg))
            self.job.note(progress.stamp(logging.getLevelName(level),
                                         str(msg) if isinstance(found, Raised) else found))
            error = kwargs.get('exc_info') and sys.exception()
            if error:
                self.job.note(reasonOf(error))
        super().log(level, msg, *args, **{**kwargs, 'stacklevel': kwargs.get('stacklevel', 1) + 1})


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
    def log(self) -> Log:
        """A logger whose records carry the job's id and name; called itself, it logs at level info.
        The end of what it logs from that level on is seen while it runs, and kept with the job."""
        return Log(self._running())

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
        changed is undone; TimeLimit, once, when it runs longer than its soft time limit: the run
        has failed, unless it catches that.

        Both are no Exception, so that `except Exception` lets them pass. A job that does not end
        within the grace that was given, or within its timeout, has its process killed.
        """
        found = self._running()
        if found.asked(found.task.id):
            raise Cancelled
        if found.soft and monotonic() > found.soft:
            found.soft = 0.0
            raise TimeLimit

    def progress(self, done: float, total: float | None = None, text: str = '') -> None:
        """Say how far the job is: so much, of how much if that is known, and what it does.

        It is seen while the job runs (`jobs watch`, `status`, handle.progress), and kept with it.
        Raises InputError, and what check raises.
        """
        found = running.get()
        if found is None:
            found = self._running()
        if found.asked(found.task.id) or found.soft:
            self.check()
        done, total, text = progress.checked(done, total, text)
        area = found.area or found.place()
        if area is not None:
            area.tell(done, total, text)

    def track(self, items: Iterable[Item], total: float | None = None,
              text: str = '') -> Iterator[Item]:
        """The items, one by one, saying with each how far the job is; of how many, if they have a
        length or total says so. Raises what progress raises."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        done = 0
        for done, item in enumerate(items):
            self.progress(done, total, text)
            yield item
            done += 1
        self.progress(done, total, text)

    def __bool__(self) -> bool:
        return running.get() is not None


current = Current()
