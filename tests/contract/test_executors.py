# SPDX-License-Identifier: ZPL-2.1
"""Detached jobs on executors, on every storage: what comes of them, errors and deaths, time limits,
what they say, requests to end, claims that follow free slots."""
import asyncio
import ctypes
import gc
import os
import re
import resource
import select
import signal
import struct
import sys
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from p01.remote import App, RunLater, current
from p01.remote.engine import asynchronous, stacks
from p01.remote.engine.attempt import Attempt
from p01.remote.engine.context import Running
from p01.remote.engine.executors.processes import Child, Processes
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import Cancelled, InputError, TimeLimit, WorkerDied
from p01.remote.ground import blackbox
from p01.remote.ground.boards import Words
from p01.remote.options import WorkerOptions
from p01.remote.testing import waitFor
from p01.remote.wire.stacks import ofJob
from p01.remote.worker import MultiWorker

application = App('memory:')
loops, left = [], []
ALL = pytest.mark.parametrize('executor', ['threads', 'processes'])


class Odd(Exception):
    """One that cannot be loaded again."""

    def __init__(self, one, two):
        super().__init__('odd')


@application.job(detached=True, retries=0, backoff=0)
def where(value=None):
    return os.getpid(), threading.current_thread().name, value


@application.job(detached=True, retries=1, backoff=0)
def fail(kind):
    match kind:
        case 'plain':
            raise ValueError('plain')
        case 'odd':
            raise Odd(1, 2)
        case 'output':
            return lambda: None
        case 'later' if current.job.runCounter == 1 and not current.job.attempts:
            raise RunLater(3600)
        case 'exit':
            raise SystemExit(3)


@application.job(detached=True, retries=2, backoff=0)
def die(folder, runs):
    """Takes its process down so many times."""
    marks = os.listdir(folder)
    open(os.path.join(folder, f'{len(marks)}'), 'w').close()
    if len(marks) < runs:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(marks)


@application.job(detached=True, retries=0, backoff=0, timeout=0.5)
def hang(mark):
    open(mark, 'w').close()
    time.sleep(60)


@application.job(detached=True, retries=0)
def wait(mark, go):
    """Until it may go; looks whether it is to end."""
    open(f'{mark}.{os.getpid()}', 'w').close()
    while not os.path.exists(go):
        current.check()
        time.sleep(0.01)


@application.job(detached=True, retries=1, backoff=0, capture=True)
def tells(folder, end='returns'):
    """Says what it does, waits until it may go on, and ends so."""
    print('printed')
    current.log.info('begins')
    current.progress(1, 2, 'half')
    open(os.path.join(folder, f'{current.attempt}.{os.getpid()}'), 'w').close()
    while not os.path.exists(os.path.join(folder, 'go')):
        time.sleep(0.01)
    if current.job.attempts:
        return
    current.log.info('goes on')
    if end == 'dies':
        os.kill(os.getpid(), signal.SIGKILL)
    if end == 'fails':
        raise ValueError('as told')


@application.job(detached=True, retries=0)
def tidies(mark):
    """Sees that it is to end, by itself, and says so."""
    open(f'{mark}.{os.getpid()}', 'w').close()
    try:
        while True:
            current.progress(1)
            time.sleep(0.01)
    except Cancelled:
        assert current.cancelled
        current.log.info('tidied up')
        raise


@application.job(detached=True, retries=0)
def deaf(mark, go):
    """Does not look whether it is to end."""
    open(f'{mark}.{os.getpid()}', 'w').close()
    while not os.path.exists(go):
        time.sleep(0.01)


@application.job(detached=True, retries=0)
def holds(mark, fifo):
    """Waits in C, and does not let go of the GIL; returns how many can be read then, -1 when
    something has interrupted it."""
    handle = os.open(fifo, os.O_RDWR)
    open(f'{mark}.{os.getpid()}', 'w').close()
    return ctypes.PyDLL(None).poll(struct.pack('ihh', handle, select.POLLIN, 0), 1, -1)


