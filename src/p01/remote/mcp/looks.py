# SPDX-License-Identifier: ZPL-2.1
"""What assistants are shown, beside what wire.looks has: all at a glance, kinds of failure, the
history; of jobs and workers as much as one reads."""
from __future__ import annotations

import inspect
import json
from typing import Any

from p01.remote.exceptions import InputError
from p01.remote.ground import clocks
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.words import iso
from p01.remote.mcp.shapes import Desk, Given, Told
from p01.remote.store.records import QUEUED
from p01.remote.views import grammar
from p01.remote.views.errors import failuresOf
from p01.remote.views.facts import failureFacts, pointFacts
from p01.remote.views.glance import Glance, glanceOf
from p01.remote.views.health import CHEAP, findings
from p01.remote.views.history import REACHES, historyOf
from p01.remote.views.verdict import Said, Verdict
from p01.remote.wire import looks
from p01.remote.wire.commits import tidOf

PAGEFEW, PAGEMANY = 20, 100         # entries of a page
TOPFEW = 5              # queues, kinds of failure and so on at a glance
MESSAGEROOM = 300       # characters of an error in a list
VALUEROOM = 10_000      # characters of a result, as JSON
LINESSHOWN, RUNSSHOWN, IDSSHOWN = 40, 3, 10     # of a job's log and failed runs; ids of many jobs
FAILEDSOUGHT = 3_000   # failed jobs that are looked at for those of a filter


def pageOf(given: Given) -> tuple[int, str | None]:
    """How many entries are wanted, from which cursor on. Raises InputError."""
    limit = given.get('limit', PAGEFEW)
    if not 1 <= limit <= PAGEMANY:
        raise InputError(f'limit must be from 1 to {PAGEMANY}.')
    return limit, given.get('cursor')


def overview(desk: Desk, given: Given) -> Told:
    """How all stands, in words first."""
    now = clocks.now()
    with desk.app.reading() as processor:
        seen = glanceOf(desk.app, processor, desk.target, now)
        coming = seen.coming
        return {
            'application': desk.target, 'database': desk.app.place, 'now': iso(now),
            'verdict': verdictFacts(seen.verdict), 'notes': [
                {'tone': note.tone, 'title': note.title, 'text': note.text} for note in seen.notes],
            'counts': seen.counts, 'endedEachMinute': round(seen.rate, 3),
            'lastHour': pointFacts(seen.history.sum()), 'waitLongest': longest(seen),
            'unserved': seen.unserved, 'workers': {
                'alive': sum(worker.alive for worker in seen.workers),
                'dead': sum(not worker.alive for worker in seen.workers)},
            'failures': [shortened(failureFacts(kind)) for kind in seen.failures.kinds[:TOPFEW]],
            'schedules': {
                'number': coming.number, 'failing': coming.failing,
                'next': [{'name': each.name, 'due': iso(each.due)} for each in coming.next],
                'late': [{'name': each.name, 'due': iso(each.due)} for each in coming.late],
                'failures': [{'name': name, 'why': why} for name, why in coming.failures]},
            'snapshot': tidOf(processor)}


def verdictFacts(verdict: Verdict) -> Told:
    """A verdict as texts."""
    return {'kind': verdict.kind, 'sentence': verdict.sentence, 'flow': said(verdict.flow),
            'late': said(verdict.late), 'fails': said(verdict.fails), 'step': verdict.step.text,
            'command': verdict.step.command or None}


def said(part: Said) -> str:
    """A part of a verdict as a text."""
    return f'{part.head}: {" ".join(filter(None, (part.strong, part.text)))}'


def longest(seen: Glance) -> list[Told]:
    """The queues whose next job waits longest."""
    some = sorted(seen.oldest.items(), key=lambda item: item[1])[:TOPFEW]
    return [{'queue': name, 'queued': seen.queues.all[name].counts[QUEUED],
             'paused': seen.queues.all[name].paused, 'since': iso(since)} for name, since in some]


def shortened(kind: Told) -> Told:
    """A kind of failure with the newest of its jobs alone."""
    return {**kind, 'ids': kind['ids'][:IDSSHOWN]}


def health(desk: Desk, given: Given) -> Told:
    """What is not well, and the mend."""
    with desk.app.reading() as processor:
        found = findings(desk.app, processor, desk.target, clocks.now(), CHEAP)
        return {'checks': [each._asdict() for each in found], 'snapshot': tidOf(processor)}


def jobs(desk: Desk, given: Given) -> Told:
    """A page of the jobs of a filter."""
    limit, cursor = pageOf(given)
    found = looks.jobs(desk.app, given.get('filter', ''), limit, cursor)
    for job in found['jobs']:
        job['error'] = job['error'][:MESSAGEROOM]
    return found


