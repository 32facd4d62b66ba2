# SPDX-License-Identifier: ZPL-2.1
"""What is done with all jobs of a filter by a job: in commits of its own, with progress; it goes on
where it ended, whatever ended it, and counts each job once."""
import threading
import time

import pytest

from p01.remote import App, bulk, verbs
from p01.remote.cli.editing import calling
from p01.remote.engine import editing, rescuing
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import InputError
from p01.remote.ground.foreign import Dying
from p01.remote.job import Arguments
from p01.remote.options import WorkerOptions
from p01.remote.views import listing
from p01.remote.views.filters import Filter, Part
from p01.remote.views.listing import find
from p01.remote.wire import deeds
from tests.conftest import counted, drained

application = App('memory:')
NUMBER = 35


@application.job(retries=0)
def bad(number):
    raise ValueError(number)


@application.job
def good():
    return 1


@pytest.fixture
def failed(app, monkeypatch):
    """The app with many jobs that failed; batches are small."""
    monkeypatch.setattr(bulk, 'BATCHJOBS', 10)
    monkeypatch.setattr(bulk, 'FEW', 5)
    bad.enqueueMany([(number,) for number in range(NUMBER)])
    drained(app)
    return app


@pytest.fixture
def each(monkeypatch):
    """Functions that are called before each batch, with its number from 1."""
    told, numbers, usual = [], [], deeds.some

    def some(processor, jobids, verb, who):
        numbers.append(1)
        for call in told:
            call(len(numbers))
        return usual(processor, jobids, verb, who)
    monkeypatch.setattr(bulk, 'some', some)
    return told


def order(app, word='retry', text='status:error', **options):
    return bulk.Order(word, options, text, 'ann', time.time()).give(app, 'test')


def those(app, *stati, queue=''):
    with app.reading() as processor:
        return [view.id for view in find(processor.store, Filter(
            stati, queue=Part((queue,) if queue else ()), name=Part(none=(deeds.BULKNAME,))))]


def ended(app, jobid):
    with app.reading() as processor:
        counted(processor)
        return processor.getJobStatus(jobid), processor.getJobResult(jobid)


def alone(app, jobid, name='worker'):
    """Run the bulk job, which comes first, and nothing behind it."""
    loop = Loop(app.db, app.locate, name, WorkerOptions(drain=True))
    loop.batch.size = lambda: 1
    loop.poll(time.time())
    loop.close()


def deadAmidst(app):
    """Run the bulk job until its worker dies; returns the worker's name. In a thread, which keeps
    what is left around the job."""
    loop = Loop(app.db, app.locate, 'worker', WorkerOptions(drain=True))
    loop.batch.size = lambda: 1
    died = threading.Event()

    def work():
        try:
            loop.poll(time.time())
        except Dying:
            died.set()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert died.is_set()
    return loop.name


ALL = ('completed', {'done': NUMBER, 'left': 0})


def test_few_are_done_at_once(failed):
    some = those(failed, 'error')[:5]
    assert order(failed, text=' '.join(f'id:{jobid}' for jobid in some)) == bulk.Done(5, 0)
    assert those(failed, 'queued') == some


def test_few_that_are_far_are_done_by_a_job(failed, monkeypatch):
    """Who orders does not wait for a look at all jobs there are."""
    monkeypatch.setattr(bulk, 'FEWSOUGHT', 10)
    found = order(failed, text='status:error error:11')
    assert found.job is not None and those(failed, 'queued') == []
    alone(failed, found.job)
    assert ended(failed, found.job) == ('completed', {'done': 1, 'left': 0})


def test_many_are_done_by_a_job(failed):
    found = order(failed)
    assert found[:2] == (0, 0) and len(those(failed, 'error')) == NUMBER
    alone(failed, found.job)
    assert ended(failed, found.job) == ALL
    assert those(failed, 'error') == [] and len(those(failed, 'queued')) == NUMBER
    with failed.reading() as processor:
        said = processor.store.view(found.job).outcome.said.progress
        assert said.total >= found.job and said.text == f'{NUMBER - 5} done'


def test_what_came_behind_the_order_is_not_meant(failed):
    found = order(failed)
    later = good.enqueue().id
    alone(failed, found.job)
    second = order(failed, 'cancel', '')
    newest = good.enqueue().id
    alone(failed, second.job)
    assert ended(failed, second.job) == ('completed', {'done': NUMBER + 1, 'left': 0})
    assert those(failed, 'queued') == [newest]
    assert later in those(failed, 'cancelled')


def test_older_jobs_of_higher_ids_are_meant(failed):
    """Each connection has ids of its own."""
    first = order(failed)
    other = threading.Thread(target=bad.enqueueMany, args=([(number,) for number in range(9)],))
    with failed.transaction():
        good.enqueue()                  # from ids that this connection has from now on
        other.start()
        other.join()
    drained(failed)
    found = order(failed)
    assert found.job < max(those(failed, 'error'))
    alone(failed, found.job)
    assert ended(failed, first.job) == ALL
    assert ended(failed, found.job) == ('completed', {'done': NUMBER + 9, 'left': 0})


def test_it_comes_through_whatever_has_ended_meanwhile(failed, monkeypatch):
    """Many segments that have none of the filter are not the end."""
    monkeypatch.setattr(bulk, 'LOOKEDFOR', 1)
    monkeypatch.setattr(listing, 'FEWINLINE', 1)
    good.using(queue='slow').enqueueMany([()] * 9)
    with failed.transaction():
        verbs.pause(failed.processor.store, 'slow')
    for _ in range(9):
        good.enqueueMany([()] * 32)
    drained(failed)
    found = order(failed, 'cancel', 'status:queued')
    alone(failed, found.job)
    assert ended(failed, found.job) == ('completed', {'done': 9, 'left': 0})


