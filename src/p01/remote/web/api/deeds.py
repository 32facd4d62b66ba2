# SPDX-License-Identifier: ZPL-2.1
"""What the API changes: jobs enqueued, cancelled, run again; queues and schedules paused and
resumed. Each is a transaction that says whose token it was."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar

from flask import request

from p01.remote.bulk import Order
from p01.remote.engine import editing, scheduling
from p01.remote.engine.bell import bellOf
from p01.remote.engine.requests import GRACE
from p01.remote.exceptions import InputError
from p01.remote.ground import checks, clocks
from p01.remote.instants import duration
from p01.remote.job import Arguments
from p01.remote.options import Unique
from p01.remote.processor import RemoteProcessor
from p01.remote.store import uniques
from p01.remote.store.records import CANCELLED, ERROR, PROCESSING
from p01.remote.web.api.door import ENQUEUING
from p01.remote.web.api.problems import Problem
from p01.remote.web.api.server import Call
from p01.remote.web.api.shapes import Answer
from p01.remote.wire import commits, deeds
from p01.remote.wire.deeds import optionsOf, untilOf
from p01.remote.wire.functions import allowed

KEYLIVES = 86400.0      # seconds for which an Idempotency-Key stands for its job
KEYLENGTH = 255         # characters of one
ASKEDFOR = 'http'          # where a job keeps what was asked for with its key, as a checksum

Result = TypeVar('Result')


def change(call: Call, what: str | Callable[[Result], str],
           work: Callable[[RemoteProcessor], Result], kept: bool = True) -> Result:
    """Do work(processor) in a transaction, again when it meets the workers; see commits.change."""
    return commits.change(call.app, call.caller.name, what, work, 'api', kept)


# -- jobs

def enqueue(call: Call) -> Answer:
    """Enqueue a job. Raises InputError, UnknownJob, Problem."""
    function = allowed(call.app, call.server.jobs, call.body['job'])
    arguments = Arguments(tuple(call.body.get('args', ())), dict(call.body.get('kwargs', {})))
    options, key = optionsOf(call.body), keyOf(call)
    note = None
    if key is not None:
        if 'unique' in options:
            raise InputError('Give unique or an Idempotency-Key, not both.')
        options['unique'] = Unique(key, period=KEYLIVES)
        note = {ASKEDFOR: digestOf(call.body)}
    ordered, unique = function.using(**options), key or options.get('unique')

    def work(processor: RemoteProcessor) -> tuple[int, str, bool]:
        held = None if unique is None else uniques.holder(processor.store, unique, clocks.now())
        if held is not None and note is not None:
            told = (processor.store.entry(held)[1].extras or {}).get(ASKEDFOR)
            if told != note[ASKEDFOR]:
                raise Problem(422, f'The Idempotency-Key was used for job {held}, which was asked '
                              'for otherwise; take another key.')
        [jobid] = ordered.order(processor, [arguments], note)
        return jobid, processor.getJobStatus(jobid), jobid != held

    # two at once that come to this process with one key are one after the other
    with call.server.guard if key is not None else nullcontext():
        # no line of what people did: those would be gone soon, and who enqueues meet each other
        jobid, status, isNew = change(call, f'enqueue {function.name}', work, kept=False)
    return Answer({'id': jobid, 'name': function.prototype.path, 'status': status, 'new': isNew},
                  201 if isNew else 200, {'Location': f'{request.script_root}/jobs/{jobid}'})


def keyOf(call: Call) -> str | None:
    """The unique key that an Idempotency-Key becomes: each caller has keys of his own. Raises
    InputError."""
    if call.key is None:
        return None
    if not 0 < len(call.key) <= KEYLENGTH or not (call.key.isascii() and call.key.isprintable()):
        raise InputError(f'The Idempotency-Key must be 1 to {KEYLENGTH} printable characters of '
                         'ASCII.')
    return f'{call.caller.name}:{call.key}'


def digestOf(body: Mapping[str, Any]) -> str:
    """What is the same for bodies that say the same."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]


def cancel(call: Call) -> Answer:
    """Cancel a job, or ask one that runs to end. Raises JobNotFound, InputError, Problem."""
    jobid = call.path['id']
    running, grace = call.body.get('running', True), duration(call.body.get('grace', GRACE),
                                                              'grace')

    def work(processor: RemoteProcessor) -> str:
        if not processor.cancelJob(jobid, running, grace, call.caller.name):
            status = processor.getJobStatus(jobid)
            hint = 'let running be true, and it is asked to end' if status == PROCESSING \
                else 'only jobs that have not ended can be cancelled'
            raise Problem(409, f'Job {jobid} is {status}; {hint}.')
        return processor.getJobStatus(jobid)

    status = change(call, f'cancel job {jobid}', work)
    bellOf(call.app.db).tell()
    return Answer({'id': jobid, 'status': status})


