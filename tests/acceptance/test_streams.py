# SPDX-License-Identifier: ZPL-2.1
"""Nobody listens, or somebody with a poor terminal: every command works, and its status is about
the jobs."""
import contextlib
import itertools
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import p01.remote
from p01.remote import App, verbs
from p01.remote.views import listing

SOURCE = Path(p01.remote.__file__).parents[2]
COMMAND = [sys.executable, '-P', '-m', 'p01.remote']
TASKS = '''
import sys
from p01.remote import App
app = App('sqlite:./jobs')

@app.job
def note(text):
    print('the job prints', text)
    sys.stdout.flush()
    return text

@app.job(queue='a-queue-with-quite-a-long-name', retries=0)
def fail(text):
    raise ValueError(text)
'''
VERBS = (['status', 'tasks:app'], ['doctor', 'tasks:app'], ['jobs', 'list',
                                                            'tasks:app'], ['jobs', 'show',
                                                                           'tasks:app', '1'],
         ['queues', 'list', 'tasks:app'], ['--help'], ['jobs', 'show', 'tasks:app', '1', '--json'],
         ['worker', 'tasks:app', '--drain'],         ['pack', 'tasks:app'])


def environ(**more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(('P01_REMOTE_', 'NO_COLOR', 'FORCE_COLOR', 'COLUMNS', 'LC_',
                                    'LANG', 'PYTHON'))}
    return {**kept, 'PYTHONPATH': str(SOURCE), 'TERM': 'xterm-256color', 'LANG': 'C.UTF-8', **more}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'tasks.py').write_text(TASKS)
    return tmp_path


@pytest.fixture
def shell(folder):
    """Runs the command with what a shell says after it: '>&-'."""
    def shell(args, redirect, **more):
        script = f'exec "$@" {redirect}'
        return subprocess.run(['sh', '-c', script, 'sh', *COMMAND, *args], cwd=folder,
                              env=environ(**more), text=True,
                              encoding=more.get('PYTHONIOENCODING', 'utf-8'),
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60)
    return shell


@contextlib.contextmanager
def looking(folder):
    app = App(f'sqlite:{folder / "jobs"}')
    try:
        yield app
    finally:
        app.close()


def known(folder):
    with looking(folder) as app, app.reading() as processor:
        return sorted(listing.ids(processor.store))


@pytest.mark.parametrize('redirect', ['>&-', '>/dev/full', '>&- 2>&- <&-', '2>/dev/full'])
def test_a_command_works_whoever_listens(shell, folder, redirect):
    for number, verb in enumerate((['note', '["x"]'], ['fail', '["x"]']), 1):
        done = shell(['enqueue', 'tasks:app', *verb], redirect)
        assert done.returncode == 0 and known(folder) == list(range(1, number + 1)), done.stderr
    assert shell(['enqueue', 'tasks:app', 'nothing'], redirect).returncode == 2
    assert shell(['worker', 'tasks:app', '--drain'], redirect).returncode == 0
    with looking(folder) as app:
        # the job's own print, too
        assert [app.handle(jobid).status for jobid in (1, 2)] == ['completed', 'error']
    usual = [shell(verb, '').returncode for verb in VERBS]
    for verb, status in zip(VERBS, usual):
        done = shell(verb, redirect)
        assert done.returncode == status and 'Traceback' not in done.stderr, (verb, done)
        if redirect == '>/dev/full':
            assert 'No space left on device' in done.stderr
    assert shell(['enqueue', 'tasks:app', 'fail', '1', '--wait', '0'], redirect).returncode == 1


def test_nobody_reads_to_the_end(shell, folder):
    with looking(folder) as app, app.transaction():
        for number in range(2000):
            app.processor.processJob('tasks.note', (number,)) if number \
                else app.processor.addJob('tasks.note', print)
    done = shell(['jobs', 'list', 'tasks:app', '--limit', '5000'], '| head -n 1')
    assert done.returncode == 0 and done.stdout.split()[0] == 'id' and not done.stderr
    done = subprocess.run(['bash', '-c', '"$@" | head -n 1; exit ${PIPESTATUS[0]}', 'bash',
                           *COMMAND, 'jobs', 'list',
                           'tasks:app', '--limit', '5000'], cwd=folder, env=environ(),
                          capture_output=True, timeout=60)
    assert done.returncode == 0 and not done.stderr


@pytest.mark.parametrize('more', [
    {'PYTHONIOENCODING': 'ascii'}, {'PYTHONIOENCODING': 'latin-1'},
    {'LC_ALL': 'C', 'LANG': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}],
                         ids=['ascii', 'latin', 'C'])
