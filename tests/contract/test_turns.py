# SPDX-License-Identifier: ZPL-2.1
"""Workers with several queues: strict order, or shares by weights, on every storage."""
import itertools
import time
from collections import Counter

import pytest

from p01.remote import App
from p01.remote.engine import rescuing
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.testing import waitFor
from p01.remote.worker import SimpleWorker

application = App('memory:')
ran = []
loops = []


@application.job
def note(queue):
    ran.append(queue)


@pytest.fixture
def app(app):
    ran.clear()
    yield app
    while loops:
        loops.pop().close()


def enqueue(app, **numbers):
    with app.transaction():
        for queue, number in numbers.items():
            for _ in range(number):
                note.using(queue=queue).enqueue(queue)


def loopOf(app, queues, name='worker', **options):
    loops.append(Loop(app.db, app.locate, name,
                      WorkerOptions(queues=queues, waitTime=0.05, **options)))
    return loops[-1]


def test_an_earlier_queue_is_always_before_a_later_one(app):
    """Whatever was enqueued first, and whatever its priority."""
    with app.transaction():
        for _ in range(100):
            note.using(queue='low', priority=50).enqueue('low')
    enqueue(app, high=100, mid=100, other=5)
    loopOf(app, ('high', 'mid', 'low'), drain=True).work()
    assert [queue for queue, _ in itertools.groupby(ran)] == ['high', 'mid', 'low']
    assert Counter(ran) == {'high': 100, 'mid': 100, 'low': 100}


def test_what_comes_to_an_earlier_queue_is_next(app):
    enqueue(app, low=50)
    loop = loopOf(app, ('high', 'low'))
    loop.batch.average = 1.0            # jobs that are claimed one by one
    loop.poll(time.time())
    enqueue(app, high=2)
    for _ in range(3):
        loop.batch.average = 1.0
        loop.poll(time.time())
    assert ran == ['low', 'high', 'high', 'low']


@pytest.mark.parametrize('many', [False, True], ids=['one by one', 'many at once'])
def test_weights_are_shares(app, many):
    enqueue(app, slow=400, mail=400, other=5)
    loop = loopOf(app, {'mail': 3, 'slow': 1})
    while len(ran) < 200:
        loop.batch.average = 1e-3 if many else 1.0
        loop.poll(time.time())
    count = Counter(ran[:200])
    assert abs(count['mail'] - 150) <= 2 and set(count) == {'mail', 'slow'}
    loopOf(app, {'mail': 3, 'slow': 1}, 'other', drain=True).work()
    assert Counter(ran) == {'mail': 400, 'slow': 400}


def test_an_empty_queue_leaves_its_share_to_others(app):
    enqueue(app, slow=100)
    loop = loopOf(app, {'mail': 3, 'slow': 1})
    while len(ran) < 100:
        assert loop.poll(time.time()) == 0.0, 'it rests while jobs wait'


@pytest.mark.parametrize('queues', [('a', 'b'), {'a': 1, 'b': 2}], ids=str)
def test_several_workers_share_them(app, queues):
    """Each job once, and none is left: also what came into a shard of another worker."""
    for number in range(3):
        loopOf(app, queues, f'worker{number}')
    for _ in range(5):
        enqueue(app, a=7, b=40)
        for loop in loops:
            loop.poll(time.time())
    waitFor(lambda: [loop.poll(time.time()) for loop in loops] and len(ran) >= 235, 30)
    assert Counter(ran) == {'a': 35, 'b': 200}


def test_a_suspect_runs_alone(app):
    """However many others wait in the other queues."""
    enqueue(app, a=20, b=20)
    first = loopOf(app, ('a', 'b'), 'first')
    [task] = first.book(time.time(), 1)[0]
    with app.transaction():
        store = app.processor.store
        rescuing.rescue(store, store.seats[first.name], time.time(), None, 'it died')
    loop = loopOf(app, {'a': 1, 'b': 1}, 'second')
    tasks = loop.book(time.time(), 10)[0]
    assert [each.id for each in tasks] == [task.id]


def test_workers_of_a_thread_have_queues_too(app):
    enqueue(app, a=10, b=10, c=10)
    worker = SimpleWorker(app.db, app.processor.path(), queues={'a': 1, 'b': 1})
    while worker.processNextJob():
        pass
    assert Counter(ran) == {'a': 10, 'b': 10}
