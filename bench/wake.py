# SPDX-License-Identifier: ZPL-2.1
"""How long after its commit a job starts, how late a delayed one starts, and what a worker costs
that has nothing to do.

The worker looks by itself so rarely that only the signal, or the delay, explains when a job starts.
The clock starts when the commit is done and the signal is still to be sent.
"""
from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from bench.hands import spawn
from bench.place import Place
from bench.plan import Plan
from bench.table import Row, millis
from p01.remote import App, JobFunction
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions

WAIT = 5.0              # seconds between two looks of the worker
PATIENCE = 60.0         # seconds for anything that must happen
WARM = 5                # samples that do not count: the first ones connect, import and reserve
# seconds between two samples, at random, so that they do not fall into step with anything
PAUSE = 0.005, 0.055
# seconds of the shortest delay, between two, and how many in one transaction
DELAY, STEP, BUNDLE = 0.5, 0.05, 10
CPU = 0.002             # of one processor
LIMITS = {'memory': (0.002, 0.020), 'sqlite': (0.010, 0.050), 'postgresql': (0.015, 0.080),
          'zeo': (0.015, 0.080)}


class Said(NamedTuple):
    """What a worker says."""

    what: str           # 'start' of a job, or 'idle'
    instant: float      # seconds of time.monotonic, which all processes of a host share
    wall: float         # seconds of time.time
    busy: float         # seconds of the processor that its process has used


class Watched(Loop):
    """A loop that says when it has found nothing to do."""

    def poll(self, now: float) -> float:
        """See Loop."""
        wait = super().poll(now)
        if self.idle and wait:
            say('idle')
        return wait


voice: Connection | None = None     # of the worker of this process


def say(what: str) -> None:
    """Tell it to who measures."""
    assert voice is not None
    voice.send(Said(what, time.monotonic(), time.time(), time.process_time()))


def note() -> None:
    """A job that says when it starts."""
    say('start')


# -- the measurements

def measure(plan: Plan) -> Iterator[Row]:
    """In one process, then between two of them for each kind of storage."""
    for kind, limits in LIMITS.items():
        where = 'in one process' if kind == 'memory' else f'{kind}:'
        lack = plan.lack(kind)
        if lack:
            yield Row(f'commit to start, {where}', '', lack)
            continue
        with plan.place(kind) as place:
            job = place.app.job(note)
            with place.app.transaction():
                place.app.processor.addJob(job.name, job)       # the worker's App does not know it
            with worker(place, kind == 'memory') as line:
                starts, lates = woken(plan, place, job, line), delayed(plan, place, job, line)
            yield from rows(f'commit to start, {where}', starts, limits, '≤ 1')
            # who waits for a look is late
            yield from rows(f'due to start, delayed, {where}', lates, (WAIT, WAIT), '< 0.1')
            if kind != 'memory':
                with worker(place, False, WorkerOptions().waitTime) as line:
                    share = idle(line, plan.few(30, 5))
                yield Row(f'processor time of an idle worker, {kind}:', f'{share:.2%}',
                          f'{CPU:.1%}', share / CPU, '≤ 1')


def rows(what: str, seconds: Sequence[float], limits: Sequence[float],
         target: str) -> Iterator[Row]:
    """The median and the 99th percentile."""
    ordered = sorted(seconds)
    for name, part, limit in zip(('median', '99th percentile'), (0.5, 0.99), limits):
        figure = ordered[min(int(len(ordered) * part), len(ordered) - 1)]
        yield Row(f'{what}, {name}', millis(figure), millis(limit), figure / limit, target)


def woken(plan: Plan, place: Place, job: JobFunction, line: Connection) -> list[float]:
    """The seconds from the commit of a job to its start, of many that are enqueued while the worker
    waits."""
    seconds = []
    for _ in range(WARM + plan.few(200, 50)):
        rest(line)
        commit: list[float] = []
        with place.app.transaction():
            place.app.connection().transaction_manager.get().addAfterCommitHook(
                # before the hook that signals
                lambda success, commit=commit: commit.append(time.monotonic()))
            job.enqueue()
        seconds.append(until(line, 'start').instant - commit[0])
        until(line, 'idle')
    return seconds[WARM:]


def delayed(plan: Plan, place: Place, job: JobFunction, line: Connection) -> list[float]:
    """How many seconds after their delay jobs start."""
    seconds = []
    for _ in range(plan.few(200, 50) // BUNDLE):
        rest(line)
        seconds += bundle(place, job, line)
        until(line, 'idle')
    return seconds


def bundle(place: Place, job: JobFunction, line: Connection) -> list[float]:
    """Some jobs that are due one after the other; in one transaction, so that no signal wakes the
    worker in between."""
    due = []
    with place.app.transaction():
        for number in range(BUNDLE):
            delay = DELAY + number * STEP
            due.append(time.time() + delay)
            job.using(delay=delay).enqueue()
    return [until(line, 'start').wall - instant for instant in due]


def idle(line: Connection, seconds: float) -> float:
    """The part of one processor that a worker takes for doing nothing."""
    for _ in range(3):          # its first looks are not for nothing
        first = last = until(line, 'idle')
    while last.instant - first.instant < seconds:
        last = until(line, 'idle')
    return (last.busy - first.busy) / (last.instant - first.instant)


# -- the worker

def rest(line: Connection) -> None:
    """Let the worker rest for a moment, and forget what it has said."""
    time.sleep(random.uniform(*PAUSE))
    while line.poll():
        line.recv()


def until(line: Connection, what: str) -> Said:
    """Wait until the worker says this. Raises EOFError when it has died, TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while line.poll(max(deadline - time.monotonic(), 0)):
        said: Said = line.recv()
        if said.what == what:
            return said
    raise TimeoutError(f'The worker has not said {what!r} for {PATIENCE:g} seconds.')


@contextmanager
def worker(place: Place, within: bool, wait: float = WAIT) -> Iterator[Connection]:
    """A worker that waits for jobs, in a thread of this process or in one of its own."""
    ours, theirs = spawn.Pipe()
    if within:
        runs: Any = threading.Thread(target=labour, args=(place.app, theirs, wait), daemon=True)
    else:
        runs = spawn.Process(target=serve, args=(place.address, theirs, wait), daemon=True)
    runs.start()
    if not within:
        theirs.close()
    until(ours, 'idle')
    try:
        yield ours
    finally:
        with contextlib.suppress(OSError):      # it has died
            ours.send('end')
        runs.join()


def serve(address: str, line: Connection, wait: float) -> None:
    """One worker process."""
    app = App(address)
    try:
        labour(app, line, wait)
    finally:
        app.close()


def labour(app: App, line: Connection, wait: float) -> None:
    """Work until told to end."""
    global voice
    voice = line
    loop = Watched(app.db, app.locate, 'bench', WorkerOptions(waitTime=wait))

    def heed() -> None:
        with contextlib.suppress(EOFError):
            line.recv()
        loop.stop()

    loop.ready()
    threading.Thread(target=heed, daemon=True).start()
    try:
        loop.work()
    finally:
        loop.close()