def test_signs_that_the_encoding_has(shell, more):
    assert shell(['enqueue', 'tasks:app', 'note', '["é…✔"]'], '', **more).returncode == 0
    assert shell(['enqueue', 'tasks:app', 'fail', '["é…✔"]'], '', **more).returncode == 0
    shell(['worker', 'tasks:app', '--drain'], '', **more)
    for verb in VERBS[:6]:
        done = shell(verb, '', **more)
        text = done.stdout + done.stderr
        # each sign has one of its own
        assert 'Traceback' not in text and not re.search(r'(^|\s)[?�] ', text, re.M), text
        assert text.isascii() or more.get('PYTHONIOENCODING') == 'latin-1'
    assert '+ completed' in shell(['jobs', 'list', 'tasks:app'], '', **more).stdout
    assert shell(['enqueue', 'tasks:app', 'note', '"x"', '--wait', '0'], '',
                 **more).stderr.startswith('! Job')


def test_a_home_is_not_needed(shell, folder):
    for verb in (['enqueue', 'tasks:app', 'note', '1'], *VERBS):
        done = subprocess.run(['env', '-i', f'PYTHONPATH={SOURCE}', *COMMAND, *verb], cwd=folder,
                              capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert 'Traceback' not in done.stderr and 'Error' not in done.stderr, done.stderr


# -- terminals

def terminal(folder, args, columns, **more):
    """What the command writes on a terminal of so many columns."""
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack('HHHH', 50, columns, 0, 0))
    process = subprocess.Popen([*COMMAND, *args], cwd=folder, env=environ(**more), stdin=follower,
                               stdout=follower,
                               stderr=follower, start_new_session=True)
    os.close(follower)
    said = b''
    with contextlib.suppress(OSError):      # the terminal is gone when the command is
        while data := os.read(leader, 65536):
            said += data
    process.wait(60)
    os.close(leader)
    return re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', said.decode()).replace('\r\n', '\n')


@pytest.fixture
def filled(folder):
    app = App(f'sqlite:{folder / "jobs"}')
    names = ('short', 'a_long_name_of_a_module.and_of_a_function_in_it',
             '漢字.仕事をする関数の名前')
    queues = ('default', 'a-queue-with-quite-a-long-name-for-a-terminal',
              '待ち行列の長い名前です', 'mail')
    with app.transaction():
        for name in names:
            app.processor.addJob(name, len)
        for name, queue, given in itertools.product(names, queues, ('x' * 10, 5)):
            app.processor.processJob(name, (given,), queue=queue)
        app.processor.processJob('short', ('x',), delay=1000)
        verbs.pause(app.processor.store, 'mail', None)
    app.drain()
    app.close()
    return folder


@pytest.mark.parametrize(
    'columns, more', [(160, {}), (80, {}), (60, {}), (40, {}), (20, {}), (40, {'TERM': 'dumb'})],
    ids=str)
def test_a_row_is_a_line(filled, columns, more):
    """Each row of a table is as wide as the terminal at most: it never goes on in the next line."""
    from rich.cells import cell_len
    for verb in (['jobs', 'list', 'tasks:app', '--limit',
                  '24'], ['queues', 'list', 'tasks:app'], ['status', 'tasks:app']):
        said = terminal(filled, verb, columns, **more)
        lines = said.splitlines()
        assert all(cell_len(line) <= columns for line in lines), said
        if verb[0] == 'jobs':
            rows = [line for line in lines if re.match(r'\s*\d+  ', line)]
            assert len(rows) == 24, said
            assert all(any(sign in row for sign in '○◷✔✖⊘') for row in rows), said
        if verb[0] == 'queues' and columns >= 60:
            assert 'paused' in said and '待ち' in said, said
    said = terminal(filled, ['doctor', 'tasks:app'], columns, **more)
    assert all(cell_len(line) <= columns for line in said.splitlines()), said


def test_a_terminal_in_the_locale_c_gets_ascii(filled):
    said = terminal(filled, ['status', 'tasks:app'], 100, LANG='C')
    assert said.isascii() and '+ completed' in said and '? completed' not in said
    assert '✔' in terminal(filled, ['status', 'tasks:app'], 100)


@pytest.mark.parametrize('more', [{'TERM': 'dumb'}, {'NO_COLOR': '1'}], ids=['dumb', 'nocolor'])
def test_no_colours_where_none_are_wanted(filled, more):
    leader = terminal(filled, ['jobs', 'list', 'tasks:app'], 80, **more)
    assert '✔ completed' in leader
    assert json.loads(terminal(filled, ['status', 'tasks:app', '--json'], 40, **more))
