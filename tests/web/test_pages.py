# SPDX-License-Identifier: ZPL-2.1
"""Pages: each shows what there is, of one snapshot; counters and lists agree; what is idle costs a
304."""
import re
import time
from html import unescape

import pytest

from p01.remote.store.records import ERROR
from p01.remote.views import errors, figures
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find

PAGES = ['/', '/jobs', '/errors', '/queues', '/workers', '/schedules', '/system', '/system?check=1']


def ids(text):
    """The jobs of a list, in their order."""
    return [int(each) for each in re.findall(r'id="job-(\d+)"', text)]


def failed(town):
    """The failed jobs, the newest first."""
    with town.app.reading() as processor:
        return [view.id for view in find(processor.store, Filter((ERROR,)))]


@pytest.mark.parametrize('path', PAGES)
def test_a_page_shows(town, path):
    text = town.text(path)
    assert '</html>' in text
    assert text.count('<h1') == 1


@pytest.mark.parametrize('path', PAGES)
def test_jobs_are_counted_once_for_a_page(town, path, monkeypatch):
    counted = []

    def tallied(store):
        counted.append(path)
        return tally(store)

    tally = figures.tallied
    for module in (figures, errors):
        monkeypatch.setattr(module, 'tallied', tallied)
    assert '</html>' in town.text(path) and len(counted) == 1


@pytest.mark.parametrize('path', PAGES)
def test_an_empty_page_teaches(empty, path):
    text = empty.text(path)
    assert '<div class="empty">' in text or 'system' in path
    assert 'Traceback' not in text


def test_the_overview_begins_with_a_verdict(town):
    text = unescape(town.text('/'))
    assert 'Nothing runs' in re.search('<h1[^>]*>(.*?)</h1>', text)[1]
    assert 'p01-remote worker shop:app' in text


def test_tabs_and_lists_agree(town):
    with town.app.reading() as processor:
        counts = figures.exact(processor.store)
    text = town.text('/jobs?filter=status:error')
    number = sum(each.get(ERROR, 0) for each in counts.values())
    assert f'<b>{number}</b> jobs match' in text
    assert ids(text) == failed(town)[:50]


def test_pages_follow_each_other_without_a_gap(town):
    found, path = [], '/jobs'
    while path:
        text = town.text(path)
        found += ids(text)
        link = re.search(r'rel="next" href="([^"]*)"', text)
        path = link and unescape(link[1])
    with town.app.reading() as processor:
        assert found == [view.id for view in find(processor.store)]


@pytest.mark.parametrize('text', ['status:queued', 'status:completed queue:index', 'job:receipt',
                                  'error:Refused', 'status:error job:receipt', 'age>30m',
                                  'status:delayed', 'depot', 'id:7 id:9', '-status:completed'])
def test_a_filter_shows_what_the_command_finds(town, text):
    from p01.remote.views.grammar import parse
    found, path = [], f'/jobs?filter={text}'
    while path:
        page = town.text(path.replace('>', '%3E'))
        found += ids(page)
        link = re.search(r'rel="next" href="([^"]*)"', page)
        path = link and unescape(link[1])
    with town.app.reading() as processor:
        assert found == [view.id for view in find(processor.store, parse(text, time.time()))]


def test_a_failed_job_shows_why(town):
    text = unescape(town.text(f'/jobs/{failed(town)[0]}'))
    assert 'Run again' in text and 'Delete…' in text
    assert 'shop/smtp.py' in text or 'shop/stock.py' in text or 'shop/image.py' in text
    assert 'raised' in text or 'Run 3' in text
    assert 'p01-remote jobs retry shop:app' in text


def test_secrets_are_hidden(town):
    with town.app.reading() as processor:
        jobid = next(view.id for view in find(processor.store)
                     if view.record.name == 'shop.mail.receipt' and view.outcome)
    for path in (f'/jobs/{jobid}', '/jobs?filter=status:completed job:receipt'):
        text = town.text(path)
        assert 'f3a9-secret' not in text
    assert '••••••' in town.text(f'/jobs/{jobid}')
    assert 'ann@example.com' in town.text(f'/jobs/{jobid}')


def test_a_waiting_job_says_why(town):
    assert 'No worker runs.' in town.text(f'/jobs/{town.ids["waiting"]}')
    text = town.text(f'/jobs/{town.ids["delayed"]}')
    assert 'It is delayed' in text


