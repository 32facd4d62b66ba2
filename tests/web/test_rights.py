# SPDX-License-Identifier: ZPL-2.1
"""Who may what: closed unless somebody says who comes in; tokens, cookies, origins, hosts."""
import re

import pytest

from p01.remote.exceptions import InputError
from p01.remote.store.records import ERROR
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find
from p01.remote.web import ALL, DENIED, Sessions, Visitor, wsgi
from tests.web.conftest import OURS, readOnly


def failed(town):
    """A failed job."""
    with town.app.reading() as processor:
        return next(find(processor.store, Filter((ERROR,)))).id


def rules(site):
    """Every route, with something for each of its parts."""
    for rule in site.url_map.iter_rules():
        path = re.sub('<[^>]*>', '1', rule.rule)
        if rule.endpoint != 'static':
            yield path, 'POST' in rule.methods


def test_nobody_comes_in_unless_somebody_says_so(town):
    browser = wsgi(town.app).test_client()
    for path, posts in rules(town.site):
        answer = browser.post(path, headers=OURS) if posts else browser.get(path)
        assert answer.status_code == 403
        assert 'shop' not in answer.text.replace('shop:app', '')


def test_who_is_denied_sees_nothing(town):
    for visitor in (None, Visitor('eve', DENIED), Visitor('eve', 'none'), Visitor('eve', '')):
        town.access = visitor
        for path, posts in rules(town.site):
            answer = town.post(path) if posts else town.get(path)
            assert answer.status_code == 403


def test_who_may_look_changes_nothing(town):
    readOnly(town)
    before = town.app.db.lastTransaction()
    for path, posts in rules(town.site):
        if posts and path != '/theme':
            assert town.post(path, do='retry', job=failed(town)).status_code == 403
        elif not posts:
            assert town.get(path).status_code in (200, 404)
    assert town.app.db.lastTransaction() == before
    assert 'read-only' in town.text('/jobs')
    assert 'disabled' in town.text(f'/jobs/{failed(town)}')


@pytest.mark.parametrize('headers', [
    {}, {'Sec-Fetch-Site': 'cross-site'}, {'Sec-Fetch-Site': 'same-site'},
    {'Sec-Fetch-Site': 'none'}, {'Origin': 'http://evil.example'}, {'Origin': 'null'},
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'http://localhost'}])
def test_what_others_pages_send_changes_nothing(town, headers):
    jobid = failed(town)
    answer = town.browser.post('/jobs/act', data={'do': 'retry', 'job': jobid}, headers=headers)
    assert answer.status_code == 403
    assert town.status(jobid) == ERROR


def test_an_older_browser_says_its_origin(town):
    jobid = failed(town)
    answer = town.browser.post('/jobs/act', data={'do': 'retry', 'job': jobid},
                               headers={'Origin': 'http://localhost'})
    assert answer.status_code == 303
    assert town.status(jobid) == 'queued'


def test_a_get_changes_nothing(town):
    before = town.app.db.lastTransaction()
    for path, posts in rules(town.site):
        answer = town.get(path)
        assert answer.status_code in ((404, 405) if posts else (200, 404)), path
    assert town.app.db.lastTransaction() == before


def test_a_token_lets_one_browser_in(town):
    told = []
    sessions = Sessions(told.append)
    site = wsgi(town.app, sessions=sessions, hosts=('localhost',))
    ann, bob = site.test_client(), site.test_client()
    token = sessions.token
    assert ann.get('/').status_code == 403
    assert ann.get('/?token=wrong').status_code == 403
    answer = ann.get(f'/jobs?token={token}')
    assert answer.status_code == 303 and 'token' not in answer.location
    cookie = answer.headers['Set-Cookie']
    assert 'HttpOnly' in cookie and 'SameSite=Lax' in cookie and token not in cookie
    assert ann.get('/').status_code == 200
    assert bob.get(f'/?token={token}').status_code == 403
    assert told == [sessions.token] != [token]
    assert bob.get(f'/?token={told[0]}').status_code == 303
    assert bob.get('/').status_code == 200


