# SPDX-License-Identifier: ZPL-2.1
"""What tools answer, as JSON Schema: what the API has as well, whole, and what only assistants
see."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p01.remote.wire.schemas import (
    MAYBE,
    NUMBERED,
    NUMERIC,
    SCHEMAS,
    TEXTUAL,
    TRUTH,
    WHOLENUMBER,
    Schema,
    listOf,
    named,
    objectOf,
    orNone,
    pageOf,
)

OBJECT: Schema = {'type': 'object'}
FAILUREKINDS = listOf(objectOf(key=TEXTUAL, job=TEXTUAL, error=TEXTUAL, message=TEXTUAL,
                          place=TEXTUAL, number=WHOLENUMBER, first=TEXTUAL, last=TEXTUAL,
                          ids=NUMBERED))
NAMEDDUE = listOf(objectOf(name=TEXTUAL, due=MAYBE))
OVERVIEW = objectOf(
    application=TEXTUAL, database=TEXTUAL, now=TEXTUAL,
    verdict=objectOf(kind=TEXTUAL, sentence=TEXTUAL, flow=TEXTUAL, late=TEXTUAL, fails=TEXTUAL,
                     step=TEXTUAL, command=orNone(TEXTUAL)),
    notes=listOf(objectOf(tone=TEXTUAL, title=TEXTUAL, text=TEXTUAL)), counts=OBJECT,
    endedEachMinute=NUMERIC, lastHour=OBJECT,
    waitLongest=listOf(objectOf(queue=TEXTUAL, queued=WHOLENUMBER, paused=TRUTH, since=TEXTUAL)),
    unserved=OBJECT, workers=objectOf(alive=WHOLENUMBER, dead=WHOLENUMBER), failures=FAILUREKINDS,
    schedules=objectOf(number=WHOLENUMBER, failing=WHOLENUMBER, next=NAMEDDUE, late=NAMEDDUE,
                       failures=listOf(objectOf(name=TEXTUAL, why=TEXTUAL))),
    snapshot=TEXTUAL)
HEALTH = objectOf(checks=listOf(objectOf(check=TEXTUAL, about=TEXTUAL, verdict=TEXTUAL,
                                         sentence=TEXTUAL, mend=TEXTUAL)), snapshot=TEXTUAL)
FAILEDKINDS = objectOf(kinds=FAILUREKINDS, more=WHOLENUMBER, looked=WHOLENUMBER, total=WHOLENUMBER,
                    whole=TRUTH, snapshot=TEXTUAL)
HISTORYTOLD = objectOf(span=TEXTUAL, secondsOfPoint=NUMERIC, sum=OBJECT, points=listOf(OBJECT),
                   queues=listOf(TEXTUAL), jobs=listOf(TEXTUAL), snapshot=TEXTUAL)
FUNCTIONSKNOWN = objectOf(
    jobs=listOf(objectOf(name=TEXTUAL, queue=TEXTUAL, mayBeEnqueued=TRUTH, parameters=TEXTUAL,
                         words=TEXTUAL)), next=orNone(TEXTUAL))
WORKERPAGE = pageOf(workers=listOf(named('Worker')), number=WHOLENUMBER)
ACTED = objectOf(done=TRUTH, text=TEXTUAL, token=orNone(TEXTUAL), seconds=orNone(NUMERIC),
                 facts=OBJECT)


def whole(schema: Mapping[str, Any]) -> Schema:
    """A schema with those in the places where it names them; it refers to nothing elsewhere."""
    name = schema.get('$ref', '').rpartition('/')[2]
    return whole(SCHEMAS[name]) if name else {key: within(each) for key, each in schema.items()}


def within(value: Any) -> Any:
    """The same of whatever stands in a schema."""
    if isinstance(value, list):
        return [within(each) for each in value]
    return whole(value) if isinstance(value, dict) else value
