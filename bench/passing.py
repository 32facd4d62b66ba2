# SPDX-License-Identifier: ZPL-2.1
"""Whether processing costs the same, and takes the same memory, from the first of many jobs to the
last."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.hands import Sample
from bench.plan import Plan
from bench.table import Row, mebibytes, micros, perSecond

LIMIT = 150 << 20       # bytes
WARM = 20_000           # jobs after which a worker has whatever it keeps, at least
GROWTH = 1.05           # what memory may differ by from one moment to another without growing


def measure(plan: Plan) -> Iterator[Row]:
    """All jobs pass through one worker process."""
    backlog, tenth = plan.backlog, plan.jobs // 10
    samples = backlog.passage
    first = within(samples, samples[1].done, tenth)
    last = within(samples, samples[-1].done - tenth, samples[-1].done)
    yield Row(f'process, last {tenth:,} of {plan.jobs:,}', perSecond(speed(last)),
              f'first: {perSecond(speed(first))}',
              speed(last) / speed(first), '≥ 0.9')
    yield Row('the same by the time of the processor that one job takes', micros(cost(last)),
              f'first: {micros(cost(first))}',
              cost(first) / cost(last), '≥ 0.9')
    yield Row(f'process, all {plan.jobs:,}', perSecond(speed(samples)))
    warm = max(tenth, WARM)
    early = max(each.memory for each in samples if each.done <= warm)
    late = max(each.memory for each in samples if each.done > warm)
    peak = samples[-1].peak
    yield Row(f'memory of a worker, {plan.jobs:,} jobs, highest', mebibytes(peak),
              mebibytes(LIMIT), peak / LIMIT, '< 1')
    yield Row(f'memory of a worker, after the first {warm:,} jobs', mebibytes(late),
              f'until then: {mebibytes(early)}',
              late / early, f'≤ {GROWTH}')
    peak = backlog.intake[-1].peak
    yield Row(f'memory of the worker that met {plan.jobs:,} new jobs', mebibytes(peak),
              mebibytes(LIMIT), peak / LIMIT, '< 1')


def within(samples: Sequence[Sample], after: int, until: int) -> list[Sample]:
    """The samples between two numbers of jobs done."""
    return [each for each in samples if after <= each.done <= until]


def speed(samples: Sequence[Sample]) -> float:
    """Jobs per second."""
    return (samples[-1].done - samples[0].done) / (samples[-1].instant - samples[0].instant)


def cost(samples: Sequence[Sample]) -> float:
    """Seconds of the processor for each job, whatever else it does."""
    return (samples[-1].busy - samples[0].busy) / (samples[-1].done - samples[0].done)
