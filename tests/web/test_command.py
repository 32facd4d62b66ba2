# SPDX-License-Identifier: ZPL-2.1
"""The command dash, as a process; and the files of others that come with the pages."""
import hashlib
import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from p01.remote.cli import main
from p01.remote.exceptions import InputError
from p01.remote.testing import waitFor
from p01.remote.web.tokens import admittedBy

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


TOKENS = """
jobs = ["shop.mail.receipt"]

[callers.billing]
token = "token-of-billing-xx"
scopes = ["read", "enqueue"]

[callers.prometheus]
env = "SCRAPE_TOKEN"
scopes = ["metrics"]
"""
SCRAPE = 'token-of-prometheus'


def asked(address, token, **order):
    """What is answered to who has a token; with an order, to a POST of it."""
    request = urllib.request.Request(address, json.dumps(order).encode() if order else None, {
        'Authorization': f'Bearer {token}', 'Content-Type': 'application/json'})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


@pytest.mark.parametrize('named', ['option', 'variable'])
def test_scripts_come_in_by_tokens_of_a_file(town, tmp_path, monkeypatch, named):
    pytest.importorskip('prometheus_client', reason='the metrics need p01.remote[metrics]')
    from prometheus_client.parser import text_string_to_metric_families as parse
    (tmp_path / 'tokens.toml').write_text(TOKENS)
    monkeypatch.setenv('SCRAPE_TOKEN', SCRAPE)
    words = ['dash', 'shop:app', '--port', '0']
    if named == 'option':
        words += ['--api-file', str(tmp_path / 'tokens.toml')]
    else:
        monkeypatch.setenv('P01_REMOTE_API_FILE', str(tmp_path / 'tokens.toml'))
    with subprocess.Popen(**command(town, *words)) as process:
        try:
            process.stdout.readline()
            line = process.stdout.readline()
            base = re.search(r'The API is at (http://\S*/)api/v1, for billing$', line)[1]
            made = json.loads(asked(f'{base}api/v1/jobs', 'token-of-billing-xx',
                                    job='shop.mail.receipt', args=['order-1']))
            found = json.loads(asked(f'{base}api/v1/jobs/{made["id"]}', 'token-of-billing-xx'))
            assert found['status'] == 'queued' == town.status(made['id'])
            names = {family.name for family in parse(asked(f'{base}metrics', SCRAPE))}
            assert {'p01_jobs', 'p01_workers', 'p01_jobs_ended'} <= names
            for path, token, status in ((f'{base}api/v1/jobs', 'token-of-nobody-xxx', 401),
                                        (f'{base}api/v1/jobs', SCRAPE, 401),
                                        (f'{base}metrics', 'token-of-billing-xx', 403),
                                        (f'{base}jobs', SCRAPE, 403)):
                with pytest.raises(urllib.error.HTTPError, match=str(status)):
                    asked(path, token)
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.parametrize('text, said', [
    ('jobs = ', 'is no TOML'), ('[caller.x]', 'did you mean callers?'),
    ('jobs = "shop.mail.receipt"', 'must be a list of names'), ('callers = 1', 'must be tables'),
    ('callers.x = 1', 'x must be a table'), ('[callers.x]', 'takes one of token and env'),
    ('[callers.x]\ntoken = "secret"\nscopes = ["read"]', 'at least 16 characters'),
    ('[callers.x]\nenv = "NOWHERE"\nscopes = ["read"]', "has no 'NOWHERE'"),
    ('[callers.x]\ntoken = "secret-secret-se"', 'must be a list of some of read, enqueue'),
    ('[callers.x]\ntoken = "secret-secret-se"\nscopes = ["all"]', 'not [\'all\']'),
    (('[callers.x]\ntoken = "secret-secret-se"\nscopes = ["read"]\n'
      '[callers.y]\ntoken = "secret-secret-se"\nscopes = ["metrics"]'), "another one's, too")])
def test_a_file_of_tokens_that_makes_no_sense_is_told_of(tmp_path, text, said):
    (tmp_path / 'tokens.toml').write_text(text)
    with pytest.raises(InputError) as found:
        admittedBy(str(tmp_path / 'tokens.toml'))
    assert said in str(found.value) and 'secret' not in str(found.value).replace('secrets.', '')


def test_dash_ends_when_it_is_told_to(dash):
    process, _ = dash
    process.send_signal(2)
    waitFor(lambda: process.poll() is not None, 20)
    assert 'Traceback' not in process.stderr.read()


def test_dash_keeps_no_large_body(dash):
    address = urllib.parse.urlsplit(dash[1][0])
    with socket.create_connection((address.hostname, address.port), 20) as caller:
        caller.sendall(b'POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n\r\n')
        with suppress(ConnectionError):
            for _ in range(40):
                caller.sendall(bytes(65536))
        assert b' 413 ' in caller.recv(4096).split(b'\r\n')[0]


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


def test_dev_starts_no_worker_where_it_cannot_serve(town):
    done = run(town, 'dev', 'nosuch:app')
    assert done.returncode == 2 and done.stderr.startswith('Error: nosuch:app cannot be imported')
    assert done.stdout == ''


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


def test_the_demo_says_at_once_that_it_cannot_stay(tmp_path, monkeypatch, capsys):
    (tmp_path / 'a.py').write_text('x = 1\n')
    assert main(['demo', str(tmp_path), '--stay', '--json']) == 2
    assert 'Give --stay or --json, not both' in capsys.readouterr().err
    monkeypatch.setattr('p01.remote.cli.dash.NEEDED', ('flask', 'nowhere'))
    assert main(['demo', str(tmp_path), '--stay', '--keep', str(tmp_path / 'kept')]) == 2
    assert 'pip install "p01.remote[dash]"' in capsys.readouterr().err
    assert not (tmp_path / 'kept').exists()
