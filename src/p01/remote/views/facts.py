# SPDX-License-Identifier: ZPL-2.1
"""Jobs, queues, workers, schedules, failures and the history as JSON has them, the same in every
face. Instants are texts in ISO format."""
from __future__ import annotations

from typing import Any

from p01.remote.engine.standing import Standing
from p01.remote.ground.words import iso
from p01.remote.store.audit import Line
from p01.remote.views.errors import Failure
from p01.remote.views.history import Point
from p01.remote.views.job import Details, Row
from p01.remote.views.queues import Queue
from p01.remote.views.workers import Worker

TIMES = 'created', 'due', 'tick', 'started', 'completed'        # of a job
INSTANTS = ('start', 'end', 'at')       # among the settings of a schedule


def jobFacts(row: Row) -> dict[str, Any]:
    """A job without its input and output."""
    return {**row._asdict(), **{name: iso(getattr(row, name)) for name in TIMES}}


def lineFacts(line: Line) -> dict[str, Any]:
    """Something that people have done."""
    return {**line._asdict(), 'when': iso(line.when)}


def moreFacts(found: Details) -> dict[str, Any]:
    """What a list of jobs does not show."""
    asked = found.asked
    return {'progress': found.progress and found.progress._asdict(), 'log': found.log,
            'conflicts': found.conflicts and found.conflicts._asdict(),
            'asked': asked and {'who': asked.who, 'when': iso(asked.when), 'grace': asked.grace},
            'transaction': found.transaction or None, 'unique': found.unique or None,
            'duplicate': found.duplicate,
            'expires': iso(found.expires),
            'waits': [{**reason._asdict(), 'until': iso(reason.until)} for reason in found.waits],
            'attempts': [{**attempt._asdict(), 'started': iso(attempt.started),
                          'ended': iso(attempt.ended),
                          'said': attempt.said and attempt.said.log}
                         for attempt in found.attempts]}


def allFacts(found: Details) -> dict[str, Any]:
    """A job with its input and output, as detailsOf has loaded them."""
    given, came = found.values
    return {**jobFacts(found.row), 'input': given, 'output': came, **moreFacts(found)}


def queueFacts(queue: Queue, reckoned: bool) -> dict[str, Any]:
    """A queue; reckoned: whether its numbers are, in part."""
    return {'queue': queue.name, 'paused': queue.paused, 'until': iso(queue.until),
            **queue.counts, 'reckoned': reckoned}


def workerFacts(worker: Worker) -> dict[str, Any]:
    """A worker."""
    return {**worker._asdict(), 'since': iso(worker.since), 'seen': iso(worker.seen),
            'progress': {jobid: said._asdict() for jobid, said in worker.progress.items()}}


def scheduleFacts(each: Standing) -> dict[str, Any]:
    """A schedule."""
    settings = {key: iso(value) if key in INSTANTS else value
                for key, value in each.settings.items()}
    return {**each._asdict(), 'state': each.state, 'settings': settings, 'until': iso(each.until),
            'retired': iso(each.retired),
            'due': iso(each.due), 'tick': iso(each.tick),
            'history': [{**past._asdict(), 'tick': iso(past.tick), 'fired': iso(past.fired)}
                        for past in each.history]}


def pointFacts(point: Point) -> dict[str, Any]:
    """A point of the history."""
    return {**point._asdict(), 'start': iso(point.start), 'rate': round(point.rate, 6),
            **{name: each and each._asdict() for name, each
               in (('runs', point.runs), ('waits', point.waits), ('depth', point.depth))}}


def failureFacts(kind: Failure) -> dict[str, Any]:
    """A kind of failure."""
    return {'key': kind.key, 'job': kind.job, 'error': kind.error, 'message': kind.message,
            'place': kind.place, 'number': len(kind.jobids), 'first': iso(min(kind.ends)),
            'last': iso(max(kind.ends)), 'ids': kind.jobids}
