# SPDX-License-Identifier: ZPL-2.1
"""The demo keeps its word: real files, real processes, a worker killed in the middle, nothing lost,
nothing twice."""
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import p01.remote
from p01.remote.testing import waitFor

SOURCE = Path(p01.remote.__file__).parents[2]
COMMAND = [sys.executable, '-P', '-m', 'p01.remote.cli', 'demo']
LONG = 120.0
FILES = 240


@pytest.fixture
def temporary(tmp_path):
    """Where temporary folders are made."""
    path = tmp_path / 'tmp'
    path.mkdir()
    return path


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """Files that take some milliseconds each, so that a worker can be caught at work; the largest
    are known."""
    folder = tmp_path_factory.mktemp('sources')
    for number in range(FILES):
        lines = [f'def f{at}(a, b={at}):\n    return [a + b * {at}, {{a: (b, {at})}}]\n'
                 for at in range(60 + number)]
        (folder / f'm{number:03}.py').write_text('import os\n' + ''.join(lines))
    (folder / 'broken.py').write_text('def (:\n')
    return folder


def environ(temporary, **more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(('P01_REMOTE_', 'NO_COLOR', 'FORCE_'))}
    return {**kept, 'PYTHONPATH': str(SOURCE), 'TMPDIR': str(temporary), 'TERM': 'xterm-256color',
            **more}


def demo(temporary, *args):
    return subprocess.run([*COMMAND, *map(str, args)], env=environ(temporary), capture_output=True,
                          text=True, timeout=LONG)


def test_a_worker_is_killed_and_every_job_is_applied_once(sources, temporary):
    found = demo(temporary, sources, '--json')
    assert found.returncode == 0, found.stdout + found.stderr
    told = json.loads(found.stdout)
    assert told['good'] and told['committed'] == told['files'] == FILES + 1
    assert told['lost'] == told['twice'] == told['different'] == told['failed'] == []
    assert told['killed']['pid'] > 0 and told['workers'] == 4
    assert [each['path'] for each in told['largest']] == [f'm{FILES - 1 - at:03}.py'
                                                          for at in range(10)]
    assert list(temporary.iterdir()) == []      # nothing stays behind


def test_plain_lines_tell_all_of_it(sources, temporary):
    found = demo(temporary, sources)
    assert found.returncode == 0 and found.stderr == ''
    assert re.search(r'▲ worker \d killed on purpose \(SIGKILL\) in the middle of job \d+, '
                     r'm\d+\.py', found.stdout)
    assert f'✔ {FILES + 1} committed, 0 lost, 0 applied twice; the index matches' in found.stdout
    assert 'jobs/s with 4 workers' in found.stdout and 'Next' in found.stdout
    assert f'm{FILES - 1}.py' in found.stdout and '\x1b' not in found.stdout


def test_a_kept_database_can_be_looked_at_and_is_not_overwritten(temporary, tmp_path):
    kept = tmp_path / 'kept'
    few = tmp_path / 'few'
    few.mkdir()
    for number in range(3):
        (few / f'{number}.py').write_text(f'def f{number}(): pass\n')
    found = demo(temporary, few, '--keep', kept, '--workers', '1')
    assert found.returncode == 0 and '✔ 3 committed' in found.stdout
    assert f'p01-remote status sqlite:{kept}' in found.stdout
    look = subprocess.run([*COMMAND[:-1], 'jobs', 'list', f'sqlite:{kept}', '--json'],
                          env=environ(temporary),
                          capture_output=True, text=True, timeout=LONG)
    assert [job['status'] for job in json.loads(look.stdout)] == ['completed'] * 3
    again = demo(temporary, few, '--keep', kept)
    assert again.returncode == 2 and again.stderr.count('\n') == 1 and 'not empty' in again.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing_behind(sources, temporary, number):
    process = subprocess.Popen([*COMMAND, str(sources)], env=environ(temporary),
                               stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True,
                               # a shell has what it runs in the background ignore it
                               preexec_fn=lambda: signal.signal(signal.SIGINT,
                                                                signal.default_int_handler))
    assert process.stdout is not None
    assert 'source files' in process.stdout.readline()
    assert 'jobs enqueued' in process.stdout.readline()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)      # as a terminal sends it
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 130 and 'Traceback' not in err and 'Stopped.' in err
    assert list(temporary.iterdir()) == []
    waitFor(lambda: not groupLives(process.pid), LONG)


def groupLives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_terminal_sees_it_live(sources, temporary):
    master, slave = pty.openpty()
    process = subprocess.Popen([*COMMAND, str(sources), '--workers', '2'], env=environ(temporary),
                               stdin=slave,
                               stdout=slave, stderr=slave)
    os.close(slave)
    shown = b''
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:         # how a terminal ends
        pass
    os.close(master)
    text = shown.decode()
    assert process.wait(LONG) == 0, text
    for word in ('○ waiting', '▶ running', '✔ done', '↻ retried', '✖ failed', 'throughput',
                 '▲ worker',
                 f'✔ {FILES + 1} committed, 0 lost, 0 applied twice; the index matches',
                 '\x1b[?25l'):
        assert word in text


@pytest.mark.parametrize('args, words', [
    (['/no/such/folder'], 'is no folder'), ([__file__],
                                            'is no folder'), (['--workers', '0'], '--workers')])
def test_bad_input_is_one_sentence(temporary, args, words):
    found = demo(temporary, *args)
    errors = [line for line in found.stderr.splitlines() if line.startswith('Error: ')]
    assert found.returncode == 2 and found.stdout == '' and len(errors) == 1 and words in errors[0]


def test_a_folder_without_sources_is_told(temporary):
    found = demo(temporary, temporary)
    assert found.returncode == 2 and 'holds no source files' in found.stderr
