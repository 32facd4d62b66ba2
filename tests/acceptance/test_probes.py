# SPDX-License-Identifier: ZPL-2.1
"""The world around workers: records of JSON, the health file and its probe, examples for service
managers and containers."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import click
import pytest

from p01.remote.cli import cli
from p01.remote.options import WorkerOptions, variable
from p01.remote.testing import waitFor
from tests.acceptance.test_streams import environ

EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'
TASKS = '''
import logging, os, signal, time
from p01.remote import App, current
app = App('sqlite:./jobs')

class Odd:
    def __repr__(self):
        raise ValueError('no text')

@app.job(queue='mail', retries=1, backoff=0)
def task(how='good'):
    current.log.info('by current')
    logging.getLogger('my').warning('with %s', 'words', extra={'order': 42, 'odd': Odd()})
    if how == 'raises':
        try:
            raise KeyError('inner')
        except KeyError:
            logging.exception('a traceback\\nin lines')
        raise ValueError('no such order')
    if how == 'dies':
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)

@app.job
async def later():
    logging.getLogger('my').info('awaited')
'''


@pytest.fixture
def command(tmp_path):
    """Run p01-remote beside the tasks."""
    (tmp_path / 'tasks.py').write_text(TASKS)

    def command(*words, begin=False, **more):
        whole = [sys.executable, '-P', '-m', 'p01.remote', *words]
        given = {'cwd': tmp_path, 'env': environ(**more), 'text': True,
                 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE}
        if begin:
            return subprocess.Popen(whole, **given)
        return subprocess.run(whole, timeout=90, **given)
    return command


def records(text):
    """Lines of JSON, each whole."""
    found = [json.loads(line) for line in text.splitlines()]
    for each in found:
        assert datetime.fromisoformat(each['time']).utcoffset().total_seconds() == 0
        assert {'level', 'logger', 'message'} <= each.keys()
    return found


def test_each_state_edge_is_a_record_of_json(command):
    for name, given in (('task', '[]'), ('task', '["raises"]'), ('later', '[]')):
        assert command('enqueue', 'tasks:app', name, given).returncode == 0
    done = command('worker', 'tasks:app', '--drain', '--log-format', 'json', TZ='Asia/Tokyo')
    found = records(done.stderr)
    edges = {number: [(each['event'], each.get('attempt'), each['queue'],
                       isinstance(each.get('seconds'), float))
                      for each in found if 'event' in each and each.get('job') == number]
             for number in (1, 2, 3)}
    assert edges[1] == [('JobStarted', 1, 'mail', False), ('JobCompleted', 1, 'mail', True)]
    assert edges[2] == [('JobStarted', 1, 'mail', False), ('JobRetried', 1, 'mail', True),
                        ('JobStarted', 2, 'mail', False), ('JobErred', 2, 'mail', True)]
    assert edges[3] == [('JobStarted', 1, 'default', False), ('JobCompleted', 1, 'default', True)]
    [erred] = [each for each in found if each.get('event') == 'JobErred']
    assert erred['reason'] == 'ValueError: no such order' and erred['level'] == 'error'
    assert erred['name'] == 'tasks.task' and erred['cause'] == 'error' and erred['worker']
    assert sum(each['seconds'] for each in found if each.get('event') == 'JobCompleted') > 0.05


def test_lines_of_jobs_are_records_with_their_job(command):
    command('enqueue', 'tasks:app', 'task', '["raises"]')
    found = records(command('worker', 'tasks:app', '--drain', P01_REMOTE_LOG_FORMAT='json').stderr)
    mine = next(each for each in found if each['logger'] == 'my')
    assert mine['message'] == 'with words' and mine['order'] == 42 and 'odd' in mine
    assert (mine['job'], mine['name'], mine['attempt'], mine['queue']) == (1, 'tasks.task', 1,
                                                                           'mail')
    told = next(each for each in found if 'error' in each)
    assert told['message'] == 'a traceback\nin lines' and 'KeyError' in told['error']
    assert [each['message'] for each in found if each['logger'] == 'p01.remote.job'] \
        == ['by current'] * 2


def test_a_death_is_a_record_of_its_job(command):
    command('enqueue', 'tasks:app', 'task', '["dies"]')
    found = records(command('worker', 'tasks:app', '--drain', '--log-format', 'json').stderr)
    events = [each['event'] for each in found if 'event' in each]
    assert events.count('WorkerRescued') == 2 and 'JobRetried' in events
    [erred] = [each for each in found if each.get('event') == 'JobErred']
    assert erred['cause'] == 'put aside' and erred['queue'] == 'mail' and erred['job'] == 1


def test_the_level_holds(command):
    command('enqueue', 'tasks:app', 'task', '["raises"]')
    found = records(command('worker', 'tasks:app', '--drain', '--log-format', 'json',
                            '--log-level', 'error').stderr)
    assert {each['level'] for each in found} == {'error'} and len(found) == 3


# -- health

@pytest.fixture
def worker(command, tmp_path):
    """A worker with a health file, and its probe."""
    path = tmp_path / 'health'
    begun = []

    def worker(*options):
        begun.append(command('worker', 'tasks:app', '--health-file', str(path), *options,
                             begin=True))
        return begun[-1]

    worker.path = path
    worker.probe = lambda *options: command('health', *options, P01_REMOTE_HEALTH_FILE=str(path))
    yield worker
    for each in begun:
        each.kill()
        each.communicate()


def children(pid):
    """The processes that a process has started."""
    return [int(text) for text in
            Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def test_the_probe_tells_how_a_worker_is(worker):
    none = worker.probe()
    assert none.returncode == 1 and 'no worker works yet' in none.stdout
    running = worker('--processes', '2')
    waitFor(worker.path.exists, 60)
    well = worker.probe()
    assert well.returncode == 0 and 'well: 2 worker processes, ' in well.stdout
    assert len(well.stdout.splitlines()) == 1
    before = worker.path.stat().st_mtime
    waitFor(lambda: worker.path.stat().st_mtime > before, 20)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    assert not worker.path.exists() and worker.probe().returncode == 1


def test_it_is_not_well_while_a_process_hangs_and_well_again_behind_it(worker):
    running = worker('--processes', '2', '--lease', '2')
    waitFor(worker.path.exists, 60)
    [stopped, *_] = children(running.pid)
    os.kill(stopped, signal.SIGSTOP)

    def old():
        return worker.path.exists() and time.time() - worker.path.stat().st_mtime > 6

    try:
        waitFor(old, 60)
        assert worker.probe('--max-age', '5').returncode == 1
        assert 'the last sign of life is' in worker.probe('--max-age', '5').stdout
    finally:
        os.kill(stopped, signal.SIGCONT)
    waitFor(lambda: not old(), 60)
    assert worker.probe('--max-age', '5').returncode == 0


def test_a_file_that_cannot_be_is_refused_at_once(command):
    done = command('worker', 'tasks:app', '--health-file', '/nosuch/folder/health')
    assert done.returncode == 2 and 'health file /nosuch/folder/health' in done.stderr
    assert 'Traceback' not in done.stderr
    assert command('health').returncode == 2


def test_a_file_of_something_else_is_neither_believed_nor_removed(command, tmp_path):
    path = tmp_path / 'notes'
    path.write_text('of mine')
    done = command('health', '--file', str(path))
    assert done.returncode == 1 and 'is no health file' in done.stdout
    done = command('worker', 'tasks:app', '--drain', '--health-file', str(path))
    assert done.returncode == 2 and 'no health file' in done.stderr
    assert path.read_text() == 'of mine'


# -- examples

def invoked(words):
    """The verb that these words call. Raises what click does for options that are not there."""
    verb = cli.get_command(click.Context(cli), words[0])
    verb.make_context(words[0], list(words[1:]))
    return verb.name


def environment(text):
    """The variables of ours in a text."""
    return set(re.findall(r'P01_REMOTE_[A-Z_]+', text))


@pytest.mark.parametrize('path', sorted(path for folder in ('systemd', 'container')
                                        for path in (EXAMPLES / folder).iterdir()),
                         ids=lambda path: path.name)
def test_options_and_variables_of_the_examples_exist(path, monkeypatch):
    monkeypatch.setenv('P01_REMOTE_APP', 'tasks:app')
    monkeypatch.setenv('P01_REMOTE_HEALTH_FILE', 'health')
    text = path.read_text()
    known = {variable(name) for name in WorkerOptions.__dataclass_fields__} | {'P01_REMOTE_APP'}
    assert environment(text) <= known
    commands = [line.split()[1:] for line in re.findall(r'p01-remote( [^\n"]+)$', text, re.M)
                for line in ['x' + line]]
    commands += [re.findall(r'"([^"]*)"', line)
                 for line in re.findall(r'(?:CMD|command:|args:) *(\[.*?\])', text)]
    commands = [words[words[0] == 'p01-remote':] for words in commands if words]
    assert commands or path.name == 'compose.yaml'
    for words in commands:
        assert invoked(words) in ('worker', 'health')


def test_graces_are_shorter_than_what_kills():
    def number(path, pattern):
        return int(re.search(pattern, (EXAMPLES / path).read_text())[1])

    grace = number('container/Dockerfile', r'GRACE=(\d+)')
    assert grace < number('container/compose.yaml', r'stop_grace_period: (\d+)s')
    assert grace < number('container/kubernetes.yaml', r'GracePeriodSeconds: (\d+)')
    unit = 'systemd/jobs.service'
    assert number(unit, r'GRACE=(\d+)') < number(unit, r'TimeoutStopSec=(\d+)')


@pytest.mark.skipif(not shutil.which('systemd-analyze'), reason='systemd-analyze is not there')
def test_systemd_understands_the_unit(tmp_path):
    text = (EXAMPLES / 'systemd/jobs.service').read_text()
    text = text.replace('/srv/shop/.venv/bin/p01-remote', sys.executable)
    unit = tmp_path / 'jobs.service'
    unit.write_text(text.replace('User=jobs', 'User=root').replace('/srv/shop', str(tmp_path)))
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no', str(unit)],
                          capture_output=True, text=True, timeout=60)
    told = [line for line in done.stderr.splitlines() if 'jobs.service' in line]
    assert not told, done.stderr
    (tmp_path / 'jobs.service').write_text(text.replace('WatchdogSec', 'WatchdogSecs'))
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no', str(unit)],
                          capture_output=True, text=True, timeout=60)
    assert 'WatchdogSecs' in done.stderr


def test_the_yaml_is_yaml():
    yaml = pytest.importorskip('yaml', reason='PyYAML is in p01.remote[test]')
    for name in ('compose', 'kubernetes'):
        assert yaml.safe_load((EXAMPLES / f'container/{name}.yaml').read_text())
