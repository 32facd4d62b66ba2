# SPDX-License-Identifier: ZPL-2.1
"""Why a job waits, on every storage: the sentence names what holds it, and how many come before
it."""
import json
import random

import pytest

from p01.remote import App, JobError, current, verbs
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import JobNotFound
from p01.remote.options import WorkerOptions
from p01.remote.store.records import Attempt, Record
from p01.remote.store.seats import Holder, Seat
from p01.remote.views import waits
from p01.remote.views.job import SHOWNVALUE, detailsOf, rowOf
from p01.remote.views.waits import MOST, whyWaits
from tests.conftest import START

application = App('memory:')


@application.job
def work(text='', fails=False):
    if fails:
        raise JobError('no luck')
    current.progress(3, 10, 'reading')
    return text


@pytest.fixture
def worker(app):
    """A living worker of these queues."""
    loops = []

    def worker(*queues, name='w'):
        loop = Loop(app.db, app.locate, name, WorkerOptions(queues=queues))
        loops.append(loop)
        loop.book(START, 0)
        return loop
    yield worker
    for loop in loops:
        loop.close()


def why(app, jobid, now=START):
    with app.reading() as processor:
        found = whyWaits(processor.store, processor.store.view(jobid), now)
        assert not processor._p_jar._registered_objects
    json.dumps(found)
    assert all(reason.sentence.endswith('.') for reason in found)
    return found


def takeIn(app):
    """As workers do it."""
    with app.transaction():
        for shard in app.processor.store.shards:
            hand = Holder()
            verbs.takeIn(app.processor.store, shard, hand, START)
            shard.count(hand.tally)


def kinds(app, jobid, now=START):
    return [reason.kind for reason in why(app, jobid, now)]


def test_nobody_works_or_nobody_serves(app, worker):
    jobid = work.enqueue().id
    assert kinds(app, jobid) == ['idle']
    worker('mail')
    assert why(app, jobid)[0].sentence == 'No worker serves queue default.'
    worker(name='all')
    assert kinds(app, jobid) == ['new']
    takeIn(app)
    assert kinds(app, jobid) == ['next']
    assert why(app,
               work.enqueue().id)[
                   0].sentence == 'It waits behind 1 other, for 1 worker that serves its queue.'


def test_a_pause_and_a_delay_say_until_when(app, worker):
    worker()
    with app.transaction():
        verbs.pause(app.processor.store, 'default', START + 60)
    jobid, later = work.enqueue().id, work.using(delay='1h').enqueue().id
    [reason] = why(app, jobid)
    assert (reason.kind, reason.until) == ('paused', START + 60) \
        and reason.sentence.endswith('goes on by itself in 1.0 min.')
    with app.reading() as processor:
        due = processor.store.view(later).due
    assert [(each.kind, each.until)
            for each in why(app, later, due - 30)] == [('paused', START + 60), ('delayed', due)]
    assert why(app, later,
               due - 30)[1].sentence == 'It is delayed: it starts at the earliest in 30.0 s.'
    assert kinds(app, jobid, START + 61) != ['paused'] \
        and 'delayed' not in kinds(app, later, due + 1)


@pytest.fixture
def retried(app, worker):
    """Have a job fail at once, or come under suspicion; returns its id."""
    def run(due, attempt, suspect=False):
        jobid = work.enqueue().id
        worker()
        with app.transaction():
            store = app.processor.store
            seat = Seat('x:1:ab', 'elsewhere', 1, 'process', 'box', 60.0, START)
            verbs.sit(store, seat)
            verbs.claim(store, seat, 1, START)
            verbs.retry(store, seat, jobid, due, attempt, suspect=suspect)
        return jobid
    return run


def test_one_that_failed_says_when_it_runs_again(app, retried):
    jobid = retried(START + 60, Attempt(1, START, START, 'x:1:ab', 'no'))
    assert why(app, jobid)[0][1:3] == ('It failed and runs again in 1.0 min.', START + 60)


def test_one_that_must_run_alone_says_so(app, retried):
    jobid = retried(None, None, suspect=True)
    assert kinds(app, jobid) == ['alone']


def test_one_in_the_hands_of_a_worker_says_of_whom(app, worker):
    ids = [work.enqueue().id for _ in range(4)]
    loop = worker()
    loop.book(START, 3)
    with app.reading() as processor:
        claimed = [jobid for jobid in ids if processor.store.view(jobid).worker]
        waiting = [jobid for jobid in claimed if processor.store.view(jobid).status == 'queued']
    assert waiting
    for number, jobid in enumerate(waiting):
        [reason] = why(app, jobid)
        assert (reason.kind, reason.worker, reason.ahead) == ('claimed', 'w', number)
        assert reason.sentence.startswith('Worker w has claimed it')
    assert kinds(app, ids[-1]) == ['next']
    assert [kinds(app, jobid) for jobid in claimed
            if jobid not in waiting] == [[]] * (len(claimed) - len(waiting))


