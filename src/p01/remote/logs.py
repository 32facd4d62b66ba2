# SPDX-License-Identifier: ZPL-2.1
"""The wording of all log lines, in one place. Everything goes to the logger 'p01.remote'.

The ordinary life of a job leaves no line: it is in the database, and at full speed lines would cost
more than the jobs.
"""
from __future__ import annotations

import logging

import zope.event

from p01.remote import events
from p01.remote.ground import subscribers

logger = logging.getLogger('p01.remote')

UNCOMMITTED = ('Job {0.id} {0.name}, enqueued at {0.where}, is not committed, nor is what else its '
               'transaction holds: {0.reason}')
LINES: dict[type, tuple[int, str]] = {
    events.ProcessorStarted: (logging.INFO, "RemoteProcessor '{0.name}' started"),
    events.JobsUncommitted: (logging.ERROR, UNCOMMITTED),
    events.JobRetried: (logging.WARNING, ('Job {0.id} {0.name}: run {0.attempt} failed and will be '
                                         'repeated: {0.reason}')),
    events.JobPostponed: (logging.INFO, 'Job {0.id} {0.name}: runs later, as it asks: {0.reason}'),
    events.JobConflicted: (logging.WARNING,
                           ('Job {0.id} {0.name}: run {0.attempt}, conflict {0.conflicts} on '
                           '{0.object}; it is repeated')),
    events.JobErred: (logging.ERROR, ('Job {0.id} {0.name}: {0.cause} in run {0.attempt} on '
                                     '{0.worker}: {0.reason}')),
    events.JobStopped: (logging.WARNING, 'Job {0.id} {0.name}: ended on {0.worker}: {0.reason}'),
    events.ClaimRefused: (logging.WARNING, ('Job {0.id} {0.name}: {0.worker} finished too late; '
                                            'its '
                                           'changes were undone')),
    events.ScheduleFailed: (logging.ERROR,
                            'Schedule {0.key} of {0.jobName}: not enqueued: {0.reason}'),
    events.SchedulesDeclared: (logging.INFO, 'Schedules: {0.text}'),
    events.StorageLost: (logging.ERROR, ('Worker {0.worker}: the database is away, waiting for it: '
                                        '{0.reason}')),
    events.WorkerFailed: (logging.ERROR, 'Worker {0.worker}: {0.reason}; {0.follows}'),
    events.StorageBack: (logging.WARNING, 'Worker {0.worker}: the database is back'),
    events.WorkerRescued: (logging.WARNING, ('Worker {0.worker} is gone ({0.why}); jobs that went '
                                            'back: {0.jobs}')),
    events.WorkersStopping: (logging.WARNING, ('Stopping: workers wait for {0.text}; at most '
                                               '{0.grace:g} s, or until the next signal')),
    events.WorkersEnded: (logging.WARNING, ('Stopping: workers are ended amidst {0.text}; what '
                                            'they '
                                           'held goes back')),
    events.WorkerRecycled: (logging.INFO, 'Worker process {0.worker} is replaced: {0.why}'),
    events.SourceChanged: (logging.WARNING, '{0.file} has changed: worker processes are replaced'),
    events.LeftBehind: (logging.WARNING, ('Worker process ends; jobs left {0.names} in it, for '
                                          'which it waits {0.patience:g} s at most')),
}


def write(event: object) -> None:
    """Write the line of an event."""
    found = LINES.get(type(event))
    if found is not None and logger.isEnabledFor(found[0]):
        text = found[1].format(event)
        # what an error says: it may have several lines, or rule a terminal
        if not text.isprintable():
            text = ''.join(each if each.isprintable() else ' ' for each in text)
        logger.log(found[0], '%s', text, extra={'event': event})


if write not in zope.event.subscribers:
    zope.event.subscribers.append(write)
    subscribers.silent.append(write)
