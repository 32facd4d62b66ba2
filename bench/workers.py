# SPDX-License-Identifier: ZPL-2.1
"""What workers of every kind do with jobs of every kind, and a picture of it: make bench-workers.

Each figure is of the command p01-remote worker --drain, from the start of the first job to the end
of the last, as the jobs' own records tell. The ideal is that of the jobs alone: as many at once as
the worker has places, and as there are processors for those that compute. Nothing here passes or
fails; see run.
"""
from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

# bench is a package, here and in the worker processes
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import crew, table
from p01.remote import App
from p01.remote.views import listing

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0))
LIMIT = 600.0       # seconds that a worker gets


class Crew(NamedTuple):
    """A worker, by the options of the command."""

    name: str
    options: tuple[str, ...]
    places: int                 # jobs at once
    kind: str = ''              # of the jobs: '', 'Async', 'Detached'


CREWS = (
    Crew('1 thread', ('--threads', '1'), 1),
    Crew('2 threads', ('--threads', '2'), 2),
    Crew('8 threads', ('--threads', '8'), 8),
    Crew('2 processes', ('--processes', '2'), 2),
    Crew('async, 1', ('--concurrency', '1'), 1, 'Async'),
    Crew('async, 100', ('--concurrency', '100'), 100, 'Async'),
    Crew('async, 1,000', ('--concurrency', '1000'), 1000, 'Async'),
    Crew('executor: 8 threads', ('--executor', 'threads', '--slots', '8'), 8, 'Detached'),
    Crew('executor: 2 processes', ('--executor', 'processes', '--slots', '2'), 2, 'Detached'),
    Crew('executor: 2 Dask workers', ('--dask', ''), 2, 'Detached'),
    Crew('executor: 2 Dask workers of 16 threads', ('--dask', '', '16'), 32, 'Detached'),
)
SEVERAL = 'processes', 'workers'        # how the names of crews end that have several processors
JOBS = {'nothing': 'no-op', 'sleep': 'sleeps 10 ms', 'compute': 'computes 10 ms',
        'payload': '1 MB payload', 'elsewhere': 'takes 250 ms elsewhere'}


class Figure(NamedTuple):
    """How many jobs a second a crew does of a kind; the ideal is None where the jobs alone take no
    time."""

    crew: str
    job: str
    rate: float
    ideal: float | None


def measure(rounds: int, share: float, only: str = '') -> Iterator[Figure]:
    """All of them, or those with this in their names; the median of so many rounds, each with that
    share of the jobs."""
    for crewOf in (each for each in CREWS if only in each.name):
        for job in JOBS:
            made = getattr(crew, job + crewOf.kind, None)
            if made is None:
                continue            # who computes on an event loop has no place there
            count = max(20, int(counted(crewOf, job) * share))
            with cluster(crewOf) as ready:
                rates = [once(ready, made, job, count) for _ in range(rounds)]
            yield Figure(crewOf.name, job, statistics.median(rates), ideal(crewOf, job))


def counted(who: Crew, job: str) -> int:
    """How many jobs: some seconds of them."""
    if job == 'nothing':
        return 40_000 if who.kind != 'Detached' else 4_000
    if job == 'payload':
        return 400
    if job == 'elsewhere':
        return 30 * who.places
    return int(3 / crew.NAP * min(who.places, 100 if job == 'sleep' else CORES))


def ideal(who: Crew, job: str) -> float | None:
    """Jobs a second, if there was nothing but the jobs."""
    if job in ('sleep', 'elsewhere'):
        return who.places / (crew.NAP if job == 'sleep' else crew.LONGNAP)
    if job == 'compute':
        processes = who.places if who.name.endswith(SEVERAL) else 1
        return min(CORES, processes) / crew.NAP
    return None


