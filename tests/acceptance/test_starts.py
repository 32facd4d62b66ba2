# SPDX-License-Identifier: ZPL-2.1
"""Real commands whose worker processes cannot begin: told in a sentence each, after growing pauses, and given up."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p01.remote.engine.starts import TRIES

COMMAND = str(Path(sys.executable).with_name('p01-remote'))
DEADLINE = 90
HEAD = '''
import multiprocessing, os, sys
from p01.remote import App
app = App('sqlite:./jobs')
child = multiprocessing.parent_process() is not None
'''
MAILING = '''
import os, sys
if 'MAILHOST' not in os.environ:
    sys.exit('MAILHOST is not set')
from starting import app

@app.job
def send(number):
    return number
'''

FAULTY = '''
from p01.remote.engine import outage
from p01.remote.engine.loop import Loop
old = Loop.poll
if child:
    outage.LONGEST = 0.01
    Loop.poll = lambda self, now: old(self, now) if self.name.startswith('1.1') else 1 / 0
'''


def work(folder, text, *args):
    """The finished command on an application of this text."""
    (folder / 'starting.py').write_text(text)
    return subprocess.run([COMMAND, 'worker', 'starting:app', *args], cwd=folder, capture_output=True, text=True,
                          timeout=DEADLINE, env={**os.environ, 'PYTHONPATH': str(folder)})


@pytest.mark.parametrize('text, reason', [
    ("if child:\n    sys.exit('SETTING is not set')\n", "it ends Python with 'SETTING is not set'"),
    ("if child:\n    raise ValueError('SETTING is odd')\n", 'ValueError: SETTING is odd'),
    ('if child:\n    os._exit(7)\n', 'ended with status 7'),
    ('if child:\n    os.abort()\n', 'killed by signal SIGABRT')], ids=['exits', 'raises', 'ends', 'crashes'])
def test_processes_that_cannot_begin_are_given_up(tmp_path, text, reason):
    done = work(tmp_path, HEAD + text)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if reason in line]
    assert len(told) == TRIES
    assert 'gives up' in told[-1] and 'begins again' in told[0]
    assert 'Traceback' not in done.stderr
    assert reason in done.stdout


@pytest.mark.parametrize('make', ["ZODB.DB('Data.fs')", 'ZODB.DB(None)'])
def test_an_application_whose_database_is_for_one_process_is_refused_at_once(tmp_path, make):
    done = work(tmp_path, f'import ZODB\nfrom p01.remote import App\napp = App({make})\n')
    assert done.returncode == 2
    assert 'serves a single process' in done.stderr or 'one process only' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('args', [['--drain'], ['--drain', '--threads', '2']])
def test_a_job_whose_module_exits_stops_nobody(tmp_path, args):
    (tmp_path / 'mailing.py').write_text(MAILING)
    text = HEAD + '\n\n@app.job\ndef fine(number):\n    return number\n'
    (tmp_path / 'starting.py').write_text(text)
    code = 'import mailing, starting\nwith starting.app.transaction():\n    mailing.send.enqueue(1), starting.fine.enqueue(2)\n'
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True, timeout=DEADLINE,
                   env={**os.environ, 'MAILHOST': 'here'})
    done = work(tmp_path, text, *args)
    assert 'MAILHOST is not set' in done.stderr
    code = 'import starting\nprint(starting.app.handle(1).status, starting.app.handle(2).status)\n'
    seen = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True, timeout=DEADLINE, capture_output=True,
                          text=True)
    assert seen.stdout.split() == ['delayed', 'completed']


@pytest.mark.parametrize('options', [[], ['--drain']])
def test_a_process_one_of_whose_loops_fails_ends_visibly(tmp_path, options):
    done = work(tmp_path, HEAD + FAULTY, '--threads', '2', *options)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if 'ZeroDivisionError' in line and 'begins again' in line]
    assert len(told) == TRIES - 1
    assert 'the database is away' not in done.stderr
    code = """
import sys
import starting
with starting.app.reading() as processor:
    print(len(processor.store.seats))
"""
    seen = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True, timeout=DEADLINE, capture_output=True,
                          text=True)
    assert seen.stdout.split() == ['0']
