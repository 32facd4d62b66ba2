# SPDX-License-Identifier: ZPL-2.1
"""The command as users run it: processes of their own, in a folder with an application."""
import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import p01.remote
from p01.remote import App
from p01.remote.testing import waitFor

SOURCE = Path(p01.remote.__file__).parents[2]
EXAMPLES = Path(__file__).parents[2] / 'examples'
# -P: like the script, without the current folder
COMMAND = [sys.executable, '-P', '-m', 'p01.remote.cli']
LONG = 60.0         # seconds; more than anything here takes on a busy machine


def environ(**more):
    """The environment of a user who has set nothing."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(('P01_REMOTE_', 'NO_COLOR', 'FORCE_COLOR', 'COLUMNS'))}
    return {**kept, 'PYTHONPATH': str(SOURCE), 'TERM': 'xterm-256color', **more}


@pytest.fixture
def folder(tmp_path):
    """The application of examples/tasks.py; its database is ./jobs."""
    shutil.copy(EXAMPLES / 'tasks.py', tmp_path)
    return tmp_path


@pytest.fixture
def run(folder):
    def run(*args, **more):
        return subprocess.run([*COMMAND, *map(str, args)], cwd=folder, env=environ(**more),
                              capture_output=True, text=True,
                              timeout=LONG)
    return run


@pytest.fixture
def start(folder):
    """Starts the command in the background; it is killed at the end, if it still runs."""
    with contextlib.ExitStack() as stack:
        def start(*args, **more):
            process = subprocess.Popen([*COMMAND, *map(str, args)], cwd=folder,
                                       env=environ(**more), text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       start_new_session=True)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process
        yield start


@pytest.fixture
def app(folder):
    """The database, seen from here."""
    app = App(f'sqlite:{folder / "jobs"}')
    yield app
    app.close()


def workers(app):
    with app.reading() as processor:
        return [seat.pid for seat in processor.store.seats.values() if seat.pid]


def screen(command, cwd, **more):
    """What a command shows on a terminal, and its status."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, cwd=cwd, env=environ(**more), stdin=slave, stdout=slave,
                               stderr=slave)
    os.close(slave)
    shown = b''
    with contextlib.suppress(OSError):      # how a terminal ends
        while data := os.read(master, 65536):
            shown += data
    os.close(master)
    return shown.decode(), process.wait(LONG)


def test_help_is_there_for_every_verb(run):
    found = run('--help')
    assert found.returncode == 0 and not found.stderr
    verbs = [line.split()[0]
             for line in found.stdout.partition('Commands:')[2].partition('\n\n')[0].splitlines()
             if line[2:3].strip()]          # what a line has no room for goes on below itself
    assert verbs == ['demo', 'worker', 'enqueue', 'jobs', 'errors', 'queues', 'schedules',
                     'workers', 'status', 'health', 'top', 'history', 'metrics', 'audit',
                     'shell', 'completion', 'doctor', 'dash', 'dev', 'mcp', 'pack', 'copy']
    assert run('--version').stdout.startswith('p01-remote ')
    assert run('nothing').returncode == 2


def test_a_job_from_the_command_line_to_its_result(run, start, app):
    assert run('status', 'tasks:app').returncode == 2           # looking makes nothing
    first = run('enqueue', 'tasks:app', 'order', '["tea", 3]')
    assert (first.returncode, first.stdout) == (0, '1\n')
    found = run('doctor', 'tasks:app')
    assert found.returncode == 1 and 'p01-remote worker tasks:app' in found.stdout
    worker = start('worker', 'tasks:app', '--processes', 2)
    waitFor(lambda: len(workers(app)) == 2, LONG)
    assert run('enqueue', 'tasks:app', 'order', '{"item": "jam"}', '--wait', LONG).stdout == '2\n'
    failed = run('enqueue', 'tasks:app', 'order', '["jam", 0]', '--wait', LONG)
    assert failed.returncode == 1 and failed.stderr.startswith('✖ job ') \
        and 'no number of things' in failed.stderr
    waitFor(lambda: not json.loads(run('status', 'tasks:app', '--json').stdout)['oldest'], LONG)
    with app.transaction() as root:
        assert [root['orders'][number]['receipt']
                for number in (1, 2)] == ['Order 1: 3 × tea', 'Order 2: 1 × jam']
    assert run('doctor', 'tasks:app').returncode == 0
    found = json.loads(run('status', 'tasks:app', '--json').stdout)
    assert len(found['workers']) == 2 and all(each['alive'] for each in found['workers'])
    worker.terminate()
    out, err = worker.communicate(timeout=LONG)
    assert worker.returncode == 0 and 'ended' in out and 'Traceback' not in err
    assert workers(app) == []


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_worker_lets_the_running_job_end(run, start, app, number):
    """TERM to the supervisor; Ctrl-C goes to the whole group, as a terminal sends it."""
    worker = start('worker', 'tasks:app', '--json')
    # as long as the second command takes on a busy machine
    jobid = json.loads(run('enqueue', 'tasks:app', 'wait', '5', '--json').stdout)['id']
    waiting = json.loads(run('enqueue', 'tasks:app', 'wait', '1', '--json').stdout)['id']
    waitFor(lambda: app.handle(jobid).status == 'processing', LONG)
    if number == signal.SIGINT:
        os.killpg(worker.pid, number)
    else:
        worker.send_signal(number)
    out, err = worker.communicate(timeout=LONG)
    assert worker.returncode == 0 and 'Traceback' not in err
    assert json.loads(out)['status'] == 0
    assert app.handle(jobid).status == 'completed'
    assert app.handle(waiting).status == 'queued'


