# SPDX-License-Identifier: ZPL-2.1
"""Real commands whose worker processes cannot begin: told in a sentence each, after growing pauses,
and given up."""
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from p01.remote.engine.starts import FAILURES
from p01.remote.testing import waitFor

COMMAND = str(Path(sys.executable).with_name('p01-remote'))
DEADLINE = 90
HEAD = '''
import os, sys
from p01.remote import App
app = App('sqlite:./jobs')
serves = 'SERVES' in os.environ
later = serves and os.path.exists('served')     # a process has begun before
if serves:
    open('served', 'w').close()

@app.job
def die():
    os._exit(3)
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
if serves:
    outage.LONGEST = 0.01
    Loop.poll = lambda self, now: old(self, now) if self.name.startswith('1.1') else 1 / 0
'''


def work(folder, text, *args):
    """The finished command on an application of this text."""
    (folder / 'starting.py').write_text(text)
    return subprocess.run([COMMAND, 'worker', 'starting:app', *args], cwd=folder,
                          capture_output=True, text=True,
                          timeout=DEADLINE,
                          env={**os.environ, 'PYTHONPATH': str(folder), 'SERVES': '1'})


def call(folder, code):
    """What code prints that uses the application, which is not served there."""
    done = subprocess.run([sys.executable, '-c', 'import starting\n' + code], cwd=folder,
                          check=True, timeout=DEADLINE,
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.split()


WAYS = pytest.mark.parametrize('text, reason', [
    ("    sys.exit('SETTING is not set')\n", "it ends Python with 'SETTING is not set'"),
    ("    raise ValueError('SETTING is odd')\n", 'ValueError: SETTING is odd'),
    ('    os._exit(7)\n', 'ended with status 7'),
    ('    os.abort()\n', 'killed by signal SIGABRT')], ids=['exits', 'raises', 'ends', 'crashes'])


@WAYS
def test_an_application_that_cannot_be_served_ends_the_command(tmp_path, text, reason):
    """At once, with one sentence, when it can say so; else after some tries."""
    done = work(tmp_path, HEAD + 'if serves:\n' + text)
    told = [line for line in done.stderr.splitlines() if reason in line]
    if 'exit(' in text and '_' not in text or 'raise' in text:
        assert (done.returncode, len(told), len(done.stderr.splitlines()),
                done.stdout) == (2, 1, 1, '')
        assert told[0].startswith('Error: starting:app cannot be imported')
    else:
        assert (done.returncode, len(told)) == (1, FAILURES)
        assert reason in done.stdout


@WAYS
def test_processes_that_cannot_begin_are_given_up(tmp_path, text, reason):
    """When the application has become faulty since the first one began, as by an update of its
    code."""
    (tmp_path / 'starting.py').write_text(HEAD)
    call(tmp_path, 'starting.die.enqueue()')
    done = work(tmp_path, HEAD + 'if later:\n' + text)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if reason in line]
    assert len(told) == FAILURES
    assert 'gives up' in told[-1] and 'begins again' in told[0]
    assert 'Traceback' not in done.stderr
    assert reason in done.stdout


def test_a_command_whose_application_takes_for_ever_can_be_ended(tmp_path):
    (tmp_path / 'starting.py').write_text(
        HEAD + 'import time\nif serves:\n    open("here", "w").close()\n    time.sleep(600)\n')
    process = subprocess.Popen([COMMAND, 'worker', 'starting:app', '--grace', '0.1'], cwd=tmp_path,
                               stdout=subprocess.PIPE,
                               env={**os.environ, 'SERVES': '1'}, start_new_session=True)
    try:
        waitFor((tmp_path / 'here').exists, DEADLINE)
        process.terminate()
        process.communicate(timeout=DEADLINE)       # until nobody writes any more
        assert process.returncode == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


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
    code = ('import mailing, starting\nwith starting.app.transaction():\n    '
            'mailing.send.enqueue(1), starting.fine.enqueue(2)\n')
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True, timeout=DEADLINE,
                   env={**os.environ, 'MAILHOST': 'here'})
    done = work(tmp_path, text, *args)
    assert 'MAILHOST is not set' in done.stderr
    seen = call(tmp_path, 'print(starting.app.handle(1).status, starting.app.handle(2).status)\n')
    assert seen == ['delayed', 'completed']


@pytest.mark.parametrize('options', [[], ['--drain']])
def test_a_process_one_of_whose_loops_fails_ends_visibly(tmp_path, options):
    done = work(tmp_path, HEAD + FAULTY, '--threads', '2', *options)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if 'ZeroDivisionError' in line
            and 'begins again' in line]
    assert len(told) == FAILURES - 1
    assert 'the database is away' not in done.stderr
    assert call(tmp_path,
                'with starting.app.reading() as processor:\n    '
                'print(len(processor.store.seats))\n') == ['0']
