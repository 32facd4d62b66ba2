# SPDX-License-Identifier: ZPL-2.1
"""What no encoding holds is written out, and whatever is asked for gets an answer."""
import html

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from p01.remote import verbs
from p01.remote.store.payload import pack
from p01.remote.store.records import ERROR, Attempt, Outcome, Record
from p01.remote.store.seats import Seat
from p01.remote.views.grammar import FIELDNAMES
from tests.web.conftest import OURS

TEXTS = some.text(alphabet=some.characters(exclude_categories=('Cs',)), max_size=30)
TERMS = some.lists(some.one_of(
    TEXTS, some.builds('{}{}{}'.format, some.sampled_from(FIELDNAMES), some.sampled_from(':<>'),
                       TEXTS)), max_size=4).map(' '.join)


def test_what_no_encoding_holds_is_written_out(empty):
    """A name, an argument or an error, as of a file whose name is not UTF-8; a number that Python
    refuses to write."""
    app, odd = empty.app, 'x\ud800y'
    with app.transaction():
        store = app.processor.store
        verbs.sit(store, Seat('a:1:1', 'a', 0, '', '', 60.0, 1.0))
        seat = store.seats['a:1:1']
        value = pack(((10 ** 5000, {10 ** 5000: 1}), {odd: odd}), 'x')
        jobid = verbs.add(store, Record('shop.feed.export', value, 1.0))
        verbs.claim(store, seat, 1, 2.0)
        attempt = Attempt(1, 2.0, 3.0, seat.name, odd, f'  File "{odd}", line 1, in {odd}\n{odd}')
        verbs.settle(store, seat, {jobid: Outcome(ERROR, None, odd, 1, 2.0, 3.0, seat.name,
                                                  (attempt,))})
    for path in ('/', '/jobs', f'/jobs/{jobid}', '/errors'):
        empty.text(path)
    assert 'x\\ud800y' in empty.text(f'/jobs/{jobid}')
    assert '<int of' in html.unescape(empty.text(f'/jobs/{jobid}'))


@pytest.mark.parametrize('text', ['a ' * 51, 'a' * 4001])
def test_a_filter_has_an_end(town, text):
    assert 'at most 4,000 characters and 50 terms' in town.text(f'/jobs?filter={text}')


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture],
          deadline=None)
@given(TERMS, TEXTS, some.sampled_from(['/', '/jobs', '/errors', '/queues', '/schedules',
                                        '/workers', '/system']))
def test_no_query_is_too_much(town, text, other, path):
    query = {'filter': text, 'below': other, 'after': text, 'find': other, 'did': text, 'n': other,
             'left': text, 'span': other, 'all': '1', 'token': text}
    answer = town.browser.get(path, query_string=query)
    assert answer.status_code < 500
    assert 'Traceback (most' not in answer.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture],
          deadline=None)
@given(TEXTS, TEXTS, some.sampled_from(['/jobs/', '/errors/', '/schedules/', '/queues/pause/',
                                        '/schedules/edit/', '/schedules/skip/', '/workers/',
                                        '/static/', '/']))
def test_no_path_and_no_form_is_too_much(town, path, text, before):
    from urllib.parse import quote
    for answer in (town.browser.get(before + quote(path)),
                   town.browser.post(before + quote(path), headers=OURS, data={
                       'do': text, 'job': text, 'back': text, 'for': text, 'count': text,
                       'cron': text, 'tz': text, 'queue': text, 'every': text,
                       'process': text})):
        assert answer.status_code < 500
        assert 'Traceback (most' not in answer.text


def test_too_much_is_refused(town):
    answer = town.browser.post('/jobs/act', headers=OURS, data={'do': 'retry', 'job': 'x' * 2**21})
    assert answer.status_code == 413
