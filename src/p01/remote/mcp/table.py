# SPDX-License-Identifier: ZPL-2.1
"""The table of tools: what clients are told of each, and where it is done."""
from __future__ import annotations

from p01.remote.mcp import edits, looks, orders
from p01.remote.mcp.answers import (
    FAILEDKINDS,
    FUNCTIONSKNOWN,
    HEALTH,
    HISTORYTOLD,
    OVERVIEW,
    WORKERPAGE,
    named,
)
from p01.remote.mcp.orders import done, planned
from p01.remote.mcp.selections import CANCELLING, HASTENING, MOVING, REMOVING, RETRYING
from p01.remote.mcp.shapes import Action, Look
from p01.remote.views import grammar
from p01.remote.wire.fields import ANEWPARTS, EDITPARTS, ORDERPARTS, PRIORITY, TIME, Field

GRAMMAR = ('Terms with spaces between: status:error (queued, delayed, processing, completed, '
           'error, cancelled), job:receipt (name or its last part), queue:mail, worker:web1, '
           'error:timeout (a part of its text), key:order-42, schedule:nightly, id:17, age>1h, '
           'age<10m, since:2026-01-31T08:30, before:1d; a word alone is looked for in all texts. '
           'A minus means not: -queue:slow. Quotation marks keep spaces: error:"no such file".')
LIMITS = Field('At most so many entries.', ('integer',), False,
               {'minimum': 1, 'maximum': looks.PAGEMANY, 'default': looks.PAGEFEW})
PAGEPARTS = {'limit': LIMITS,
         'cursor': Field('next of the page before; nothing for the first page.')}
FILTERPART = {'filter': Field(GRAMMAR, ('string',), False, {'maxLength': grammar.FILTERLENGTH})}
JOBID = {'id': Field('The id of the job.', ('integer',), True, {'minimum': 1})}
NAMEOFQUEUE = {'name': Field('The name of the queue.', needed=True)}
NAMEOFSCHEDULE = {'name': Field('The name of the schedule.', needed=True)}
FORTIME = {'for': Field('How long, as 10m or 2h; without it until resumed.', TIME)}
SELECTED = {
    'ids': Field('The ids of jobs.', ('array',), False, {'items': {'type': 'integer'}}),
    'filter': FILTERPART['filter'],
    'kind': Field('The key of a kind of failure, from listErrors: all of its jobs.')}
TOKEN = {'token': Field('Leave it out first: then nothing is done, and the answer says what would '
                        'be, with a token. With that token and the very same arguments it is done. '
                        'Each token is good once, for five minutes.')}

LOOKINGTOOLS = (
    Look('overview', 'All at a glance',
         'Begin here: whether work flows, what is late, what fails most, what to do, in words; '
         'numbers of jobs by status, queues that wait longest, kinds of failure, schedules that '
         'are late or fail.', looks.overview, OVERVIEW),
    Look('checkHealth', 'What is not well',
         'Checks of database, workers, their code, and waits, each with what mends it.',
         looks.health, HEALTH),
    Look('listJobs', 'Jobs of a filter',
         'Jobs of a filter, the newest first. A page may have few jobs, or none, and still a next.',
         looks.jobs, named('Jobs'), {**FILTERPART, **PAGEPARTS}),
    Look('showJob', 'All about a job',
         'One job: why it waits, its last failed runs with tracebacks, the end of its log, its '
         'progress, what it was given.', looks.job, named('Details'), JOBID),
    Look('showResult', 'What came of a job', 'The result of a job, or how it failed.',
         looks.result, named('Result'), JOBID),
    Look('showLog', 'What a job has logged',
         'What the last run of a job has logged and printed by now, and how far it is.', looks.log,
         named('Log'), JOBID),
    Look('listErrors', 'What failed, by kind',
         'Failed jobs by kind, the most frequent first: the same job, the same error, raised in '
         'the same place. showJob of one of the ids has its traceback.', looks.errors, FAILEDKINDS,
         {**FILTERPART, 'limit': LIMITS}),
    Look('listQueues', 'Queues', 'Queues by name: jobs of each status, and whether it is paused.',
         looks.queues, named('Queues'), PAGEPARTS),
    Look('listWorkers', 'Workers',
         'Worker threads: which live, which queues they serve (none named: all), what they run.',
         looks.workers, WORKERPAGE, PAGEPARTS),
    Look('listSchedules', 'Schedules',
         'Schedules by name: when each runs, its next run, what became of the last one.',
         looks.schedules, named('Schedules'), PAGEPARTS),
    Look('showSchedule', 'All about a schedule',
         'One schedule, with its next runs and what became of the last ones.', looks.schedule,
         named('ScheduleDetails'), NAMEOFSCHEDULE),
    Look('history', 'What came of jobs over time',
         'How many jobs came, completed, failed, and how long they waited and ran (seconds), over '
         'the last hour, day or month; points at which something happened.', looks.history,
         HISTORYTOLD, {'span': Field('hour, day or month.', ('string',), False, {
             'enum': ['hour', 'day', 'month'], 'default': 'hour'}),
             'queue': Field('Only of this queue.'), 'job': Field('Only of this job, by its whole '
                                                                 'name.')}),
    Look('listFunctions', 'Jobs that there are',
         'The jobs that the application defines: names, parameters, what they are for.',
         looks.functions, FUNCTIONSKNOWN, PAGEPARTS))