@application.job(detached=True, retries=0, soft=0.3)
def catches(again):
    """Sees that it runs long, once, and has completed all the same, or says so again."""
    try:
        while True:
            current.check()
            time.sleep(0.01)
    except TimeLimit:
        current.check()
        if again:
            raise
    return 'caught'


class Large:
    """Stands for all the memory there is."""


@application.job(detached=True, retries=0)
def takesAll():
    held = Large()
    left.append(weakref.ref(held))
    raise MemoryError


@application.job(retries=0)
async def takesAllLater():
    held = Large()
    await asyncio.sleep(0)
    left.append(weakref.ref(held))
    raise MemoryError


@application.job(executor='processes')
def away(value):
    return os.getpid(), value


@application.job
async def awaits():
    """Has an event loop."""


@application.job(retries=0)
def change(key):
    current.root[key] = os.getpid()


@pytest.fixture
def app(app):
    yield app
    while loops:
        loops.pop().close()


@pytest.fixture
def near(memory):
    """The application in memory, for what does not depend on the storage."""
    application.database, application._db = memory.db, None
    yield application
    while loops:
        loops.pop().close()
    application.close()
    application.database = 'memory:'


def loopOf(app, executor, name='worker', **options):
    loops.append(Loop(app.db, app.locate, name,
                      WorkerOptions(executor=executor, waitTime=0.05, grace=1.0,
                                    **{'slots': 2, **options})))
    return loops[-1]


def run(loop, *handles):
    """Let a worker work until these have ended."""
    def over():
        loop.poll(time.time())
        return all(handle.status in ('completed', 'error', 'cancelled') for handle in handles)
    waitFor(over, 60)
    return handles


def test_an_application_may_have_paths_on_its_path(near, monkeypatch):
    """And processes that could not begin leave nothing."""
    monkeypatch.setattr(sys, 'path', [*sys.path, Path('/nowhere')])
    [handle] = run(loopOf(near, 'processes'), where.enqueue(1))
    assert handle.result()[2] == 1


@ALL
def test_jobs_run_there_and_return(app, executor):
    handles = where.map(range(20))
    loop = loopOf(app, executor)
    run(loop, *handles)
    found = [handle.result() for handle in handles]
    assert [value for _, _, value in found] == list(range(20))
    if executor == 'processes':
        assert 1 <= len({pid for pid, _, _ in found}) <= 2
        assert os.getpid() not in {pid for pid, _, _ in found}
    else:
        assert {pid for pid, _, _ in found} == {os.getpid()}
        assert all(name.startswith('p01.remote.job.') for _, name, _ in found)


@ALL
def test_large_values_travel(near, executor):
    [handle] = run(loopOf(near, executor), where.enqueue('x' * 1_000_000))
    assert handle.result()[2] == 'x' * 1_000_000


def test_a_job_says_where_it_runs(near):
    """Whatever its worker says."""
    here, there = where.enqueue(), away.enqueue(5)
    assert near.drain() == 2
    assert here.result()[0] == os.getpid() != there.result()[0]
    [there] = run(loopOf(near, 'threads'), away.enqueue(6))
    assert os.getpid() != there.result()[0]


@ALL
def test_jobs_with_a_transaction_stay_with_the_worker(near, executor):
    run(loopOf(near, executor), change.enqueue('here'))
    with near.transaction() as root:
        assert root['here'] == os.getpid()


@ALL
@pytest.mark.parametrize('kind, text', [('plain', 'ValueError: plain'), ('odd', 'odd'),
                                        ('output', 'return plain values'), ('exit', '3')])