def retry(call: Call) -> Answer:
    """Run a failed or cancelled job again. Raises JobNotFound, Problem."""
    jobid = call.path['id']

    def work(processor: RemoteProcessor) -> str:
        if not processor.retryJob(jobid):
            status = processor.getJobStatus(jobid)
            hint = 'another job has its unique key; wait until that one has ended' \
                if status in (ERROR, CANCELLED) else 'only failed and cancelled jobs run again'
            raise Problem(409, f'Job {jobid} is {status}; {hint}.')
        return processor.getJobStatus(jobid)

    status = change(call, f'retry job {jobid}', work)
    bellOf(call.app.db).tell()
    return Answer({'id': jobid, 'status': status})


def wantedOf(call: Call) -> tuple[dict[str, Any], editing.Calling | None]:
    """What a body wants of a job, see deeds.wantedOf: other arguments take who may enqueue it.
    Raises InputError, JobNotFound, UnknownJob, Problem."""
    if ENQUEUING not in call.caller.scopes and not {'args', 'kwargs'}.isdisjoint(call.body):
        raise Problem(403, f'The token of {call.caller.name} lacks the scope {ENQUEUING}, which '
                           'other arguments need.')
    with call.app.reading() as processor:
        return deeds.wantedOf(call.app, processor, call.server.jobs, call.path['id'], call.body)


def edit(call: Call) -> Answer:
    """Change a job that waits. Raises JobNotFound, InputError, UnknownJob, Refused, Problem."""
    jobid, (changes, calling) = call.path['id'], wantedOf(call)
    deeds.proveAny(changes, calling)

    def work(processor: RemoteProcessor) -> str:
        deeds.edit(processor, jobid, changes, calling)
        return processor.getJobStatus(jobid)

    return Answer({'id': jobid, 'status': change(call, f'edit job {jobid}', work)})


def again(call: Call) -> Answer:
    """Enqueue a job like one that has ended. Raises JobNotFound, InputError, UnknownJob, Refused,
    Problem."""
    jobid, (changes, calling) = call.path['id'], wantedOf(call)

    def work(processor: RemoteProcessor) -> dict[str, Any]:
        new = deeds.edit(processor, jobid, changes, calling, again=True)
        return {'id': new, 'name': processor.store.entry(new)[1].name,
                'status': processor.getJobStatus(new), 'new': True}

    found = change(call, f'run job {jobid} again as another one', work)
    return Answer(found, 201, {'Location': f'{request.script_root}/jobs/{found["id"]}'})


def bulk(call: Call) -> Answer:
    """Do something with all jobs of a filter, at once where these are few, else by a job. Raises
    InputError."""
    options = {name: each for name, each in call.body.items() if name not in ('do', 'filter')}
    found = Order(call.body['do'], options, call.body['filter'], call.caller.name,
                  clocks.now()).give(call.app, 'api')
    bellOf(call.app.db).tell()
    if found.job is None:
        return Answer(found._asdict())
    return Answer(found._asdict(), 202, {'Location': f'{request.script_root}/jobs/{found.job}'})


# -- queues and schedules

def pauseQueue(call: Call) -> Answer:
    """Let no more jobs of a queue start. Raises InputError."""
    name, until = checks.nameOf(call.path['name'], 'A queue'), untilOf(call.body)
    return Answer(change(call, f'pause queue {name}',
                         lambda processor: deeds.pauseQueue(processor, name, until)))


def resumeQueue(call: Call) -> Answer:
    """Let the jobs of a queue start again. Raises InputError."""
    name = checks.nameOf(call.path['name'], 'A queue')
    _, found = change(call, lambda each: f'resume queue {name}' if each[0] else '',
                      lambda processor: deeds.resumeQueue(processor, name))
    bellOf(call.app.db).tell()
    return Answer(found)


def pauseSchedule(call: Call) -> Answer:
    """Fire a schedule no more. Raises UnknownSchedule, InputError."""
    name, until = call.path['name'], untilOf(call.body)
    change(call, f'pause schedule {name}',
           lambda processor: scheduling.pause(processor, name, until))
    return Answer({'name': name, 'active': False})


def resumeSchedule(call: Call) -> Answer:
    """Have a schedule go on. Raises UnknownSchedule."""
    name = call.path['name']
    change(call, f'resume schedule {name}', lambda processor: scheduling.resume(processor, name))
    return Answer({'name': name, 'active': True})


def runSchedule(call: Call) -> Answer:
    """Enqueue the job of a schedule now. Raises UnknownSchedule."""
    name = call.path['name']
    jobid = change(call, f'run schedule {name}',
                   lambda processor: scheduling.runNow(processor, name))
    return Answer({'name': name, 'id': jobid}, 201,
                  {'Location': f'{request.script_root}/jobs/{jobid}'})
