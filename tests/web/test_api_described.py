# SPDX-License-Identifier: ZPL-2.1
"""What the API says of itself holds, whatever one asks; and it lists what the command lists."""
import json
import pickle

import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from p01.remote.cli import cli
from p01.remote.ground import pickled
from p01.remote.store.payload import pack
from p01.remote.views.grammar import STATI
from p01.remote.web.api import Caller, wsgi
from p01.remote.web.api.door import ENQUEUING, MANAGE, READ
from p01.remote.web.api.routes import TABLEOFROUTES
from p01.remote.wire.plain import plainOf
from tests.conftest import nested

TOKEN = 'a-token-that-may-do-all'
HEADERS = {'Authorization': f'Bearer {TOKEN}'}
REQUESTS = 16           # of each route and kind: 16 × 2 × 16 routes
ASKS = [not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_headers_conformance, checks.response_schema_conformance,
        checks.negative_data_rejection]
BOUNDED = settings(max_examples=REQUESTS, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))


def served(town):
    """The API of a shop, without a limit on requests."""
    return wsgi(town.app, {TOKEN: Caller('all', (READ, ENQUEUING, MANAGE))}, list(town.app.jobs),
                rate=1e6, burst=10 ** 6)


@pytest.mark.parametrize('mode', [GenerationMode.POSITIVE, GenerationMode.NEGATIVE],
                         ids=['right', 'wrong'])
def test_it_answers_as_it_is_described(town, mode):
    schema = schemathesis.openapi.from_wsgi('/openapi.json', served(town))
    names = [town.ids['waiting'], town.ids['delayed'], town.ids['unserved'], 1, 5, 40]
    seen = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body
                                                    or operation.path_parameters):
            continue

        @BOUNDED
        @given(case=operation.as_strategy(mode), there=st.sampled_from([0, *names]))
        def ask(case, there):
            if there and mode is GenerationMode.POSITIVE and 'id' in case.path_parameters:
                case.path_parameters['id'] = there
            answer = case.call_and_validate(headers=HEADERS, checks=ASKS)
            seen.add((case.operation.label, answer.status_code))

        ask()
    assert all(status < 500 for _, status in seen)
    if mode is GenerationMode.POSITIVE:
        assert {label for label, status in seen if status < 300} >= {
            'GET /jobs/{id}', 'GET /queues', 'GET /schedules', 'GET /workers',
            'POST /queues/{name}/pause'}


def test_each_route_is_described(town):
    document = served(town).test_client().get('/openapi.json').json
    assert document['openapi'] == '3.1.0'
    described = {(method.upper(), path) for path, methods in document['paths'].items()
                 for method in methods}
    assert described == {(route.method, route.path) for route in TABLEOFROUTES}
    for rule in served(town).url_map.iter_rules():
        assert rule.endpoint in {'openapi', *(route.name for route in TABLEOFROUTES)}
    names = {reference.rpartition('/')[2] for reference in references(document)}
    assert names == set(document['components']['schemas'])


def references(value):
    """All references in a document."""
    if isinstance(value, dict):
        if '$ref' in value:
            yield value['$ref']
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


# -- the same as the command

TERMS = st.sampled_from([
    *(f'status:{status}' for status in STATI), '-status:completed', 'job:receipt', 'job:sync',
    'queue:mail', '-queue:index', 'age<1h', 'since:30m', 'before:10m', 'error:smtp', 'timeout',
    '-receipt', 'worker:worker-1', 'schedule:shop.feed.export', 'id:5', 'key:x', '"no such"'])


def printed(*words):
    """What the command prints as JSON."""
    return json.loads(CliRunner().invoke(cli, words).stdout)


@settings(BOUNDED, max_examples=40)
@given(terms=st.lists(TERMS, max_size=4), limit=st.integers(1, 60))
def listsTheSame(town, browser, terms, limit):
    """A page of the API has the jobs that the command lists."""
    page = browser.get('/jobs', query_string={'filter': ' '.join(terms), 'limit': limit},
                       headers=HEADERS).json
    assert page['jobs'] == printed('jobs', 'list', town.app.database, '--json', '--limit',
                                   str(limit), '--', *terms)


def test_it_lists_what_the_command_lists(town):
    browser = served(town).test_client()
    listsTheSame(town, browser)
    for what in ('queues', 'schedules', 'workers'):
        page = browser.get(f'/{what}?limit=200' if what != 'workers' else '/workers',
                           headers=HEADERS).json
        assert page[what] == printed(what, 'list', town.app.database, '--json'), what
        assert page[what] or what == 'workers'


# -- plain values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=['Cs'])),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple)
    | st.dictionaries(st.text(st.characters(exclude_categories=['Cs'])), inner, max_size=5),
    max_leaves=20)


@settings(deadline=None)
@given(VALUES)
def test_what_json_has_is_read_without_being_loaded(value):
    assert json.dumps(plainOf(pack(value, 'it'))) == json.dumps(value)


class Odd:
    """A value that says when it is loaded."""

    def __reduce__(self):
        return loaded, ()


def loaded():
    """Raises: nobody loads it."""
    raise AssertionError('it was loaded')


def doubled(times):
    """A value that has the same value twice, and so on."""
    value = ['x']
    for _ in range(times):
        value = [value, value]
    return value


def endless():
    """A list that holds itself."""
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize('value', [
    {1, 2}, frozenset(), b'x', bytearray(b'x'), 1j, {1: 2}, {(1,): 2}, float('nan'), float('inf'),
    Odd(), [Odd()], {'a': Odd()}, Odd, len, '\ud800', {'\ud800': 1}, nested(60), doubled(40),
    endless(), 10 ** 5000, 'x' * 100_000, ['x' * 10_000] * 1_000],
                         ids=lambda value: type(value).__name__)
def test_what_json_lacks_is_not_loaded(value):
    with pytest.raises(pickled.Unreadable):
        plainOf(pickle.dumps(value, 4))
