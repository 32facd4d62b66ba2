# SPDX-License-Identifier: ZPL-2.1
"""What programs are shown: jobs, queues, schedules, workers, each answer of one snapshot. The facts
are those that the command prints as JSON."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from p01.remote.app import App
from p01.remote.engine import scheduling
from p01.remote.engine.standing import standing
from p01.remote.engine.watching import follow, isFar, seen
from p01.remote.exceptions import InputError
from p01.remote.ground import clocks, pickled
from p01.remote.ground.words import iso
from p01.remote.handle import followed
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views import grammar
from p01.remote.views.coming import ticksOf
from p01.remote.views.facts import (
    jobFacts,
    lineFacts,
    moreFacts,
    queueFacts,
    scheduleFacts,
    workerFacts,
)
from p01.remote.views.given import Given, givenOf
from p01.remote.views.job import detailsOf, rowOf
from p01.remote.views.listing import Search
from p01.remote.views.queues import queuesOf
from p01.remote.views.workers import workersOf
from p01.remote.wire.commits import tidOf
from p01.remote.wire.fields import DIGITSOFID
from p01.remote.wire.functions import namesOf
from p01.remote.wire.plain import plainOf

PAGEUSUAL, PAGEMOST = 50, 200         # entries of a page
JOBSLOOKEDAT = 5_000            # for one page
TICKSSHOWN = 3                  # of a schedule

Facts = dict[str, Any]


def belowOf(cursor: str | None) -> int | None:
    """The number that a page is below, None for the first one. Raises InputError."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= DIGITSOFID):
        raise InputError('cursor must be the next of the page before; leave it out for the first.')
    return int(cursor)


def jobs(app: App, text: str, limit: int, cursor: str | None) -> Facts:
    """A page of the jobs of a filter, the newest first. Raises InputError."""
    below = belowOf(cursor)
    which = grammar.parse(text, clocks.now())._replace(below=below, limit=limit + 1)
    search = Search(JOBSLOOKEDAT)
    with app.reading() as processor:
        views = list(search.find(processor.store, which))
        more = len(views) > limit
        views = views[:limit]
        older = views[-1].id if more else search.last if search.over else None
        return {'jobs': [jobFacts(rowOf(view)) for view in views],
                'next': str(older) if older else None, 'snapshot': tidOf(processor)}


def job(app: App, jobid: int) -> Facts:
    """All about a job. Raises JobNotFound."""
    with app.reading() as processor:
        view = processor.store.view(jobid)
        found = detailsOf(processor, view, clocks.now())
        given = givenOf(view.record.input, namesOf(app, view.record.name))
        return {**jobFacts(found.row), **moreFacts(found), 'input': shown(given),
                'snapshot': tidOf(processor)}


def shown(given: Given) -> Facts:
    """What a job was given, as texts."""
    return {'arguments': [{'name': name, 'text': text} for name, text in given.arguments],
            'hidden': given.hidden, 'note': given.note or None}


def result(app: App, jobid: int) -> Facts:
    """What came of a job, or of the one that it is a duplicate of. Raises JobNotFound."""
    with app.reading() as processor:
        view = followed(processor, jobid)
        return {'id': view.id, 'status': view.status, 'done': view.outcome is not None,
                'error': view.error, **outputOf(view), 'snapshot': tidOf(processor)}


def outputOf(view: View) -> Facts:
    """The output of a job as JSON where it is plain, else why it is not, and a text."""
    kept = None if view.outcome is None else view.outcome.output
    try:
        return {'plain': True, 'value': plainOf(kept), 'why': None, 'text': None}
    except pickled.Unreadable as error:
        return {'plain': False, 'value': None, 'why': f'The output is not given as JSON: {error}.',
                'text': givenOf(kept).briefly}


def log(app: App, jobid: int, asks: bool = True) -> Facts:
    """What the last run of a job has logged by now; asks: whether a worker of another host is asked
    to show it. Raises JobNotFound."""
    with app.reading() as processor:
        view = processor.store.view(jobid)
        said, far = seen(processor, view), isFar(processor, jobid)
        found = {'id': jobid, 'status': view.status, 'log': said.text,
                 'written': said.written, 'progress': said.progress and said.progress._asdict(),
                 'snapshot': tidOf(processor)}
    if far and asks:
        follow(app.db, app.locate, [jobid])
    return found


def paged(names: Iterable[str], limit: int) -> tuple[list[str], str | None]:
    """The names of a page, and the last one where there are more."""
    some = list(islice(names, limit + 1))
    return some[:limit], some[limit - 1] if len(some) > limit else None


def queues(app: App, limit: int, after: str) -> Facts:
    """A page of the queues, by name."""
    with app.reading() as processor:
        found = queuesOf(processor.store, clocks.now())
        names, last = paged((name for name in found.all if name > after), limit)
        return {'queues': [queueFacts(found.all[name], found.reckoned) for name in names],
                'next': last, 'snapshot': tidOf(processor)}


def queueAt(store: Store, name: str, now: float) -> Facts:
    """Whether a queue is paused."""
    paused = store.settings.pausedAt(now)
    return {'queue': name, 'paused': name in paused, 'until': iso(paused.get(name))}


def schedules(app: App, limit: int, after: str) -> Facts:
    """A page of the schedules, by name."""
    now = clocks.now()
    with app.reading() as processor:
        names, last = paged(processor.scheduler.after(after), limit)
        found = [scheduleFacts(standing(processor, name, now, 1)) for name in names]
        return {'schedules': found, 'next': last, 'snapshot': tidOf(processor)}


def schedule(app: App, name: str) -> Facts:
    """One schedule, with its next runs and its last ones. Raises UnknownSchedule."""
    now = clocks.now()
    with app.reading() as processor:
        scheduling.known(processor, name)
        found = standing(processor, name, now)
        ticks: Sequence[float] = () if found.state in ('retired', 'over') else \
            ticksOf(processor, name, now, float('inf'), TICKSSHOWN)
        return {**scheduleFacts(found), 'coming': [iso(tick) for tick in ticks],
                'snapshot': tidOf(processor)}


def audit(app: App, limit: int, cursor: str | None) -> Facts:
    """A page of what people have done, the newest first. Raises InputError."""
    below = belowOf(cursor)
    with app.reading() as processor:
        kept = processor.store.audit
        found = [] if kept is None else list(islice(kept.newest(below), limit + 1))
        return {'audit': [lineFacts(line) for _, line in found[:limit]],
                'next': str(found[limit - 1][0]) if len(found) > limit else None,
                'snapshot': tidOf(processor)}


def workers(app: App) -> Facts:
    """The workers."""
    with app.reading() as processor:
        found = workersOf(processor.store, clocks.now())
        return {'workers': [workerFacts(each) for each in found], 'snapshot': tidOf(processor)}
