# SPDX-License-Identifier: ZPL-2.1
"""What jobs of the front do and ask from within, on every storage: current, further jobs, detached
ones."""
import pytest
from persistent.mapping import PersistentMapping

from p01.remote import App, JobError, RemoteError, RunLater, current
from p01.remote.exceptions import InputError
from p01.remote.views import figures
from tests.conftest import unhurry

application = App('memory:')
seen = {}


@application.job
def square(number):
    return number * number


@application.job(retries=2, backoff=0)
def look():
    seen.update(attempt=current.attempt, id=current.job.id, status=current.job.status,
                runs=current.job.runCounter,
                queue=current.job.queue, input=current.job.input,
                stored=current.processor._p_jar is not None,
                root=current.root['marker'], bool=bool(current))
    current.progress(1, 2, 'half')
    current.log.info('looked')
    if current.job.runCounter < 3:
        raise ValueError('not yet')


@application.job
def spawn(count, fail=False):
    handles = [square.enqueue(number) for number in range(count)]
    if fail:
        raise JobError('and nothing was spawned')
    return [handle.id for handle in handles]


@application.job(together=True)
def parts(number):
    """A part of it is taken back, and one is a transaction of its own."""
    with application.transaction() as root:
        root['parts'][number] = square.enqueue(number).id
    with pytest.raises(ValueError, match='no'), application.transaction() as root:
        root['parts'][number] = square.enqueue(number + 100).id
        raise ValueError('no')
    with application.transaction(independent=True) as root:
        square.enqueue(number + 200)
    return current.root['parts'][number]


@application.job(detached=True, retries=0)
def away(number, enqueue=''):
    try:
        seen['root'] = current.root
    except RemoteError as error:
        seen['root'] = str(error)
    seen['processor'] = current.processor
    if enqueue == 'bare':
        return square.enqueue(number).id
    elif enqueue:
        with application.transaction():
            return square.enqueue(number).id
    return -number


@application.job(retries=0)
def later():
    raise RunLater(60, 'the shop is closed')


def test_current_tells_the_job_about_itself(app):
    assert not current
    with pytest.raises(RemoteError, match='No job runs here'):
        current.job  # noqa: B018
    with app.transaction() as root:
        root['marker'] = 'here'
        handle = look.enqueue()
    assert app.drain() == 3 and handle.status == 'completed'
    assert seen == {**seen, 'attempt': f'{handle.id}.3', 'id': handle.id, 'status': 'processing',
                    'runs': 3,
                    'queue': 'default', 'stored': True, 'root': 'here', 'bool': True}


def test_jobs_enqueue_jobs_and_a_failure_takes_them_back(app):
    with app.transaction():
        good, bad = spawn.enqueue(50), spawn.enqueue(50, fail=True)
    assert app.drain() == 52
    assert [app.handle(jobid).result()
            for jobid in good.result()] == [number ** 2 for number in range(50)]
    assert bad.status == 'error'
    with app.reading() as processor:
        assert figures.exact(processor.store) == {'default': {'completed': 51, 'error': 1}}


def test_parts_of_jobs_that_share_a_commit(app, monkeypatch):
    unhurry(monkeypatch)
    with app.transaction() as root:
        root['parts'] = PersistentMapping()
        handles = [parts.enqueue(number) for number in range(20)]
    assert app.drain() == 60
    with app.reading() as processor:
        assert dict(processor._p_jar.root()['parts']) == {number: handle.result()
                                                          for number, handle in enumerate(handles)}
    assert [app.handle(handle.result()).result()
            for handle in handles] == [number ** 2 for number in range(20)]


def test_nobody_has_no_transaction_and_shares_it(app):
    with pytest.raises(InputError, match='give detached or together'):
        app.job(detached=True, together=True)


def test_a_detached_job_has_no_database(app):
    with app.transaction():
        handle = away.enqueue(4)
    assert app.drain() == 1 and handle.result() == -4
    assert seen['processor'] is None and 'no database' in seen['root']


def test_a_detached_job_enqueues_in_a_transaction_of_its_own(app):
    with app.transaction():
        handles = away.enqueue(4, 'own'), away.enqueue(4, 'bare')
    app.drain()
    assert [app.handle(handle.result()).result() for handle in handles] == [16, 16]


def test_a_job_may_ask_to_run_later(app):
    with app.transaction():
        handle = later.enqueue()
    assert app.drain() == 1 and (handle.status, handle.job.runCounter) == ('delayed', 0)


def test_why_a_job_asks_to_run_later_is_told(app, caplog):
    caplog.set_level('INFO', 'p01.remote')
    handle = later.enqueue()
    app.drain()
    assert handle.status == 'delayed' and not handle.job.attempts
    told = [record.getMessage() for record in caplog.records if record.levelname == 'INFO']
    said = 'runs later, as it asks: the shop is closed'
    assert f'Job {handle.id} {later.prototype.path}: {said}' in told


@application.job
def mark(number):
    current.root['parts'][number] = number


def test_a_job_knows_the_transaction_that_ended_it(app):
    """The one that its changes came with, whatever the slip was written for afterwards; one that
    changed nothing has none."""
    with app.transaction() as root:
        root['parts'] = PersistentMapping()
    found = {}
    for number in range(7):
        handle = mark.enqueue(number)
        app.drain()
        with app.transaction() as root:
            found[handle.id] = root['parts']._p_serial
    plain = square.enqueue(2)
    # on slips that are used together
    handles = [mark.enqueue(100 + number) for number in range(9)]
    app.drain()
    with app.reading() as processor:
        assert {jobid: processor.getJob(jobid).tid for jobid in found} == found
        assert processor.getJob(plain.id).tid is None
        last = [processor.getJob(handle.id).tid for handle in handles]
    assert None not in last and len({*last}) == len(last)
    with app.transaction() as root:
        assert max(last) == root['parts']._p_serial
