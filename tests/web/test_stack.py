# SPDX-License-Identifier: ZPL-2.1
"""Where a job that runs stands, on a page of its own."""
import re

from p01.remote.wire.stacks import ofJob
from tests.web import stage
from tests.web.conftest import readOnly


def test_a_running_job_says_where_it_stands(town):
    place = town.app.place.partition(':')[2]
    with stage.Workers(f'sqlite:{place}', town.app) as workers:
        jobid = workers.jobs[0]
        assert 'Where does it stand?' in town.text(f'/jobs/{jobid}')
        text = town.post(f'/jobs/{jobid}/stack').text
        mine = text.partition('What runs it')[2].partition('Other threads')[0]
        assert f'which runs job {jobid} for' in mine and 'shop/index.py' in mine
        assert 'Other threads of the process' in text
        with town.app.reading() as processor:
            pid = processor.store.view(jobid).worker.split(':')[1]
        # by whichever of its workers
        worker = re.search(rf'name="worker" value="([^":]*:{pid}:\w+)"', town.text('/workers'))[1]
        text = town.post('/workers/stack', worker=worker).text
        assert f'which runs job {jobid} for' in text and '<h2>Its process' in text


def test_one_that_does_not_answer_is_told_so(town):
    with town.app.transaction():
        jobid = town.app.processor.pullNextJob().id
    text = town.post(f'/jobs/{jobid}/stack').text
    assert 'does not answer' in text and 'workers stacks shop:app' in text
    assert 'Worker nobody does not answer' in town.post('/workers/stack', worker='nobody').text


def test_one_that_does_not_run_leads_back(town):
    answer = town.post(f'/jobs/{town.ids["waiting"]}/stack')
    assert answer.status_code == 303 and answer.location.endswith(f'/jobs/{town.ids["waiting"]}')
    assert town.post('/jobs/999999/stack').status_code == 404
    readOnly(town)
    assert town.post(f'/jobs/{town.ids["waiting"]}/stack').status_code == 403


def test_the_thread_of_a_job_is_told_apart():
    one = 'Thread a, which runs job 1 for 2.0 s:\n  x'
    other = 'Thread b, which runs job 12 for 2.0 s:\n  y'
    assert ofJob(f'{one}\n\n{other}', 1) == (one, other)
    assert ofJob('', 1) == ('', '')


def test_a_job_that_no_thread_shows_is_told_apart():
    one = 'Job 1 shop.mail, which awaits, began 2.0 s ago:\n  x'
    other = 'Dask worker tcp://a:1, process 1, which runs job 12 for 2.0 s:\n  y'
    assert ofJob(f'{one}\n\n{other}', 1) == (one, other)
    assert ofJob(f'{one}\n\n{other}', 12) == (other, one)
