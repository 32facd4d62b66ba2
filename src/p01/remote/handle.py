# SPDX-License-Identifier: ZPL-2.1
"""A job, seen from outside."""
from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

from ZODB.Connection import Connection

from p01.remote.engine.context import running
from p01.remote.engine.requests import GRACE
from p01.remote.engine.seams import Application, Processor
from p01.remote.engine.watching import Seen, follow, isFar, seen
from p01.remote.exceptions import (
    InputError,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotCommitted,
    RemoteError,
    WaitsForItself,
)
from p01.remote.front import scope
from p01.remote.ground import foreign, habits
from p01.remote.instants import duration
from p01.remote.job import Job
from p01.remote.options import Span
from p01.remote.storage.transactions import begun, transact
from p01.remote.store.payload import unpack
from p01.remote.store.records import CANCELLED, COMPLETED, ERROR, PROCESSING, Outcome, Progress
from p01.remote.store.views import View

LONGWAIT = 10.0         # seconds after which a job that waits for another one is told of

logger = logging.getLogger('p01.remote')

Result = TypeVar('Result')
Output = TypeVar('Output')      # of a job


def gone() -> Any:
    """What a weak reference gives when its object is gone."""


class Handle(habits.Told, Generic[Output]):
    """A job, seen from outside; the words are those of concurrent.futures.Future.

    Each question is answered as of now, or within app.transaction() as of that transaction. A job
    that was cancelled as a duplicate of another one, which holds its unique key, has the other's
    result.
    """

    _habits = habits.HANDLEWORDS

    def __init__(self, app: Application, jobid: int, manager: Any = None) -> None:
        self.app = app
        self.id = jobid
        # of the transaction that enqueued it; weakly, so that one that is forgotten ends although
        # its handle is kept
        self._manager: Callable[[], Any] = gone
        self._within: Callable[[], Any] = gone
        if manager is not None:
            self._manager = weakref.ref(getattr(manager, 'manager', manager))
            self._within = weakref.ref(begun(manager))

    def _open(self) -> bool:
        """Whether the transaction that enqueued it is still open."""
        within, manager = self._within(), self._manager()
        return within is not None and manager is not None and begun(manager) is within

    def _ask(self, question: Callable[[Processor], Result]) -> Result:
        """Ask in the transaction that enqueued it, in that of app.transaction(), or as of now."""
        connection = None
        if self._open() or scope.entered(self.app.db):
            with suppress(RemoteError):     # it is another thread's: then as of now
                connection = scope.around(self.app.db)
        if connection is not None:
            try:
                return question(self.app.locate(connection))
            except JobNotFound:             # it may have been enqueued after that transaction began
                if self._open():
                    raise
        with self.app.reading() as processor:
            return question(processor)

    @property
    def job(self) -> Job:
        """The whole job, see IJob. Raises JobNotFound."""
        return self._ask(lambda processor: processor.getJob(self.id))

    @property
    def status(self) -> str:
        """Its status. Raises JobNotFound."""
        return self._ask(lambda processor: processor.getJobStatus(self.id))

    def done(self) -> bool:
        """Whether it has finished, in whatever way."""
        return self.status in (COMPLETED, ERROR, CANCELLED)

    def running(self) -> bool:
        """Whether a worker has it."""
        return self.status == PROCESSING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.status == CANCELLED

    def cancel(self, running: bool = False, grace: Span = GRACE, who: str = '') -> bool:
        """Cancel it if it waits; with running, also ask its worker to end it if it runs. Whether it
        waited or was asked; result tells what came of it. See IRemoteProcessor.cancelJob.

        Within the current transaction if there is one, else at once.
        """
        def cancel(connection: Connection) -> bool:
            return self.app.locate(connection).cancelJob(self.id, running, grace, who)

        connection = scope.around(self.app.db) if self._open() else scope.inside(self.app.db)
        return cancel(connection) if connection is not None else transact(self.app.db, cancel)

    @property
    def progress(self) -> Progress | None:
        """How far it is, or came, as its last run says: (done, total or None, text); None when it
        has not said so. Of a job that runs on another host only within about two seconds after one
        has begun to ask. Raises JobNotFound."""
        return self._seen().progress

    @property
    def log(self) -> str:
        """The end of what its last run has logged; while it runs as for progress. Raises
        JobNotFound."""
        return self._seen().text

    def _seen(self) -> Seen:
        """What it has said by now."""
        found, far = self._ask(lambda processor: (seen(processor, processor.store.view(self.id)),
                                                  isFar(processor, self.id)))
        if far:
            follow(self.app.db, self.app.locate, [self.id])
        return found

    def result(self, timeout: Span | None = None) -> Output:
        """Its output, waiting for it at most so long (seconds, a timedelta, or a text such as
        '10m').

        Raises TimeoutError, JobFailed with the job's error, JobCancelled; NotCommitted when its own
        transaction is open, and WaitsForItself in a job that waits for what only its own worker
        could run.
        """
        jobid, outcome, output = self._wait(timeout)
        if outcome.status == CANCELLED:
            raise JobCancelled(f'Job {jobid} was cancelled: {outcome.error}')
        if outcome.status == ERROR:
            raise JobFailed(outcome.error)
        if isinstance(output, foreign.Raised):
            raise unloadable(output) from output.error
        return cast(Output, output)         # as its function says

    def exception(self, timeout: Span | None = None) -> JobFailed | None:
        """What result would raise of its failure, a JobFailed; None when it completed. Waits and
        raises as result does."""
        jobid, outcome, output = self._wait(timeout)
        if outcome.status == CANCELLED:
            raise JobCancelled(f'Job {jobid} was cancelled: {outcome.error}')
        if isinstance(output, foreign.Raised):
            return unloadable(output)
        return JobFailed(outcome.error) if outcome.status == ERROR else None

    def _wait(self, timeout: Span | None) -> tuple[int, Outcome, Any]:
        """How the job has ended, or the one that it is a duplicate of, and its output."""
        if self._open():
            raise NotCommitted(f'Job {self.id} was enqueued in this transaction, so no worker can '
                               'see it yet; commit, then wait for its result.')
        timeout = None if timeout is None else duration(timeout, 'timeout')
        began = time.monotonic()
        limit = None if timeout is None else began + timeout
        jobid, pause, told = self.id, 0.002, False
        while True:
            with self.app.reading() as processor:
                view = followed(processor, jobid)
                if view.outcome is not None:
                    return view.id, view.outcome, foreign.guarded(unpack, view.outcome.output)
                jobid = view.id
                seats = list(processor.store.seats)
            told = told or self._stuck(jobid, seats, time.monotonic() - began)
            if limit is not None and time.monotonic() >= limit:
                hint = '' if seats else '; no worker is running: start one with `p01-remote worker`'
                raise TimeoutError(f'Job {jobid} is {view.status} after {timeout:g} s{hint}.')
            time.sleep(pause if limit is None else max(0.0, min(pause, limit - time.monotonic())))
            pause = min(pause * 1.5, 0.1)

    def _stuck(self, jobid: int, seats: list[str], waited: float) -> bool:
        """Whether a job that waits here was told of; raises WaitsForItself when nobody else could
        end the waiting."""
        here = running.get()
        if here is None:
            return True
        if all(name == here.worker for name in seats):
            raise WaitsForItself(f'Job {here.task.id} waits for job {jobid}, which only its own '
                                 'worker could run; return, and have another job continue, or '
                                 'start more workers.')
        if waited < LONGWAIT:
            return False
        logger.warning('Job %d %s has waited for job %d for %g s; while it waits, its worker runs '
                       'nothing else.', here.task.id,
                       here.task.record.name, jobid, LONGWAIT)
        return True

    def __reduce__(self) -> Any:
        raise InputError('A handle belongs to its process and cannot be passed on; pass its id, '
                         'handle.id, and write app.handle(id) there')

    def __repr__(self) -> str:
        return f'<Handle {self.id}>'


def unloadable(output: foreign.Raised) -> JobFailed:
    """Why an output cannot be had."""
    return JobFailed(f'The output cannot be loaded ({foreign.reasonOf(output.error)}).')


def followed(processor: Processor, jobid: int) -> View:
    """A job as it is now, or the one that it is a duplicate of. Raises JobNotFound."""
    view = processor.store.view(jobid)
    seen = {jobid}
    while view.outcome is not None and view.outcome.holder is not None \
            and view.outcome.holder not in seen:
        seen.add(view.outcome.holder)
        try:
            view = processor.store.view(view.outcome.holder)
        except JobNotFound:         # it has been removed since
            break
    return view
