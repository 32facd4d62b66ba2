# SPDX-License-Identifier: ZPL-2.1
"""What a worker process writes to stderr: lines with the time, the level, and the job within which
they were written."""
from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import zope.event

from p01.remote import events
from p01.remote.ground import streams
from p01.remote.ground.foreign import Raised, guarded, shown
from p01.remote.ground.words import labelOf

FORMAT = '%(asctime)s %(levelname)-7s %(job)s%(message)s'
OWN = 'p01.remote'      # our lines name their job themselves

logger = logging.getLogger(OWN)


class Within(logging.Filter):
    """Gives each record the job within which it was written: jobid and jobName, None and ''
    outside, and both as the text job.

    running gives the job that runs, as context.Running or None; least is the level below which
    nothing is shown, ofJobs that of lines from within jobs.
    """

    def __init__(self, running: Callable[[], Any], least: int = logging.NOTSET,
                 ofJobs: int = logging.NOTSET) -> None:
        super().__init__()
        self.running = running
        self.least = least
        self.ofJobs = ofJobs

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        job = self.running()
        jobid, name = (None, '') if job is None else (job.task.id, job.task.record.name)
        record.__dict__.update(jobid=jobid, jobName=name, running=job)
        record.job = '' if job is None or record.name == OWN else f'job {jobid} {name}: '
        return record.levelno >= (self.ofJobs if job is not None or record.name.startswith(OWN)
                                  else self.least)


class Lines(logging.Formatter):
    """Times in UTC, in ISO format, whatever an application makes of the process's time zone."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time of a record."""
        return datetime.fromtimestamp(record.created,
                                      UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')


class Records(Lines):
    """Each record as a line of JSON: time, level, logger, message; job, name, attempt and queue of
    the job within which it was written, or that it is about; of a state edge its event, and with it
    seconds, worker, reason and what else is known; what `extra` has given; error with a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        found: dict[str, Any] = {'time': self.formatTime(record), 'level': record.levelname.lower(),
                                 'logger': record.name, 'message': plainly(record)}
        job, event = getattr(record, 'running', None), getattr(record, 'event', None)
        if job is not None:
            found.update(job=job.task.id, name=job.task.record.name, attempt=job.run,
                         queue=job.task.record.queue)
        found.update((key, value) for key, value in record.__dict__.items()
                     if key not in KNOWN and key not in found)
        if event is not None:
            found.update(edgeOf(event))
        if record.exc_info:
            found['error'] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False, default=shown)


# what is not said again of a record: its own attributes, and those of Within
KNOWN = {*vars(logging.LogRecord('', 0, '', 0, '', (), None)), 'message', 'asctime', 'taskName',
         'jobid', 'jobName', 'job', 'running', 'event'}


def plainly(record: logging.LogRecord) -> str:
    """The text of a record, whatever its arguments do."""
    found = guarded(record.getMessage)
    return str(record.msg) if isinstance(found, Raised) else found


def edgeOf(event: object) -> dict[str, Any]:
    """What a record says of an event: its name, and its fields; the id of a job is job."""
    found: dict[str, Any] = {'event': type(event).__name__}
    for field in fields(event):             # type: ignore[arg-type]
        value = getattr(event, field.name)
        if field.name == 'ends':
            continue                        # each has a record of its own
        if field.name == 'due' and value is not None:
            value = datetime.fromtimestamp(value, UTC).isoformat().replace('+00:00', 'Z')
        found['job' if field.name == 'id' else field.name] = value
    return found


def begin(level: str = '', running: Callable[[], Any] = lambda: None, form: str = 'text') -> None:
    """Write log lines from this level on; without one, what jobs say from INFO on, and of others
    warnings. form: text, or json, which has each state edge of each job at level info.

    From INFO on each job that is done has a line. An application that configures logging itself is
    not touched.
    """
    streams.prepare()
    ofJobs = logging.getLevelNamesMapping()[level.upper()] if level else logging.INFO
    least = ofJobs if level else logging.WARNING
    handler = logging.StreamHandler()
    handler.addFilter(Within(running, least, ofJobs))
    handler.setFormatter(Records() if form == 'json' else Lines(FORMAT))
    logging.basicConfig(level=min(least, ofJobs), handlers=[handler])
    if form == 'json':
        if edge not in zope.event.subscribers:
            zope.event.subscribers.append(edge)
    elif level and ofJobs <= logging.INFO and done not in zope.event.subscribers:
        zope.event.subscribers.append(done)


EDGES = {events.JobQueued: 'queued', events.JobStarted: 'started', events.JobCompleted: 'completed'}


def edge(event: object) -> None:
    """Write the record of a state edge of which text says nothing."""
    if type(event) in EDGES:
        logger.info('Job %s %s: %s', event.id, event.name,      # type: ignore[attr-defined]
                    EDGES[type(event)], extra={'event': event})


def done(event: object) -> None:
    """Write the line of a job that is done."""
    if isinstance(event, events.JobCompleted):
        logger.info('Job %s %s: done in %.3f s, run %s on worker '
                    '%s', event.id, event.name, event.seconds, event.attempt,
                    labelOf(event.worker))
