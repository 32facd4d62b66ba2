# SPDX-License-Identifier: ZPL-2.1
"""p01-remote demo: real files, several workers, one of them killed, and a check that nothing was
lost or done twice."""
from __future__ import annotations

import os
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from BTrees.OOBTree import OOBTree

from p01.remote import storage
from p01.remote.app import App
from p01.remote.cli.argument import Whole
from p01.remote.cli.dash import LOOPBACK, checkExtra, serve
from p01.remote.cli.terminal import jsonOption
from p01.remote.demo import tasks
from p01.remote.demo.report import Performance, Strike, report
from p01.remote.demo.stage import Hand, Numbers, Stage
from p01.remote.exceptions import InputError, RemoteError
from p01.remote.ground import blackbox, folders
from p01.remote.ground.words import count
from p01.remote.options import WorkerOptions
from p01.remote.store.records import CANCELLED, COMPLETED, DELAYED, ERROR, PROCESSING, QUEUED
from p01.remote.views import figures
from p01.remote.views.workers import Worker, workersOf

if TYPE_CHECKING:
    from p01.remote.engine.supervisor import Supervisor

ANALYSE = 'analyse'
LOGNAME = 'demo.log'    # beside the database: what the workers write to stderr
COMMITTEDATONCE = 100         # files whose entries and jobs are committed together
LOOKATJOBS = 0.1          # seconds between two looks at the jobs
GLANCE = 0.002      # seconds between two looks at a worker that is to be killed
STALLED = 120.0     # seconds without any progress after which the demo gives up


@click.command()
@click.argument('folder', required=False, type=click.Path(path_type=Path))
@click.option('--keep', metavar='DIR', type=click.Path(path_type=Path),
              help='Keep the database, in this new folder.')
@click.option('--workers', type=Whole(1, 64), default=4, show_default=True, metavar='N',
              help='Worker processes.')
@click.option('--no-kill', 'spare', is_flag=True, help='Kill no worker.')
@click.option('--stay', is_flag=True,
              help='Show it in the dashboard at the end, until Ctrl-C.')
@jsonOption
def demo(folder: Path | None, keep: Path | None, workers: int, spare: bool, stay: bool,
         asJson: bool) -> int:
    """See real jobs processed on real files, a worker killed on the way, and the result checked.

    Each source file of FOLDER (default: Python's own standard library) becomes a job that examines
    it and writes what it found into an index, in the job's own transaction. At the end the index is
    compared with a straight computation: exit status 1 unless every job was applied exactly once.
    """
    if stay and asJson:
        raise click.UsageError('Give --stay or --json, not both: JSON is for scripts, and the '
                               'dashboard for somebody who looks.')
    if stay:
        checkExtra()
    folder = resolved(folder or Path(sysconfig.get_path('stdlib')))
    if not folder.is_dir():
        raise InputError(f'{folder} is no folder; name one that holds source files.')
    paths, unread = tasks.sources(folder)
    if not paths:
        raise InputError(f'{folder} holds no source files (*.py, *.c, *.js and the like); name '
                         'another folder.')
    with stage(keep) as place:
        app = App(f'sqlite:{place}')
        try:
            status = report(perform(app, folder, paths, workers, spare, asJson), unread, keep,
                            asJson)
            if stay:
                serve(f'sqlite:{place}', LOOPBACK[1], 0, False, False)
            return status
        finally:
            app.close()


def resolved(path: Path) -> Path:
    """A path as it is from the root. Raises InputError."""
    try:
        return path.expanduser().resolve()
    except RuntimeError:
        raise InputError(f'{path} begins with the home of a user whom this host does not know; '
                         'write the path from the root.') from None


@contextmanager
def stage(keep: Path | None) -> Iterator[Path]:
    """The folder of the database: a new one that stays, or a temporary one."""
    if keep is not None:
        keep = resolved(keep)
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise InputError(f'{keep} exists and is not empty; name a new folder, or look at what '
                             f'is there with `p01-remote status sqlite:{keep}`.')
        yield keep
        return
    # TERM as Ctrl-C, so that no temporary folder stays behind
    old = signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = Path(tempfile.mkdtemp(prefix='p01-remote-'))
    try:
        yield place
    finally:
        signal.signal(signal.SIGTERM, old)
        shutil.rmtree(place, ignore_errors=True)


def perform(app: App, folder: Path, paths: list[str], workers: int, spare: bool,
            quiet: bool) -> Performance:
    """Enqueue the jobs, let the workers run them, kill one of them; returns what happened."""
    from p01.remote.engine.supervisor import Supervisor
    began = time.time()
    title = (f'p01-remote demo   {count(workers, "worker")}   {count(len(paths), "source file")} '
             f'of {folder}')
    log = Path(storage.folder(app.db) or '.') / LOGNAME
    with Stage(title, quiet) as scene, aside(log):
        enqueue(app, folder, paths, scene)
        supervisor = Supervisor(str(app.database), WorkerOptions(processes=workers, waitTime=0.1))
        started = time.monotonic()
        try:
            supervisor.start()
            scene.step('the workers start')
            strike = watch(app, supervisor, scene, len(paths), spare)
        finally:
            supervisor.stop()
            supervisor.join(10.0)
        return Performance(app, folder, paths, workers, began, scene.ended - started, strike,
                           spare, log)