@contextmanager
def cluster(who: Crew) -> Iterator[Crew]:
    """A crew, with the Dask cluster that it is to have."""
    if '--dask' not in who.options:
        yield who
        return
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    address = f'tcp://127.0.0.1:{port}'
    environ = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    here = ['--host', '127.0.0.1', '--no-dashboard']
    threads = who.options[2] if len(who.options) > 2 else '1'
    work = ['worker', address, '--nthreads', threads, '--no-nanny']
    started = [subprocess.Popen([sys.executable, '-m', f'distributed.cli.dask_{kind}', *args,
                                 *here], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
               for kind, *args in (['scheduler', '--port', port], *[work] * 2)]
    try:
        time.sleep(3.0)         # their imports
        yield who._replace(options=('--dask', address))
    finally:
        for process in started:
            process.kill()
            process.wait()


def once(who: Crew, made: Any, job: str, count: int) -> float:
    """Jobs a second, in a fresh database."""
    with tempfile.TemporaryDirectory(prefix='p01.remote-bench-') as folder:
        address = f'sqlite:{folder}/jobs'
        crew.app.close()
        crew.app.database = address
        data = bytes(crew.PAYLOAD if job == 'payload' else 1)
        for first in range(0, count, 10_000 if len(data) == 1 else 20):
            step = min(count - first, 10_000 if len(data) == 1 else 20)
            made.map([data] * step)
        crew.app.close()
        subprocess.run([sys.executable, '-m', 'p01.remote', 'worker', 'bench.crew:app', '--drain',
                        *who.options], cwd=ROOT, env=os.environ | {'P01_BENCH': address},
                       check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
        return pace(crew.app, count)


def pace(app: App, count: int) -> float:
    """How many jobs a second were done, as they tell. Raises RuntimeError when not all were."""
    with app.reading() as processor:
        ended = [view.outcome for view in listing.find(processor.store)
                 if view.outcome is not None and view.status == 'completed']
    if len(ended) != count:
        raise RuntimeError(f'{count - len(ended)} of {count} jobs did not complete.')
    app.close()
    return count / (max(each.completed for each in ended)
                    - min(each.started or 0.0 for each in ended))


def row(figure: Figure) -> table.Row:
    """A figure as it is printed."""
    what = f'{figure.crew}: {JOBS[figure.job]}'
    if figure.ideal is None:
        return table.Row(what, table.perSecond(figure.rate))
    return table.Row(what, table.perSecond(figure.rate), f'ideal: {figure.ideal:,.0f}',
                     figure.rate / figure.ideal,
                     '≥ 0.8' if (figure.crew, figure.job) == ('async, 100', 'sleep') else '')


def draw(figures: list[Figure], path: Path) -> None:
    """A picture: for each kind of job the crews, by jobs a second, and what would be ideal."""
    import matplotlib
    matplotlib.use('svg')
    from matplotlib import pyplot

    matplotlib.rcParams['svg.hashsalt'] = 'p01.remote'
    picture, places = pyplot.subplots(3, 2, figsize=(10, 9.5), layout='constrained')
    for place, (job, words) in zip(places.flat, JOBS.items(), strict=False):
        found = [figure for figure in figures if figure.job == job][::-1]
        bars = place.barh([figure.crew for figure in found], [figure.rate for figure in found],
                          color='#3b6ea8', height=0.6)
        place.bar_label(bars, [f'{figure.rate:,.0f}' for figure in found], padding=4, fontsize=8)
        for at, figure in enumerate(found):
            if figure.ideal is not None:
                place.plot([figure.ideal] * 2, [at - 0.4, at + 0.4], color='#c05a1c', lw=1.5)
        place.set_title(f'{words}: jobs a second', loc='left', fontsize=10)
        place.set_xscale('log')
        place.margins(x=0.25)
        place.spines[['top', 'right']].set_visible(False)
        place.tick_params(labelsize=8)
    picture.savefig(path, metadata={'Date': None})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description='Measure workers of every kind.')
    parser.add_argument('--only', default='', metavar='TEXT',
                        help='only workers with this in their names')
    parser.add_argument('--quick', action='store_true', help='fewer jobs, once')
    parser.add_argument('--picture', type=Path, metavar='FILE',
                        help='draw the figures there, as SVG (needs matplotlib)')
    given = parser.parse_args()
    print(f'{CORES} processors, load {os.getloadavg()[0]:.1f}\n\n{table.head()}', flush=True)
    found = []
    for figure in measure(*(1, 0.2) if given.quick else (3, 1.0), given.only):
        found.append(figure)
        print(table.text(row(figure)), flush=True)
    if given.picture:
        draw(found, given.picture)


if __name__ == '__main__':
    main()
