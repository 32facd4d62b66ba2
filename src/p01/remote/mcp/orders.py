# SPDX-License-Identifier: ZPL-2.1
"""What assistants may do with queues and schedules, and that they enqueue: each is one transaction,
in which what was planned must still hold."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p01.remote.engine import scheduling
from p01.remote.engine.bell import bellOf
from p01.remote.engine.enqueuing import packed
from p01.remote.engine.standing import Standing, standing
from p01.remote.exceptions import InputError
from p01.remote.function import JobFunction
from p01.remote.ground import checks, clocks
from p01.remote.ground.values import written
from p01.remote.ground.words import ago, count, iso, shown, verb
from p01.remote.job import Arguments
from p01.remote.mcp.shapes import Desk, Given, Told
from p01.remote.mcp.tokens import ASKANEW, Plan
from p01.remote.processor import RemoteProcessor
from p01.remote.store import uniques
from p01.remote.store.records import QUEUED
from p01.remote.views.coming import ticksOf
from p01.remote.views.queues import knownQueues, queuesOf, unknown
from p01.remote.wire import deeds
from p01.remote.wire.commits import change
from p01.remote.wire.functions import allowed

CALLROOM = 400      # characters of a call in a sentence
TICKSNEXT = 5       # runs of a schedule that are named

Plans = Callable[[Desk, RemoteProcessor, Given], Plan]
Does = Callable[[Desk, RemoteProcessor, Given], Told]


def planned(plan: Plans) -> Callable[[Desk, Given], Plan]:
    """What an action would do, of one snapshot."""
    def asked(desk: Desk, given: Given) -> Plan:
        with desk.app.reading() as processor:
            return plan(desk, processor, given)

    return asked


def done(plan: Plans, does: Does) -> Callable[[Desk, Given, Plan], Told]:
    """What does an action, where it would still do what it was planned to."""
    def act(desk: Desk, given: Given, before: Plan) -> Told:
        def work(processor: RemoteProcessor) -> Told:
            if plan(desk, processor, given).found != before.found:
                raise InputError(f'It stands otherwise now than when you asked; {ASKANEW}.')
            return does(desk, processor, given)

        found = change(desk.app, desk.who, before.what, work, 'mcp')
        bellOf(desk.app.db).tell()
        return found

    return act


def endsOf(until: float | None, now: float) -> str:
    """When a pause ends, in words."""
    return 'until it is resumed' if until is None else f'and goes on by itself {ago(until, now)}'


def wait(number: int) -> str:
    """How many jobs wait in a queue, in words."""
    return f'{count(number, "job")} {verb(number, "wait")} there'


# -- queues

def pausing(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a queue is paused. Raises InputError."""
    name, until, now = checks.nameOf(given['name'], 'A queue'), deeds.untilOf(given), clocks.now()
    queues = queuesOf(processor.store, now)
    at = queues.all.get(name)
    waiting = 0 if at is None else at.counts[QUEUED]
    ends = endsOf(until, now)
    would = f'Queue {shown(name)} would be paused {ends}; {wait(waiting)}.'
    if at is None or not any(at.counts.values()):
        # looks at all schedules
        known = knownQueues(desk.app, processor, queues)
        would += f' But {unknown(name, known)}' if name not in known else ''
    paused = processor.store.settings.pausedAt(now)
    return Plan(would, f'pause queue {name}', (name in paused, paused.get(name)),
                {'queue': name, 'pausedNow': name in paused, 'queued': waiting})


