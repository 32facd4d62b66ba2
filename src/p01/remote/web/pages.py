# SPDX-License-Identifier: ZPL-2.1
"""The pages about jobs: overview, jobs, one job, errors. Each gives a template and its values, of
one snapshot."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import redirect
from flask import url_for as addressOf
from markupsafe import Markup
from werkzeug.wrappers import Response

from p01.remote.exceptions import InputError
from p01.remote.ground.words import labelOf
from p01.remote.store.records import DELAYED, ERROR, FINISHED, PROCESSING, QUEUED
from p01.remote.views import grammar
from p01.remote.views.filters import Filter
from p01.remote.views.given import givenOf
from p01.remote.views.glance import glanceOf
from p01.remote.views.history import ELSE, Past, Point
from p01.remote.views.job import detailsOf
from p01.remote.views.queues import totalOf
from p01.remote.views.traces import parsed
from p01.remote.web import charts, edits, lists, lives
from p01.remote.web.snapshot import Snapshot
from p01.remote.wire.deeds import BULKNAME
from p01.remote.wire.functions import namesOf

Page = tuple[str, dict[str, Any]]
LIKEIT = 40         # minutes of others that failed likewise
PERQUEUE = 8        # queues of the overview


def overview(at: Snapshot) -> Page:
    """How all stands, in words first."""
    seen = glanceOf(at.app, at.processor, at.target, at.now)
    at.queues, at.workers = seen.queues, seen.workers
    late = sorted(seen.queues.all.values(),
                  key=lambda queue: (seen.oldest.get(queue.name, at.now),
                                     -queue.counts[PROCESSING], queue.name))
    span = at.given.get('span', '')
    span, past = (span, at.history(span)) if span in ('day', 'month') else ('hour', seen.history)
    queue, name = at.given.get('queue') or None, at.given.get('job') or None
    points = past.points(queue, name)
    ended, picture = charts.ended(points, span)
    waited, line = charts.waited(points, span)
    sparks = {**sparksOf(seen.points), 'errors': charts.bars(charts.halves(
                  [end for kind in seen.failures.kinds for end in kind.ends], at.now),
                  'error', 'Failures, each half hour of the last day', 'bars')}
    said = {jobid: progress for worker in seen.workers
            for jobid, progress in worker.progress.items()}
    return 'overview.html', {
        'seen': seen, 'late': late[:PERQUEUE], 'ended': ended, 'picture': picture,
        'span': span, 'of': {'queue': queue, 'job': name}, 'choices': choicesOf(past),
        'points': points, 'hour': seen.history.sum(),
        'waited': waited, 'line': line, 'sparks': sparks, 'said': said,
        'given': {view.id: givenOf(view.record.input, namesOf(at.app, view.record.name))
                  for view in seen.running},
        'terms': {queue.name: lists.termOf('queue', queue.name) for queue in late[:PERQUEUE]},
        'lately': sum(end >= at.now - 86400 for kind in seen.failures.kinds
                      for end in kind.ends),
        'lasts': {jobid: worker.lasts for worker in seen.workers
                  for jobid in worker.running or ()}}


def choicesOf(past: Past) -> dict[str, list[str]]:
    """The queues and jobs that charts may be of, the busiest first; none where there is one."""
    found = {'queue': past.queues(), 'job': past.names()}
    return {kind: [each for each in busy if each != ELSE][:lists.CHOICES] if len(busy) > 1 else []
            for kind, busy in found.items()}


def sparksOf(points: Sequence[Point]) -> dict[str, Markup]:
    """The small drawings of figures, over the last hour."""
    whole = points[:-1]         # the last minute has only begun
    depths = [point.depth for point in whole]
    return {
        'queued': charts.spark([depth and float(depth.queued) for depth in depths], 'queued',
                               'Waiting jobs, each minute of the last hour', 5),
        'running': charts.spark([depth and float(depth.running) for depth in depths], 'running',
                                'Running jobs, each minute of the last hour', 5),
        'ended': charts.spark([float(point.completed + point.failed + point.cancelled)
                               for point in whole], 'completed',
                              'Jobs that ended, each minute of the last hour', 4),
        'waits': charts.spark([point.waits and point.waits.p95 for point in whole],
                              'delayed', 'Waits, each minute of the last hour', 5),
        'runs': charts.spark([point.runs and point.runs.p95 for point in whole], 'ink',
                             'Run times, each minute of the last hour', 0.1)}


def jobs(at: Snapshot) -> Page | Response:
    """The jobs of a filter, page by page; a number alone is the id of a job."""
    text = at.given.get('filter', '').strip()
    jobid = lists.wholeOf(text)
    if jobid is not None and lists.rowsOf(at, [jobid]):
        return redirect(addressOf('job', jobid=jobid))
    try:
        which, terms, wrong = grammar.parse(text, at.now), list(grammar.terms(text)), ''
    except InputError as error:
        which, terms, wrong = Filter(()), [], str(error)
    below = lists.wholeOf(at.given.get('below', ''))
    found = lists.pageOf(at, which, below)
    queues = at.queues
    return 'jobs.html', {
        'text': text, 'wrong': wrong, 'page': found, 'below': below,
        'rest': [(term.text, lists.joined(terms, without=term)) for term in terms],
        'tabs': [] if wrong else lists.tabsOf(terms, which, queues),
        'total': totalOf(which, queues), 'all': 'all' in at.given and bool(found.rows),
        'kept': sum(at.counts.values()), 'can': lists.verbsOf(which),
        'queues': sorted(queues.all)[:lists.CHOICES], 'most': lists.LOOKEDAT,
        'queued': [(name, lists.joined(terms, 'queue', name)) for name in
                   sorted(queues.all)[:lists.CHOICES]],
        'did': lists.didOf(at.given)}


def job(at: Snapshot, jobid: int) -> Page:
    """All about one job. Raises JobNotFound."""
    view = at.processor.store.view(jobid)
    found = detailsOf(at.processor, view, at.now)
    row = found.row
    given = givenOf(view.record.input, namesOf(at.app, row.name))
    traces = [(attempt, parsed(attempt.trace)) for attempt in found.attempts[::-1]]
    return 'job.html', {
        'found': found, 'row': row, 'given': given, 'traces': traces,
        'life': lives.lifeOf(view, at.now), 'checks': lives.checksOf(found, at.now),
        'lineup': lives.lineupOf(found),
        'idle': next((reason.kind for reason in found.waits
                      if reason.kind in ('idle', 'unserved')), ''),
        'queueTerm': lists.termOf('queue', row.queue),
        'like': likeOf(at, jobid) if row.status == ERROR
        else None,
        'waits': row.status in (QUEUED, DELAYED), 'running': row.status == PROCESSING,
        'over': row.status in FINISHED,
        'editor': None if row.status == PROCESSING or row.name == BULKNAME
        else edits.editorOf(at, view),
        'did': lists.didOf(at.given),
        'lines': lives.linesOf(at, row.name, jobid, row.status, given),
        'worker': labelOf(row.worker), 'output': givenOf(view.outcome.output).briefly
        if view.outcome is not None else ''}


def likeOf(at: Snapshot, jobid: int) -> dict[str, Any] | None:
    """What else failed like a job; None where nothing of it is among those that are looked at."""
    for kind in at.failures.kinds:
        if jobid in kind.jobids:
            begin = at.now - LIKEIT * 60.0
            picture = charts.bars(charts.spread(kind.ends, begin, at.now + 1, LIKEIT), 'error',
                                  f'{len(kind.jobids)} failures of this kind', 'tall')
            return {'kind': kind, 'picture': picture, 'minutes': LIKEIT}
    return None


def errors(at: Snapshot) -> Page:
    """What failed, by kind."""
    found, points = at.failures, at.history('hour').points()
    return 'errors.html', {
        'found': found, 'did': lists.didOf(at.given),
        'picture': charts.columns(
            [charts.Series('error', [point.failed for point in points])], points,
            'Jobs that failed, each minute of the last hour', 'Failures each minute.', 'failed',
            160),
        'hour': charts.sums(points, 'failed'),
        'sparks': {kind.key: charts.bars(charts.halves(kind.ends, at.now), 'error',
                                         f'{len(kind.jobids)} failures', 'wide')
                   for kind in found.kinds[:lists.PAGEROWS]},
        'most': lists.PAGEROWS}


def failure(at: Snapshot, key: str) -> Page:
    """One kind of failure, with its jobs."""
    found = at.failures
    kind = next((kind for kind in found.kinds if kind.key == key), None)
    rows = [] if kind is None else lists.rowsOf(at, kind.jobids[:lists.PAGEROWS])
    trace = None
    if rows:
        attempts = at.processor.store.view(rows[0].row.id).attempts
        trace = parsed(attempts[-1].trace) if attempts else None
    return 'failure.html', {'kind': kind, 'rows': rows, 'trace': trace, 'key': key,
                            'did': lists.didOf(at.given)}
