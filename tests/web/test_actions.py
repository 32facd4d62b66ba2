# SPDX-License-Identifier: ZPL-2.1
"""What people do: the same verbs as the command's, told of as they are, signed in their own
transactions."""
from html import unescape

import pytest

from p01.remote.store.records import CANCELLED, COMPLETED, DELAYED, ERROR, QUEUED
from p01.remote.testing import waitFor
from p01.remote.views import figures
from p01.remote.views.errors import failuresOf
from p01.remote.views.filters import Filter, Part
from p01.remote.views.listing import find


def those(town, *stati, queue=''):
    """The ids of jobs, the newest first."""
    which = Filter(stati, queue=Part((queue,) if queue else ()))
    with town.app.reading() as processor:
        return [view.id for view in find(processor.store, which)]


def done(town, answer):
    """What the page says that an answer leads to."""
    assert answer.status_code == 303, answer.text
    return ' '.join(unescape(town.text(answer.location)).split())


def test_failed_jobs_run_again(town):
    some = those(town, ERROR)[:3]
    text = done(town, town.post('/jobs/act', do='retry', job=some, back='/jobs?filter=x'))
    assert '3 queued again' in text
    assert {town.status(jobid) for jobid in some} == {QUEUED}
    assert '0 queued again; 3 could not be' in done(town, town.post('/jobs/act', do='retry',
                                                                    job=some))


def test_all_that_match_run_again(town):
    number = len(those(town, ERROR, queue='mail'))
    page = unescape(town.text('/jobs?filter=status:error queue:mail&all=1'))
    assert f'All {number} that match' in page
    text = done(town, town.post('/jobs/act', do='retry', all='1',
                                filter='status:error queue:mail', back='/jobs'))
    assert f'{number} queued again' in text
    assert not those(town, ERROR, queue='mail') and those(town, ERROR)


def test_waiting_jobs_are_cancelled(town):
    some = those(town, QUEUED, queue='feed')
    assert f'{len(some)} cancelled' in done(town, town.post('/jobs/act', do='cancel', job=some))
    assert {town.status(jobid) for jobid in some} == {CANCELLED}


def test_deleting_asks_first(town):
    some = those(town, COMPLETED)[:2]
    answer = town.post('/jobs/act', do='remove', job=some)
    assert answer.status_code == 200 and 'Delete 2 jobs?' in answer.text
    assert town.status(some[0]) == COMPLETED
    assert '2 removed' in done(town, town.post('/jobs/act', do='remove', job=some, sure='1'))
    assert town.get(f'/jobs/{some[0]}').status_code == 404


def test_deleting_all_of_a_filter_asks_with_the_number(town):
    number = len(those(town, CANCELLED))
    answer = town.post('/jobs/act', do='remove', all='1', filter='status:cancelled')
    assert f'Delete {number:,} job' in answer.text
    done(town, town.post('/jobs/act', do='remove', all='1', filter='status:cancelled', sure='1'))
    assert not those(town, CANCELLED)


def test_a_kind_of_failure_runs_again(town):
    with town.app.reading() as processor:
        kind = failuresOf(processor.store).kinds[0]
    text = done(town, town.post(f'/errors/{kind.key}/retry'))
    assert f'{len(kind.jobids)} queued again' in text
    assert town.post(f'/errors/{kind.key}/retry').status_code == 404


def test_a_kind_of_failure_is_deleted_after_a_question(town):
    with town.app.reading() as processor:
        kind = failuresOf(processor.store).kinds[0]
    answer = town.post(f'/errors/{kind.key}/remove')
    assert f'Delete {len(kind.jobids)} jobs?' in answer.text
    done(town, town.post('/jobs/act', do='remove', job=list(kind.jobids), sure='1'))
    assert f'/errors/{kind.key}' not in town.text('/errors')


def test_queues_are_paused_and_resumed(town):
    assert 'paused' in done(town, town.post('/queues/pause/mail'))
    with town.app.reading() as processor:
        assert processor.store.settings.paused['mail'] is None
    assert 'paused until' in done(town, town.post('/queues/pause/mail', **{'for': '1h'}))
    assert 'resumed' in done(town, town.post('/queues/resume/mail'))
    with town.app.reading() as processor:
        assert 'mail' not in processor.store.settings.paused
    assert town.post('/queues/pause/mail', **{'for': 'soon'}).status_code == 400


def test_what_did_nothing_is_not_written_down(town):
    before = town.app.db.lastTransaction()
    for path, form in (('/queues/resume/mail', {}), ('/schedules/resume/shop.stock.sync', {}),
                       ('/workers/order', {'do': 'stop', 'process': 'nobody'})):
        assert 'n=0' in town.post(path, **form).location
    assert town.app.db.lastTransaction() == before


def test_schedules_are_paused_run_skipped_edited_and_reset(town):
    name = 'shop.stock.sync'
    shows = town.app.schedules
    done(town, town.post(f'/schedules/pause/{name}', **{'for': '1h'}))
    assert not shows[name].active and shows[name].until
    assert 'n=0' not in town.post(f'/schedules/resume/{name}').location
    assert 'n=0' in town.post(f'/schedules/resume/{name}').location
    assert shows[name].active
    done(town, town.post(f'/schedules/skip/{name}', count='2'))
    assert shows[name].skips == 2
    done(town, town.post(f'/schedules/run/{name}'))
    assert shows[name].history[0].why == 'by hand'
    done(town, town.post(f'/schedules/edit/{name}', cron='0 3 * * *', tz='Europe/Zurich'))
    assert shows[name].settings['cron'] == '0 3 * * *' and shows[name].tz == 'Europe/Zurich'
    done(town, town.post(f'/schedules/reset/{name}'))
    assert not shows[name].edited
    assert town.post(f'/schedules/edit/{name}', cron='no line').status_code == 400
    assert town.post(f'/schedules/edit/{name}').status_code == 400
    assert town.post(f'/schedules/skip/{name}', count='-1').status_code == 400
    assert town.post('/schedules/run/nothing').status_code == 404