def test_kinds_of_failure_and_their_jobs_agree(town):
    with town.app.reading() as processor:
        found = errors.failuresOf(processor.store)
    text = town.text('/errors')
    for kind in found.kinds:
        assert f'Run {len(kind.jobids):,} again' in text
        page = town.text(f'/errors/{kind.key}')
        assert ids(page) == list(kind.jobids)[:50]
    assert sum(len(kind.jobids) for kind in found.kinds) == len(failed(town))


def test_an_idle_page_costs_a_304(town):
    for path in PAGES:
        tag = town.get(path).headers['ETag']
        again = town.get(path, headers={'If-None-Match': tag})
        if again.status_code == 200:        # a minute went by
            tag = again.headers['ETag']
            again = town.get(path, headers={'If-None-Match': tag})
        assert again.status_code == 304 and not again.data
        with town.app.transaction() as root:
            root['x'] = path
        assert town.get(path, headers={'If-None-Match': tag}).status_code == 200


@pytest.mark.parametrize('path', ['/jobs/999999', '/jobs/0', '/jobs/x', '/schedules/nothing',
                                  '/nowhere', '/jobs/99999999999999999999999'])
def test_what_is_not_there_is_a_404(town, path):
    answer = town.get(path)
    assert answer.status_code == 404
    assert 'There is nothing here' in answer.text


def test_a_wrong_filter_is_told_in_its_place(town):
    answer = town.get('/jobs?filter=nofield:x')
    assert answer.status_code == 200
    assert 'there is no field nofield' in answer.text


def test_a_number_is_looked_for_as_a_job(town):
    answer = town.get(f'/jobs?filter={town.ids["waiting"]}')
    assert answer.status_code == 302
    assert answer.location.endswith(f'/jobs/{town.ids["waiting"]}')


def test_it_lives_below_any_path(town):
    text = town.browser.get('/jobs', base_url='http://x/admin/queue').text
    links = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', text)
    assert links and all(link.startswith('/admin/queue/') for link in links)


def test_what_a_page_loads_is_small(town):
    total = 0
    accepts = {'Accept-Encoding': 'gzip'}
    text = town.text('/jobs')
    for link in ['/jobs', *re.findall(r'(?:src|href)="(/static/[^"]*)"', text)]:
        answer = town.get(unescape(link), headers=accepts)
        assert answer.status_code == 200
        total += len(answer.data)
    assert total <= 60_000, total


def test_charts_are_of_all_or_of_a_queue_or_of_a_job(town):
    from p01.remote.views.history import historyOf
    with town.app.reading() as processor:
        past = historyOf(processor.store, 'hour', time.time())
    queue, job = past.queues()[0], past.names()[0]
    assert past.sum().completed > past.sum(queue).completed or len(past.queues()) == 1
    text = unescape(town.text('/'))
    for kind, names in (('queue', past.queues()), ('job', past.names())):
        assert [f'/?{kind}={name}' in text for name in names if name] == [True] * len(names)
    for path, point in (('/', past.sum()), (f'/?queue={queue}', past.sum(queue)),
                        (f'/?job={job}', past.sum(name=job)),
                        (f'/?queue={queue}&job={job}', past.sum(queue, job)),
                        ('/?queue=nobody', past.sum('nobody'))):
        told = re.search(r'<h2>Ended</h2>.*?<p class="sum">(.*?)</p>', unescape(town.text(path)),
                         re.S)[1]
        assert told.startswith(f'{point.completed:,} completed' if point.completed
                               else 'Nothing ended')
    text = unescape(town.text(f'/?queue={queue}&job={job}'))
    assert f'queue:{queue}' in text and f'job:{job}' in text
    assert f'/?span=day&queue={queue}&job={job}' in text


def test_a_schedule_of_seconds_says_its_next_runs_to_the_second(town):
    assert not re.search(r'then \d\d:\d\d:\d\d', town.text('/schedules'))
    town.app.schedules.add('beat', 'shop.stock.sync', every='5s', kwargs={'depot': 'north'})
    assert re.search(r'then \d\d:\d\d:\d\d, \d\d:\d\d:\d\d<', town.text('/schedules'))
