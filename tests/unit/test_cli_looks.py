# SPDX-License-Identifier: ZPL-2.1
"""p01-remote history, top, shell, completion; jobs why and export."""
import json
import os
import subprocess
import sys

import pytest

from p01.remote.cli import VERBS
from tests.unit.conftest import drain


@pytest.fixture
def filled(shop, run):
    """Two jobs that completed, one that failed, two that wait."""
    run('enqueue', shop, 'add', '[40, 2]')
    run('enqueue', shop, 'add', '[1, 1]')
    run('enqueue', shop, 'fail')
    drain(shop)
    run('enqueue', shop, 'add', '1')
    run('enqueue', shop, 'add', '1', '--delay', '1h')
    return shop


@pytest.mark.parametrize('span', ['hour', 'day', 'month'])
def test_history_tells_what_came_of_jobs(filled, run, span):
    module = filled.partition(':')[0]
    status, found, _ = run('history', filled, '--span', span, '--json')
    assert status == 0 and found['sum']['completed'] == 2 and found['sum']['failed'] == 1
    assert found['points'][-1]['completed'] + found['points'][-2]['completed'] == 2
    assert found['queues'][:2] == ['default', 'mail']
    for options in (('--name', 'add'), ('--name', f'{module}.add'), ('--queue', 'default')):
        narrowed = run('history', filled, *options, '--span', span, '--json')[1]['sum']
        assert (narrowed['completed'], narrowed['failed']) == (2, 0)
    status, out, _ = run('history', filled, '--span', span)
    assert status == 0 and f'{module}.add' in out and 'mail' in out and 'completed' in out


def test_history_of_nothing(shop, run):
    run('enqueue', shop, 'add', '1')
    status, out, _ = run('history', shop)
    assert status == 0 and 'the last hour' in out


@pytest.mark.parametrize('wrong', [['--queue', 'mial'], ['--name', 'ad']])
def test_history_of_what_there_is_not_says_so(filled, run, wrong):
    status, out, _ = run('history', filled, *wrong)
    assert status == 1 and 'No worker has done or seen such jobs.' in out
    assert run('history', filled, *wrong, '--json')[0] == 1


def test_top_counts_what_was_done_in_the_minute_that_has_begun(filled, run):
    assert '  0 of late' not in run('top', filled)[1]


def test_lists_of_commands_have_each_whole(run):
    for group in ([], ['jobs'], ['queues'], ['schedules'], ['workers']):
        status, out, _ = run(*group, '--help')
        assert status == 0 and '...' not in out.partition('Commands:')[2]


def test_a_number_that_is_none_is_told_in_words(shop, run):
    for words in (['jobs', 'show', shop, 'x'], ['jobs', 'list', shop, '--limit', 'x']):
        assert "'x' is not a valid whole number." in run(*words)[2]
    assert 'processes must be 1 or more, not 0.' in run('worker', shop, '--processes', '0')[2]


def test_top_without_a_terminal_looks_once(filled, run):
    status, out, _ = run('top', filled)
    assert status == 0 and 'default' in out and 'mail' in out and '0 of 0 workers' in out


def test_shell_has_the_database_and_keeps_what_is_committed(filled, run):
    assert run('shell', filled, '-c', 'root["a"] = 1')[0] == 0
    assert run('shell', filled, '-c', 'print("a" in root)')[1] == 'False\n'
    assert run('shell', filled, '-c', 'root["a"] = 1; transaction.commit()')[0] == 0
    assert run('shell', filled, '-c', 'print("a" in root)')[1] == 'True\n'
    code = 'print(app.jobs[[*app.jobs][0]].enqueue(1, 2).id); transaction.commit()'
    status, out, _ = run('shell', filled, '-c', code)
    assert status == 0 and run('jobs', 'show', filled, out.strip(), '--json')[1]['id'] == int(out)


def test_shell_tells_of_an_error_in_a_sentence(filled, run):
    status, _, error = run('shell', filled, '-c', 'raise ValueError("no such thing")')
    assert status == 2 and 'no such thing' in error


@pytest.mark.parametrize('name', ['bash', 'zsh', 'fish'])
def test_completion_is_a_script_of_the_shell(run, name):
    status, out, _ = run('completion', name)
    assert status == 0 and '_P01_REMOTE_COMPLETE' in out


def test_what_bash_completes(run):
    """As the script asks."""
    asked = {**os.environ, '_P01_REMOTE_COMPLETE': 'bash_complete', 'COMP_WORDS': 'p01-remote ',
             'COMP_CWORD': '1'}
    code = 'from p01.remote.cli import main; main()'
    found = subprocess.run([sys.executable, '-c', code], env=asked, capture_output=True, text=True,
                           check=False).stdout
    assert {line.partition(',')[2] for line in found.split()} == set(VERBS)


def test_why_a_job_waits(filled, run):
    status, out, _ = run('jobs', 'why', filled, 4)
    assert status == 0 and 'No worker runs.' in out
    status, found, _ = run('jobs', 'why', filled, 5, '--json')
    assert status == 0 and found['waits'][0]['kind'] == 'delayed' and found['waits'][0]['until']
    status, out, _ = run('jobs', 'why', filled, 1)
    assert status == 1 and 'does not wait' in out
    assert run('jobs', 'why', filled, 99)[0] == 1


def test_jobs_are_exported_as_lines(filled, run):
    status, out, _ = run('jobs', 'export', filled)
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [each['id'] for each in found] == [5, 4, 3, 2, 1]
    status, out, _ = run('jobs', 'export', filled, 'status:completed', '--all')
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each['input'], each['output']) for each in found] == [([[1, 1], {}], 2),
                                                                   ([[40, 2], {}], 42)]
    assert run('jobs', 'export', filled, 'queue:none')[:2] == (1, '')


def test_errors_are_told_by_kind(filled, run):
    for _ in range(3):
        run('enqueue', filled, 'fail', '["other luck"]')
    drain(filled)
    module = filled.partition(':')[0]
    status, found, _ = run('errors', filled, '--json')
    assert status == 0 and (found['looked'], found['total']) == (4, 4)
    assert sum(kind['number'] for kind in found['kinds']) == 4
    assert {kind['job'] for kind in found['kinds']} == {f'{module}.fail'}
    assert all(kind['first'] <= kind['last'] for kind in found['kinds'])
    status, out, _ = run('errors', filled)
    assert status == 0 and f'{module}.fail' in out and 'other luck' in out
    assert run('errors', filled, '--look', 1)[1].rstrip().endswith('--look shows more')
    assert run('errors', filled, 'queue:mail', '--limit', 1)[0] == 0
    status, out, _ = run('errors', filled, 'queue:default')
    assert (status, out) == (1, 'No failed jobs match.\n')


def test_errors_of_nothing(shop, run):
    run('enqueue', shop, 'add', '1')
    assert run('errors', shop)[:2] == (1, 'Nothing failed.\n')
