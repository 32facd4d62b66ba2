# SPDX-License-Identifier: ZPL-2.1
"""What the API shows, see wire.looks."""
from __future__ import annotations

from collections.abc import Mapping

from p01.remote.exceptions import InputError
from p01.remote.web.api.server import Call
from p01.remote.web.api.shapes import Answer
from p01.remote.wire import looks
from p01.remote.wire.looks import PAGEMOST, PAGEUSUAL


def limitOf(query: Mapping[str, str]) -> int:
    """How many entries of a page are wanted. Raises InputError."""
    text = query.get('limit', str(PAGEUSUAL))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= PAGEMOST):
        raise InputError(f'limit must be a whole number from 1 to {PAGEMOST}.')
    return int(text)


def jobs(call: Call) -> Answer:
    """A page of the jobs of a filter, the newest first."""
    return Answer(looks.jobs(call.app, call.query.get('filter', ''), limitOf(call.query),
                             call.query.get('cursor')))


def job(call: Call) -> Answer:
    """All about one job. Raises JobNotFound."""
    return Answer(looks.job(call.app, call.path['id']))


def result(call: Call) -> Answer:
    """What came of a job. Raises JobNotFound."""
    return Answer(looks.result(call.app, call.path['id']))


def log(call: Call) -> Answer:
    """What the last run of a job has logged by now. Raises JobNotFound."""
    return Answer(looks.log(call.app, call.path['id']))


def queues(call: Call) -> Answer:
    """A page of the queues, by name."""
    return Answer(looks.queues(call.app, limitOf(call.query), call.query.get('cursor', '')))


def schedules(call: Call) -> Answer:
    """A page of the schedules, by name."""
    return Answer(looks.schedules(call.app, limitOf(call.query), call.query.get('cursor', '')))


def schedule(call: Call) -> Answer:
    """One schedule, with its next runs and its last ones. Raises UnknownSchedule."""
    return Answer(looks.schedule(call.app, call.path['name']))


def audit(call: Call) -> Answer:
    """A page of what people have done, the newest first."""
    return Answer(looks.audit(call.app, limitOf(call.query), call.query.get('cursor')))


def workers(call: Call) -> Answer:
    """The workers."""
    return Answer(looks.workers(call.app))
