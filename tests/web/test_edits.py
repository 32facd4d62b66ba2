# SPDX-License-Identifier: ZPL-2.1
"""Jobs that wait are moved and changed, others run again, edited."""
import pickle
import time
from html import unescape

import pytest

from p01.remote.bulk import Order, ordered
from p01.remote.cli import main
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import InputError
from p01.remote.options import WorkerOptions
from p01.remote.store import payload
from p01.remote.store.records import CANCELLED, COMPLETED, DELAYED, ERROR, PROCESSING, QUEUED
from p01.remote.views.literal import EDITABLE, argumentsOf, textOf
from p01.remote.wire.functions import namesOf
from tests.web.test_actions import done, those
from tests.web.test_api import Service, problem
from tests.web.test_mcp import Office


def view(town, jobid):
    with town.app.reading() as processor:
        return processor.store.view(jobid)


def called(town, jobid):
    with town.app.reading() as processor:
        return payload.unpack(processor.store.entry(jobid)[1].input)


def form(town, jobid, **changes):
    """What the form of a job's page sends, with some fields changed."""
    record = view(town, jobid).record
    was = {'queue': record.queue, 'priority': str(record.priority),
           'call': textOf(record.input, namesOf(town.app, record.name))[0]}
    return {**was, **{f'was-{name}': value for name, value in was.items()}, 'delay': '', **changes}


def test_selected_jobs_are_moved(town):
    some = those(town, QUEUED, queue='feed')
    page = town.post('/jobs/act', do='move', job=some, back='/jobs').text
    assert f'Move {len(some)} jobs' in page and 'name="to"' in page
    text = done(town, town.post('/jobs/act', do='move', job=some, to='night', priority='7',
                                back='/jobs'))
    assert f'{len(some)} moved' in text
    assert {view(town, jobid).record[3:5] for jobid in some} == {('night', 7)}
    assert those(town, QUEUED, queue='night') == some and not those(town, QUEUED, queue='feed')


def test_all_that_match_are_moved_and_others_left(town):
    number = len(those(town, QUEUED, DELAYED, queue='mail'))
    assert number
    page = town.post('/jobs/act', do='move', all='1', filter='queue:mail', back='/jobs').text
    assert f'Move {number} job' in page
    text = done(town, town.post('/jobs/act', do='move', all='1', filter='queue:mail', to='late'))
    assert f'{number} moved' in text
    over = those(town, COMPLETED)[:2]
    assert '0 moved; 2 could not be' in done(town, town.post('/jobs/act', do='move', job=over,
                                                             to='x'))


@pytest.mark.parametrize('fields', [{'to': 'x' * 100_001}, {'priority': 'high'},
                                    {'priority': '101'}, {'do': 'nothing'}])
def test_a_move_that_makes_no_sense_is_refused(town, fields):
    some = those(town, QUEUED)[:1]
    assert town.post('/jobs/act', **{'do': 'move', 'job': some, **fields}).status_code == 400


def test_a_waiting_job_is_changed_by_its_page(town):
    jobid = those(town, QUEUED, queue='feed')[0]
    name = view(town, jobid).record.name
    assert 'Change it' in town.text(f'/jobs/{jobid}')
    text = done(town, town.post(f'/jobs/{jobid}/edit', **form(town, jobid, queue='night')))
    assert '1 changed' in text
    assert view(town, jobid).record.queue == 'night'
    before = called(town, jobid)
    done(town, town.post(f'/jobs/{jobid}/edit', **form(town, jobid, delay='10m', priority='-3')))
    assert (view(town, jobid).status, view(town, jobid).record.priority) == (DELAYED, -3)
    done(town, town.post(f'/jobs/{jobid}/edit', **form(town, jobid, now='1')))
    assert view(town, jobid).status == QUEUED and called(town, jobid) == before
    assert view(town, jobid).record.name == name


def test_what_stands_in_a_form_that_is_old_is_not_set_back(town):
    jobid = those(town, QUEUED, queue='feed')[0]
    old = form(town, jobid, priority='4')
    done(town, town.post(f'/jobs/{jobid}/edit', **form(town, jobid, queue='night')))
    done(town, town.post(f'/jobs/{jobid}/edit', **old))
    assert view(town, jobid).record[3:5] == ('night', 4)


