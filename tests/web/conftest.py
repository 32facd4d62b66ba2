# SPDX-License-Identifier: ZPL-2.1
"""The shop, in a database of its own, with what somebody may do there."""
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from p01.remote.web import ALL, READ, Visitor, wsgi

OURS = {'Sec-Fetch-Site': 'same-origin'}


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
