# SPDX-License-Identifier: ZPL-2.1
"""The shop, in a database of its own, with what somebody may do there; and a browser to look at
it."""
import os
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from p01.remote.web import ALL, READ, Visitor, wsgi

OURS = {'Sec-Fetch-Site': 'same-origin'}
CHROMIUM = next((path for path in ('/usr/bin/chromium', '/usr/bin/chromium-browser',
                                   '/usr/bin/google-chrome') if Path(path).exists()), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']


class Town:
    """A shop with its dashboard: as everybody who may do all, who may look, who may not."""

    def __init__(self, app, ids):
        self.app, self.ids = app, ids
        self.access = Visitor('ann', ALL)
        self.site = wsgi(app, target='shop:app', access=lambda environ: self.access)
        self.browser = self.site.test_client()

    def get(self, path, **kwargs):
        """A page."""
        return self.browser.get(path, **kwargs)

    def text(self, path):
        """The text of a page that is there."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-500:])
        return answer.text

    def post(self, path, **form):
        """Do something, as a form of one of our pages does."""
        return self.browser.post(path, data=form, headers=OURS)

    def status(self, jobid):
        """The status of a job."""
        with self.app.reading() as processor:
            return processor.getJobStatus(jobid)



@pytest.fixture
def town(tmp_path):
    """An hour of the shop."""
    import shop

    from tests.web import stage
    shop.app.database = f'sqlite:{tmp_path / "jobs"}'
    ids = stage.fill(shop.app, time.time())
    yield Town(shop.app, ids)
    shop.app.close()
    shop.app.database = 'memory:'


@pytest.fixture
def empty(tmp_path):
    """A shop in which nothing has happened yet."""
    import shop
    shop.app.database = f'sqlite:{tmp_path / "jobs"}'
    _ = shop.app.db
    yield Town(shop.app, {})
    shop.app.close()
    shop.app.database = 'memory:'


def readOnly(town):
    """From now on somebody looks who may change nothing."""
    town.access = Visitor('bob', READ)


@pytest.fixture(scope='module')
def chromium():
    """A browser, for the tests of a file: while it is there, an event loop runs in the thread."""
    if CHROMIUM is None and not os.environ.get('CI'):
        pytest.skip('no Chromium is installed; apt install chromium')
    playwright = pytest.importorskip('playwright.sync_api', reason='it drives the browser; it is '
                                     'in p01.remote[test]')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def serve():
    """Serves the dashboard of a town; gives its address."""
    from waitress import create_server
    running = []

    def address(town):
        server = create_server(town.site, host='127.0.0.1', port=0, threads=4)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        return f'http://127.0.0.1:{server.effective_port}'

    yield address
    for server, thread in running:
        server.close()
        thread.join(5)


@pytest.fixture
def browse(chromium):
    """Opens addresses, and fails when a page says anything on the console, as of a policy that it
    violates."""
    contexts, said = [], []

    def page(address, **options):
        context = chromium.new_context(**{'viewport': {'width': 1280, 'height': 900}, **options})
        contexts.append(context)
        found = context.new_page()
        found.on('console', lambda message: said.append(message.text))
        found.on('pageerror', lambda error: said.append(str(error)))
        found.goto(address)
        return found

    yield page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def visit(town, serve, browse):
    """Opens pages of the shop."""
    base = serve(town)
    return lambda path='/', **options: browse(base + path, **options)


def jobsOf(town, text):
    """The paths of pages about jobs."""
    from p01.remote.views.grammar import parse
    from p01.remote.views.listing import find
    with town.app.reading() as processor:
        return [f'/jobs/{view.id}' for view in find(processor.store, parse(text, time.time()))]


def pagesOf(town):
    """Every kind of page."""
    from p01.remote.views.errors import failuresOf
    with town.app.reading() as processor:
        key = failuresOf(processor.store).kinds[0].key
    return ['/', '/?span=day', '/?queue=mail', '/jobs', '/jobs?filter=status:error', '/errors',
            '/queues', '/workers', '/schedules', '/schedules/shop.stock.sync', '/system',
            f'/errors/{key}', jobsOf(town, 'status:error')[0], jobsOf(town, 'status:completed')[0],
            f'/jobs/{town.ids["waiting"]}', f'/jobs/{town.ids["delayed"]}']