def test_its_arguments_are_edited(town):
    jobid = town.app.jobs['shop.mail.receipt'].enqueue('order-7', copies=2).id
    text = unescape(town.text(f'/jobs/{jobid}'))
    assert "'order-7', copies=2</textarea>" in text
    done(town, town.post(f'/jobs/{jobid}/edit', **form(town, jobid, call="'order-8'")))
    assert called(town, jobid) == (('order-8',), {})
    for wrong, word in (("'a', 'b', 'c', 'd', 'e'", 'cannot be called'), ('1 +', 'cannot be read'),
                        ('__import__("os")', 'cannot be read'), ('nothing=1', 'cannot be called')):
        answer = town.post(f'/jobs/{jobid}/edit', **form(town, jobid, call=wrong))
        assert answer.status_code == 400 and word in unescape(answer.text)
    assert called(town, jobid) == (('order-8',), {})


def test_what_has_ended_or_runs_is_refused_in_a_sentence(town):
    with town.app.transaction():
        assert town.app.processor.pullNextJob()
    for status, word in ((ERROR, 'run it again'), (PROCESSING, 'runs and cannot be changed')):
        jobid = those(town, status)[0]
        answer = town.post(f'/jobs/{jobid}/edit', **form(town, jobid, queue='x'))
        assert answer.status_code == 409 and word in answer.text
    assert town.post('/jobs/999999/edit', queue='x').status_code == 404
    assert 'class="form"' not in town.text(f'/jobs/{those(town, PROCESSING)[0]}')


def test_a_failed_job_runs_again_edited(town):
    jobid = town.app.jobs['shop.mail.receipt'].using(priority=3).enqueue('order-7').id
    town.post('/jobs/act', do='cancel', job=[jobid])
    assert 'Run it again, edited' in town.text(f'/jobs/{jobid}')
    answer = town.post(f'/jobs/{jobid}/again', **form(town, jobid, call="'order-8', copies=1"))
    assert '1 enqueued' in done(town, answer)
    new = int(answer.location.partition('?')[0].rpartition('/')[2])
    assert new > jobid and called(town, new) == (('order-8',), {'copies': 1})
    assert view(town, new).record[3:5] == view(town, jobid).record[3:5]
    same = town.post(f'/jobs/{jobid}/again', **form(town, jobid))
    assert called(town, int(same.location.partition('?')[0].rpartition('/')[2])) \
        == (('order-7',), {})
    assert town.post(f'/jobs/{new}/again', **form(town, new)).status_code == 409
    assert town.status(jobid) == 'cancelled'


def test_what_cannot_be_written_is_passed_as_it_is(town, monkeypatch):
    receipt = town.app.jobs['shop.mail.receipt']
    odd = receipt.enqueue('order-7', 2).id
    monkeypatch.delitem(town.app.jobs, 'shop.mail.receipt')
    text = town.text(f'/jobs/{odd}')
    assert '<textarea' not in text and 'does not know the function' in text
    answer = town.post(f'/jobs/{odd}/edit', **form(town, odd, call='1'))
    assert answer.status_code == 400


def test_more_than_a_few_are_done_with_by_a_job(town, monkeypatch):
    monkeypatch.setattr('p01.remote.bulk.FEW', 3)
    number = len(those(town, ERROR))
    answer = town.post('/jobs/act', do='retry', all='1', filter='status:error', back='/jobs')
    text = done(town, answer)
    assert '1 enqueued' in text and 'p01.remote.bulk' in text and "'status:error'" in text
    assert 'No worker runs' in text and 'class="form"' not in text
    jobid = int(answer.location.partition('?')[0].rpartition('/')[2])
    assert number == len(those(town, ERROR))
    loop = Loop(town.app.db, town.app.locate, 'worker', WorkerOptions(drain=True))
    loop.batch.size = lambda: 1
    loop.poll(time.time())
    loop.close()
    assert town.status(jobid) == COMPLETED and not those(town, ERROR)
    page = unescape(town.text(f'/jobs/{jobid}'))
    assert f"{{'done': {number}, 'left': 0}}" in page and '<progress class="wide' in page