def test_one_like_it_begins_anew(failed):
    found = order(failed)
    alone(failed, found.job)
    drained(failed)
    with failed.transaction():
        new = editing.again(failed.processor, found.job, {})
    alone(failed, new)
    assert ended(failed, new) == ALL and those(failed, 'error') == []


def test_jobs_are_moved_and_removed(failed):
    alone(failed, order(failed).job)
    found = order(failed, 'move', 'job:bad', queue='night', priority=-3)
    alone(failed, found.job)
    assert ended(failed, found.job) == ALL
    assert len(those(failed, 'queued', queue='night')) == NUMBER
    drained(failed)
    found = order(failed, 'remove', 'queue:night')
    alone(failed, found.job)
    assert ended(failed, found.job) == ALL and those(failed, 'error') == []


def test_what_could_not_be_is_counted(failed, each):
    gone = those(failed, 'error')[-1]

    def revived(number):
        if number == 2:
            with failed.transaction(independent=True):
                assert failed.processor.retryJob(gone)
    each.append(revived)
    found = order(failed)
    alone(failed, found.job)
    assert ended(failed, found.job) == ('completed', {'done': NUMBER - 1, 'left': 0})
    assert len(those(failed, 'queued')) == NUMBER


@pytest.mark.parametrize('batch', (1, 2))
def test_it_meets_others_and_tries_again(failed, each, batch):
    """The batch that conflicts is done again, and counted once."""
    met = []

    def meets(number):
        if not met:
            met.append(number)
            with failed.transaction(independent=True):
                assert failed.processor.retryJob(those(failed, 'error')[0])
    found = order(failed)
    each.append(lambda number: number == batch and meets(number))
    alone(failed, found.job)
    status, output = ended(failed, found.job)
    assert status == 'completed' and output['done'] + output['left'] in (NUMBER - 1, NUMBER)
    assert output['done'] == NUMBER - 1 and len(those(failed, 'queued')) == NUMBER


def test_it_is_cancelled_between_two_commits_and_goes_on(failed, each):
    found = order(failed)

    def cancels(number):
        if number == 2:
            with failed.transaction(independent=True):
                assert failed.processor.cancelJob(found.job, True)
    each.append(cancels)
    alone(failed, found.job)
    assert ended(failed, found.job)[0] == 'cancelled'
    assert 10 <= len(those(failed, 'queued')) <= 20
    with failed.transaction():
        assert failed.processor.retryJob(found.job)
    each.clear()
    drainedBulk(failed, found.job)
    assert ended(failed, found.job) == ALL


def drainedBulk(app, jobid):
    for number in range(9):
        if ended(app, jobid)[0] not in ('completed', 'error'):
            alone(app, jobid, f'worker {number}')


def test_another_worker_goes_on_where_one_has_died(failed, each):
    found = order(failed)

    def dies(number):
        if number == 3:
            raise Dying
    each.append(dies)
    name = deadAmidst(failed)
    assert len(those(failed, 'queued')) == 20
    each.clear()
    with failed.transaction():
        store = failed.processor.store
        rescuing.rescue(store, store.seats[name], time.time(), (found.job,))
    drainedBulk(failed, found.job)
    assert ended(failed, found.job) == ALL
    assert len(those(failed, 'queued')) + len(those(failed, 'error')) == NUMBER


@pytest.mark.parametrize('word, text, options', [
    ('nothing', '', {}), ('move', '', {}), ('retry', 'status:odd', {}),
    ('move', '', {'queue': ''})])
def test_an_order_that_makes_no_sense_is_refused(app, word, text, options):
    with pytest.raises(InputError):
        order(app, word, text, **options)


def test_it_waits_where_somebody_works(failed):
    loop = Loop(failed.db, failed.locate, 'worker', WorkerOptions(queues=('mail', 'night')))
    try:
        loop.poll(time.time())
        with failed.transaction():
            found = bulk.servedQueue(failed.processor.store, time.time())
        assert found == 'mail'
    finally:
        loop.close()
    with failed.reading() as processor:
        assert bulk.servedQueue(processor.store, time.time()) == 'default'


def test_an_order_is_not_written_by_hand(failed):
    """Whatever face: its input is looked at where it is stored."""
    found = order(failed)
    for given in (Arguments((1,)), Arguments((), {'do': 'remove', 'plan': None})):
        with failed.transaction(), pytest.raises(InputError, match='not written by hand'):
            editing.edit(failed.processor, found.job, {}, calling(failed.processor, found.job,
                                                                  given))
        with failed.transaction(), pytest.raises(InputError, match='not written by hand'):
            failed.processor.processJob(deeds.BULKNAME, tuple(given))
    alone(failed, found.job)
    assert ended(failed, found.job) == ALL


def test_what_could_not_be_is_in_no_record(failed):
    """Another job has the key of the newest one."""
    bad.using(unique='k').enqueue(1)
    drained(failed)
    good.using(unique='k').enqueue()
    found = order(failed)
    alone(failed, found.job)
    assert ended(failed, found.job) == ('completed', {'done': NUMBER, 'left': 1})
    if not failed.db.supportsUndo():
        return
    told = [each['description'] for each in failed.db.undoLog(0, 50)]
    told = [text for text in told if text.startswith('p01-remote bulk')]
    assert told[0] == 'p01-remote bulk: run again 6 jobs' and told[-1].endswith(' 9 jobs')
