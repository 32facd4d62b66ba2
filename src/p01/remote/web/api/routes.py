# SPDX-License-Identifier: ZPL-2.1
"""The table of what the API takes, and where it is done."""
from __future__ import annotations

from p01.remote.views import grammar
from p01.remote.web.access import READ
from p01.remote.web.api import deeds, looks
from p01.remote.web.api.door import ENQUEUING, MANAGE
from p01.remote.web.api.shapes import Route
from p01.remote.wire.deeds import DEEDS, MOVE
from p01.remote.wire.fields import ANEWPARTS, EDITPARTS, ORDERPARTS, PRIORITY, TIME, Field

LIMITED = Field('At most so many entries.', ('integer',), False,
                {'minimum': 1, 'maximum': looks.PAGEMOST, 'default': looks.PAGEUSUAL})
CURSOR = Field('next of the page before; nothing for the first page.')
PAGED = {'limit': LIMITED, 'cursor': CURSOR}
FILTERED = {'filter': Field('Which jobs, in the grammar of docs/filters.md: status:error '
                            'job:receipt queue:mail age>1h -queue:slow timeout.', ('string',),
                            False, {'maxLength': grammar.FILTERLENGTH}), **PAGED}
KEYHEADER = {'Idempotency-Key': Field(
    'The same key of the same caller within a day is answered with the same job.', ('string',),
    False, {'minLength': 1, 'maxLength': deeds.KEYLENGTH})}
ENDINGBODY = {'running': Field('Whether a job that runs is asked to end.', ('boolean',), False,
                           {'default': True}),
          'grace': Field('How long it gets for that.', TIME)}
BULKPARTS = {
    'do': Field('What is to be done.', ('string',), True, {'enum': [*DEEDS, MOVE]}),
    'filter': Field(FILTERED['filter'].words, ('string',), True, FILTERED['filter'].more),
    'queue': Field('Where they are moved.', ('string',), False, {'minLength': 1}),
    'priority': Field('The priority that they get where they are moved.', ('integer',), False,
                      PRIORITY.more),
    'running': Field('Whether those that run are cancelled as well.', ('boolean',), False,
                     {'default': True}),
    'grace': Field('How long those get for that.', TIME)}
PAUSED = {'for': Field('How long; without it until resumed.', TIME)}

TABLEOFROUTES = (
    Route('GET', '/jobs', 'listJobs', READ, 'Jobs of a filter, the newest first', looks.jobs,
          {200: 'Jobs'}, FILTERED),
    Route('POST', '/jobs', 'enqueue', ENQUEUING, 'Enqueue a job', deeds.enqueue,
          {200: 'Enqueued', 201: 'Enqueued'}, {}, ORDERPARTS, KEYHEADER),
    Route('POST', '/jobs/bulk', 'bulk', MANAGE, 'Do something with all jobs of a filter',
          deeds.bulk, {200: 'Done', 202: 'Done'}, {}, BULKPARTS),
    Route('GET', '/jobs/{id}', 'showJob', READ, 'All about a job', looks.job, {200: 'Details'}),
    Route('GET', '/jobs/{id}/result', 'showResult', READ, 'What came of a job', looks.result,
          {200: 'Result'}),
    Route('GET', '/jobs/{id}/log', 'showLog', READ, 'What a job has logged', looks.log,
          {200: 'Log'}),
    Route('POST', '/jobs/{id}/cancel', 'cancel', MANAGE, 'Cancel a job, or ask it to end',
          deeds.cancel, {200: 'Changed'}, {}, ENDINGBODY),
    Route('POST', '/jobs/{id}/retry', 'retry', MANAGE, 'Run a failed or cancelled job again',
          deeds.retry, {200: 'Changed'}, {}, {}),
    Route('POST', '/jobs/{id}/edit', 'edit', MANAGE, 'Change a job that waits', deeds.edit,
          {200: 'Changed'}, {}, EDITPARTS),
    Route('POST', '/jobs/{id}/again', 'again', MANAGE, 'Enqueue a job like one that has ended',
          deeds.again, {201: 'Enqueued'}, {}, ANEWPARTS),
    Route('GET', '/queues', 'listQueues', READ, 'Queues, by name', looks.queues, {200: 'Queues'},
          PAGED),
    Route('POST', '/queues/{name}/pause', 'pauseQueue', MANAGE, 'Start no more jobs of a queue',
          deeds.pauseQueue, {200: 'Paused'}, {}, PAUSED),
    Route('POST', '/queues/{name}/resume', 'resumeQueue', MANAGE, 'Start jobs of a queue again',
          deeds.resumeQueue, {200: 'Paused'}, {}, {}),
    Route('GET', '/schedules', 'listSchedules', READ, 'Schedules, by name', looks.schedules,
          {200: 'Schedules'}, PAGED),
    Route('GET', '/schedules/{name}', 'showSchedule', READ, 'All about a schedule',
          looks.schedule, {200: 'ScheduleDetails'}),
    Route('POST', '/schedules/{name}/pause', 'pauseSchedule', MANAGE, 'Fire a schedule no more',
          deeds.pauseSchedule, {200: 'Active'}, {}, PAUSED),
    Route('POST', '/schedules/{name}/resume', 'resumeSchedule', MANAGE, 'Have a schedule go on',
          deeds.resumeSchedule, {200: 'Active'}, {}, {}),
    Route('POST', '/schedules/{name}/run', 'runSchedule', MANAGE,
          'Enqueue the job of a schedule now', deeds.runSchedule, {201: 'Run'}, {}, {}),
    Route('GET', '/audit', 'listAudit', MANAGE, 'What people have done, the newest first',
          looks.audit, {200: 'AuditLines'}, PAGED),
    Route('GET', '/workers', 'listWorkers', READ, 'Workers', looks.workers, {200: 'Workers'}))