def test_no_face_writes_the_order_of_a_job_for_many(town, capsys):
    """Waiting or ended; where it waits is edited as of others."""
    office, service = Office(town), Service(town)
    with town.app.transaction():
        jobid = ordered(town.app.processor, Order('retry', {}, 'status:error', 'ann', time.time()))
    place = f'sqlite:{town.app.place.partition(":")[2]}'
    for status, verb, tool in ((QUEUED, 'edit', 'editJob'), (CANCELLED, 'again', 'enqueueAgain')):
        assert town.status(jobid) == status
        page = town.post(f'/jobs/{jobid}/{verb}', **{**form(town, jobid), 'call': '1, 2'})
        assert page.status_code == 400
        assert main(['jobs', verb, place, str(jobid), '--args', '[1, 2]']) == 2
        for told in (unescape(page.text), office.refused(tool, id=jobid, args=[1, 2]),
                     problem(service.post(f'/jobs/{jobid}/{verb}', {'args': [1, 2]}), 400),
                     capsys.readouterr().err.replace('\n', ' ')):
            assert 'p01.remote.bulk has an order as its input' in told
            assert 'give a new order for all jobs of a filter.' in told
        done(town, town.post(f'/jobs/{jobid}/{verb}', **form(town, jobid, priority='3')))
        town.post('/jobs/act', do='cancel', job=[jobid])


def test_deleting_many_asks_with_their_number_where_it_is_known(town, monkeypatch):
    monkeypatch.setattr('p01.remote.bulk.FEW', 3)
    number = len(those(town, COMPLETED))
    page = town.post('/jobs/act', do='remove', all='1', filter='status:completed').text
    assert f'Delete {number:,} jobs?' in page
    page = town.post('/jobs/act', do='remove', all='1', filter='status:completed job:receipt').text
    assert 'Delete all jobs that match?' in page
    answer = town.post('/jobs/act', do='remove', all='1', filter='status:completed', sure='1')
    assert '1 enqueued' in done(town, answer) and len(those(town, COMPLETED)) == number


@pytest.mark.parametrize('args, kwargs', [
    ((), {}), ((42, 'text', None, True, 1.5, -3), {}), (((1,), [2, {'a': (3, 4)}], {5}, b'x'), {}),
    (('it\'s "so"\n', 'ä'), {'key': {'nested': [None]}}), ((10 ** 30, set()), {})])
def test_literals_come_back_as_they_were(args, kwargs):
    kept = payload.pack((args, kwargs) if args or kwargs else None, 'it')
    text, why = textOf(kept, ('first', 'second'))
    assert why == '' and argumentsOf(text) == (args, kwargs)


@pytest.mark.parametrize('value', [float('nan'), frozenset({1}), 1 .__class__, 'x' * EDITABLE,
                                   Ellipsis, InputError('x'), [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]
                                   ]]]]]]]]]]])
def test_others_are_not_edited(value):
    text, why = textOf(pickle.dumps(((value,), {}), 4), ())
    assert text == '' and why


def test_secrets_are_neither_shown_nor_edited():
    kept = payload.pack((('mary', 'geheim'), {}), 'it')
    assert textOf(kept, ('user', 'password')) == ('', 'a part of them is hidden')
    kept = payload.pack((({'token': 'geheim'},), {}), 'it')
    assert textOf(kept, ()) == ('', 'a part of them is hidden')


@pytest.mark.parametrize('text', [
    '1, (', ')', '1).real(2', '*[1]', '**{"a": 1}', 'a', 'lambda: 1', 'x=1, x=2', 'f()', '{[]: 1}',
    '(' * 5000, '-' * 15_000 + '1', '1+' * 9_000 + '1', '[' * 300 + ']' * 300, "f'{1}'",
    '1 if 1 else 2', 'x' * (EDITABLE + 1), '\0', '1 # ) \n, x:=2', "'\\N{x}'"])
def test_nothing_else_is_read(text):
    with pytest.raises(InputError):
        argumentsOf(text)
