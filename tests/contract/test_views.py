# SPDX-License-Identifier: ZPL-2.1
"""What faces show, on every storage: true of one moment, plain, and without a change."""
import json

import pytest

from p01.remote import App, JobError, verbs
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.store.records import Outcome
from p01.remote.store.seats import Seat
from p01.remote.views.health import CHECKS, findings
from p01.remote.views.overview import overviewOf
from p01.remote.views.queues import queuesOf, unserved
from p01.remote.views.workers import outdated, workersOf
from tests.conftest import START, recount

application = App('memory:')


@application.job(queue='mail')
def send(to):
    if to == 'nobody':
        raise JobError('nobody there')


@pytest.fixture
def worker(app):
    """A living worker of these queues; gives its loop."""
    loops = []

    def worker(*queues, name='w'):
        loops.append(Loop(app.db, app.locate, name, WorkerOptions(queues=queues)))
        return loops[-1]
    yield worker
    for loop in loops:
        loop.close()


def look(app, work):
    """work(processor) in a snapshot; whatever it gives is plain, and nothing was changed."""
    with app.reading() as processor:
        found = work(processor)
        assert not processor._p_jar._registered_objects
    json.dumps(found)
    return found


def test_queues_are_as_their_jobs_stand(app):
    for number in range(5):
        send.enqueue('nobody' if number == 3 else 'me')
    send.using(queue='later', delay='1h').enqueue('me')
    with app.transaction():
        verbs.pause(app.processor.store, 'mail', START)
        verbs.pause(app.processor.store, 'empty')
        verbs.pause(app.processor.store, 'over', 1.0)
    found = look(app, lambda processor: queuesOf(processor.store, START - 1))
    assert list(found.all) == ['empty', 'later', 'mail'] and not found.reckoned
    assert [(each.paused, each.until)
            for each in found.all.values()] == [(True, None), (False, None), (True, START)]
    assert not look(app, lambda processor: queuesOf(processor.store, START)).all['mail'].paused
    app.drain()
    with app.reading() as processor:
        counts = {name: {status: number for status, number in queue.counts.items() if number}
                  for name, queue in queuesOf(processor.store, START - 1).all.items()}
        assert counts == {'empty': {}, **recount(processor.store)}


def test_who_works_on_what(app, worker):
    ids = [send.enqueue('me').id for _ in range(3)]
    loop = worker('mail', 'other')
    loop.book(START, 2)
    [found] = look(app, lambda processor: workersOf(processor.store, START))
    assert found.label == 'w' and found.name.startswith('w:') and found.alive and found.death == ''
    assert found.queues == ('mail', 'other') and found.serves('mail') \
        and not found.serves('default')
    assert found.jobs == tuple(ids[:2]) and found.running in ((), None) and found.progress == {}
    seat = Seat('x:1:abc', 'host', 1, 'process', 'box', 60.0, START)
    with app.transaction():
        verbs.sit(app.processor.store, seat)
        verbs.claim(app.processor.store, seat, 1, START)
        app.processor.pullNextJob(START)
    found = {each.label: each
             for each in look(app, lambda processor: workersOf(processor.store, START + 1e6))}
    assert set(found) == {'w', 'x'} and found['w'].alive and not found['x'].alive \
        and found['x'].jobs == (ids[2],)
    assert found['x'].death and found['x'].running is None
    with app.transaction():
        store = app.processor.store
        verbs.complete(store,
                       store.seats['x:1:abc'], {ids[2]: Outcome('completed', None, '', 1, 1.0,
                                                                2.0)})
    assert look(app, lambda processor: workersOf(processor.store, START))[-1].jobs == ()


def test_a_queue_that_nobody_serves(app, worker):
    send.enqueue('me')
    send.using(queue='other').enqueue('me')

    def found(now=START):
        return look(app, lambda processor: unserved(queuesOf(processor.store, now),
                                                    workersOf(processor.store, now)))
    assert found() == {}                # nobody works at all, which is told otherwise
    worker('mail').book(START, 1)
    assert found() == {'other': 1}
    with app.transaction():
        verbs.pause(app.processor.store, 'other')
    assert found() == {}
    with app.transaction():
        verbs.resume(app.processor.store, 'other')
    worker(name='all').book(START, 1)
    assert found() == {}


def test_workers_of_other_code(app, worker):
    worker().book(START, 1)
    [found] = look(app, lambda processor: workersOf(processor.store, START))
    found = found._replace(code='old')
    assert outdated([found], 'new') == ['w'] \
        and outdated([found], 'old') == [] == outdated([found], '')
    assert outdated([found._replace(alive=False), found._replace(code='')], 'new') == []


def test_an_overview_and_the_findings_are_of_one_snapshot(app, worker):
    assert look(app, lambda processor: overviewOf(app, processor, START)).queues.all == {}
    send.enqueue('me')
    worker('mial').book(START, 1)
    with app.reading() as processor:
        before = overviewOf(app, processor,
                            START), list(findings(app, processor, 'shop:app', START))
        send.enqueue('you')
        assert (overviewOf(app, processor, START),
                list(findings(app, processor, 'shop:app', START))) == before
    found, told = before
    assert found.queues.all['mail'].counts['queued'] == 1 and found.unserved == {'mail': 1}
    assert 'did you mean mail?' in found.unknown['mial'] and found.oldest is not None
    assert [each.check for each in told] == list(CHECKS) \
        and all(each.about.startswith(('Whether', 'How')) for each in told)
    told = {each.check: each for each in told}
    assert told['waiting'].verdict == 'look' \
        and told['waiting'].mend.startswith('start more workers')
    assert told['queues'].verdict == 'look' and 'shop:app --queue mail' in told['queues'].text
    json.dumps(list(told.values()))
    assert look(app, lambda processor: overviewOf(app, processor,
                                                  START)).queues.all['mail'].counts['queued'] == 2