def test_one_whose_worker_died_says_so(app, place):
    jobid = work.enqueue().id
    with app.transaction():
        store = app.processor.store
        seat = Seat('gone:1:ab', 'elsewhere', 1, 'process', 'box', 60.0, START)
        seat.round = 1
        verbs.sit(store, seat)
        first = work.enqueue().id
        verbs.claim(store, seat, 5, START)
    last = max(jobid, first)
    found = why(app, last, START + 1e5)
    assert [each.kind for each in found] == ['dead'] and 'gone' in found[0].sentence \
        and found[0].worker == 'gone'


def test_one_that_will_not_run_says_so(app, worker, place):
    worker()
    assert kinds(app, work.using(expires='1m').enqueue().id) == ['expired']
    other = place.connect()         # two who enqueue the same key at once
    ids = []
    with app.transaction():
        ids.append(work.using(unique='k').enqueue().id)
        ids.append(verbs.add(app.locate(other).store,
                             Record('work', None, START, extras={'unique': ('k', 'finish', None)})))
        other.transaction_manager.commit()
    [reason] = why(app, max(ids))
    assert (reason.kind, reason.jobid) == ('duplicate', min(ids)) \
        and f'Job {min(ids)} has its unique key' in reason.sentence
    assert kinds(app, min(ids)) != ['duplicate']


def test_it_stands_behind_those_that_come_before_it(app, worker, monkeypatch):
    chance = random.Random(3)
    queues = 'default', 'mail', 'slow', 'other'
    loop = worker('default', 'mail', 'slow')
    ids = []
    for turn in range(6):
        with app.transaction():
            store = app.processor.store
            for _ in range(chance.choice((1, 30))):
                ids.append(verbs.add(store,
                                     Record('work', None, START - chance.randrange(9),
                                            chance.choice(queues),
                                                   chance.randrange(3),
                                            START + 1e6 if chance.random() < .1 else None)))
        if turn in (1, 4):
            takeIn(app)
        if turn == 3:
            loop.book(START, 3)
    with app.transaction():
        verbs.pause(app.processor.store, 'slow')

    def expected(processor, jobid):
        views = [processor.store.view(each) for each in ids]
        line = sorted((-view.record.priority, view.record.created, view.id) for view in views
                      if view.status == 'queued' and not view.worker
                      and view.record.queue in ('default', 'mail'))
        own = processor.store.view(jobid)
        return line.index((-own.record.priority, own.record.created, jobid))

    for most in (MOST, 5):
        monkeypatch.setattr(waits, 'MOST', most)
        with app.reading() as processor:
            told = {jobid: whyWaits(processor.store, processor.store.view(jobid), START)
                    for jobid in ids}
            numbers = {jobid: found[0].ahead for jobid, found in told.items()
                       if found and found[0].kind in ('behind', 'next', 'new')}
            assert len(numbers) > 20
            assert numbers == {jobid: min(expected(processor, jobid), most + 1)
                               for jobid in numbers}
    assert any('more than 5 others' in found[0].sentence for found in told.values() if found)


def test_one_that_does_not_wait_and_one_that_is_not_there(app):
    jobid = work.enqueue('x').id
    app.drain()
    assert why(app, jobid) == ()
    with pytest.raises(JobNotFound):
        why(app, 999)


def test_all_about_a_job_is_plain_and_bounded(app, monkeypatch):
    jobid = work.using(unique='u').enqueue('x' * 5000).id
    failed = work.enqueue(fails=True).id
    before = None
    for _ in range(2):
        with app.reading() as processor:
            view = processor.store.view(jobid)
            found = detailsOf(processor, view, START)
            assert found.call == found.output == '' and found.unique == 'u'
            told = detailsOf(processor, view, START, values=True)
            assert told.call.startswith("work('xxx") and len(told.call) <= SHOWNVALUE \
                and len(told.output) <= SHOWNVALUE
            assert found.row == rowOf(processor.store.view(jobid))
            json.dumps(told)
            assert before is None or before.row.status == 'queued' \
                and found.row.status == 'completed'
        app.drain()
        before = before or found
    assert before.waits and found.waits == () and found.row.completed and found.transaction \
        and found.label
    with app.reading() as processor:
        found = detailsOf(processor, processor.store.view(failed), START)
        assert found.row.error and found.attempts[0].trace
    monkeypatch.setattr('p01.remote.views.job.unpack', lambda kept: 1 / 0)
    with app.reading() as processor:
        view = processor.store.view(jobid)
        assert 'cannot be loaded: ZeroDivisionError' in detailsOf(processor, view, START,
                                                                  values=True).call
        assert detailsOf(processor, view, START).call == ''
