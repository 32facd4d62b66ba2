# SPDX-License-Identifier: ZPL-2.1
"""What the answers of the API look like, as JSON Schema."""
from __future__ import annotations

from typing import Any

from p01.remote.views.filters import STATI

Schema = dict[str, Any]
TEXTUAL: Schema = {'type': 'string'}
WHOLENUMBER: Schema = {'type': 'integer'}
NUMERIC: Schema = {'type': 'number'}
TRUTH: Schema = {'type': 'boolean'}
DATETIME: Schema = {'type': 'string', 'format': 'date-time'}
ONEOFSTATI: Schema = {'type': 'string', 'enum': list(STATI)}
ANYTHING: Schema = {}


def orNone(schema: Schema) -> Schema:
    """The same, or null."""
    return {'anyOf': [schema, {'type': 'null'}]}


def listOf(schema: Schema) -> Schema:
    """A list of these."""
    return {'type': 'array', 'items': schema}


def named(name: str) -> Schema:
    """A schema that stands elsewhere."""
    return {'$ref': f'#/components/schemas/{name}'}


def objectOf(**fields: Schema) -> Schema:
    """An object that has all of these fields, and maybe more."""
    return {'type': 'object', 'required': list(fields), 'properties': fields}


def pageOf(**fields: Schema) -> Schema:
    """A page of a list. next: the cursor of the next page; snapshot: the last transaction that it
    shows."""
    return objectOf(**fields, next=orNone(TEXTUAL), snapshot=TEXTUAL)


MAYBE, NUMBERED = orNone(DATETIME), listOf(WHOLENUMBER)
JOBFIELDS = {
    'id': WHOLENUMBER, 'name': TEXTUAL, 'queue': TEXTUAL, 'priority': WHOLENUMBER,
    'status': ONEOFSTATI, 'runs': WHOLENUMBER, 'worker': TEXTUAL, 'error': TEXTUAL,
    'created': DATETIME, 'due': MAYBE, 'schedule': orNone(TEXTUAL), 'tick': MAYBE,
    'started': MAYBE, 'completed': MAYBE}
PROGRESS = orNone(objectOf(done=NUMERIC, total=orNone(NUMERIC), text=TEXTUAL))
SCHEDULEFIELDS = {
    'name': TEXTUAL, 'job': TEXTUAL, 'when': TEXTUAL, 'tz': TEXTUAL, 'source': TEXTUAL,
    'title': TEXTUAL, 'description': TEXTUAL, 'settings': {'type': 'object'},
    'edited': listOf(TEXTUAL), 'active': TRUTH, 'until': MAYBE, 'retired': MAYBE, 'due': MAYBE,
    'tick': MAYBE, 'skips': WHOLENUMBER, 'fired': WHOLENUMBER, 'missed': WHOLENUMBER,
    'skipped': WHOLENUMBER, 'fault': TEXTUAL, 'state': TEXTUAL,
    'history': listOf(objectOf(tick=DATETIME, fired=DATETIME, jobid=WHOLENUMBER, why=TEXTUAL,
                               status=TEXTUAL))}
FAILEDRUN = objectOf(number=WHOLENUMBER, started=DATETIME, ended=DATETIME, worker=TEXTUAL,
                   reason=TEXTUAL, trace=TEXTUAL, said=orNone(TEXTUAL))

SCHEMAS: dict[str, Schema] = {
    'Problem': objectOf(type=TEXTUAL, title=TEXTUAL, status=WHOLENUMBER, detail=TEXTUAL),
    'Job': objectOf(**JOBFIELDS),
    'Jobs': pageOf(jobs=listOf(named('Job'))),
    'Details': objectOf(
        **JOBFIELDS, progress=PROGRESS, log=listOf(TEXTUAL), attempts=listOf(FAILEDRUN),
        waits=listOf(objectOf(kind=TEXTUAL, sentence=TEXTUAL, until=MAYBE,
                              jobid=orNone(WHOLENUMBER))),
        unique=orNone(TEXTUAL), duplicate=orNone(WHOLENUMBER), expires=MAYBE,
        transaction=orNone(TEXTUAL), snapshot=TEXTUAL,
        input=objectOf(arguments=listOf(objectOf(name=TEXTUAL, text=TEXTUAL)),
                       hidden=WHOLENUMBER, note=orNone(TEXTUAL))),
    'Result': objectOf(id=WHOLENUMBER, status=ONEOFSTATI, done=TRUTH, error=TEXTUAL, plain=TRUTH,
                       value=ANYTHING, why=orNone(TEXTUAL), text=orNone(TEXTUAL),
                       snapshot=TEXTUAL),
    'Log': objectOf(id=WHOLENUMBER, status=ONEOFSTATI, log=TEXTUAL, written=WHOLENUMBER,
                    progress=PROGRESS, snapshot=TEXTUAL),
    'Enqueued': objectOf(id=WHOLENUMBER, name=TEXTUAL, status=ONEOFSTATI, new=TRUTH),
    'Done': objectOf(done=WHOLENUMBER, left=WHOLENUMBER, job=orNone(WHOLENUMBER)),
    'Changed': objectOf(id=WHOLENUMBER, status=ONEOFSTATI),
    'Queue': objectOf(queue=TEXTUAL, paused=TRUTH, until=MAYBE, reckoned=TRUTH,
                      **dict.fromkeys(STATI, WHOLENUMBER)),
    'Queues': pageOf(queues=listOf(named('Queue'))),
    'Paused': objectOf(queue=TEXTUAL, paused=TRUTH, until=MAYBE),
    'Schedule': objectOf(**SCHEDULEFIELDS),
    'Schedules': pageOf(schedules=listOf(named('Schedule'))),
    'ScheduleDetails': objectOf(**SCHEDULEFIELDS, coming=listOf(DATETIME), snapshot=TEXTUAL),
    'Active': objectOf(name=TEXTUAL, active=TRUTH),
    'Run': objectOf(name=TEXTUAL, id=WHOLENUMBER),
    'AuditLines': pageOf(audit=listOf(objectOf(when=DATETIME, who=TEXTUAL, face=TEXTUAL,
                                               what=TEXTUAL))),
    'Worker': objectOf(
        name=TEXTUAL, label=TEXTUAL, host=TEXTUAL, pid=WHOLENUMBER, process=TEXTUAL,
        state=TEXTUAL, alive=TRUTH, death=TEXTUAL, since=DATETIME, seen=DATETIME,
        queues=listOf(TEXTUAL), code=TEXTUAL, jobs=NUMBERED, running=orNone(NUMBERED),
        progress={'type': 'object'}, job=TEXTUAL, lasts=NUMERIC),
    'Workers': objectOf(workers=listOf(named('Worker')), snapshot=TEXTUAL)}