def test_errors_come_back_with_their_place(near, executor, kind, text):
    [handle] = run(loopOf(near, executor), fail.enqueue(kind))
    with near.reading() as processor:
        view = processor.store.view(handle.id)
    assert view.status == 'error' and text in view.outcome.error
    assert len(view.attempts or view.outcome.attempts) >= (kind != 'output')
    if kind != 'output':
        assert 'in fail' in view.outcome.attempts[-1].trace


@ALL
def test_a_job_may_ask_to_run_later(near, executor):
    handle = fail.enqueue('later')
    loop = loopOf(near, executor)
    waitFor(lambda: loop.poll(time.time()) is not None and handle.status == 'delayed', 30)
    with near.reading() as processor:
        assert processor.store.view(handle.id).attempts == ()


@pytest.mark.parametrize('deaths', [1, 3])
def test_a_child_that_dies_is_laid_to_its_job_alone(app, tmp_path, deaths):
    """It runs again by its policy; the third death is the last. Others see nothing of it."""
    (tmp_path / 'marks').mkdir()
    killer, *others = [die.enqueue(str(tmp_path / 'marks'), deaths), *where.map(range(20))]
    run(loopOf(app, 'processes'), killer, *others)
    with app.reading() as processor:
        view = processor.store.view(killer.id)
        assert {processor.store.view(each.id).runs for each in others} == {1}
    assert {each.status for each in others} == {'completed'}
    attempts = view.outcome.attempts
    assert {each.reason for each in attempts} == {'WorkerDied: was killed by signal SIGKILL'}
    if deaths == 1:
        assert (view.status, view.runs, len(attempts)) == ('completed', 2, 1)
    else:
        assert (view.status, view.runs) == ('error', 3)
        assert view.outcome.error == ('Put aside: 3 workers died while they ran this job (was '
                                      'killed by signal SIGKILL).')


@ALL
def test_a_time_limit_ends_it(near, tmp_path, executor):
    """A child is killed; of a thread the worker hears no more. Others go on."""
    handle = hang.enqueue(str(tmp_path / 'mark'))
    loop = loopOf(near, executor)
    began = time.monotonic()
    run(loop, handle)
    assert handle.status == 'error' and time.monotonic() - began < 20
    with near.reading() as processor:
        outcome = processor.store.view(handle.id).outcome
    assert 'longer than its timeout' in outcome.error
    assert outcome.attempts[-1].trace == ''             # it would show nothing but ours
    assert run(loop, where.enqueue(5))[0].result()[2] == 5


def lines(log):
    """The lines of a log, without the times."""
    return [line[9:] if line[2:3] == ':' else line for line in log.splitlines()]


BEGINS = ['printed', 'INFO begins']


@ALL
@pytest.mark.parametrize('end', ['returns', 'fails', 'dies'])
def test_what_it_says_is_seen_while_it_runs_and_kept(near, tmp_path, executor, end):
    """Also by the one whose process dies."""
    if (executor, end) == ('threads', 'dies'):
        pytest.skip('it is this process')
    handle = tells.enqueue(str(tmp_path), end)
    loop = loopOf(near, executor)
    waitFor(lambda: loop.poll(time.time()) is not None and list(tmp_path.glob('*.*.*')), 30)
    assert (handle.progress, lines(handle.log)) == ((1, 2, 'half'), BEGINS)
    (tmp_path / 'go').touch()
    run(loop, handle)
    with near.reading() as processor:
        view = processor.store.view(handle.id)
    said = view.outcome.said if end == 'returns' else view.outcome.attempts[0].said
    assert view.status == 'completed' and len(view.outcome.attempts) == (end != 'returns')
    assert (said.progress, lines(said.log)) == ((1, 2, 'half'), [*BEGINS, 'INFO goes on'])


def test_each_job_of_a_process_says_its_own(near, tmp_path):
    (tmp_path / 'go').touch()
    loop = loopOf(near, 'processes', slots=1)
    first, silent, second = run(loop, tells.enqueue(str(tmp_path)), where.enqueue(),
                                tells.enqueue(str(tmp_path)))
    assert [lines(each.log) for each in (first, silent, second)] \
        == [[*BEGINS, 'INFO goes on'], [], [*BEGINS, 'INFO goes on']]
    assert silent.progress is None
    assert len({path.name.rpartition('.')[2] for path in tmp_path.glob('*.*.*')}) == 1


