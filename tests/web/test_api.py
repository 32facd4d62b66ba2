# SPDX-License-Identifier: ZPL-2.1
"""Jobs over HTTP: each route, with each scope, and what it refuses."""
import json
import threading
from urllib.parse import quote

import pytest
from ZODB.POSException import ConflictError

from p01.remote import App, verbs
from p01.remote.exceptions import InputError, StorageAway
from p01.remote.store.records import ERROR
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find
from p01.remote.web import ALL, Visitor
from p01.remote.web import wsgi as dashboard
from p01.remote.web.api import Caller, wsgi
from p01.remote.web.api.door import ENQUEUING, MANAGE, READ
from p01.remote.web.api.limits import BODYBYTES, Rates
from p01.remote.web.api.routes import TABLEOFROUTES
from tests.web.conftest import readOnly

TOKENS = {f'token-for-{name}-xxxxxxxx': Caller(name, scopes) for name, scopes in (
    ('all', (READ, ENQUEUING, MANAGE)), (READ, (READ,)), (ENQUEUING, (ENQUEUING,)),
    (MANAGE, (MANAGE,)), ('nothing', ()))}
RECEIPT = 'shop.mail.receipt'
ORDER = {'job': RECEIPT, 'args': ['order-1'], 'kwargs': {'copies': 2}}
CHANGING = [route for route in TABLEOFROUTES if route.method == 'POST']


class Service:
    """The API of the shop."""

    def __init__(self, town, **options):
        self.town, self.app = town, town.app
        self.options = {'rate': 1e6, 'burst': 10 ** 6, **options}
        self.flask = wsgi(town.app, TOKENS, (RECEIPT, 'shop.stock.sync'), **self.options)

    def ask(self, method, path, who='all', headers=(), **kwargs):
        """An answer."""
        token = {'Authorization': f'Bearer token-for-{who}-xxxxxxxx'} if who else {}
        return self.flask.test_client().open(path, method=method,
                                             headers={**token, **dict(headers)}, **kwargs)

    def get(self, path, **kwargs):
        """What is shown at a path."""
        answer = self.ask('GET', path, **kwargs)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post(self, path, value=None, **kwargs):
        """What comes of a change."""
        return self.ask('POST', path, **({} if value is None else {'json': value}), **kwargs)

    def failed(self):
        """A failed job."""
        with self.app.reading() as processor:
            return next(find(processor.store, Filter((ERROR,)))).id


@pytest.fixture
def service(town):
    """The API of the shop in its town."""
    return Service(town)


@pytest.fixture
def bare(empty):
    """The API of a shop in which nothing has happened yet."""
    return Service(empty)


def pathOf(route, service):
    """A path of a route, to something that is there."""
    return route.path.replace('{id}', str(service.town.ids['waiting'])).replace(
        '{name}', 'shop.stock.sync')


