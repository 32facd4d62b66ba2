# SPDX-License-Identifier: ZPL-2.1
"""What a running job can ask: `from p01.remote import current`."""
from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from p01.remote.exceptions import RemoteError


class Running:
    """The job that runs in this context."""

    __slots__ = ('processor', 'behaviour', 'values', 'attempt', 'note', '_job')

    def __init__(self, processor: Any, behaviour: Any, values: dict[str, Any], attempt: int, note: Any = None) -> None:
        self.processor = processor
        self.behaviour = behaviour
        self.values = values
        self.attempt = attempt
        self.note = note
        self._job: Any = None

    @property
    def job(self) -> Any:
        """The job; made when it is asked for."""
        if self._job is None:
            self._job = self.behaviour.filled(self.values)
        return self._job


running: ContextVar[Running | None] = ContextVar('running', default=None)


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
        processor = self.processor
        if processor is None or processor._p_jar is None:
            raise RemoteError('A detached job has no database at hand; return what is to be stored.')
        return processor._p_jar.root()

    @property
    def job(self) -> Any:
        """The job, see IJob."""
        return self._running().job

    @property
    def attempt(self) -> str:
        """The attempt's id, 'jobid.number': pass it to other systems as the fencing token, or as the idempotency key's tail."""
        found = self._running()
        return f'{found.values["id"]}.{found.attempt}'

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the job's id and name."""
        found = self._running()
        return logging.LoggerAdapter(logging.getLogger('p01.remote.job'),
                                     {'jobid': found.values['id'], 'jobName': found.values['name']})

    def progress(self, done: float, total: float | None = None, text: str = '') -> None:
        """Say how far the job is. Kept in memory, beside the job; shown to whoever watches this process."""
        found = self._running()
        found.values['progress'] = (done, total, text)
        if found.note is not None:
            found.note(found.values['id'], done, total, text)

    def __bool__(self) -> bool:
        return running.get() is not None


current = Current()