def test_what_it_says_is_kept_though_the_next_one_begins_at_once(near, tmp_path):
    """In the same process, and before the worker has heard that it has ended."""
    handle = tells.enqueue(str(tmp_path))
    loop = loopOf(near, 'processes')
    waitFor(lambda: loop.poll(time.time()) is not None and list(tmp_path.glob('*.*.*')), 30)
    [job] = loop.handed.places['processes'].aio.running.values()
    [[_, way]] = loop.handed.ways.values()

    async def work():
        (tmp_path / 'go').touch()
        executor = Processes(1)
        jobs = [Attempt(job.home, job.task, way, time.time(), job.slot) for _ in range(2)]
        for each in jobs:
            await executor.run(each)
        executor.close()
        return [lines(each.silence().log) for each in jobs]

    assert asyncio.run(work()) == [[*BEGINS, 'INFO goes on']] * 2
    run(loop, handle)


def test_a_process_that_cannot_begin_leaves_nothing(near):
    """Neither handles nor room on the board."""
    loop = loopOf(near, 'processes', slots=1)
    run(loop, where.enqueue())
    [child] = loop.handed.places['processes'].aio.executor.children
    os.kill(child.process.pid, signal.SIGKILL)
    waitFor(lambda: child.link.fileno() < 0)
    board, soft = child.board, resource.getrlimit(resource.RLIMIT_NOFILE)
    free, opened = len(board.free), len(os.listdir('/proc/self/fd'))
    os.close(first := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + 1, soft[1]))       # there is this one
    try:
        run(loop, handle := where.enqueue())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
    with near.reading() as processor:
        assert 'Too many open files' in processor.store.view(handle.id).outcome.error
    assert len(board.free) == free and len(os.listdir('/proc/self/fd')) <= opened
    assert run(loop, where.enqueue())[0].status == 'completed'


def test_a_process_that_has_ended_writes_nowhere(near, tmp_path):
    """Its area may be that of another job by then."""
    wait.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    loop = loopOf(near, 'processes')
    waitFor(lambda: loop.poll(time.time()) is not None and list(tmp_path.glob('mark.*')), 30)
    [job] = loop.handed.places['processes'].aio.running.values()
    own = job.area

    async def work():
        child = Child(job)
        os.kill(child.process.pid, signal.SIGKILL)
        waitFor(lambda: child.users == 0)
        other = child.board.take(4711)
        assert other.number == child.number
        other.tell(1, 2, 'of another')
        with pytest.raises(WorkerDied):
            await child.ask(job)
        assert other.said().progress == (1, 2, 'of another') and job.area is own
        child.close()

    asyncio.run(work())
    (tmp_path / 'go').touch()


def begun(loop, tmp_path):
    """Let a worker work until a job of it says that it runs; returns in which process."""
    waitFor(lambda: loop.poll(time.time()) is not None and list(tmp_path.glob('mark.*')), 30)
    [mark] = tmp_path.glob('mark.*')
    return int(mark.suffix[1:])


def standing(loop, jobid):
    """Where a job stands."""
    return ofJob(stacks.here([loop]), jobid)[0]


@ALL
def test_where_it_stands_is_seen(near, tmp_path, executor):
    """As often as somebody asks; it sees nothing of that."""
    handle = wait.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    loop = loopOf(near, executor)
    pid = begun(loop, tmp_path)
    whose = f'0x[0-9a-f]+ MainThread of process {pid}' if executor == 'processes' \
        else f'p01.remote.job.{handle.id}'
    for _ in range(3):
        assert re.match(rf'Thread {whose}, which runs job {handle.id} for [0-9.]+ s:\n'
                        rf'(.*\n)*  File "{__file__}", line \d+, in wait\n    \w',
                        standing(loop, handle.id))
    (tmp_path / 'go').touch()
    assert run(loop, handle)[0].status == 'completed'
    assert standing(loop, handle.id) == ''