def job(desk: Desk, given: Given) -> Told:
    """All about one job: of its failed runs the last ones, of its log the end."""
    found = looks.job(desk.app, given['id'])
    return {**found, 'failedRuns': len(found['attempts']),
            'attempts': found['attempts'][-RUNSSHOWN:], 'log': found['log'][-LINESSHOWN:]}


def result(desk: Desk, given: Given) -> Told:
    """What came of a job; a large value as the beginning of its text."""
    found = looks.result(desk.app, given['id'])
    text = json.dumps(found['value'])
    if len(text) > VALUEROOM:
        found |= {'plain': False, 'value': None, 'text': text[:VALUEROOM],
                  'why': f'The output has {len(text):,} characters as JSON; this is its beginning.'}
    return found


def log(desk: Desk, given: Given) -> Told:
    """What the last run of a job has logged by now."""
    return looks.log(desk.app, given['id'], asks=desk.acts)


def errors(desk: Desk, given: Given) -> Told:
    """Kinds of failure, the most frequent first."""
    limit, _ = pageOf(given)
    which = grammar.parse(given.get('filter', ''), clocks.now())
    with desk.app.reading() as processor:
        found = failuresOf(processor.store, which, sought=FAILEDSOUGHT)
        return {'kinds': [shortened(failureFacts(kind)) for kind in found.kinds[:limit]],
                'more': max(0, len(found.kinds) - limit), 'looked': found.looked,
                'total': found.total, 'whole': found.whole, 'snapshot': tidOf(processor)}


def queues(desk: Desk, given: Given) -> Told:
    """A page of the queues."""
    limit, cursor = pageOf(given)
    return looks.queues(desk.app, limit, cursor or '')


def audit(desk: Desk, given: Given) -> Told:
    """A page of what people have done."""
    return looks.audit(desk.app, *pageOf(given))


def schedules(desk: Desk, given: Given) -> Told:
    """A page of the schedules."""
    limit, cursor = pageOf(given)
    return looks.schedules(desk.app, limit, cursor or '')


def schedule(desk: Desk, given: Given) -> Told:
    """One schedule, with its next runs and its last ones."""
    return looks.schedule(desk.app, given['name'])


def workers(desk: Desk, given: Given) -> Told:
    """A page of the workers, by name; of the jobs that each has in hand those that run, and some of
    the others."""
    limit, cursor = pageOf(given)
    found = looks.workers(desk.app)
    known = {each['name']: each for each in found['workers']}
    names, last = looks.paged((name for name in sorted(known) if name > (cursor or '')), limit)
    return {**found, 'number': len(known), 'next': last, 'workers': [
        {**known[name], 'inHand': len(known[name]['jobs']), 'jobs': known[name]['jobs'][:IDSSHOWN]}
        for name in names]}


def history(desk: Desk, given: Given) -> Told:
    """What came of jobs; of points those at which something did."""
    span, queue, name = given.get('span', 'hour'), given.get('queue'), given.get('job')
    if span not in REACHES:
        raise InputError(f'span must be one of {", ".join(REACHES)}.')
    with desk.app.reading() as processor:
        past = historyOf(processor.store, span, clocks.now())
        return {
            'span': span, 'secondsOfPoint': past.width, 'sum': pointFacts(past.sum(queue, name)),
            'points': [{'start': iso(point.start), 'came': point.came, 'failed': point.failed,
                        'completed': point.completed, 'cancelled': point.cancelled,
                        'retried': point.retried,
                        'waitP95': point.waits and round(point.waits.p95, 3),
                        'runP95': point.runs and round(point.runs.p95, 3),
                        'queued': point.depth and round(point.depth.queued, 1)}
                       for point in past.points(queue, name)
                       if point.came or point.completed or point.failed or point.retried],
            'queues': past.queues()[:PAGEFEW], 'jobs': past.names()[:PAGEFEW],
            'snapshot': tidOf(processor)}


def functions(desk: Desk, given: Given) -> Told:
    """The jobs that the application defines, by name."""
    limit, cursor = pageOf(given)
    known = desk.app.jobs
    names, last = looks.paged((name for name in sorted(known) if name > (cursor or '')), limit)
    return {'jobs': [described(name, known[name].function, known[name].prototype.queue,
                               desk.acts and name in desk.jobs) for name in names], 'next': last}


def described(name: str, function: Any, queue: str, mayRun: bool) -> Told:
    """A job that may be enqueued: how it is called, and what it is for."""
    signature, words = guarded(inspect.signature, function), guarded(inspect.getdoc, function)
    return {'name': name, 'queue': queue, 'mayBeEnqueued': mayRun,
            'parameters': '' if isinstance(signature, Raised) else str(guarded(str, signature)),
            'words': '' if isinstance(words, Raised) or not isinstance(words, str) else words}
