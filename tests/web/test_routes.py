# SPDX-License-Identifier: ZPL-2.1
"""Every route of the dashboard, for everybody: who is nobody, who may look, who may do all; and
what others have written stays text on each. A route that is not in the table here fails."""
import re
import time
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import quote

import pytest

from p01.remote import verbs
from p01.remote.store.payload import pack
from p01.remote.store.records import ERROR, Attempt, Outcome, Progress, Record, Said
from p01.remote.store.seats import Seat
from p01.remote.web import ALL, READ, Visitor
from tests.web.conftest import OURS, jobsOf

SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>\'{{7*7}}{% x %}'
DO = {'back': '/jobs'}


class Entry(NamedTuple):
    """Where a route leads to something that is there. form: what is sent, of what is done; status:
    what who may do all is answered; changes: whether the database has changed then; first: what is
    done before."""

    path: str
    form: dict | None = None
    status: int = 200
    changes: bool = True
    first: str = ''


TABLE = {
    'static': Entry('/static/dash.js'), 'metrics': Entry('/metrics'),
    'theme': Entry('/theme', {'theme': 'dark'}, 303, False),
    'overview': Entry('/'), 'jobs': Entry('/jobs?filter=status:error'), 'job': Entry('/jobs/{job}'),
    'errors': Entry('/errors'), 'failure': Entry('/errors/{kind}'), 'queues': Entry('/queues'),
    'workers': Entry('/workers'), 'schedules': Entry('/schedules'),
    'schedule': Entry('/schedules/{schedule}'), 'system': Entry('/system'),
    'act': Entry('/jobs/act', {'do': 'retry', 'job': '{job}'}, 303),
    'edit': Entry('/jobs/{waits}/edit', {'priority': '7', 'was-priority': '0'}, 303),
    'again': Entry('/jobs/{job}/again', {}, 303),
    # of a job that does not run
    'stack': Entry('/jobs/{job}/stack', {}, 303, False),
    'retryKind': Entry('/errors/{kind}/retry', {}, 303),
    'removeKind': Entry('/errors/{kind}/remove', {}, 200, False),
    'pauseQueue': Entry('/queues/pause/{queue}', {'for': '1h'}, 303),
    'resumeQueue': Entry('/queues/resume/{queue}', {}, 303, first='pauseQueue'),
    'orderWorkers': Entry('/workers/order', {'do': 'stop', 'process': '{process}'}, 303),
    # of one that is not there
    'stackOfWorker': Entry('/workers/stack', {'worker': '{process}x'}, 200, False),
    'removeSchedule': Entry('/schedules/remove/{schedule}', {}, 200, False),
    'pauseSchedule': Entry('/schedules/pause/{schedule}', {}, 303),
    'resumeSchedule': Entry('/schedules/resume/{schedule}', {}, 303, first='pauseSchedule'),
    'runSchedule': Entry('/schedules/run/{schedule}', {}, 303),
    'skipSchedule': Entry('/schedules/skip/{schedule}', {'count': '1'}, 303),
    'editSchedule': Entry('/schedules/edit/{schedule}', {'cron': '5 * * * *'}, 303),
    'resetSchedule': Entry('/schedules/reset/{schedule}', {}, 303, first='editSchedule')}
LOOKS = sorted(name for name, entry in TABLE.items() if entry.form is None and name != 'static')
PAGES = [name for name in LOOKS if name != 'metrics']
DEEDS = sorted(name for name, entry in TABLE.items() if entry.form is not None)


