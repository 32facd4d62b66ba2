# SPDX-License-Identifier: ZPL-2.1
"""All at a glance, of one snapshot and within bounds: what a first page shows."""
from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from p01.remote.app import App
from p01.remote.engine.fingerprint import fingerprintOf
from p01.remote.ground.words import ago, count, span, verb
from p01.remote.processor import RemoteProcessor
from p01.remote.store.keys import sinceOf
from p01.remote.store.records import ERROR, PROCESSING, QUEUED
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views import figures
from p01.remote.views.coming import Coming, comingOf
from p01.remote.views.errors import Failures, failuresOf
from p01.remote.views.filters import STATI
from p01.remote.views.history import Past, Point, historyOf
from p01.remote.views.queues import Queues, queuesOf, unserved
from p01.remote.views.verdict import HOUR, Evidence, Verdict, rateOf, verdictOf
from p01.remote.views.workers import Worker, outdated, workersOf

QUEUESSEEN = 200        # queues whose oldest job is looked for
RUNNINGSEEN = 8         # running jobs that are shown


class Note(NamedTuple):
    """Something that wants a look: bad, late or note; in few words, and what is behind it."""

    tone: str
    title: str
    text: str
    page: str               # where more of it is: queues, workers, schedules, errors


class Glance(NamedTuple):
    """All at a glance. Instants are POSIX seconds."""

    counts: dict[str, int]          # by status
    queues: Queues
    oldest: dict[str, float]        # since when the next job of a queue waits
    workers: list[Worker]
    unserved: dict[str, int]        # jobs that wait where no worker serves, by queue
    running: list[View]             # the longest first
    history: Past           # of the last hour, and its points
    points: list[Point]
    rate: float             # jobs that ended a minute, over the last ten
    failures: Failures
    coming: Coming
    verdict: Verdict
    notes: list[Note]


def glanceOf(app: App, processor: RemoteProcessor, target: str, now: float) -> Glance:
    """All at now, in the snapshot of the processor; target: how commands name the application."""
    store = processor.store
    queues, workers = queuesOf(store, now), workersOf(store, now)
    busy = [queue.name for queue in queues.all.values() if queue.counts[QUEUED]]
    oldest = oldestOf(store, busy[:QUEUESSEEN])
    alone = unserved(queues, workers)
    flowing = {name: since for name, since in oldest.items() if not queues.all[name].paused}
    late = min(flowing.items(), key=lambda item: item[1], default=None)
    counts = totals(queues)
    history = historyOf(store, 'hour', now, queues.counts)
    failures = failuresOf(store, total=counts[ERROR])
    points = history.points()
    rate = rateOf(points, now)
    coming = comingOf(processor, now)
    due = [each for each in coming.next if each.due is not None and each.due <= now]
    verdict = verdictOf(Evidence(queues, workers, rate, failures, late, alone, target, now,
                                 len(due) + len(coming.late), len(coming.late)))
    notes = [*failuresNotes(failures, now), *workersNotes(app, workers),
             *queuesNotes(queues, alone),
             *schedulesNotes(coming, now)]
    return Glance(counts, queues, oldest, workers, alone, runningOf(store, workers),
                  history,
                  points, rate, failures, coming, verdict, notes)


def totals(queues: Queues) -> dict[str, int]:
    """How many jobs have which status, in all queues."""
    return {status: sum(queue.counts[status] for queue in queues.all.values())
            for status in STATI}


def oldestOf(store: Store, queues: Iterable[str]) -> dict[str, float]:
    """Since when the next job of each of these queues waits that workers have taken in; of others
    the oldest, as far as they are in figures.OPENEDSEGMENTS segments."""
    wanted, found = set(queues), dict[str, float]()
    for _, lines in store.lanes():
        for queue in wanted:
            line = lines.queues.get(queue)
            key = None if line is None else next(iter(line.waiting.keys()), None)
            if key is not None:
                found[queue] = min(found.get(queue, figures.END), sinceOf(key))
    for _, record in store.untaken(islice(store.unnoticed(), figures.OPENEDSEGMENTS)):
        if record.queue in wanted and record.due is None:
            # those behind it are younger
            wanted.remove(record.queue)
            found[record.queue] = min(found.get(record.queue, figures.END), record.created)
            if not wanted:
                break
    return found


def runningOf(store: Store, workers: Iterable[Worker], most: int = RUNNINGSEEN) -> list[View]:
    """Jobs that run, those that were enqueued first first; of workers of other hosts what they
    have in hand."""
    jobids = sorted(jobid for worker in workers
                    for jobid in (worker.jobs if worker.running is None else worker.running))
    views = (store.view(jobid) for jobid in jobids)
    return list(islice((view for view in views if view.status == PROCESSING), most))


def failuresNotes(failures: Failures, now: float) -> Iterable[Note]:
    """Kinds of failure that are new."""
    new = [kind for kind in failures.kinds if min(kind.ends) >= now - HOUR] if failures.whole \
        else []
    for kind in new[:2]:
        yield Note('bad', f'New: {kind.title}',
                   f'{count(len(kind.jobids), "job")} of {kind.job}, the first '
                   f'{ago(min(kind.ends), now)}.', 'errors')


def workersNotes(app: App, workers: list[Worker]) -> Iterable[Note]:
    """What is odd about workers."""
    dead = [worker for worker in workers if not worker.alive]
    if dead:
        jobs = sum(len(worker.jobs) for worker in dead)
        yield Note('bad', f'{count(len(dead), "worker")} died',
                   f'with {count(jobs, "job")} in hand; others take them over.', 'workers')
    old = outdated(workers, fingerprintOf(app))
    if old:
        yield Note('note', f'{count(len(old), "worker")} {verb(len(old), "run")} other code',
                   'than there is here; restart them when it has changed.', 'workers')


def queuesNotes(queues: Queues, alone: dict[str, int]) -> Iterable[Note]:
    """What is odd about queues."""
    for name, jobs in islice(alone.items(), 3):
        yield Note('late', f'Nobody serves {name}',
                   f'{count(jobs, "job")} {verb(jobs, "wait")} there.', 'queues')
    held = [queue for queue in queues.all.values() if queue.paused and queue.counts[QUEUED]]
    for queue in held[:3]:
        yield Note('late', f'{queue.name} is paused',
                   f'{count(queue.counts[QUEUED], "job")} '
                   f'{verb(queue.counts[QUEUED], "wait")} there.', 'queues')


def schedulesNotes(coming: Coming, now: float) -> Iterable[Note]:
    """What is odd about schedules."""
    for name, reason in coming.failures[:3]:
        yield Note('bad', f'{name} enqueues nothing', f'{reason}.', 'schedules')
    for each in coming.late[:3]:
        yield Note('late', f'{each.name} is late',
                   f'It was due {span(now - (each.due or now))} ago.', 'schedules')
