# SPDX-License-Identifier: ZPL-2.1
"""Worker processes that tell how far they were when, and how much memory they had. Their start is
never counted."""
from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from p01.remote import verbs
from p01.remote.engine.loop import Loop
from p01.remote.engine.process import load
from p01.remote.options import WorkerOptions
from p01.remote.store.records import CANCELLED, ERROR, FINISHED
from p01.remote.views import figures

spawn = multiprocessing.get_context('spawn')


class Sample(NamedTuple):
    """How far a worker was."""

    done: int           # jobs
    instant: float      # seconds of time.monotonic, which all processes of a host share
    busy: float         # seconds of the processor that its process has used
    memory: int         # bytes in RAM
    peak: int           # bytes, the most so far


def sample(loop: Loop) -> Sample:
    """How far this worker is."""
    status = Path('/proc/self/status').read_text()
    kilobytes = {line.partition(':')[0]: int(line.split()[1]) for line in status.splitlines()
                 if line.startswith('Vm')}
    return Sample(loop.done, time.monotonic(), time.process_time(), kilobytes['VmRSS'] << 10,
                  kilobytes['VmHWM'] << 10)


def looped(place: Any, **options: Any) -> Loop:
    """A worker's loop in this process."""
    loop = Loop(place.app.db, place.app.locate, 'bench', WorkerOptions(drain=True, **options))
    loop.ready()
    return loop


@contextmanager
def collecting() -> Iterator[None]:
    """Have the garbage collector of this process work as in a worker process, see
    supervisor.load."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def drain(loop: Loop, every: int = 0) -> list[Sample]:
    """Work until nothing is due. The samples are of the start, the first jobs' end, every so many
    jobs, and the end."""
    samples = [sample(loop)]
    while True:
        wait = loop.poll(time.time())
        over = bool(wait) and loop.idle
        if over or loop.done - (samples[-1].done if len(samples) > 1 else 0) >= every \
                or len(samples) == 1:
            samples.append(sample(loop))
        if over:
            check(loop)
            return samples


def check(loop: Loop) -> None:
    """Raises RuntimeError when a job failed: a figure of jobs that fail says nothing."""
    counts = figures.exact(loop.runner.fresh().store)
    loop.runner.end()
    if any(queue.get(status) for queue in counts.values() for status in (ERROR, CANCELLED)):
        raise RuntimeError(f'Not all jobs completed: {counts}.')


def intake(loop: Loop, every: int = 0) -> list[Sample]:
    """Take all jobs into line, as a worker does it, and run none."""
    def work(store: Any, seat: Any, now: float) -> bool:
        for shard in store.shards:
            verbs.takeIn(store, shard, seat, now)
        return bool(figures.behind(store))

    before = sample(loop)
    while loop.booking.write(work):
        pass
    return [before, sample(loop)]


def attend(loop: Loop, seconds: int) -> list[Sample]:
    """Work for so many seconds, whatever there is to do."""
    loop.options = WorkerOptions()
    before = sample(loop)
    timer = threading.Timer(seconds, loop.stop)
    timer.start()
    loop.work()
    return [before, sample(loop)]


def sweep(loop: Loop, every: int = 0) -> list[Sample]:
    """Work until no finished job is left; the processor's retention must let them go."""
    samples = [sample(loop)]
    while True:
        loop.poll(time.time())
        # look after what is left at once, not every few seconds
        loop.booking.janitor.looked = -1e9
        counts = figures.exact(loop.runner.fresh().store)
        loop.runner.end()
        if not any(queue.get(status) for queue in counts.values() for status in FINISHED):
            return [*samples, sample(loop)]


def serve(address: str, what: Callable[[Loop, int], list[Sample]], every: int,
          line: Connection) -> None:
    """One worker process."""
    app = load(address)
    loop = Loop(app.db, app.locate, 'bench', WorkerOptions(drain=True))
    try:
        loop.ready()
        # takes its seat, so that all know how many they are
        loop.booking.write(lambda store, seat, now: None)
        line.send('ready')
        line.recv()
        line.send(what(loop, every))
    finally:
        loop.close()
        app.close()


def work(address: str, processes: int = 1, what: Callable[[Loop, int], list[Sample]] = drain,
         every: int = 0) -> list[list[Sample]]:
    """Have so many processes do that; they begin together. Returns the samples of each."""
    return together(serve, (address, what, every), processes)


def together(serve: Callable[..., None], args: tuple[Any, ...], processes: int) -> list[Any]:
    """What so many processes of serve(*args, line) send; they begin when all have said that they
    are ready."""
    lines, started = [], []
    for _ in range(processes):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve, args=(*args, theirs), daemon=True)
        process.start()
        theirs.close()
        lines.append(ours)
        started.append(process)
    for line in lines:
        line.recv()             # EOFError when its process has died
    for line in lines:
        line.send('go')
    told = [line.recv() for line in lines]
    for process in started:
        process.join()
    return told


def rate(told: list[list[Sample]]) -> float:
    """Jobs per second from the common start to the last commit."""
    done = sum(samples[-1].done for samples in told)
    return done / (max(samples[-1].instant
                       for samples in told) - min(samples[0].instant for samples in told))


def pace(told: list[list[Sample]]) -> float:
    """Jobs per second from the end of the first jobs to the last commit: as of a worker that has
    been running for long."""
    first = min((samples[1] for samples in told), key=lambda each: each.instant)
    done = sum(samples[-1].done for samples in told) - first.done
    return done / (max(samples[-1].instant for samples in told) - first.instant)