class Seen(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.names = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names.update(name for name, _ in attrs)


@pytest.fixture
def poisoned(empty):
    """Jobs, queues, workers, errors, logs, keys and schedules whose names are markup; a worker
    lives."""
    app = empty.app
    with app.transaction():
        store = app.processor.store
        seat = Seat(f'{SCRIPT}:1:1', SCRIPT, 0, SCRIPT, '', 3600.0, 4e9)
        verbs.sit(store, seat)
        seat = store.seats[seat.name]
        jobid = verbs.add(store, Record(SCRIPT, pack(((SCRIPT,), {SCRIPT: SCRIPT}), 'x'), 1.0,
                                        SCRIPT, 0, None, {'unique': (SCRIPT, None, None)}))
        verbs.claim(store, seat, 1, 2.0)
        trace = (f'Traceback (most recent call last):\n  File "{SCRIPT}", line 1, in {SCRIPT}\n'
                 f'    {SCRIPT}\n{SCRIPT}')
        said = Said(Progress(1, 2, SCRIPT), SCRIPT, len(SCRIPT))
        attempt = Attempt(1, 2.0, 3.0, seat.name, SCRIPT, trace, said)
        verbs.settle(store, seat, {jobid: Outcome(ERROR, None, SCRIPT, 1, 2.0, 3.0, seat.name,
                                                  (attempt,), said=said)})
        verbs.add(store, Record(SCRIPT, None, 1.0, SCRIPT))
        verbs.pause(store, SCRIPT)
    app.schedules.add(SCRIPT, 'shop.feed.export', '* * * * *', args=(SCRIPT,), title=SCRIPT)
    return empty


def there(town, schedule='shop.stock.sync', queue='mail'):
    """What is there, by the names that the table has for it."""
    kind = re.search(r'/errors/(\w+)"', town.text('/errors'))[1]
    with town.app.transaction():
        seat = Seat('w:1:x', 'far', 1, 'far:1', 'box', 3600.0, time.time())
        if seat.name not in town.app.processor.store.seats:
            verbs.sit(town.app.processor.store, seat)
    return {'job': jobsOf(town, 'status:error')[0].rpartition('/')[2], 'process': seat.name,
            'waits': jobsOf(town, 'status:queued')[0].rpartition('/')[2], 'kind': kind,
            'schedule': schedule, 'queue': queue}


def pathOf(name, names):
    """Where a route leads to something that is there."""
    return TABLE[name].path.format_map({key: quote(value, safe='')
                                        for key, value in names.items()})


def ask(town, name, names):
    """The answer of a route, as one of our pages asks."""
    entry, path = TABLE[name], pathOf(name, names)
    if entry.form is None:
        return town.get(path)
    return town.browser.post(path, headers=OURS, data={
        **DO, **{key: value.format_map(names) for key, value in entry.form.items()}})


def isText(answer):
    """Whether nothing of the markup became some."""
    seen = Seen(answer.text)
    return 'img' not in seen.tags and 'onerror' not in seen.names \
        and '<script>' not in answer.text


def test_each_route_is_in_the_table(town):
    rules = {rule.endpoint: rule.methods for rule in town.site.url_map.iter_rules()}
    assert rules.keys() == TABLE.keys(), 'give each route an entry in TABLE'
    for name, methods in rules.items():
        assert ('POST' in methods) is (TABLE[name].form is not None), name
        assert methods <= {'GET', 'HEAD', 'OPTIONS', 'POST'}, name


@pytest.mark.parametrize('name', TABLE)
def test_who_may_what(town, name):
    entry, names = TABLE[name], there(town)
    if entry.first:
        assert ask(town, entry.first, names).status_code == 303
    before = town.app.db.lastTransaction()
    town.access = None
    assert ask(town, name, names).status_code == (200 if name == 'static' else 403)
    town.access = Visitor('bob', READ)
    assert ask(town, name, names).status_code == (403 if name in DEEDS and name != 'theme'
                                                  else entry.status)
    assert town.app.db.lastTransaction() == before
    town.access = Visitor('ann', ALL)
    answer = ask(town, name, names)
    assert answer.status_code == entry.status, answer.text
    # what answers a form cannot be asked for again
    assert name not in DEEDS or 'hx-get' not in answer.text
    assert (town.app.db.lastTransaction() != before) is (name in DEEDS and entry.changes)


@pytest.mark.parametrize('name', ['resumeQueue', 'resumeSchedule', 'resetSchedule',
                                  'orderWorkers'])
def test_what_is_done_already_leaves_no_line(town, name):
    names = there(town)
    for do in (TABLE[name].first, name):
        assert not do or 'n=1' in ask(town, do, names).location
    before = town.app.db.lastTransaction()
    answer = ask(town, name, names)
    assert (answer.status_code, town.app.db.lastTransaction()) == (303, before)
    assert 'n=0' in answer.location


@pytest.mark.parametrize('name', PAGES)
def test_markup_stays_text(poisoned, name):
    answer = ask(poisoned, name, there(poisoned, SCRIPT, SCRIPT))
    assert answer.status_code == 200
    assert isText(answer) and '49' not in re.findall(r'>(49)<', answer.text)
    assert name == 'system' or '&lt;script&gt;' in answer.text, 'it shows nothing of it'


@pytest.mark.parametrize('name', DEEDS)
def test_markup_stays_text_where_it_is_sent(poisoned, name):
    path = pathOf(name, there(poisoned, SCRIPT, SCRIPT))
    answer = poisoned.browser.post(path, headers=OURS, follow_redirects=True, data=dict.fromkeys(
        ('do', 'job', 'back', 'for', 'count', 'cron', 'every', 'tz', 'queue', 'process', 'theme',
         'worker', 'filter', 'sure', 'call', 'priority', 'delay', 'to'), SCRIPT))
    assert answer.status_code < 500 and isText(answer)


@pytest.mark.parametrize('name', PAGES)
def test_markup_stays_text_where_it_is_asked_for(poisoned, name):
    path = pathOf(name, there(poisoned, SCRIPT, SCRIPT)).partition('?')[0]
    answer = poisoned.browser.get(path, query_string=dict.fromkeys(
        ('filter', 'find', 'queue', 'job', 'span', 'check', 'did', 'n', 'left', 'more'), SCRIPT))
    assert answer.status_code < 500 and isText(answer)


def test_a_browser_sees_text(poisoned, serve, browse):
    page = browse(serve(poisoned))
    base, dialogs = page.url.rstrip('/'), []
    page.on('dialog', lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    names = there(poisoned, SCRIPT, SCRIPT)
    for name in PAGES:
        page.goto(base + pathOf(name, names))
    assert dialogs == []
