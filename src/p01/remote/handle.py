# SPDX-License-Identifier: ZPL-2.1
"""A job, seen from outside."""
from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from p01.remote.engine.context import running
from p01.remote.exceptions import InputError, JobCancelled, JobFailed, NotCommitted
from p01.remote.instants import duration
from p01.remote.job import Job
from p01.remote.options import Span
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.transactions import systematic
from p01.remote.store.records import CANCELLED, COMPLETED, ERROR, PROCESSING


class Handle:
    """A job, seen from outside; the words are those of concurrent.futures.Future.

    Each question is answered as of now, or within app.transaction() as of that transaction.
    """

    def __init__(self, app: Any, jobid: int, within: Any = None) -> None:
        self.app = app
        self.id = jobid
        self._within: Callable[[], Any] = weakref.ref(within) if within is not None else lambda: None

    def _open(self) -> bool:
        """Whether the transaction that enqueued it is still open."""
        within = self._within()
        return within is not None and within._manager is not None and within._manager._txn is within

    @contextmanager
    def _processor(self) -> Iterator[RemoteProcessor]:
        if self._open() or self.app._active.get() is not None:
            yield self.app.processor
        else:
            with self.app.reading() as processor:
                yield processor

    @property
    def job(self) -> Job:
        """The whole job, see IJob. Raises JobNotFound."""
        with self._processor() as processor:
            return processor.getJob(self.id)

    @property
    def status(self) -> str:
        """Its status. Raises JobNotFound."""
        with self._processor() as processor:
            return processor.getJobStatus(self.id)

    def done(self) -> bool:
        """Whether it has finished, in whatever way."""
        return self.status in (COMPLETED, ERROR, CANCELLED)

    def running(self) -> bool:
        """Whether a worker has it."""
        return self.status == PROCESSING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.status == CANCELLED

    def cancel(self) -> bool:
        """Cancel it if it waits; whether it did. Within the current transaction if there is one, else at once."""
        if self._open() or self.app._active.get() is not None or running.get() is not None:
            return self.app.processor.cancelJob(self.id)
        return systematic(self.app.db, lambda connection: self.app.locate(connection).cancelJob(self.id))

    def result(self, timeout: Span | None = None) -> Any:
        """Its output, waiting for it at most so long (seconds, a timedelta, or a text such as '10m').

        Raises TimeoutError, JobFailed with the job's error, JobCancelled; NotCommitted when its own transaction is open.
        """
        job = self._wait(timeout)
        if job.error and job.status != CANCELLED:       # it failed, or its output cannot be loaded
            raise JobFailed(job.error)
        if job.status == CANCELLED:
            raise JobCancelled(f'Job {self.id} was cancelled: {job.error}')
        return job.output

    def exception(self, timeout: Span | None = None) -> JobFailed | None:
        """Its error as a JobFailed, None when it completed; waits and raises as result does."""
        job = self._wait(timeout)
        if job.status == CANCELLED:
            raise JobCancelled(f'Job {self.id} was cancelled: {job.error}')
        return JobFailed(job.error) if job.status == ERROR else None

    def _wait(self, timeout: Span | None) -> Job:
        if self._open():
            raise NotCommitted(f'Job {self.id} was enqueued in this transaction, so no worker can see it yet; commit, then '
                               'wait for its result.')
        timeout = None if timeout is None else duration(timeout, 'timeout')
        limit = None if timeout is None else time.monotonic() + timeout
        pause = 0.002
        while True:
            with self.app.reading() as processor:
                job = processor.getJob(self.id)
                idle = not len(processor.store.seats)
            if job.status in (COMPLETED, ERROR, CANCELLED):
                return job
            if limit is not None and time.monotonic() >= limit:
                hint = '; no worker is running: start one with `p01-remote worker`' if idle else ''
                raise TimeoutError(f'Job {self.id} is {job.status} after {timeout:g} s{hint}.')
            time.sleep(pause if limit is None else max(0.0, min(pause, limit - time.monotonic())))
            pause = min(pause * 1.5, 0.1)

    def __reduce__(self) -> Any:
        raise InputError('A handle belongs to its process and cannot be passed on; pass its id, handle.id, and write '
                         'app.handle(id) there')

    def __repr__(self) -> str:
        return f'<Handle {self.id}>'