def test_drain_ends_by_itself_with_an_address_too(run, app):
    for number in range(5):
        run('enqueue', 'tasks:app', 'order', f'["tea", {number + 1}]')
    # finds tasks in the current folder
    found = run('worker', 'sqlite:./jobs', '--drain', '--processes', 2, '--together')
    assert found.returncode == 0, found.stderr
    counts = json.loads(run('status', 'sqlite:./jobs', '--json').stdout)['queues']
    assert counts['default']['completed'] == 5 and counts['mail']['completed'] == 5


def test_a_drain_that_could_not_run_what_is_due_says_so(run):
    assert run('enqueue', 'tasks:app', 'tasks.wait', '0').returncode == 0
    run('queues', 'pause', 'tasks:app', 'slow')
    done = run('worker', 'tasks:app', '--drain')
    assert done.returncode == 1 and 'left: 1 in queues that are paused (slow)' in done.stdout
    run('queues', 'resume', 'tasks:app', 'slow')
    run('enqueue', 'tasks:app', 'tasks.wait', '0', '--delay', '1h')
    done = run('worker', 'tasks:app', '--drain')
    assert done.returncode == 0 \
        and 'left: 1 delayed or to be repeated, the next in 60 min' in done.stdout


def test_options_come_from_the_environment(run):
    found = run('worker', 'tasks:app', P01_REMOTE_DRAIN='1', P01_REMOTE_PROCESSES='3')
    assert found.returncode == 0 and '3 worker processes' in found.stdout
    found = run('worker', 'tasks:app', P01_REMOTE_PROCESSES='many')
    assert found.returncode == 2 and 'P01_REMOTE_PROCESSES' in found.stderr \
        and found.stderr.count('\n') == 1


def test_a_terminal_gets_colour_and_words_and_no_color_is_honoured(run, folder):
    run('enqueue', 'tasks:app', 'order', '"tea"')
    shown, status = screen([*COMMAND, 'jobs', 'list', 'tasks:app'], folder)
    assert status == 0 and '\x1b[36m○ queued' in shown
    shown, _ = screen([*COMMAND, 'jobs', 'list', 'tasks:app'], folder, NO_COLOR='1')
    assert '○ queued' in shown and '\x1b[36m' not in shown
    assert '\x1b' not in run('jobs', 'list', 'tasks:app').stdout


def test_a_closed_pipe_is_no_error(run, folder):
    run('enqueue', 'tasks:app', 'order', '"tea"')
    found = subprocess.run(f'{" ".join(COMMAND)} jobs list tasks:app | true', shell=True,
                           cwd=folder, env=environ(),
                           capture_output=True, text=True, timeout=LONG)
    assert 'Traceback' not in found.stderr


def test_a_live_folder_can_be_copied_and_the_copy_works_on_its_own(start, app, folder, run):
    """In the copy nobody lives: what ran in the original runs again there, and there only, and was
    no failure."""
    app.open()
    process = start('worker', 'tasks:app')
    jobid = run('enqueue', 'tasks:app', 'wait', '[600]').stdout.strip()
    handle = app.handle(int(jobid))
    waitFor(lambda: handle.status == 'processing', LONG)
    shutil.copytree(folder / 'jobs', folder / 'copy')
    target = f'sqlite:{folder / "copy"}'
    found = json.loads(run('status', target, '--json').stdout)
    assert [worker['alive'] for worker in found['workers']] == [False]
    copied = start('worker', target)
    other = App(target)
    copy = other.handle(int(jobid))
    waitFor(lambda: copy.status == 'processing' and copy.job.worker != handle.job.worker, LONG)
    assert [(each.status, each.job.runCounter)
            for each in (copy, handle)] == [('processing', 1)] * 2
    other.close()
    for each in (copied, process):
        os.killpg(each.pid, signal.SIGKILL)


def test_a_running_job_says_how_far_it_is(start, app, run):
    app.open()
    process = start('worker', 'tasks:app')
    jobid = run('enqueue', 'tasks:app', 'wait', '[600]').stdout.strip()

    def said():
        found = json.loads(run('jobs', 'show', 'tasks:app', jobid, '--json').stdout)['progress']
        return found is not None and found['done'] > 0 and found
    assert waitFor(said, LONG)['total'] == 600
    assert '%' in run('jobs', 'show', 'tasks:app', jobid).stdout
    assert f'{jobid} (' in run('status', 'tasks:app').stdout
    [worker] = json.loads(run('status', 'tasks:app', '--json').stdout)['workers']
    assert worker['progress'][jobid]['total'] == 600
    os.killpg(process.pid, signal.SIGKILL)


def test_a_worker_that_runs_older_code_is_told_of(start, app, folder, run):
    app.open()
    process = start('worker', 'tasks:app')
    waitFor(lambda: workers(app), LONG)
    findings = {each['check']: each
                for each in json.loads(run('doctor', 'tasks:app', '--json').stdout)}
    assert findings['code']['verdict'] == 'good' \
        and 'other code' not in run('status', 'tasks:app').stdout
    with open(folder / 'tasks.py', 'a') as file:
        file.write('\n\n@app.job\ndef more():\n    """A new job."""\n')
    findings = {each['check']: each
                for each in json.loads(run('doctor', 'tasks:app', '--json').stdout)}
    assert findings['code']['verdict'] == 'look' \
        and '1 worker (1) runs other code' in findings['code']['text']
    assert '1 worker runs other code' in run('status', 'tasks:app').stdout
    os.killpg(process.pid, signal.SIGKILL)