# what people did is for who may change something, on every face
KNOWINGTOOLS = (
    Look('listAudit', 'What people have done',
         'What people, scripts and assistants have done with jobs, queues, workers and schedules, '
         'the newest first: when, who, by which face.', looks.audit, named('AuditLines'),
         PAGEPARTS),)

ACTINGTOOLS = (
    Action('retryJobs', 'Run jobs again',
           'Run failed or cancelled jobs again; of a filter without a status those that failed.',
           RETRYING.plan, RETRYING.act, SELECTED),
    Action('runJobsNow', 'Run delayed jobs now',
           'Have delayed jobs wait for their time no longer: those enqueued for later, and those '
           'that wait to run again after a failure.', HASTENING.plan, HASTENING.act, SELECTED,
           again=True),
    Action('cancelJobs', 'Cancel jobs',
           'Cancel jobs that wait; with running those that run as well, which are asked to end.',
           CANCELLING.plan, CANCELLING.act, {
               **SELECTED, 'running': Field('Those that run as well.', ('boolean',), False,
                                            {'default': False}),
               'grace': Field('How long one that runs gets to end, until its process is killed.',
                              TIME)}, undone=True),
    Action('moveJobs', 'Move jobs',
           'Give jobs that wait another queue, another priority, or both.', MOVING.plan,
           MOVING.act, {**SELECTED, 'queue': Field('The queue that they get.'),
                        'priority': PRIORITY}, again=True),
    Action('removeJobs', 'Delete jobs',
           'Delete jobs that have ended, with all that is known of them. This cannot be undone.',
           REMOVING.plan, REMOVING.act, SELECTED, undone=True),
    Action('editJob', 'Change a job',
           'Change a job that waits: what it is called with, its queue, its priority, when it may '
           'start. showJob has what it is called with now, which is gone then.',
           planned(edits.editing), done(edits.editing, edits.edit), {**JOBID, **EDITPARTS},
           undone=True),
    Action('enqueueAgain', 'Run a job again, edited',
           'Enqueue a job like one that has ended, as it was or with other arguments, another '
           'queue, priority or time. The old one stays; retryJobs runs that one itself again.',
           planned(edits.repeating), done(edits.repeating, edits.again), {**JOBID, **ANEWPARTS}),
    Action('pauseQueue', 'Pause a queue',
           'Start no more jobs of a queue; those that run go on.', planned(orders.pausing),
           done(orders.pausing, orders.pauseQueue), {**NAMEOFQUEUE, **FORTIME}, again=True),
    Action('resumeQueue', 'Resume a queue', 'Start the jobs of a paused queue again.',
           planned(orders.resuming), done(orders.resuming, orders.resumeQueue), NAMEOFQUEUE,
           again=True),
    Action('pauseSchedule', 'Pause a schedule', 'Fire a schedule no more.',
           planned(orders.pausingSchedule), done(orders.pausingSchedule, orders.pauseSchedule),
           {**NAMEOFSCHEDULE, **FORTIME}, again=True),
    Action('resumeSchedule', 'Resume a schedule', 'Have a paused schedule go on.',
           planned(orders.resumingSchedule), done(orders.resumingSchedule, orders.resumeSchedule),
           NAMEOFSCHEDULE, again=True),
    Action('runSchedule', 'Run a schedule now',
           'Enqueue the job of a schedule now, beside its times.', planned(orders.runningSchedule),
           done(orders.runningSchedule, orders.runSchedule), NAMEOFSCHEDULE),
    Action('skipSchedule', 'Skip runs of a schedule',
           'Let the next runs of a schedule go by without a job.', planned(orders.skipping),
           done(orders.skipping, orders.skipSchedule), {
               **NAMEOFSCHEDULE, 'count': Field('So many; 0: none after all.', ('integer',), False,
                                                {'minimum': 0, 'default': 1})}, again=True),
    Action('enqueue', 'Enqueue a job', 'Enqueue one of the jobs that listFunctions tells of.',
           planned(orders.enqueuing), done(orders.enqueuing, orders.enqueue), ORDERPARTS))