def pauseQueue(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Let no more jobs of a queue start."""
    return deeds.pauseQueue(processor, given['name'], deeds.untilOf(given))


def resuming(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a queue goes on. Raises InputError."""
    name, now = checks.nameOf(given['name'], 'A queue'), clocks.now()
    at = queuesOf(processor.store, now).all.get(name)
    if at is None or not at.paused:
        raise InputError(f'Queue {shown(name)} is not paused.')
    waiting = at.counts[QUEUED]
    return Plan(f'Queue {shown(name)} would go on; {wait(waiting)}, and would start.',
                f'resume queue {name}', (True, at.until),
                {'queue': name, 'pausedNow': True, 'queued': waiting})


def resumeQueue(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Let the jobs of a queue start again."""
    return deeds.resumeQueue(processor, given['name'])[1]


# -- schedules

def stands(processor: RemoteProcessor, name: str) -> Standing:
    """How a schedule stands. Raises UnknownSchedule."""
    scheduling.known(processor, name)
    return standing(processor, name, clocks.now(), 1)


def planOf(each: Standing, would: str, what: str, more: Told | None = None) -> Plan:
    """A plan about a schedule."""
    return Plan(would, f'{what} schedule {each.name}',
                (each.job, each.when, each.tz, each.active, each.until, each.retired, each.skips),
                {'name': each.name, 'job': each.job, 'when': each.when, 'state': each.state,
                 'due': iso(each.due), **(more or {})})


def pausingSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a schedule is paused. Raises UnknownSchedule, InputError."""
    each, until, now = stands(processor, given['name']), deeds.untilOf(given), clocks.now()
    return planOf(each, f'Schedule {shown(each.name)} would be paused {endsOf(until, now)}.',
                  'pause')


def pauseSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Fire a schedule no more."""
    scheduling.pause(processor, given['name'], deeds.untilOf(given))
    return scheduleNow(processor, given)


def resumingSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a schedule goes on. Raises UnknownSchedule, InputError."""
    each = stands(processor, given['name'])
    if each.active:
        raise InputError(f'Schedule {shown(each.name)} is not paused.')
    return planOf(each, f'Schedule {shown(each.name)} would go on with its next run.', 'resume')


def resumeSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Have a schedule go on."""
    scheduling.resume(processor, given['name'])
    return scheduleNow(processor, given)


def runningSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That the job of a schedule is enqueued. Raises UnknownSchedule."""
    each = stands(processor, given['name'])
    return planOf(each, f'The job {shown(each.job)} of schedule {shown(each.name)} would be '
                        'enqueued now, beside its times.', 'run')


def runSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Enqueue the job of a schedule now."""
    jobid = scheduling.runNow(processor, given['name'])
    return {**scheduleNow(processor, given), 'id': jobid}


def skipping(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That the next runs of a schedule go by. Raises UnknownSchedule, InputError."""
    each = stands(processor, given['name'])
    number = checks.wholeOf(given.get('count', 1), 'count', 0)
    would = f'Schedule {shown(each.name)} would skip its next {count(number, "run")}.' if number \
        else f'Schedule {shown(each.name)} would skip no run.'
    ticks = ticksOf(processor, each.name, clocks.now(), float('inf'), min(number, TICKSNEXT))
    return planOf(each, would, 'skip', {'skipped': [iso(tick) for tick in ticks]})


def skipSchedule(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Let the next runs of a schedule go by without a job."""
    scheduling.skip(processor, given['name'], given.get('count', 1))
    return {**scheduleNow(processor, given), 'skips': given.get('count', 1)}


def scheduleNow(processor: RemoteProcessor, given: Given) -> Told:
    """How a schedule stands, behind what was done."""
    each = stands(processor, given['name'])
    return {'name': each.name, 'active': each.active, 'until': iso(each.until)}


# -- jobs that are enqueued

def ordered(desk: Desk, given: Given) -> tuple[JobFunction[..., Any], Arguments]:
    """What is to be enqueued. Raises UnknownJob, InputError."""
    function = allowed(desk.app, desk.jobs, given['job'])
    arguments = Arguments(tuple(given.get('args', ())), dict(given.get('kwargs', {})))
    return function.using(**deeds.optionsOf(given)), arguments


def enqueuing(desk: Desk, processor: RemoteProcessor, given: Given) -> Plan:
    """That a job is enqueued. Raises UnknownJob, ArgumentsError, InputError."""
    function, arguments = ordered(desk, given)
    key = given.get('unique')
    held = None if key is None else uniques.holder(processor.store, key, clocks.now())
    if held is not None:
        raise InputError(f'Job {held} has this unique key, and waits or runs; nothing would be '
                         'enqueued.')
    packed(processor, function.prototype.path, function.prototype, [arguments])
    path, queue = function.prototype.path, given.get('queue') or function.prototype.queue
    return Plan(f'{callOf(path, arguments)} would be enqueued in queue {shown(queue)}.',
                f'enqueue {path}', path, {'job': path, 'queue': queue})


def callOf(name: str, arguments: Arguments) -> str:
    """A call as a text."""
    parts = [written(value, CALLROOM) for value in arguments.args]
    parts += [f'{key}={written(value, CALLROOM)}' for key, value in arguments.kwargs.items()]
    return shown(f'{name}({", ".join(parts)})', CALLROOM)


def enqueue(desk: Desk, processor: RemoteProcessor, given: Given) -> Told:
    """Enqueue a job."""
    function, arguments = ordered(desk, given)
    [jobid] = function.order(processor, [arguments])
    return {'id': jobid, 'name': function.prototype.path,
            'status': processor.getJobStatus(jobid)}
