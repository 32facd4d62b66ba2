# SPDX-License-Identifier: ZPL-2.1
"""What a monitoring system wants to know, as plain values: how all stands now, and sums since ever.

All of it is the database's, so that any process tells the same; see exposition. Labels are
bounded: queues, names of jobs, statuses, never keys or ids; '' is what is beyond the bounds.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from p01.remote.processor import RemoteProcessor
from p01.remote.store.dues import NEVER
from p01.remote.store.history import BOUNDS, Code, Figures, Kind, Slot
from p01.remote.verbs.recording import CODES
from p01.remote.views import figures
from p01.remote.views.filters import STATI
from p01.remote.views.history import ELSE, everOf
from p01.remote.views.queues import Queues, queuesOf, unserved
from p01.remote.views.workers import Worker, workersOf

GAUGE, COUNTER, HISTOGRAM = 'gauge', 'counter', 'histogram'
QUEUES = 100            # the busiest of so many queues are told apart
STATES = 'alive', 'quiet', 'stopping', 'dead'       # of workers
# the bounds that are told: 1 ms to 18 hours, each four times the one before
TOLD = tuple(range(BOUNDS.index(2.0 ** -10), BOUNDS.index(2.0 ** 16) + 1, 4))

Labels = Mapping[str, str]


class Number(NamedTuple):
    """A number of what the labels say."""

    labels: Labels
    value: float


class Spread(NamedTuple):
    """How long something took, and how often: up to each bound in seconds so many, of all; and the
    sum in seconds."""

    labels: Labels
    buckets: tuple[tuple[float, int], ...]      # the last bound is inf
    sum: float


class Metric(NamedTuple):
    """One metric, of a kind: gauge, counter or histogram."""

    name: str                   # of a counter without the _total that is told behind it
    kind: str
    help: str
    labels: tuple[str, ...]     # their names
    numbers: list[Number]       # none of a histogram
    spreads: list[Spread] = []  # of a histogram


def metricsOf(processor: RemoteProcessor, now: float) -> list[Metric]:
    """All metrics, at now in POSIX seconds, in the snapshot of the processor."""
    return [*standing(processor, now), *sums(everOf(processor.store))]


# -- now

def standing(processor: RemoteProcessor, now: float) -> Iterator[Metric]:
    """How all stands."""
    store = processor.store
    queues, workers = queuesOf(store, now), workersOf(store, now)
    oldest = figures.oldest(store)
    yield Metric('p01_jobs', GAUGE, 'Jobs in the database.', ('queue', 'status'), jobs(queues))
    yield Metric('p01_oldest_waiting_seconds', GAUGE,
                 'How long the oldest job waits that could start; 0 when none does.', (),
                 [Number({}, 0.0 if oldest is None else max(0.0, now - oldest))])
    yield Metric('p01_unserved_jobs', GAUGE,
                 'Jobs that wait in queues which no worker serves, though some work.', ('queue',),
                 named(unserved(queues, workers)))
    yield Metric('p01_queue_paused', GAUGE, '1 for each queue that is paused.', ('queue',),
                 [Number({'queue': queue}, 1) for queue in islice(
                     (queue.name for queue in queues.all.values() if queue.paused), QUEUES)])
    yield Metric('p01_workers', GAUGE, 'Worker threads.', ('state',), working(workers))
    yield Metric('p01_schedules', GAUGE, 'Schedules.', (), [Number({}, len(processor.scheduler))])
    yield Metric('p01_schedule_late_seconds', GAUGE,
                 'For how long a schedule is due that has not fired; 0 when none is.', (),
                 [Number({}, late(processor, now))])
    yield Metric('p01_database_bytes', GAUGE, 'Size of the database.', (),
                 [Number({}, processor._p_jar.db().getSize())])


def jobs(queues: Queues) -> list[Number]:
    """How many jobs of each queue have which status."""
    busy = sorted(queues.all.values(), key=lambda queue: sum(queue.counts.values()), reverse=True)
    found = [Number({'queue': queue.name, 'status': status}, queue.counts[status])
             for queue in busy[:QUEUES] for status in STATI]
    rest = busy[QUEUES:]
    return [*found, *(Number({'queue': ELSE, 'status': status},
                             sum(queue.counts[status] for queue in rest))
                      for status in STATI if rest)]


def named(numbers: Mapping[str, int]) -> list[Number]:
    """Numbers of queues."""
    found = Counter(numbers).most_common()
    rest = sum(number for _, number in found[QUEUES:])
    return [Number({'queue': queue}, number)
            for queue, number in [*found[:QUEUES], *([(ELSE, rest)] if rest else [])]]


def working(workers: Iterable[Worker]) -> list[Number]:
    """How many workers are in which state."""
    found = Counter(worker.state for worker in workers)
    return [Number({'state': state}, found[state]) for state in STATES]


def late(processor: RemoteProcessor, now: float) -> float:
    """For how many seconds the schedule is due that has waited longest."""
    dues = [when for part in processor.scheduler.parts
            for when, _ in part.ready(now, 1) if when != NEVER]
    return max(0.0, now - min(dues, default=now))


# -- since ever

def sums(ever: Slot) -> Iterator[Metric]:
    """Sums since ever, by queue and name."""
    pair = 'queue', 'job'
    kinds = dict(sorted(ever.items()))

    def numbers(code: int) -> list[Number]:
        return [Number(labelled(kind), figures.get(code, 0)) for kind, figures in kinds.items()]

    yield Metric('p01_jobs_added', COUNTER, 'Jobs that workers took in.', pair, numbers(Code.CAME))
    yield Metric('p01_jobs_ended', COUNTER,
                 'Jobs that ended by what workers made of them, not those that people cancelled '
                 'while they waited.', (*pair, 'outcome'),
                 [Number({**labelled(kind), 'outcome': outcome}, figures.get(code, 0))
                  for kind, figures in kinds.items() for outcome, code in CODES.items()])
    yield Metric('p01_job_retries', COUNTER, 'Attempts that failed and were followed by others.',
                 pair, numbers(Code.RETRIED))
    yield Metric('p01_conflicts', COUNTER,
                 'Runs that met others on the same objects, and were repeated at once.', pair,
                 numbers(Code.CONFLICTED))
    for name, words, first, whole in (
            ('wait', 'How long jobs waited from when they could start.', Code.WAITS,
             Code.WAITTIME),
            ('run', 'How long attempts took that ended.', Code.RUNS, Code.RUNTIME)):
        yield Metric(f'p01_job_{name}_seconds', HISTOGRAM, words, pair, [],
                     [spread(kind, figures, first, whole) for kind, figures in kinds.items()])


def labelled(kind: Kind) -> Labels:
    """The labels of a kind."""
    return {'queue': kind[0], 'job': kind[1]}


def spread(kind: Kind, figures: Figures, first: int, whole: int) -> Spread:
    """The times of a kind whose buckets begin with a code, and whose sum has the other."""
    found: list[tuple[float, int]] = []
    count, below = 0, 0
    for place in TOLD:
        count += sum(figures.get(first + each, 0) for each in range(below, place + 1))
        below = place + 1
        found.append((BOUNDS[place], count))
    count += sum(figures.get(first + each, 0) for each in range(below, len(BOUNDS) + 1))
    return Spread(labelled(kind), (*found, (float('inf'), count)),
                  figures.get(whole, 0) / 1_000_000)