def test_who_did_what_stands_in_the_transaction(tmp_path, monkeypatch):
    import shop

    from tests.web import stage
    from tests.web.conftest import Town
    shop.app.database = f'file:{tmp_path / "jobs.fs"}'
    try:
        town = Town(shop.app, stage.fill(shop.app))
        done(town, town.post('/queues/pause/mail'))
        some = those(town, ERROR)[:2]
        done(town, town.post('/jobs/act', do='retry', job=some))
        last = list(shop.app.db.storage.undoLog(0, 2))
        assert [each['user_name'].decode().strip() for each in last] == ['ann', 'ann']
        assert last[1]['description'] == b'p01-remote dash: pause queue mail'
        assert f'run again 2 jobs: {some[0]}, {some[1]}'.encode() in last[0]['description']
    finally:
        shop.app.close()
        shop.app.database = 'memory:'


@pytest.mark.parametrize('form', [
    {}, {'do': 'nothing', 'job': '1'}, {'do': 'retry'}, {'do': 'retry', 'job': 'x'},
    {'do': 'retry', 'all': '1', 'filter': 'nofield:x'}, {'do': 'cancel', 'job': '-1'}])
def test_bad_forms_are_refused_by_a_sentence(town, form):
    answer = town.post('/jobs/act', **form)
    assert answer.status_code == 400 and 'This cannot be' in answer.text


def test_jobs_that_are_gone_are_counted_as_such(town):
    text = done(town, town.post('/jobs/act', do='retry', job=['999999', those(town, ERROR)[0]]))
    assert '1 queued again; 1 could not be' in text


@pytest.mark.slow
def test_a_running_job_is_asked_to_end_and_workers_stop(town):
    from tests.web import stage
    address = f'sqlite:{town.app.place.partition(":")[2]}'
    with stage.Workers(address, town.app) as workers:
        jobid = workers.jobs[0]
        text = unescape(town.text(f'/jobs/{jobid}'))
        assert 'Ask it to end' in text and 'part 1 of 5 read' in text and '65%' in text
        assert 'serves mail' in unescape(town.text('/workers'))
        done(town, town.post('/jobs/act', do='cancel', job=jobid))
        waitFor(lambda: town.status(jobid) == CANCELLED, 30)
        assert 'Cancelled by ann' in unescape(town.text(f'/jobs/{jobid}'))
        with town.app.reading() as processor:
            process = next(iter(processor.store.seats.values())).process
        assert 'asked to end' in done(town, town.post('/workers/order', do='stop',
                                                      process=process))
        waitFor(lambda: any(each.poll() is not None for each in workers.running), 30)


def test_counts_are_true_after_all_of_it(town):
    town.post('/jobs/act', do='retry', all='1', filter='status:error')
    town.post('/jobs/act', do='cancel', all='1', filter='status:queued')
    town.post('/jobs/act', do='remove', all='1', filter='status:cancelled', sure='1')
    from tests.conftest import recount
    with town.app.reading() as processor:
        assert figures.exact(processor.store) == recount(processor.store)


def test_delayed_jobs_run_now(town):
    """Those enqueued for later, and those that wait to run again."""
    some = those(town, DELAYED)
    assert some and 'value="now"' in town.text('/jobs?filter=status:delayed')
    assert 'value="now"' not in town.text('/jobs?filter=status:error')
    assert 'Run now' in town.text(f'/jobs/{some[0]}')
    waits = those(town, QUEUED)[0]
    text = done(town, town.post('/jobs/act', do='now', job=[some[0], waits], back='/jobs'))
    assert '1 queued now; 1 could not be' in text and town.status(some[0]) == QUEUED
    text = done(town, town.post('/jobs/act', do='now', all='1', filter='', back='/jobs'))
    assert f'{len(some) - 1} queued now' in text and not those(town, DELAYED)


def test_a_schedule_that_no_code_declares_is_deleted_after_a_question(town):
    town.app.schedules.add('digest', 'shop.feed.export', '0 8 * * *', args=('north',))
    assert '/schedules/remove/digest' in town.text('/schedules/digest')
    page = town.post('/schedules/remove/digest').text
    assert 'Delete schedule digest?' in page and 'name="sure"' in page
    assert town.get('/schedules/digest').status_code == 200
    assert '1 removed' in done(town, town.post('/schedules/remove/digest', sure='1'))
    assert town.get('/schedules/digest').status_code == 404
    assert town.post('/schedules/remove/digest', sure='1').status_code == 404
    declared = 'shop.stock.sync'
    assert f'/schedules/remove/{declared}' not in town.text(f'/schedules/{declared}')
    answer = town.post(f'/schedules/remove/{declared}', sure='1')
    assert answer.status_code == 400 and 'declared by code' in answer.text


def test_a_schedule_is_paused_for_a_while_on_its_page(town):
    name = 'shop.stock.sync'
    page = town.text(f'/schedules/{name}')
    assert all(f'name="for" value="{length}"' in page for length in ('15m', '1h', '1d', ''))
    text = done(town, town.post(f'/schedules/pause/{name}', back=f'/schedules/{name}',
                                **{'for': '1h'}))
    assert '1 paused' in text and 'paused until' in text
