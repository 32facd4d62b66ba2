# SPDX-License-Identifier: ZPL-2.1
"""Measures, and prints a table: python bench/run.py [names…] [--jobs N] [--quick] [--folder DIR].

Nothing here passes or fails: figures depend on the machine and on what else it does. What is
compared is therefore measured in the same run, in turn. Databases are made in the folder for
temporary files; name another with --folder when that one is in memory, where a commit costs
nothing.
"""
from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# bench is a package, here and in the worker processes
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import (
    awaiting,
    commits,
    crowd,
    effects,
    enqueuing,
    faces,
    flow,
    free,
    history,
    light,
    looks,
    passing,
    postgresql,
    pruning,
    schedules,
    table,
    tenants,
    throughput,
    together,
    waiting,
    wake,
)
from bench.plan import MILLION, QUICK, Plan

# in this order: the last three share a backlog
MEASUREMENTS: dict[str, Callable[[Plan], Iterator[table.Row]]] = {
    'throughput': throughput.measure,
    'enqueuing': enqueuing.measure,
    'free': free.measure,
    'effects': effects.measure,
    'commits': commits.measure,
    'together': together.measure,
    'postgresql': postgresql.measure,
    'awaiting': awaiting.measure,
    'wake': wake.measure,
    'light': light.measure,
    'flow': flow.measure,
    'schedules': schedules.measure,
    'tenants': tenants.measure,
    'history': history.measure,
    'looks': looks.measure,
    'faces': faces.measure,
    'crowd': crowd.measure,
    'waiting': waiting.measure,
    'passing': passing.measure,
    'pruning': pruning.measure,
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description='Measure p01.remote.')
    parser.add_argument('names', nargs='*', metavar='NAME',
                        help=f'what to measure: {", ".join(MEASUREMENTS)}; default: all')
    parser.add_argument('--jobs', type=int,
                        help=f'how many jobs many jobs are (default {MILLION:,}, with --quick '
                             f'{QUICK:,})')
    parser.add_argument('--quick', action='store_true', help='smaller numbers, in a few minutes')
    parser.add_argument('--folder',
                        help='where to make the databases (default: where temporary files go)')
    given = parser.parse_args()
    unknown = ', '.join(sorted(set(given.names) - MEASUREMENTS.keys()))
    if unknown:
        parser.error(f'{unknown} cannot be measured; choose from {", ".join(MEASUREMENTS)}.')
    print(f'Python {platform.python_version()}, {os.cpu_count()} processors, load '
          f'{os.getloadavg()[0]:.1f}\n')
    print(table.head(), flush=True)
    began, plan = time.perf_counter(), Plan(given.jobs, given.quick, given.folder)
    try:
        for name, measure in MEASUREMENTS.items():
            if not given.names or name in given.names:
                for row in measure(plan):
                    print(table.text(row), flush=True)
    finally:
        plan.close()
    print(f'\nTook {time.perf_counter() - began:,.0f} s.')


if __name__ == '__main__':
    main()