@contextmanager
def aside(path: Path) -> Iterator[None]:
    """What is written to stderr, by the workers too, goes to a file: it would tear the display."""
    sys.stderr.flush()
    own = os.dup(2)
    with open(path, 'ab') as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(own, 2)
        os.close(own)
        if not path.stat().st_size:
            path.unlink()


def enqueue(app: App, folder: Path, paths: list[str], scene: Stage) -> None:
    """Make the index and the jobs: an entry and its job in one transaction."""
    with app.transaction() as root:
        app.processor.addJob(ANALYSE, tasks.analyse)
        root[tasks.FOLDER] = str(folder)
        root[tasks.INDEX] = OOBTree()
    made = 0
    for batch in tasks.batches(paths, COMMITTEDATONCE):
        with app.transaction() as root:
            for path in batch:
                root[tasks.INDEX][path] = tasks.Entry()
                app.processor.processJob(ANALYSE, (path,))
        made += len(batch)
        scene.show(Numbers(len(paths), waiting=made))
    scene.tell(f'{count(made, "job")} enqueued, each in one transaction with its entry in the '
               'index')


def watch(app: App, supervisor: Supervisor, scene: Stage, total: int, spare: bool) -> Strike | None:
    """Until all jobs have ended, show how they stand and keep the workers alive; kill one when a
    third is done.

    Raises RemoteError when nothing moves any more.
    """
    strike, moved, last, due = None, time.monotonic(), -1, 0.0
    while True:
        numbers, hands = stand(app, total, supervisor, int(strike is not None))
        if numbers.done + numbers.failed > 0 and last <= 0:
            scene.begin()
            scene.note = ''
        over = numbers.waiting + numbers.running == 0
        scene.show(numbers, [] if over else hands)
        if over:
            scene.finish()
            return strike
        now = time.monotonic()
        if numbers.done + numbers.failed != last:
            last, moved = numbers.done + numbers.failed, now
        if now - moved > STALLED:
            raise RemoteError(f'No job has ended for {STALLED:g} seconds; {numbers.waiting:,} '
                              f'wait, {numbers.running:,} run.')
        if strike is None and not spare and numbers.done * 3 >= total:
            strike = kill(app, supervisor)
            if strike is not None:
                scene.tell((f'▲ worker {strike.worker} killed on purpose (SIGKILL)', 'yellow'),
                           f' in the middle of job {strike.job}, {strike.path}')
                due = 0.0
        if now >= due:
            due = now + supervisor.poll(time.time())
        time.sleep(LOOKATJOBS if strike is not None or spare or numbers.done * 4 < total
                   else GLANCE)


def stand(app: App, total: int, supervisor: Supervisor,
          retried: int) -> tuple[Numbers, list[Hand]]:
    """How the jobs stand, and what each worker says of its own, at one instant."""
    with app.reading() as processor:
        counts = figures.exact(processor.store)
        crew = {worker.pid: worker for worker in workersOf(processor.store, time.time())
                if worker.alive}

    def having(*stati: str) -> int:
        return sum(queue.get(status, 0) for queue in counts.values() for status in stati)

    # a worker takes a few short jobs at once, and runs one after the other
    held = having(PROCESSING)
    running = min(held, supervisor.options.processes)
    return Numbers(total, having(QUEUED, DELAYED) + held - running, running, having(COMPLETED),
                   retried, having(ERROR, CANCELLED)), \
        [handOf(number, crew.get(pid)) for number, pid in enumerate(supervisor.pids(), 1)]


def handOf(number: int, worker: Worker | None) -> Hand:
    """What a worker does, as its job says."""
    said = next(iter(worker.progress.values()), None) if worker is not None else None
    if said is None:
        return Hand(number, 0.0, '')
    return Hand(number, said.done / (said.total or 1), said.text)


def kill(app: App, supervisor: Supervisor) -> Strike | None:
    """Kill a worker that is in the middle of a job, by what its black box says; None when none is
    just now."""
    boxes = folders.folderFor(storage.folder(app.db))
    for worker, pid in enumerate(supervisor.pids(), 1):
        for box in folders.listed(boxes, '.box', f'{pid}-'):
            if not blackbox.running(box):
                continue
            os.kill(pid, signal.SIGKILL)
            while pid in supervisor.pids():     # a moment, until the system has buried it
                time.sleep(GLANCE)
            jobs = blackbox.running(box)        # what it ran when it died
            if jobs:
                with app.reading() as processor:
                    given: Any = processor.getJob(jobs[0].jobid).input
                return Strike(worker, pid, jobs[0].jobid, given[0][0])
            return Strike(worker, pid, 0, 'between two jobs')
    return None