def test_a_place_that_cannot_be_asked_hides_no_other(near, tmp_path, monkeypatch):
    handle = wait.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    loop = loopOf(near, 'threads')
    begun(loop, tmp_path)
    other = loop.handed.begun('')
    monkeypatch.setattr(other, 'standing', lambda: 1 / 0)
    assert ' in wait\n' in standing(loop, handle.id)
    (tmp_path / 'go').touch()
    assert run(loop, handle)[0].status == 'completed'


DEAF = '  It does not answer: it holds on to the GIL, or is stopped.'


def test_one_that_does_not_let_go_of_the_gil_is_told_so(near, tmp_path):
    """And what it waits for in C is not interrupted."""
    os.mkfifo(tmp_path / 'fifo')
    handle = holds.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'fifo'))
    loop = loopOf(near, 'processes')
    pid = begun(loop, tmp_path)
    for _ in range(2):
        assert re.fullmatch(rf'Process {pid}, which runs job {handle.id} for [0-9.]+ s:\n{DEAF}\n*',
                            standing(loop, handle.id))
    (tmp_path / 'fifo').write_text('go')
    assert run(loop, handle)[0].result() == 1


def test_one_that_does_not_answer_is_told_so(near, tmp_path):
    """And when it does again, it is where it stands by then."""
    handle = wait.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    loop = loopOf(near, 'processes')
    pid = begun(loop, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    try:
        waitFor(lambda: all(each.read_text().rpartition(')')[2].split()[0] == 'T'
                            for each in Path(f'/proc/{pid}/task').glob('*/stat')), 30)
        for _ in range(2):
            assert re.fullmatch(rf'Process {pid}, which runs job {handle.id} for [0-9.]+ s:\n'
                                rf'{DEAF}\n*', standing(loop, handle.id))
    finally:
        os.kill(pid, signal.SIGCONT)
    waitFor(lambda: ' in wait' in standing(loop, handle.id), 30)
    (tmp_path / 'go').touch()
    assert run(loop, handle)[0].status == 'completed'


@ALL
def test_it_sees_that_it_is_to_end(near, tmp_path, executor):
    """Within its grace; the process lives on."""
    handle = tidies.enqueue(str(tmp_path / 'mark'))
    loop = loopOf(near, executor)
    waitFor(lambda: loop.poll(time.time()) is not None and list(tmp_path.glob('mark.*')), 30)
    assert handle.cancel(running=True, grace='60s', who='ann')
    run(loop, handle)
    assert (handle.status, lines(handle.log)) == ('cancelled', ['INFO tidied up'])
    [mark] = tmp_path.glob('mark.*')
    assert run(loop, where.enqueue())[0].result()[0] == int(mark.suffix[1:])


@ALL
def test_one_that_does_not_look_is_given_up(near, tmp_path, executor):
    """Within its grace as well, so that nobody need end the worker's process for it."""
    handle = deaf.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    loop = loopOf(near, executor)
    loop.post.supervised = True
    waitFor(lambda: loop.poll(time.time()) is not None and list(tmp_path.glob('mark.*')), 30)
    assert handle.cancel(running=True, grace='4s', who='ann')
    run(loop, handle)
    (tmp_path / 'go').touch()
    with near.reading() as processor:
        view = processor.store.view(handle.id)
    [attempt] = view.outcome.attempts
    assert view.status == 'cancelled' and attempt.reason.startswith('TimedOut: it did not end with')
    assert blackbox.running(loop.post.box.path) == []
    [mark] = tmp_path.glob('mark.*')
    if executor == 'processes':
        waitFor(lambda: not os.path.exists(f'/proc/{mark.suffix[1:]}'), 20, 'it lives')


@ALL
def test_it_is_told_that_it_runs_long(near, executor):
    caught, passed = run(loopOf(near, executor), catches.enqueue(False), catches.enqueue(True))
    assert (caught.result(), passed.status) == ('caught', 'error')
    with near.reading() as processor:
        assert 'TimeLimit' in processor.store.view(passed.id).outcome.error


@pytest.mark.parametrize('job', [takesAll, takesAllLater])
@pytest.mark.parametrize('way', ['a worker', 'by hand'])
def test_what_a_failed_job_had_is_free_at_once(near, job, way):
    """Not with the collector only: it may be all memory, and who fails next is another job."""
    gc.collect()
    gc.disable()
    try:
        if way == 'a worker':
            [handle] = run(loopOf(near, 'threads'), job.enqueue())
        else:
            handle = job.enqueue()
            with near.transaction():
                near.processor.processJobs()
        assert handle.status == 'error'
        waitFor(lambda: left[-1]() is None, message='it is held')
    finally:
        gc.enable()


@pytest.mark.parametrize('job', [where, awaits])
def test_one_that_expires_in_hand_does_not_begin(near, monkeypatch, job):
    """It goes back, and ends as if it had never been claimed."""
    later = 7200.0
    monkeypatch.setattr(asynchronous, 'clocks', SimpleNamespace(now=lambda: time.time() + later))
    handle = job.using(expires='1h').enqueue()
    loop = loopOf(near, 'threads')
    loop.poll(time.time())
    waitFor(lambda: loop.poll(time.time() + later) is not None and handle.status == 'cancelled')
    with near.reading() as processor:
        view = processor.store.view(handle.id)
    assert (view.outcome.error, view.runs) == ('It expired before it could start.', 0)


@ALL
def test_claims_follow_the_free_slots(app, tmp_path, executor):
    handles = [wait.enqueue(str(tmp_path / f'mark{number}'), str(tmp_path / 'go'))
               for number in range(10)]
    loop = loopOf(app, executor)
    waitFor(lambda: loop.poll(time.time()) is not None and len(list(tmp_path.glob('mark*'))) == 2,
            30)
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        loop.poll(time.time())
        time.sleep(0.02)
    assert len(list(tmp_path.glob('mark*'))) == 2
    with app.reading() as processor:
        assert len(processor.store.seats[loop.name].claims) == 2
    (tmp_path / 'go').touch()
    run(loop, *handles)
    assert {handle.status for handle in handles} == {'completed'}


@ALL
def test_a_worker_that_ends_gives_back_what_does_not(app, tmp_path, executor):
    handle = wait.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    loop = loopOf(app, executor)
    thread = threading.Thread(target=loop.work)
    thread.start()
    waitFor(lambda: list(tmp_path.glob('mark.*')), 30)
    loop.stop()
    thread.join(30)
    loops.remove(loop)
    loop.close()
    assert handle.status == 'queued'
    with app.reading() as processor:
        view = processor.store.view(handle.id)
        assert (view.runs, view.attempts) == (0, ())
    (tmp_path / 'go').touch()
    assert run(loopOf(app, executor, 'other'), handle)[0].status == 'completed'


@ALL
def test_threads_of_an_application_have_executors_too(near, executor):
    worker = MultiWorker(near.db, near.processor.path(), 0.05, 2, executor=executor, slots=1)
    thread = threading.Thread(target=worker)
    thread.start()
    handle = where.enqueue(7)
    waitFor(lambda: handle.status == 'completed', 60)
    assert (handle.result()[0] == os.getpid()) is (executor == 'threads')
    worker.stop()
    thread.join(30)
    assert not thread.is_alive()


def clusters():
    """The module of Dask clusters."""
    pytest.importorskip('distributed', reason='it comes with p01.remote[dask]')
    from p01.remote.engine.executors import cluster
    return cluster


def test_a_dask_cluster_that_is_away_takes_nothing_more_for_each_look(monkeypatch):
    """It may be away for days."""
    cluster = clusters()
    monkeypatch.setattr(cluster, 'CONNECTS', 0.05)
    monkeypatch.setattr(cluster, 'CLUSTERLOOK', 0.01)
    before, looks = set(threading.enumerate()), []

    class Looks(cluster.Cluster):
        def look(self):
            looks.append(self)
            return super().look()

    def begun():
        return {each.name for each in set(threading.enumerate()) - before
                if each.name.startswith(('IO loop', 'p01.remote.dask'))}

    away = Looks('tcp://127.0.0.1:1', 0, lambda: None)
    waitFor(lambda: len(looks) > 3, 60)
    assert begun() == {'p01.remote.dask', 'p01.remote.dask.clients'}
    away.close()
    waitFor(lambda: not begun(), 60)


def test_a_dask_worker_that_came_back_at_its_address_is_found(near):
    """Between two looks: a run for its old life is lost, and the next one is not."""
    cluster = clusters()
    from distributed import LocalCluster

    job = Running(None, where.prototype, SimpleNamespace(id=5), None, 0.0, 'worker', near.db)

    async def lost():
        found.places = {place._replace(pid=1): threads}
        found.submit(run := cluster.Run(job), b'')
        return isinstance(await run.done, WorkerDied)

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                      dashboard_address=None) as there:
        found = cluster.Cluster(there.scheduler_address, 0, lambda: None)
        waitFor(lambda: found.places, 60)
        [(place, threads)] = found.places.items()
        waitFor(lambda: asyncio.run(lost()), 60)        # it may have looked just then
        waitFor(lambda: found.places == {place: threads}, 20, 'it is not found')
        found.close()


