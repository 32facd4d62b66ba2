# SPDX-License-Identifier: ZPL-2.1
"""Old and new code at once, in worker processes: what they declare does not fight, and what is gone
retires."""
import os

import pytest

from p01.remote import App
from p01.remote.engine import declaring
from p01.remote.testing import waitFor
from tests.acceptance.trees import DEADLINE, Tree

CODE = '''
import os
from p01.remote import App, current
from p01.remote.engine import declaring
declaring.EVERY = 0.2
app = App(os.environ['P01_TEST_DATABASE'])

@app.job
def note():
    current.root['notes'] = current.root.get('notes', 0) + 1
'''
OLD = CODE + '''
app.schedule(every='1s', name='stays')(note)
app.schedule(every='1s', name='goes')(note)
'''
NEW = CODE + '''
app.schedule(every='2s', name='stays')(note)
app.schedule(every='1s', name='comes')(note)
'''


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A folder for each release of the module notes, and a worker of it."""
    trees = []
    address = f'sqlite:{tmp_path / "jobs"}'

    def release(name, text):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / 'notes.py').write_text(text)
        monkeypatch.setenv('PYTHONPATH', str(folder))
        paths = os.sys.path
        monkeypatch.setattr('sys.path', [str(folder), *paths])
        trees.append(Tree(address, folder, 'notes:app', processes=1))
        monkeypatch.setattr('sys.path', paths)
        return trees[-1]
    app = App(address)
    app.open()
    yield app, release
    app.close()
    for tree in trees:
        tree.kill()


def rates(app):
    return {each.name: each.settings['every'] for each in app.schedules.list()
            if each.state != 'retired'}


def test_a_rolling_deployment_and_back(release):
    app, start = release
    old = start('old', OLD)
    waitFor(lambda: rates(app) == {'stays': 1.0, 'goes': 1.0}, DEADLINE)
    new = start('new', NEW)
    waitFor(lambda: rates(app) == {'stays': 2.0, 'goes': 1.0, 'comes': 1.0}, DEADLINE)
    again = start('old', OLD)               # restarted amidst the deployment
    again.ready(1)
    fired = app.schedules['comes'].fired
    waitFor(lambda: app.schedules['comes'].fired > fired + 1, DEADLINE)
    assert rates(app) == {'stays': 2.0, 'goes': 1.0, 'comes': 1.0}
    assert (old.terminate(), again.terminate()) == (0, 0)
    waitFor(lambda: rates(app) == {'stays': 2.0, 'comes': 1.0}, DEADLINE)
    gone = app.schedules['goes']
    assert gone.retired and gone.history
    back = start('old', OLD)
    back.ready(1)
    assert new.terminate() == 0
    waitFor(lambda: rates(app) == {'stays': 1.0, 'goes': 1.0}, DEADLINE)
    assert app.schedules['goes'].fired >= gone.fired
    assert back.terminate() == 0 and declaring.DECLAREEVERY > 1
