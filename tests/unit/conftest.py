# SPDX-License-Identifier: ZPL-2.1
"""The command in this process, and an application for it."""
import itertools
import json

import pytest

from p01.remote.cli import main
from p01.remote.front.named import loadApp

SHOP = '''
from p01.remote import App, JobError, current
app = App({address!r})

@app.job
def add(a, b=1):
    """Add."""
    return a + b

@app.job(queue='mail', retries=0)
def fail(text='bad luck'):
    """Fail."""
    raise JobError(text)

@app.job
def odd():
    """Return what JSON lacks."""
    return {{'set': {{1}}}}
'''
numbers = itertools.count()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """An application, as module:attribute; its database is not there yet."""
    name = f'clishop{next(numbers)}'
    (tmp_path / f'{name}.py').write_text(SHOP.format(address=f'sqlite:{tmp_path / "jobs"}'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.path', ['/nowhere'] + __import__('sys').path)
    for key in [key for key in __import__('os').environ if key.startswith('P01_REMOTE_')]:
        monkeypatch.delenv(key)
    yield f'{name}:app'
    loadApp(f'{name}:app').close()


@pytest.fixture
def run(capsys):
    """Runs the command; gives its status, its output (with json: parsed) and its errors."""
    def run(*args):
        status = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        assert 'Traceback' not in err
        return status, json.loads(out) if '--json' in args and out else out, err
    return run


def drain(target):
    app = loadApp(target)
    app.drain()
    app.close()
