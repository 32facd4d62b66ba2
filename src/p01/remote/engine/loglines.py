# SPDX-License-Identifier: ZPL-2.1
"""What a worker process writes to stderr: lines with the time, the level, and the job within which
they were written."""
from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import zope.event

from p01.remote import events
from p01.remote.ground import streams
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
        record.__dict__.update(jobid=jobid, jobName=name)
        record.job = '' if job is None or record.name == OWN else f'job {jobid} {name}: '
        return record.levelno >= (self.ofJobs if job is not None or record.name.startswith(OWN)
                                  else self.least)


class Lines(logging.Formatter):
    """Times in UTC, in ISO format, whatever an application makes of the process's time zone."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time of a record."""
        return datetime.fromtimestamp(record.created,
                                      UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')


def begin(level: str = '', running: Callable[[], Any] = lambda: None) -> None:
    """Write log lines from this level on; without one, what jobs say from INFO on, and of others
    warnings.

    From INFO on each job that is done has a line. An application that configures logging itself is
    not touched.
    """
    streams.prepare()
    ofJobs = logging.getLevelNamesMapping()[level.upper()] if level else logging.INFO
    least = ofJobs if level else logging.WARNING
    handler = logging.StreamHandler()
    handler.addFilter(Within(running, least, ofJobs))
    handler.setFormatter(Lines(FORMAT))
    logging.basicConfig(level=min(least, ofJobs), handlers=[handler])
    if level and ofJobs <= logging.INFO and done not in zope.event.subscribers:
        zope.event.subscribers.append(done)


def done(event: object) -> None:
    """Write the line of a job that is done."""
    if isinstance(event, events.JobCompleted):
        logger.info('Job %s %s: done in %.3f s, run %s on worker '
                    '%s', event.id, event.name, event.seconds, event.attempt,
                    labelOf(event.worker))
