# SPDX-License-Identifier: ZPL-2.1
"""What workers do is found in the history of an hour, a day, a month, on every storage."""
import time

import pytest

from p01.remote import App, current
from p01.remote.engine.loop import Loop
from p01.remote.ground.clocks import Clock
from p01.remote.options import WorkerOptions
from p01.remote.store import history
from p01.remote.views import history as past
from tests.conftest import abort, commit, inside, stored

application = App('memory:', name='history')


@application.job(queue='quick')
def nothing():
    pass


@application.job(queue='slow', retries=1, backoff=0.0)
def stumble():
    if current.attempt.endswith('.1'):
        raise ValueError('once')
    time.sleep(0.02)


@application.job(queue='slow', retries=0)
def fail():
    raise ValueError('always')


class Ahead(Clock):
    """A wall clock that is ahead by so many seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def now(self):
        return super().now() + self.seconds


def work(app, name='worker', clock=None, **options):
    loop = Loop(app.db, app.locate, name, WorkerOptions(drain=True, **options),
                *([] if clock is None else [clock]))
    try:
        loop.work()
    finally:
        loop.close()


def read(app, span='hour', now=None):
    with app.reading() as processor:
        return past.historyOf(processor.store, span, time.time() if now is None else now)


@pytest.mark.parametrize('count', [1, 7, 700])
@pytest.mark.parametrize('span', history.REACHES)
def test_counts_are_exact_and_times_there(app, count, span):
    with app.transaction():
        for _ in range(count):
            nothing.enqueue()
        for _ in range(3):
            stumble.enqueue()
        fail.enqueue()
    work(app)
    found = read(app, span)
    quick, slow, whole = found.sum('quick'), found.sum('slow'), found.sum()
    assert (quick.came, quick.completed, quick.failed, quick.retried) == (count, count, 0, 0)
    assert (slow.came, slow.completed, slow.failed, slow.retried) == (4, 3, 1, 3)
    assert (whole.came, whole.completed) == (count + 4, count + 3)
    assert quick.runs.number == quick.waits.number == count
    assert slow.runs.number == slow.waits.number == 7
    stumbled = found.sum(name=f'{__name__}.stumble')
    assert (stumbled.completed, stumbled.retried, stumbled.runs.number) == (3, 3, 6)
    assert stumbled.runs.p95 > 0.014 > stumbled.runs.p50 * 0.99
    assert sum(point.completed for point in found.points()) == count + 3
    assert set(found.queues()) == {'quick', 'slow'}
    assert set(found.names()) == {f'{__name__}.{name}' for name in ('nothing', 'stumble', 'fail')}


def test_a_wait_is_from_when_a_job_could_start(app):
    with app.transaction():
        nothing.enqueue()
    clock = Ahead(30)
    work(app, clock=clock)
    found = read(app, now=clock.now()).sum()
    assert 21 < found.waits.p50 < 43 and 29 < found.waits.mean < 31


def test_a_delayed_job_waits_from_when_it_is_due(app):
    with app.transaction():
        nothing.using(delay=3600).enqueue()
    clock = Ahead(3602)
    work(app, clock=clock)
    found = read(app, now=clock.now()).sum()
    assert 1 < found.waits.mean < 3


def test_workers_that_come_and_go_keep_one_history(app):
    for number in range(4):
        with app.transaction():
            nothing.enqueue()
        work(app, f'worker {number}')
        assert read(app).sum().completed == number + 1
    with app.reading() as processor:
        assert len(processor.store.pasts) == 1 and not processor.store.seats


def test_what_runs_in_a_callers_transaction_counts(place):
    processor = stored(place)
    for number in range(3):
        processor.processJob('echo', number)
    commit(processor)
    processor.processJobs()
    commit(processor)
    assert past.historyOf(processor.store, 'day', time.time()).sum().completed == 3
    processor.processJob('echo', 4)
    processor.processJobs()
    abort(processor)
    assert past.historyOf(processor.store, 'day', time.time()).sum().completed == 3


def test_it_is_read_in_another_connection_and_after_a_restart(place):
    processor = stored(place)
    processor.processJob('echo', 1)
    commit(processor)
    loop = Loop(place.db, inside, 'worker', WorkerOptions(drain=True))
    loop.work()
    other = inside(place.connect(place.openAgain() if place.shared else place.db))
    assert past.historyOf(other.store, 'hour', time.time()).sum().completed == 1
    loop.close()
    abort(processor)
    assert past.historyOf(processor.store, 'hour', time.time()).sum().completed == 1


def test_an_idle_worker_writes_nothing_but_changed_depths(place):
    """Looks are written once a minute, when something is written anyway or has changed."""
    processor = stored(place)
    clock = Ahead(0)
    loop = Loop(place.db, inside, 'worker', WorkerOptions(queues=('served',)), clock)
    tids = set()
    for turn in range(12):
        if turn == 6:
            processor.processJob('echo', 1)
            commit(processor)
        clock.seconds += 61.0
        loop.poll(clock.now())
        abort(processor)
        tids.add(processor.store.seats[loop.post.name]._p_serial)
    found = past.historyOf(processor.store, 'hour', clock.now())
    depths = [point.depth.queued for point in found.points() if point.depth is not None]
    assert depths[0] == 0 and depths[-1] == 1
    assert len(tids) <= 3
    loop.close()


def test_what_the_last_worker_left_stands_until_the_next_one(app):
    """Not what it found when it came."""
    with app.transaction():
        for _ in range(20):
            nothing.enqueue()
        nothing.using(delay=3600).enqueue()
    work(app)
    points = read(app, now=time.time() + 600).points()
    assert {(point.depth.queued, point.depth.delayed) for point in points[-8:]} == {(0, 1)}
    with app.transaction():
        nothing.enqueue()
    assert read(app, now=time.time() + 600).points()[-1].depth.queued == 1


def test_jobs_that_people_take_in_as_they_cancel_count_once(app):
    with app.transaction():
        handles = [nothing.enqueue() for _ in range(30)]
    with app.transaction():
        assert all(handle.cancel() for handle in handles[::7])
    work(app)
    found = read(app).sum()
    assert (found.came, found.completed, found.cancelled) == (30, 25, 0)