def test_a_run_on_a_dask_cluster_is_told_once(near, tmp_path, monkeypatch):
    """Also one that does not look, and is given up."""
    clusters()
    from distributed import LocalCluster

    from p01.remote.engine.executors import bound
    heard = []

    class Told(dict):
        def __setitem__(self, key, value):
            heard.append(key)
            super().__setitem__(key, value)

    monkeypatch.setattr(bound, 'told', Told())
    handle = deaf.enqueue(str(tmp_path / 'mark'), str(tmp_path / 'go'))
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                      dashboard_address=None) as there:
        loop = loopOf(near, 'dask', dask=there.scheduler_address)
        begun(loop, tmp_path)
        assert handle.cancel(running=True, grace='2s', who='ann')
        run(loop, handle)
        waitFor(lambda: not any(each.name.startswith('p01.remote.stop.')
                                for each in threading.enumerate()), 30)
        (tmp_path / 'go').touch()
        loops.remove(loop)
        loop.close()
    assert (handle.status, len(heard)) == ('cancelled', 1)


def test_a_line_from_a_dask_cluster_is_one_here(near):
    cluster = clusters()
    job = Running(None, where.prototype, SimpleNamespace(id=5), None, 0.0, 'worker', near.db)

    async def work():
        run, said = cluster.Run(job), 'one\u2028line\n'.encode()
        run.take(Words(None, len(said), said))

    asyncio.run(work())
    assert job.silence().log == 'one\u2028line\n'


def test_what_is_no_executor_is_refused():
    app = App('memory:')

    for call in (lambda: app.job(executor='rockets')(where.function),
                 lambda: app.job(executor='threads', together=True)(where.function),
                 lambda: app.job(executor='threads')(awaits.function),
                 lambda: WorkerOptions(executor=5), lambda: WorkerOptions(executor='dask'),
                 lambda: WorkerOptions(slots=-1), lambda: WorkerOptions(dask=8786)):
        with pytest.raises(InputError):
            call()
    assert WorkerOptions(dask='tcp://here:8786').executor == 'dask'
