# SPDX-License-Identifier: ZPL-2.1
"""The command dash, as a process; and the files of others that come with the pages."""
import hashlib
import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from p01.remote.testing import waitFor

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / 'src' / 'p01' / 'remote' / 'web' / 'static'


def command(town, *words):
    """The command, about the shop."""
    environ = {**os.environ, 'SHOP': f'sqlite:{town.app.place.partition(":")[2]}',
               'PYTHONPATH': str(ROOT / 'tests' / 'web'), 'PYTHONUNBUFFERED': '1'}
    return {'args': [sys.executable, '-m', 'p01.remote.cli', *words], 'env': environ,
            'text': True, 'cwd': ROOT, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
            # a shell has what it runs behind itself ignore it
            'preexec_fn': partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}


def run(town, *words):
    """What a command answers."""
    return subprocess.run(**command(town, *words), timeout=60, check=False)


@pytest.fixture
def dash(town):
    """A dashboard that is served, and its address."""
    with subprocess.Popen(**command(town, 'dash', 'shop:app', '--port', '0')) as process:
        try:
            line = process.stdout.readline()
            yield process, re.search(r'(http://\S*)/\?token=(\S+)', line).groups()
        finally:
            process.terminate()
            process.wait(20)


def test_dash_lets_one_browser_in_by_the_address_that_it_prints(dash):
    process, (address, token) = dash
    assert address.startswith('http://127.0.0.1:')
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(f'{address}/')
    browser = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    with browser.open(f'{address}/?token={token}') as answer:
        assert 'token' not in answer.url and 'Overview' in answer.read().decode()
    with browser.open(f'{address}/jobs') as answer:
        assert answer.status == 200
    other = re.search(r'token=(\S+)', process.stdout.readline())[1]
    assert other != token
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(f'{address}/?token={token}')


def test_dash_ends_when_it_is_told_to(dash):
    process, _ = dash
    process.send_signal(2)
    waitFor(lambda: process.poll() is not None, 20)
    assert 'Traceback' not in process.stderr.read()


def test_dash_serves_nobody_else(town):
    answer = run(town, 'dash', 'shop:app', '--host', '0.0.0.0')
    assert answer.returncode == 2 and '127.0.0.1' in answer.stderr


def test_a_port_that_is_taken_is_told_of(town, dash):
    port = dash[1][0].rpartition(':')[2]
    answer = run(town, 'dash', 'shop:app', '--port', port)
    assert answer.returncode == 2
    assert f'127.0.0.1:{port}' in answer.stderr and '--port' in answer.stderr


def test_files_of_others_are_those_that_were_taken_in():
    lines = (STATIC / 'VENDORED.sha256').read_text().split()
    for checksum, name in zip(lines[::2], lines[1::2], strict=True):
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == checksum
        assert (STATIC / f'{name.split("-")[0].split(".")[0]}.LICENSE').exists()


def entered(process):
    """The page that one sees at the address which a command says."""
    lines = iter(process.stdout.readline, '')
    address = next(found for line in lines
                   if (found := re.search(r'(http://\S*\?token=\S+)', line)))[1]
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(
        http.cookiejar.CookieJar())).open(address)


def test_dev_runs_workers_and_the_dashboard(town):
    with town.app.transaction():
        from shop import stock
        handle = stock.reserve.enqueue('order-1')
    with subprocess.Popen(**command(town, 'dev', 'shop:app', '--port', '0'),
                          start_new_session=True) as process:
        try:
            with entered(process) as answer:
                assert answer.status == 200
            waitFor(lambda: handle.status == 'completed', 30)
        finally:
            # as a terminal does it: all in its group hear of it
            os.killpg(process.pid, signal.SIGINT)
        assert 'killed' not in process.stdout.read()
        assert process.wait(30) == 130 or process.returncode == 0
    waitFor(lambda: not alive(town), 20)


def alive(town):
    """The workers that live."""
    import time

    from p01.remote.views.workers import workersOf
    with town.app.reading() as processor:
        return [each for each in workersOf(processor.store, time.time()) if each.alive]


def test_the_demo_stays_to_be_looked_at(town, tmp_path):
    (tmp_path / 'a.py').write_text('x = 1\n')
    with subprocess.Popen(**command(town, 'demo', str(tmp_path), '--stay', '--workers', '1',
                                    '--no-kill')) as process:
        try:
            with entered(process) as answer:
                text = answer.read().decode()
            assert 'analyse' in text or 'completed' in text
        finally:
            process.send_signal(2)
        process.stdout.read()
        process.wait(30)