def problem(answer, status):
    """The sentence of a refusal, which is one by RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == 'application/problem+json'
    value = answer.json
    assert value.keys() == {'type', 'title', 'status', 'detail'} and value['status'] == status
    assert len(value['detail']) > 10 and '\n' not in value['detail'] \
        and 'Traceback' not in answer.text
    return value['detail']


# -- who may what

@pytest.mark.parametrize('route', TABLEOFROUTES, ids=lambda route: route.name)
def test_each_route_needs_a_token_with_its_scope(service, route):
    before = service.app.db.lastTransaction()
    path = pathOf(route, service)
    for who in ('', 'wrong'):
        answer = service.ask(route.method, path, who)
        assert 'token' in problem(answer, 401)
        assert answer.headers['WWW-Authenticate'] == 'Bearer'
    for who in {READ, ENQUEUING, MANAGE, 'nothing'} - {route.scope}:
        assert route.scope in problem(service.ask(route.method, path, who), 403)
    assert service.app.db.lastTransaction() == before
    body = {'enqueue': {'json': ORDER}, 'edit': {'json': {'priority': 1}},
            'bulk': {'json': {'do': 'retry', 'filter': 'job:nothing'}}}.get(route.name, {})
    answer = service.ask(route.method, path, route.scope, **body)
    assert answer.status_code in ((200,) if route.method == 'GET' else (200, 201, 404, 409))


def test_no_get_changes_anything(service):
    before = service.app.db.lastTransaction()
    for route in TABLEOFROUTES:
        service.ask('GET', pathOf(route, service))
    assert service.app.db.lastTransaction() == before


@pytest.mark.parametrize('header', ['Basic token-for-all-xxxxxxxx', 'Bearer', 'Bearer ', 'x',
                                    'Bearer token-for-all-xxxxxxxxx', 'Bearer tökén', '\x00',
                                    'Bearer token-for-all-xxxxxxx'])
def test_what_is_no_token_lets_nobody_in(bare, header):
    answer = bare.ask('GET', '/jobs', who='', headers={
        'Authorization': header.encode().decode('latin-1')})
    problem(answer, 401)


def test_a_hook_may_know_the_tokens(empty):
    asked = []

    def known(token):
        asked.append(token)
        return Caller('ann', {READ}) if token == 'hers' else None

    browser = wsgi(empty.app, known).test_client()
    assert browser.get('/jobs', headers={'Authorization': 'bearer hers'}).status_code == 200
    assert browser.get('/jobs', headers={'Authorization': 'Bearer his'}).status_code == 401
    assert asked == ['hers', 'his']


def test_a_hook_that_gives_a_text_as_scopes_lets_nobody_do_anything(empty):
    browser = wsgi(empty.app, lambda token: Caller('ann', 'reader')).test_client()
    problem(browser.get('/jobs', headers={'Authorization': 'Bearer hers'}), 500)


@pytest.mark.parametrize('tokens', [
    {'short': Caller('ann')}, {'with spaces in it, long': Caller('ann')},
    {'ünlautet-and-long-enough': Caller('ann')}, {'x' * 20: Caller('ann', READ)},
    {'x' * 20: Caller('ann', ['write'])}, {'x' * 20: Caller('')},
    {'x' * 20: Caller('ann'), 'y' * 20: Caller('ann')}])
def test_tokens_that_make_no_sense_are_refused_at_once(empty, tokens):
    with pytest.raises(InputError):
        wsgi(empty.app, tokens)


@pytest.mark.parametrize('options', [{'rate': 0}, {'rate': True}, {'rate': 'x'}, {'burst': 0},
                                     {'rate': float('nan')}, {'jobs': 'receipt'}])
def test_options_that_make_no_sense_are_refused_at_once(empty, options):
    with pytest.raises(InputError):
        wsgi(empty.app, TOKENS, **options)


def test_the_dashboards_own_users_are_not_enough(empty):
    site = dashboard(empty.app, access=lambda environ: Visitor('ann', ALL),
                     api=wsgi(empty.app, TOKENS, [RECEIPT]))
    browser = site.test_client()
    assert browser.get('/jobs').status_code == 200
    for method in ('get', 'post'):
        problem(getattr(browser, method)('/api/v1/jobs', headers={
            'Sec-Fetch-Site': 'same-origin'}), 401)
    token = {'Authorization': 'Bearer token-for-all-xxxxxxxx'}
    answer = browser.post('/api/v1/jobs', json=ORDER, headers=token)
    assert answer.status_code == 201 and answer.location.startswith('/api/v1/jobs/')
    assert browser.get(answer.location, headers=token).json['id'] == answer.json['id']
    described = browser.get('/api/v1/openapi.json').json
    assert described['servers'] == [{'url': '/api/v1'}]


# -- enqueuing

def test_a_job_is_enqueued_with_its_options(bare):
    answer = bare.post('/jobs', {**ORDER, 'queue': 'slow', 'priority': 7, 'delay': '10m',
                                    'expires': 7200, 'unique': 'one'})
    assert answer.status_code == 201
    assert answer.json['name'] == RECEIPT and answer.json['status'] == 'delayed'
    found = bare.get(answer.location)
    assert (found['queue'], found['priority'], found['unique']) == ('slow', 7, 'one')
    assert found['input']['arguments'] == [{'name': 'order', 'text': "'order-1'"},
                                           {'name': 'copies', 'text': '2'}]
    again = bare.post('/jobs', {**ORDER, 'unique': 'one'})
    assert (again.status_code, again.json['new']) == (200, False)
    assert again.json['id'] == answer.json['id']
    at = bare.post('/jobs', {**ORDER, 'at': '2100-01-31T08:30+01:00'})
    assert bare.get(at.location)['due'] == '2100-01-31T07:30:00+00:00'


def test_a_key_stands_for_one_job(bare):
    key = {'Idempotency-Key': 'a1'}
    first = bare.post('/jobs', ORDER, headers=key)
    assert first.status_code == 201 and first.json['new']
    mixed = dict(reversed(ORDER.items()))
    again = bare.post('/jobs', mixed, headers=key)
    assert again.status_code == 200 and not again.json['new']
    assert again.json['id'] == first.json['id'] and again.location == first.location
    other = bare.post('/jobs', {**ORDER, 'args': ['order-2']}, headers=key)
    assert str(first.json['id']) in problem(other, 422)
    theirs = bare.post('/jobs', ORDER, who=ENQUEUING, headers=key)
    assert theirs.json['new']                       # another caller's keys are his own
    assert 'not both' in problem(bare.post('/jobs', {**ORDER, 'unique': 'x'}, headers=key), 400)


def test_a_key_stands_for_its_job_after_its_end(bare):
    key, order = {'Idempotency-Key': 'a2'}, {'job': 'shop.stock.sync', 'args': ['north']}
    jobid = bare.post('/jobs', order, headers=key).json['id']
    bare.app.drain()
    again = bare.post('/jobs', order, headers=key)
    assert (again.status_code, again.json['id'], again.json['status']) == (200, jobid, 'completed')
    assert bare.get(f'/jobs/{jobid}/result')['plain']


def test_a_job_that_is_cancelled_before_it_began_gives_its_key_back(bare):
    key = {'Idempotency-Key': 'a2'}
    jobid = bare.post('/jobs', ORDER, headers=key).json['id']
    bare.post(f'/jobs/{jobid}/cancel')
    again = bare.post('/jobs', ORDER, headers=key)
    assert again.status_code == 201 and again.json['id'] != jobid


def test_a_key_that_many_send_at_once_stands_for_one_job(bare):
    found, gate = [], threading.Barrier(6)

    def send():
        gate.wait(30)
        found.append(bare.post('/jobs', ORDER, headers={'Idempotency-Key': 'a3'}))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({answer.json['id'] for answer in found}) == 1
    assert sorted(answer.status_code for answer in found) == [200] * 5 + [201]


def test_of_those_that_come_to_several_processes_at_once_one_runs(empty):
    services, found, gate = [Service(empty) for _ in range(4)], [], threading.Barrier(4)
    order = {'job': 'shop.stock.sync', 'args': ['north']}

    def send(service):
        gate.wait(30)
        found.append(service.post('/jobs', order, headers={'Idempotency-Key': 'a4'}).json['id'])

    threads = [threading.Thread(target=send, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    empty.app.drain()
    results = [services[0].get(f'/jobs/{jobid}/result') for jobid in found]
    assert len({result['id'] for result in results}) == 1
    assert {result['status'] for result in results} == {'completed'}
    rows = [services[0].get(f'/jobs/{jobid}') for jobid in set(found)]
    assert sorted(row['runs'] for row in rows) == [0] * (len(rows) - 1) + [1]


@pytest.mark.parametrize('key', ['', 'x' * 256, 'ö', '\t', 'a\x7f'])
def test_what_is_no_key_is_refused(bare, key):
    answer = bare.post('/jobs', ORDER, headers={'Idempotency-Key': key})
    assert 'Idempotency-Key' in problem(answer, 400)


@pytest.mark.parametrize('change', [
    {'job': 'shop.feed.export'}, {'job': 'os.system'}, {'job': ''}, {'job': 7}, {'job': None},
    {'job': '\ud800'}, {'job': 'x' * 10_000},
    {'args': {}}, {'args': 'order-1'}, {'args': None}, {'args': []}, {'args': [1, 2, 3]},
    {'kwargs': []}, {'kwargs': {'nope': 1}}, {'kwargs': {'': 1}}, {'kwargs': {'order': 1}},
    {'queue': ''}, {'queue': 1}, {'queue': '\udfff'}, {'queue': None},
    {'priority': 1.5}, {'priority': True}, {'priority': '1'}, {'priority': 101},
    {'priority': -10 ** 30},
    {'delay': -1}, {'delay': 'soon'}, {'delay': True}, {'delay': 1e300}, {'delay': [1]},
    {'at': 'tomorrow'}, {'at': 5}, {'at': '9999-99-99'}, {'delay': 1, 'at': '2100-01-01'},
    {'expires': 'x'}, {'expires': -5}, {'unique': ''}, {'unique': '\ud800'}, {'unqiue': 'x'}])
def test_what_cannot_be_enqueued_is_told(bare, change):
    before = bare.app.db.lastTransaction()
    problem(bare.post('/jobs', {**ORDER, **change}), 400)
    assert bare.app.db.lastTransaction() == before


@pytest.mark.parametrize('data', [
    b'', b'{', b'[]', b'null', b'"x"', b'{"job": NaN}', b'{"job": 1e999}', b'\xff\xfe',
    b'[' * 100_000,
    b'{"a":' * 99_000,
    b'{"args": [' + b'9' * 5000 + b']}', b'{}', b'\x00', b'{"job": "a"} x'])
def test_what_is_no_order_is_told(bare, data):
    answer = bare.ask('POST', '/jobs', data=data, content_type='application/json')
    problem(answer, 400)


def test_only_json_is_taken(bare):
    for kind in ('text/plain', 'application/x-www-form-urlencoded', None):
        answer = bare.ask('POST', '/jobs', data=json.dumps(ORDER), content_type=kind)
        assert 'application/json' in problem(answer, 415)


def test_nothing_can_be_enqueued_unless_it_is_named(empty):
    browser = wsgi(empty.app, TOKENS).test_client()
    answer = browser.post('/jobs', json=ORDER, headers={
        'Authorization': 'Bearer token-for-all-xxxxxxxx'})
    assert 'there are none' in problem(answer, 400)


# -- limits

def test_large_bodies_are_refused(service):
    order = {**ORDER, 'args': ['x' * BODYBYTES]}
    assert f'{BODYBYTES:,}' in problem(service.post('/jobs', order), 413)
    for route in CHANGING:
        answer = service.ask('POST', pathOf(route, service), data=b' ' * (BODYBYTES + 1),
                             content_type='application/json')
        problem(answer, 413)


def test_too_many_requests_are_refused(empty):
    service = Service(empty, rate=0.5, burst=3)
    for _ in range(3):
        service.get('/workers')
    answer = service.ask('GET', '/workers')
    problem(answer, 429)
    assert answer.headers['Retry-After'] == '2'
    service.get('/workers', who=READ)               # others have their own
    for _ in range(3):
        problem(service.ask('GET', '/workers', 'wrong'), 401)
    problem(service.ask('GET', '/workers', 'wrong'), 429)
    service.get('/workers', who=READ)


def test_a_rate_is_kept_over_time():
    now = [100.0]
    rates = Rates(2.0, 3, lambda: now[0])
    assert [rates.wait('a') for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] += 0.5
    assert [rates.wait('a'), rates.wait('a')] == [0, 0.5]
    now[0] += 1000
    assert [rates.wait('a') for _ in range(4)] == [0, 0, 0, 0.5]


# -- what is shown

def test_unknown_things_are_told(bare):
    for path in ('/jobs/0', '/jobs/999999999999999999', '/jobs/999999/result', '/jobs/999999/log',
                 '/schedules/nope', '/schedules/' + 'x' * 5000, '/jobs/' + '9' * 5000, '/jobs/-1',
                 '/jobs/x', '/nowhere', '/', '/jobs/', '//jobs', '/jobs/1/nope', '/schedules/%00'):
        problem(bare.ask('GET', path), 404)
    for path in ('/jobs/999999/cancel', '/jobs/999999/retry', '/schedules/nope/pause',
                 '/schedules/nope/resume', '/schedules/nope/run'):
        problem(bare.post(path), 404)
    answer = bare.ask('DELETE', '/jobs')
    assert 'GET' in problem(answer, 405) and 'POST' in answer.headers['Allow']


@pytest.mark.parametrize('query', [
    'limit=0', 'limit=201', 'limit=x', 'limit=', 'limit=-1', 'limit=1&limit=2', 'limit=٣',
    'cursor=x', 'cursor=', 'cursor=' + '9' * 30, 'cursor=-1', 'filter=nofield:x', 'filter=age>x',
    'filter=%22', 'filter=id:x', 'filters=status:error', 'filter=status:nope',
    'filter=' + 'x' * 5000])
def test_arguments_that_make_no_sense_are_told(bare, query):
    problem(bare.ask('GET', f'/jobs?{query}'), 400)


def test_all_jobs_are_found_page_by_page(service):
    with service.app.reading() as processor:
        wanted = [view.id for view in find(processor.store, Filter())]
    found, cursor = [], ''
    while cursor is not None:
        page = service.get('/jobs?limit=50' + (f'&cursor={cursor}' if cursor else ''))
        found += [job['id'] for job in page['jobs']]
        cursor = page['next']
    assert found == wanted and len(found) > 200


def test_queues_and_schedules_are_found_page_by_page(service):
    for what, name in (('queues', 'queue'), ('schedules', 'name')):
        whole = service.get(f'/{what}')[what]
        found, cursor = [], ''
        while cursor is not None:
            page = service.get(f'/{what}', query_string={'limit': 2, 'cursor': cursor})
            found += page[what]
            cursor = page['next']
        assert [each[name] for each in found] == sorted(each[name] for each in whole)
        assert len(found) > 4


def test_a_failed_job_says_why(service):
    jobid = service.failed()
    found = service.get(f'/jobs/{jobid}')
    assert found['status'] == 'error' and found['attempts'][-1]['trace']
    result = service.get(f'/jobs/{jobid}/result')
    assert result['done'] and result['error'] == found['error'] and result['value'] is None
    log = service.get(f'/jobs/{jobid}/log')
    assert log['log'].splitlines() == found['log']


def test_secrets_of_arguments_are_hidden(service):
    with service.app.reading() as processor:
        jobid = next(find(processor.store, Filter((ERROR,), words=Filter().words._replace(
            any=('receipt',))))).id
    answer = service.ask('GET', f'/jobs/{jobid}')
    assert answer.json['input']['hidden'] == 1 and 'f3a9-secret' not in answer.text


def test_secrets_are_hidden_by_the_names_of_parameters(service):
    from shop import mail
    handle = mail.signIn.enqueue('ann', 'hush')
    answer = service.ask('GET', f'/jobs/{handle.id}')
    assert answer.json['input']['hidden'] == 1 and 'hush' not in answer.text


def test_a_job_that_waits_has_no_result_yet(service):
    result = service.get(f'/jobs/{service.town.ids["waiting"]}/result')
    assert result['done'] is False and result['value'] is None and result['status'] == 'queued'


# -- what is changed

def test_a_job_is_cancelled_and_run_again(service):
    jobid = service.town.ids['waiting']
    assert service.post(f'/jobs/{jobid}/cancel', {}, who=MANAGE).json == {
        'id': jobid, 'status': 'cancelled'}
    assert 'cancelled' in problem(service.post(f'/jobs/{jobid}/cancel'), 409)
    assert service.post(f'/jobs/{jobid}/retry', {}).json == {'id': jobid, 'status': 'queued'}
    assert 'queued' in problem(service.post(f'/jobs/{jobid}/retry'), 409)
    assert service.town.status(jobid) == 'queued'


def test_a_job_whose_key_another_one_has_does_not_run_again(service):
    order = {**ORDER, 'unique': 'mine'}
    first = service.post('/jobs', order).json['id']
    service.post(f'/jobs/{first}/cancel')
    assert service.post('/jobs', order).json['id'] != first
    assert 'unique key' in problem(service.post(f'/jobs/{first}/retry'), 409)


def test_a_job_that_waits_is_edited(service):
    jobid = service.post('/jobs', ORDER).json['id']
    assert service.post(f'/jobs/{jobid}/edit', {'queue': 'night', 'priority': 3, 'delay': '1h'},
                        who=MANAGE).json == {'id': jobid, 'status': 'delayed'}
    assert service.post(f'/jobs/{jobid}/edit', {'now': True, 'args': ['order-2']}).json == {
        'id': jobid, 'status': 'queued'}
    found = service.get(f'/jobs/{jobid}')
    assert (found['queue'], found['priority'], found['due']) == ('night', 3, None)
    assert [each['text'] for each in found['input']['arguments']] == ["'order-2'"]
    assert 'run it again' in problem(service.post(f'/jobs/{service.failed()}/edit',
                                                  {'queue': 'x'}), 409)
    # what others are called with takes who may enqueue it
    assert 'enqueue' in problem(service.post(f'/jobs/{jobid}/edit', {'args': []}, who=MANAGE), 403)
    from shop import mail
    odd = mail.signIn.enqueue('ann', 'hush').id
    assert 'can be enqueued here' in problem(service.post(f'/jobs/{odd}/edit', {'args': []}), 400)
    assert service.post(f'/jobs/{odd}/edit', {'queue': 'x'}, who=MANAGE).status_code == 200


@pytest.mark.parametrize('body', [{}, {'queue': ''}, {'priority': 101}, {'delay': -1}, {'at': 'x'},
                                  {'now': True, 'delay': 1}, {'args': {}}, {'args': [1, 2, 3, 4]},
                                  {'kwargs': {'x': 1}}, {'unique': 'x'}])
def test_an_edit_that_makes_no_sense_is_refused(service, body):
    jobid = service.post('/jobs', ORDER).json['id']
    problem(service.post(f'/jobs/{jobid}/edit', body), 400)


def test_a_job_that_has_ended_runs_again_as_another_one(service):
    jobid = service.post('/jobs', {**ORDER, 'unique': 'k', 'queue': 'night'}).json['id']
    assert 'has not ended' in problem(service.post(f'/jobs/{jobid}/again'), 409)
    service.post(f'/jobs/{jobid}/cancel')
    answer = service.post(f'/jobs/{jobid}/again', {}, who=MANAGE)
    assert answer.status_code == 201 and answer.json['id'] > jobid
    other = service.post(f'/jobs/{jobid}/again', {'args': ['order-2'], 'priority': 2}).json['id']
    assert service.get(f'/jobs/{other}')['queue'] == 'night'
    assert service.get(f'/jobs/{answer.json["id"]}')['unique'] is None
    problem(service.post(f'/jobs/{jobid}/again', {'args': []}, who=MANAGE), 403)
    problem(service.post('/jobs/999999/again', {}), 404)


def test_what_people_have_done_is_told(service):
    assert service.post('/jobs', ORDER).status_code == 201       # there may be many of those
    assert service.get('/audit')['audit'] == []
    jobid = service.town.ids['waiting']
    service.post(f'/jobs/{jobid}/cancel')
    service.post(f'/jobs/{jobid}/retry')
    service.post(f'/jobs/{jobid}/retry')        # which is refused
    service.town.post('/queues/pause/mail')
    page = service.get('/audit?limit=2')
    assert [(each['who'], each['face'], each['what']) for each in page['audit']] == [
        ('ann', 'dash', 'pause queue mail'), ('all', 'api', f'retry job {jobid}')]
    rest = service.get(f'/audit?limit=2&cursor={page["next"]}')
    assert [each['what'] for each in rest['audit']] == [f'cancel job {jobid}']
    assert rest['next'] is None
    problem(service.ask('GET', '/audit?cursor=x'), 400)
    problem(service.ask('GET', '/audit', READ), 403)
    text = service.town.text('/system')
    assert 'What people did' in text and f'cancel job {jobid}' in text
    readOnly(service.town)
    text = service.town.text('/system')
    assert 'What people did' not in text and f'cancel job {jobid}' not in text


def test_all_of_a_filter_are_done_with_at_once_or_by_a_job(service, monkeypatch):
    order = {'do': 'retry', 'filter': 'status:error queue:mail'}
    number = len(service.get('/jobs?filter=status:error queue:mail&limit=200')['jobs'])
    assert service.post('/jobs/bulk', order, who=MANAGE).json == {
        'done': number, 'left': 0, 'job': None}
    monkeypatch.setattr('p01.remote.bulk.FEW', number - 1)
    order = {'do': 'move', 'filter': 'status:queued queue:mail', 'queue': 'night', 'priority': 2}
    answer = service.post('/jobs/bulk', order)
    assert answer.status_code == 202 and answer.json['job'] is not None
    assert answer.headers['Location'].endswith(f'/jobs/{answer.json["job"]}')
    found = service.get(f'/jobs/{answer.json["job"]}')
    assert (found['name'], found['priority']) == ('p01.remote.bulk', 100)
    assert {each['name']: each['text'] for each in found['input']['arguments']}['who'] == "'all'"


def test_those_of_a_filter_that_run_are_left_where_one_says_so(service):
    with service.town.app.transaction():
        jobid = service.town.app.processor.pullNextJob().id
    order = {'do': 'cancel', 'filter': f'id:{jobid}'}
    assert service.post('/jobs/bulk', {**order, 'running': False}).json['done'] == 0
    assert service.town.status(jobid) == 'processing'
    assert service.post('/jobs/bulk', {**order, 'grace': '5s'}).json['done'] == 1
    assert service.town.status(jobid) == 'cancelled'


@pytest.mark.parametrize('body', [{}, {'do': 'retry'}, {'do': 'x', 'filter': ''},
                                  {'do': 'move', 'filter': ''}, {'do': 'retry', 'filter': 'age>x'},
                                  {'do': 'move', 'filter': '', 'priority': 101},
                                  {'do': 'cancel', 'filter': '', 'priority': 1},
                                  {'do': 'retry', 'filter': '', 'running': False},
                                  {'do': 'cancel', 'filter': '', 'grace': -1}])
def test_an_order_for_all_that_makes_no_sense_is_refused(service, body):
    problem(service.post('/jobs/bulk', body), 400)


@pytest.mark.parametrize('body', [{'running': 1}, {'grace': -1}, {'grace': True}, {'x': 1},
                                  {'grace': 'x'}, [], 'x'])
def test_a_cancel_that_makes_no_sense_is_refused(service, body):
    jobid = service.town.ids['waiting']
    problem(service.post(f'/jobs/{jobid}/cancel', body), 400)
    assert service.town.status(jobid) == 'queued'


@pytest.mark.parametrize('name', ['mail', 'a b', 'a/b', '/a', 'a//b/', 'ä☃', 'a\nb', 'a%b', '..',
                                  'x/pause', '?', '#', '\x00', '<script>'])
def test_a_queue_of_any_name_is_paused_and_resumed(bare, name):
    path = f'/queues/{quote(name, safe="")}'
    found = bare.post(f'{path}/pause', {'for': '10m'}).json
    assert found['queue'] == name and found['paused'] and found['until']
    listed = {each['queue']: each for each in bare.get('/queues')['queues']}
    assert listed[name]['paused'] and listed[name]['until'] == found['until']
    assert bare.post(f'{path}/resume').json == {'queue': name, 'paused': False, 'until': None}
    before = bare.app.db.lastTransaction()
    assert not bare.post(f'{path}/resume').json['paused']
    assert bare.app.db.lastTransaction() == before
    assert bare.post(f'{path}/pause').json == {'queue': name, 'paused': True, 'until': None}


@pytest.mark.parametrize('body', [{'for': -1}, {'for': 'x'}, {'for': None}, {'for': [1]},
                                  {'until': 1}, {'for': 1e300}, []])
@pytest.mark.parametrize('path', ['/queues/mail/pause', '/schedules/shop.stock.sync/pause'])
def test_a_pause_that_makes_no_sense_is_refused(bare, path, body):
    before = bare.app.db.lastTransaction()
    problem(bare.post(path, body), 400)
    assert bare.app.db.lastTransaction() == before


def test_a_schedule_is_paused_resumed_and_run(service):
    path = '/schedules/shop.stock.sync'
    found = service.get(path)
    assert found['active'] and len(found['coming']) == 3
    service.post(f'{path}/pause', {'for': 600})
    found = service.get(path)
    assert not found['active'] and found['until']
    service.post(f'{path}/resume')
    assert service.get(path)['active']
    answer = service.post(f'{path}/run')
    assert answer.status_code == 201
    found = service.get(answer.location)
    assert (found['id'], found['name']) == (answer.json['id'], 'shop.stock.sync')


def test_each_change_says_whose_it_was(tmp_path):
    app = App(f'file:{tmp_path / "jobs.fs"}')
    answer = wsgi(app, TOKENS).test_client().post('/queues/mail/pause', headers={
        'Authorization': 'Bearer token-for-all-xxxxxxxx'})
    assert answer.status_code == 200
    last = app.db.undoInfo(0, 1)[0]
    app.close()
    assert 'all' in str(last['user_name'])
    assert 'p01-remote api: pause queue mail' in str(last['description'])


# -- errors

@pytest.mark.parametrize('error, status', [
    (RuntimeError('the secret of the house'), 500),
    (StorageAway('the secret of the house'), 503)])
def test_errors_show_nothing_of_the_inside(service, monkeypatch, error, status):
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(type(service.app), 'reading', fails)
    for route in TABLEOFROUTES:
        if route.method == 'GET':
            answer = service.ask('GET', pathOf(route, service))
            assert 'log of the server' in problem(answer, status)
            assert 'secret' not in answer.text


def test_what_is_changed_at_the_same_time_may_be_tried_again(bare, monkeypatch):
    def meets(*args, **kwargs):
        raise ConflictError('x')

    monkeypatch.setattr(verbs, 'pause', meets)
    monkeypatch.setattr('p01.remote.storage.transactions.pause', lambda tried: None)
    answer = bare.post('/queues/mail/pause')
    assert 'once more' in problem(answer, 503)
    assert answer.headers['Retry-After'] == '1'


def test_all_answers_forbid_what_browsers_might_do(bare):
    for path in ('/jobs', '/nowhere', '/openapi.json'):
        headers = bare.ask('GET', path).headers
        assert headers['X-Content-Type-Options'] == 'nosniff'
        assert headers['Cache-Control'] == 'no-store'