@pytest.mark.parametrize('path', ['/\t/evil.example', '//evil.example', '/\\evil.example'])
def test_a_token_leads_nowhere_else(town, path):
    sessions = Sessions(lambda token: None)
    browser = wsgi(town.app, sessions=sessions).test_client()
    for _ in range(2):      # the second time it has a cookie
        answer = browser.get('/', query_string={'token': sessions.token},
                             environ_overrides={'PATH_INFO': path, 'SCRIPT_NAME': ''})
        assert re.match('(http://localhost)?/[^/\\\\\\s]', answer.location or '/x'), answer.location


def test_a_name_that_points_here_is_not_enough(town):
    site = wsgi(town.app, access=lambda environ: Visitor('ann', ALL), hosts=('localhost', '::1'))
    browser = site.test_client()
    assert browser.get('/', base_url='http://localhost:8765').status_code == 200
    assert browser.get('/', base_url='http://[::1]:8765').status_code == 200
    assert browser.get('/', base_url='http://evil.example').status_code == 421


def test_all_answers_carry_the_policy(town):
    for path in ('/', '/nowhere', '/jobs?filter=nofield:x', '/static/dash.js'):
        headers = town.get(path).headers
        policy = headers['Content-Security-Policy']
        assert "default-src 'none'" in policy and 'unsafe' not in policy
        assert headers['X-Content-Type-Options'] == 'nosniff'


def test_pages_have_no_code_and_no_style_of_their_own(town):
    for path in ('/', '/jobs', f'/jobs/{failed(town)}', '/errors', '/queues', '/schedules'):
        text = town.text(path)
        assert not re.search(r'<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:', text)


def test_errors_show_nothing_of_the_inside(town, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError('the secret of the house')

    monkeypatch.setattr(type(town.app), 'reading', fails)
    answer = town.get('/')
    assert answer.status_code == 500
    assert 'secret' not in answer.text and 'Traceback' not in answer.text
    assert 'the log of the server says what' in answer.text


@pytest.mark.parametrize('back', ['//evil.example', 'http://evil.example', '/\\evil.example',
                                  'javascript:alert(1)', '/x\r\nSet-Cookie: a=b',
                                  '/\t/evil.example', '/\r/evil.example'])
def test_the_way_back_leads_nowhere_else(town, back):
    answer = town.post('/jobs/act', do='retry', job=failed(town), back=back)
    assert answer.location.startswith('/jobs?did=retry')
    assert town.post('/theme', theme='dark', back=back).location == '/'


TOKEN = 'token-of-a-scraper-x'


def test_who_may_look_and_scrapers_see_the_metrics(town):
    pytest.importorskip('prometheus_client', reason='the metrics need p01.remote[metrics]')
    from prometheus_client.parser import text_string_to_metric_families as parse
    site = wsgi(town.app, access=lambda environ: town.access, scrapers=[TOKEN]).test_client()
    known = {'Authorization': f'Bearer {TOKEN}'}
    readOnly(town)
    assert site.get('/metrics').status_code == 200
    town.access = None
    assert site.get('/metrics').status_code == 403
    answer = site.get('/metrics', headers=known)
    found = {sample.name: sample.value for family in parse(answer.text)
             for sample in family.samples if not sample.labels}
    assert answer.mimetype == 'text/plain' and found['p01_schedules'] >= 1
    answer = site.get('/metrics', headers={**known, 'Accept': 'application/openmetrics-text'})
    assert answer.mimetype == 'application/openmetrics-text'
    for token in (TOKEN[:-1], f'{TOKEN}x', ''):
        assert site.get('/metrics',
                        headers={'Authorization': f'Bearer {token}'}).status_code == 403
    for path, posts in rules(town.site):        # and nothing else
        if path != '/metrics':
            answer = site.post(path, headers={**OURS, **known}) if posts \
                else site.get(path, headers=known)
            assert answer.status_code == 403


@pytest.mark.parametrize('scrapers', ['token-of-a-scraper-x', ['short'], [7]])
def test_tokens_of_scrapers_make_sense(town, scrapers):
    with pytest.raises(InputError):
        wsgi(town.app, scrapers=scrapers)


def test_without_their_library_the_metrics_say_what_brings_it(town, monkeypatch):
    monkeypatch.setattr('p01.remote.exposition.INSTALLED', False)
    answer = town.get('/metrics')
    assert answer.status_code == 503 and 'pip install' in answer.text
