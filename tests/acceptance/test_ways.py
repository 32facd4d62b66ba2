# SPDX-License-Identifier: ZPL-2.1
"""The ways of new users: each of examples/ as it is told there, with the real servers and a worker
beside them."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from webtest import TestApp

import p01.remote
from p01.remote.exceptions import JobNotFound
from p01.remote.testing import waitFor

SOURCE = Path(p01.remote.__file__).parents[2]
EXAMPLES = Path(__file__).parents[2] / 'examples'
COMMAND = [sys.executable, '-P', '-m', 'p01.remote']
LONG = 60.0         # seconds; more than anything here takes on a busy machine


class Shop:
    """A folder with an example in it, and what runs there."""

    def __init__(self, folder, name, stack):
        shutil.copy(EXAMPLES / f'{name}.py', folder)
        self.folder = folder
        self.name = name
        self.stack = stack
        self.environ = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(SOURCE), str(folder)])}

    def start(self, *command):
        """A process in the background, with all that it starts."""
        process = subprocess.Popen(command, cwd=self.folder, env=self.environ,
                                   stdout=subprocess.DEVNULL,
                                   stderr=open(self.folder / 'log', 'ab'),      # noqa: SIM115
                                   start_new_session=True)
        self.stack.callback(process.wait, LONG)
        self.stack.callback(process.terminate)
        return process

    def serve(self, *command):
        """A web server on a free port; its address, once it answers."""
        with socket.socket() as found:
            found.bind(('127.0.0.1', 0))
            port = found.getsockname()[1]
        process = self.start(sys.executable, '-m', *(part.format(port=port) for part in command))

        def answers():
            assert process.poll() is None, (self.folder / 'log').read_text()
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f'http://127.0.0.1:{port}/nothing').status_code
        waitFor(answers, LONG)
        return f'http://127.0.0.1:{port}'

    def python(self, code):
        """What a script of the user's prints."""
        done = subprocess.run([sys.executable, '-c', code], cwd=self.folder, env=self.environ,
                              capture_output=True, text=True,
                              timeout=LONG)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def work(self, *options):
        """A worker, until nothing is due."""
        done = subprocess.run([*COMMAND, 'worker', f'{self.name}:app', '--drain', *options],
                              cwd=self.folder,
                              env=self.environ, capture_output=True, text=True, timeout=LONG)
        assert done.returncode == 0, done.stdout + done.stderr

    def jobs(self):
        """All jobs, as the command tells."""
        done = subprocess.run([*COMMAND, 'jobs', 'list', f'{self.name}:app', '--json', '--limit',
                               '10000'], cwd=self.folder,
                              env=self.environ, capture_output=True, text=True, timeout=LONG)
        return json.loads(done.stdout)


@pytest.fixture
def shop(tmp_path):
    """Makes a Shop of an example; its processes end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda name: Shop(tmp_path, name, stack)


def test_fastapi(shop):
    shop = shop('shopfastapi')
    url = shop.serve('uvicorn', 'shopfastapi:web', '--port', '{port}', '--workers', '2')
    with ThreadPoolExecutor(8) as pool:
        found = [each.json()['job']
                 for each in pool.map(lambda number: httpx.post(f'{url}/orders/{number}'),
                                      range(1, 41))]
    found.append(httpx.post(f'{url}/reminders/1').json()['job'])
    assert len(set(found)) == 41
    assert httpx.get(f'{url}/jobs/123456').status_code == 404
    shop.work('--processes', '2')
    answers = [httpx.get(f'{url}/jobs/{jobid}').json() for jobid in found]
    assert all(answer == {'status': 'completed', 'result': 'receipt for tea'} for answer in answers)


def test_gunicornForksAfterTheAppWasOpened(shop):
    shop = shop('shopflask')
    url = shop.serve('gunicorn', '--preload', '-w', '3', '--threads', '2', '-b',
                     '127.0.0.1:{port}', 'shopflask:web')
    shop.start(*COMMAND, 'worker', 'shopflask:app')
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: httpx.post(f'{url}/visits'), range(60)))
    assert [each.status_code for each in answers] == [200] * 60
    assert len({each.json()['job'] for each in answers}) == 60
    waitFor(lambda: [job['status'] for job in shop.jobs()] == ['completed'] * 60, LONG)
    code = ('from shopflask import app\nwith app.transaction() as root: print(root["visits"](), '
            'root["followed"]())')
    assert shop.python(code) == '60 60'


def test_study(shop):
    shop = shop('study')
    assert shop.python('import study; print(len(study.enqueue(500)))') == '500'
    shop.python('import study\nwith study.app.transaction():\n    study.crash.enqueue(1); '
                'study.crash.enqueue(2)')
    shop.work('--processes', '2')
    assert [job['status'] for job in shop.jobs()] == ['completed'] * 502
    assert shop.python('import study; print(abs(study.pi() - 3.1416) < 0.01)') == 'True'


def test_pyramid(shop, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import shoppyramid
    for hook in ({}, {'tm.manager_hook': 'pyramid_tm.explicit_manager'}):
        web = TestApp(shoppyramid.main(**{'zodbconn.uri': f'file://{tmp_path}/{len(hook)}.fs',
                                          **hook}))
        jobid = web.post('/orders/1').json['job']
        with pytest.raises(ValueError):
            web.post('/orders/2?fail=1')
        with pytest.raises(JobNotFound):
            web.get(f'/jobs/{jobid + 1}')
        assert web.get(f'/jobs/{jobid}').json == {'status': 'queued', 'result': None}
        web.post('/work')
        assert web.get(f'/jobs/{jobid}').json == {'status': 'completed',
                                                  'result': 'receipt for order 1'}


def test_django(shop):
    shop = shop('shopdjango')
    shop.python('import shopdjango as shop; shop.prepare(); shop.order(1); shop.order(2)')
    failed = '''
import shopdjango as shop
from django.db import transaction
try:
    with transaction.atomic():
        shop.order(3)
        1 / 0
except ZeroDivisionError:
    pass
'''
    shop.python(failed)
    shop.work()
    rows = ('import shopdjango as shop\nwith shop.connection.cursor() as sql:\n    '
            'print(sql.execute("SELECT number, receipt FROM orders").fetchall())')
    assert shop.python(rows) == "[(1, 'receipt 1'), (2, 'receipt 2')]"
    assert len(shop.jobs()) == 2


def test_sqlalchemy(shop):
    shop = shop('shopsqlalchemy')
    shop.python('import shopsqlalchemy as shop; shop.prepare(); shop.order(1); shop.order(2)')
    failed = '''
import transaction, shopsqlalchemy as shop
try:
    with transaction.manager:
        shop.write('INSERT INTO orders (number) VALUES (:number)', number=3)
        shop.receipt.enqueue(3)
        1 / 0
except ZeroDivisionError:
    pass
'''
    shop.python(failed)
    shop.work()
    rows = ('import shopsqlalchemy as shop\nwith shop.engine.begin() as sql:\n    '
            'print(sql.execute(shop.text("SELECT number, receipt FROM orders")).all())')
    assert shop.python(rows) == "[(1, 'receipt 1'), (2, 'receipt 2')]"
    assert len(shop.jobs()) == 2
