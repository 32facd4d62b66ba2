# SPDX-License-Identifier: ZPL-2.1
"""What a worker of the command needs while it has nothing to do, and how soon others have the job
of one that was killed.

Memory is that of the process that works and of all of the command, after some jobs; the processor's
time is counted by the kernel, in nanoseconds. Killed is everything of a worker at once, its
supervisor included, amidst a job of a second, beside another worker of the same host that waits.
"""
from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.place import Place
from bench.plan import Plan
from bench.table import Row, millis
from p01.remote.testing import waitFor
from p01.remote.views import figures

JOBS = 50_000
SETTLE, WATCH = 3.0, 20.0       # seconds until a worker is idle, and that it is watched
PATIENCE = 120.0                # seconds for anything that must happen
# MiB, MiB, % of a processor, seconds
MOST = {'worker': 50, 'all': 75, 'idle': 0.2, 'again': 0.5}
TASKS = '''
import os, time
from p01.remote import App
app = App({address!r})

@app.job
def noop():
    pass

@app.job
def nap(folder):
    with open(os.path.join(folder, 'begun'), 'a') as file:
        file.write(f'{{os.getpid()}} {{time.monotonic()}}\\n')
    time.sleep(1)
'''


def measure(plan: Plan) -> Iterator[Row]:
    """For each kind of storage that several processes can open."""
    for kind in ('sqlite', 'postgresql'):
        lack = plan.lack(kind)
        if lack:
            yield Row(f'a worker at rest, {kind}:', '', lack)
            continue
        with plan.place(kind) as place, stage(place) as folder:
            yield from rest(place, folder, kind, plan)
        yield again(plan, kind)


@contextmanager
def stage(place: Place) -> Iterator[Path]:
    """A folder with the module of an application."""
    folder = place.path / 'application'
    folder.mkdir()
    (folder / 'tasks.py').write_text(TASKS.format(address=place.address))
    yield folder


def call(folder: Path, code: str) -> None:
    """Do something in the application."""
    subprocess.run([sys.executable, '-c', f'from tasks import *\n{code}'], cwd=folder, check=True)


@contextmanager
def command(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`p01-remote worker`, killed in the end."""
    process = subprocess.Popen([sys.executable, '-m', 'p01.remote', 'worker', 'tasks:app'],
                               cwd=folder,
                               stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rest(place: Place, folder: Path, kind: str, plan: Plan) -> Iterator[Row]:
    """Memory, then the processor's time."""
    jobs = JOBS // 10 if plan.quick else JOBS
    call(folder,
         f'for _ in range(10):\n with app.transaction():\n  for _ in range({jobs // 10}):\n   '
         'noop.enqueue()')
    with command(folder) as process:
        waitFor(lambda: waiting(place) == 0, PATIENCE, 'the jobs do not end')
        time.sleep(SETTLE)
        sizes = [memory(pid, 'Rss') for pid in tree(process.pid)]
        shares = sum(memory(pid, 'Pss') for pid in tree(process.pid))
        before, began = busy(process.pid), time.monotonic()
        time.sleep(WATCH / 2 if plan.quick else WATCH)
        idle = (busy(process.pid) - before) / (time.monotonic() - began) * 100
    yield Row(f'memory of a worker after {jobs:,} jobs, {kind}:', f'{max(sizes):.1f} MiB',
              f'≤ {MOST["worker"]} MiB')
    yield Row('  with its supervisor', f'{sum(sizes):.1f} MiB',
              f'≤ {MOST["all"]} MiB; shared pages once {shares:.1f}')
    yield Row('  a processor while they are idle', f'{idle:.2f} %', f'≤ {MOST["idle"]} %')


def again(plan: Plan, kind: str) -> Row:
    """From a kill until the job begins once more."""
    seconds = []
    for _ in range(3 if plan.quick else 5):
        with plan.place(kind) as place, stage(place) as folder, command(folder) as one, command(
            folder) as other:
            begun = folder / 'begun'
            time.sleep(SETTLE)
            call(folder, f'with app.transaction():\n nap.enqueue({str(folder)!r})')
            waitFor(begun.exists, PATIENCE, 'the job does not begin')
            time.sleep(0.5)
            pid = int(lines(begun)[0][0])
            os.killpg(next(each.pid for each in (one, other) if pid in tree(each.pid)),
                      signal.SIGKILL)
            killed = time.monotonic()
            waitFor(lambda begun=begun: len(lines(begun)) > 1, PATIENCE,
                    'the job does not begin again')
            seconds.append(float(lines(begun)[1][1]) - killed)
    return Row(f'killed with its supervisor, until its job runs, {kind}:',
               millis(statistics.median(seconds)),
               f'≤ {MOST["again"]} s; longest {millis(max(seconds))} of {len(seconds)}')


def lines(path: Path) -> list[list[str]]:
    """The words of the lines of a file."""
    return [line.split() for line in path.read_text().splitlines()]


def waiting(place: Place) -> int:
    """How many jobs have not completed."""
    with place.app.reading() as processor:
        counts: dict[str, dict[str, int]] = figures.exact(processor.store)
    return sum(number for queue in counts.values() for status, number in queue.items()
               if status != 'completed')


# -- of processes

def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        for task in Path(f'/proc/{each}/task').glob('*/children'):
            todo += [int(text) for text in task.read_text().split()]
    return found


def memory(pid: int, kind: str) -> float:
    """MiB in RAM; of Pss each process has its share of what several use."""
    found = {line.partition(':')[0]: line.split()[1]
             for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:]}
    return int(found[kind]) / 1024


def busy(pid: int) -> float:
    """Seconds of the processor that a process and all below it have used."""
    return sum(int(path.read_text().split()[0]) for each in tree(pid)
               for path in Path(f'/proc/{each}/task').glob('*/schedstat')) / 1e9
