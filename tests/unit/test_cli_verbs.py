# SPDX-License-Identifier: ZPL-2.1
"""The verbs, in this process; tests/acceptance/test_cli.py runs the command itself."""
import json

import pytest
from transaction.interfaces import TransientError

from p01.remote import App
from p01.remote.cli import main
from p01.remote.front.named import loadApp
from tests.unit.conftest import drain


def test_enqueue_prints_the_id(shop, run):
    status, out, _ = run('enqueue', shop, 'add', '[40, 2]')
    assert (status, out) == (0, '1\n')
    drain(shop)
    status, found, _ = run('jobs', 'show', shop, 1, '--json')
    assert status == 0 and found['output'] == 42 and found['status'] == 'completed' \
        and found['input'] == [[40, 2], {}]


@pytest.mark.parametrize('text, given', [
    ('[1, 2]', [[1, 2], {}]), ('{"a": 1, "b": 2}', [[], {'a': 1,
                                                         'b': 2}]), ('5', [[5], {}]), (
                                                             '"x"', [['x'], {}]),
    ('null', [[None], {}]), ('[[1], 2]', [[[1], 2], {}])])
def test_json_becomes_arguments(shop, run, text, given):
    _, found, _ = run('enqueue', shop, 'add', text, '--json')
    assert run('jobs', 'show', shop, found['id'], '--json')[1]['input'] == given


def test_the_last_part_of_a_name_is_enough_and_options_are_kept(shop, run):
    module = shop.partition(':')[0]
    for name in ('add', f'{module}.add'):
        status, found, _ = run('enqueue', shop, name, '1', '--queue', 'slow', '--priority', 7,
                               '--delay', '10m', '--json')
        assert status == 0 and found['name'] == f'{module}.add' and found['status'] == 'delayed'
        job = run('jobs', 'show', shop, found['id'], '--json')[1]
        assert job['queue'] == 'slow' and job['priority'] == 7 and job['due'] > job['created']


def test_a_registered_name_and_an_address(tmp_path, run, shop):
    from p01.remote.testing import EchoJob
    address = f'sqlite:{tmp_path / "other"}'
    app = App(address)
    with app.transaction():
        app.processor.addJob('echo', EchoJob())
    app.close()
    _, found, _ = run('enqueue', address, 'echo', '[1, {"a": 2}]', '--json')
    # as it is
    assert run('jobs', 'show', address, found['id'], '--json')[1]['input'] == [1, {'a': 2}]
    module = shop.partition(':')[0]
    # imported from the current folder
    assert run('enqueue', address, f'{module}.add', '1')[0] == 0


def test_a_unique_job_is_there_once(shop, run):
    found = [run('enqueue', shop, 'add', text, '--unique', 'one', '--json')[1]['id']
             for text in ('1', '2')]
    assert found[0] == found[1]
    drain(shop)
    assert [job['status'] for job in run('jobs', 'list', shop, '--json')[1]] == ['completed']


@pytest.mark.parametrize('args, words', [
    (['add', '{bad'], 'is not JSON'), (['add', '[1,2,3]'],
                                       'cannot be called'), (['add'], 'cannot be called'),
    (['nothing'], "No job is registered as 'nothing'; there are"), (['no.such'], 'no.such'),
    (['add', '1', '--priority', '101'], '101'), (['add', '1', '--delay', '-1'], 'negative'),
    (['add', '1', '--delay', 'soon'], 'no duration'), (['add', '1', '--unique', ''], 'unique'),
    (['add', json.dumps('x' * (1 << 20))], 'limit')])
def test_bad_input_is_one_sentence_and_nothing_is_enqueued(shop, run, args, words):
    status, out, err = run('enqueue', shop, *args)
    assert status == 2 and out == ''
    lines = [line for line in err.splitlines() if line and not line.startswith(('Usage:', 'Try '))]
    assert len(lines) == 1 and lines[0].startswith('Error: ') and words in lines[0]
    assert run('enqueue', shop, 'add', '1', '--json')[0] == 0
    assert len(run('jobs', 'list', shop, '--json')[1]) == 1


@pytest.mark.parametrize('verb', [['status'], ['doctor'], ['jobs',
                                                           'list'], ['queues', 'list'], ['jobs',
                                                                                         'remove'],
                                  ['queues', 'pause', 'mail'], ['jobs', 'cancel', '1']])
def test_looking_makes_no_database(shop, run, verb, tmp_path):
    place, rest = (verb[:2], verb[2:]) if verb[0] in ('jobs', 'queues') else (verb, [])
    for target in (shop, 'sqlite:./none', 'file:./none.fs'):
        status, out, err = run(*place, target, *rest)
        assert status == 2 and out == '' and err.count('\n') == 1 \
            and 'There is no database at' in err
    assert not (tmp_path / 'jobs').exists() and not (tmp_path / 'none').exists()


@pytest.mark.parametrize('target, words', [
    ('nothing', 'no kind known'), ('redis:x', 'cannot be imported'),
    ('redis:./x', 'no kind known'), ('sqlite:', 'lacks a usable path'),
    ('no.such:app', 'cannot be imported'), ('memory:',
                                            'one process only'), ('json:dumps', 'no App')])
def test_a_bad_target_is_one_sentence(shop, run, target, words):
    for verb in (['status', target], ['enqueue', target, 'add'], ['worker', target]):
        status, out, err = run(*verb)
        assert status == 2 and out == '' and words in err and err.count('\n') == 1


def test_a_worker_of_a_file_names_the_way_out(shop, run):
    status, _, err = run('worker', 'file:./jobs.fs')
    assert status == 2 and 'sqlite:' in err and err.count('\n') == 1


def test_jobs_are_listed_newest_first_and_filtered(shop, run):
    for verb in (['add', '1'], ['fail'], ['add', '2', '--delay', '1h']):
        run('enqueue', shop, *verb)
    drain(shop)
    status, found, _ = run('jobs', 'list', shop, '--json')
    assert status == 0 and [job['status'] for job in found] == ['delayed', 'error', 'completed']
    for wanted, count in (('delayed', 1), ('error', 1), ('completed',
                                                         1), ('queued', 0), ('processing', 0)):
        status, found, _ = run('jobs', 'list', shop, '--status', wanted, '--json')
        assert len(found) == count and status == (0 if count else 1)
    assert [job['queue']
            for job in run('jobs', 'list', shop, '--queue', 'mail', '--json')[1]] == ['mail']
    assert len(run('jobs', 'list', shop, '--limit', '2', '--json')[1]) == 2
    _, out, _ = run('jobs', 'list', shop)
    assert '✖ error' in out and 'bad luck' in out and '◷ delayed' in out and '✔ completed' in out


def test_show_tells_the_runs(shop, run):
    jobid = run('enqueue', shop, 'fail', '["a\\u001b[31m reason"]', '--json')[1]['id']
    drain(shop)
    status, out, _ = run('jobs', 'show', shop, jobid)
    assert status == 0 and '✖ error' in out and 'run 1 failed' in out and 'Traceback' in out
    assert '\x1b' not in out
    assert run('jobs', 'show', shop, 99999)[0] == 1
    assert run('jobs', 'show', shop, 'x')[0] == 2


def test_retry_cancel_and_remove(shop, run):
    ids = [run('enqueue', shop, *verb, '--json')[1]['id']
           for verb in (['add', '1'], ['fail'], ['add', '2', '--delay', '9'])]
    assert run('jobs', 'retry', shop, '--all-failed')[0] == 1
    assert run('jobs', 'remove', shop)[0] == 1
    drain(shop)
    assert run('jobs', 'retry', shop, '--all-failed', '--queue', 'other',
               '--json')[1] == {'queued': [], 'left': {}}
    status, found, _ = run('jobs', 'retry', shop, '--all-failed', '--json')
    assert status == 0 and found == {'queued': [ids[1]], 'left': {}}
    status, found, _ = run('jobs', 'cancel', shop, ids[0], ids[2], 4321, '--json')
    assert status == 1 \
        and found == {'cancelled': [ids[2]], 'left': {str(ids[0]): 'completed', '4321': 'unknown'}}
    _, out, _ = run('jobs', 'cancel', shop, '--queue', 'mail')
    assert f'⊘ 1 cancelled: {ids[1]}' in out
    status, found, _ = run('jobs', 'remove', shop, '--status', 'completed', '--yes', '--json')
    assert status == 0 and found == {'removed': {'completed': 1}}
    assert run('jobs', 'remove', shop, '--yes',
               '--json')[1] == {'removed': {'completed': 0, 'error': 0, 'cancelled': 2}}
    assert run('jobs', 'list', shop)[0] == 1


@pytest.mark.parametrize('verb', [['retry'], ['retry', '1',
                                              '--all-failed'], ['cancel'], ['cancel', '1',
                                                                            '--queue', 'q'],
                                  ['remove', '--status', 'queued'], ['cancel', '0']])
def test_a_bulk_says_which(shop, run, verb):
    run('enqueue', shop, 'add', '1')
    assert run('jobs', verb[0], shop, *verb[1:])[0] == 2


def test_status_and_queues(shop, run):
    run('enqueue', shop, 'add', '1')
    run('enqueue', shop, 'add', '1', '--delay', '1h')
    status, found, _ = run('status', shop, '--json')
    assert status == 0 and found['queues']['default']['queued'] == 1 \
        and found['queues']['default']['delayed'] == 1
    assert found['oldest'] >= 0 and found['nextDue'] and found['workers'] == []
    assert '▲ no worker' in run('status', shop)[1]
    assert run('queues', 'pause', shop, 'default', '--for', '10m')[0] == 0
    drain(shop)
    assert '⏸ paused, ends in' in run('queues', 'list', shop)[1]
    assert run('status', shop, '--json')[1]['queues']['default']['queued'] == 1
    assert run('queues', 'resume', shop, 'default')[0] == 0
    assert run('queues', 'resume', shop, 'default')[0] == 1
    drain(shop)
    assert run('queues', 'list', shop, '--json')[1][0]['completed'] == 1


def test_doctor_sees_what_is_wrong(shop, run):
    run('enqueue', shop, 'add', '1', '--delay', '1h')
    status, found, _ = run('doctor', shop, '--json')
    assert status == 0 and {each['verdict'] for each in found} == {'good'}
    run('enqueue', shop, 'add', '1')
    status, out, _ = run('doctor', shop)
    assert status == 1 and '✖ wrong  workers   none, and jobs wait' in out
    app = loadApp(shop)
    with app.transaction():
        app.processor.addJob('lost', json.dumps)
        app.processor.processJob('lost', (1,))
        app.processor.removeJob('lost')
    app.close()
    assert 'lost (1 waiting) cannot be found' in run('doctor', shop)[1]
    run('queues', 'pause', shop, 'default')
    assert '▲ look   queues    default is paused with' in run('doctor', shop)[1]


def test_doctor_sees_a_database_that_is_none(tmp_path, run):
    (tmp_path / 'jobs').mkdir()
    (tmp_path / 'jobs' / 'main.sqlite3').write_text('this is no database, ' * 100)
    status, found, err = run('doctor', f'sqlite:{tmp_path / "jobs"}', '--json')
    assert status == 1 and found[-1]['verdict'] == 'wrong' \
        and 'no database that can be read' in found[-1]['text']
    assert err == ''


def test_waiting_for_a_result_that_does_not_come(shop, run):
    status, out, err = run('enqueue', shop, 'add', '1', '--wait', '0.01')
    assert status == 1 and out == '' and 'no worker is running' in err and err.count('\n') == 1
    status, found, _ = run('enqueue', shop, 'add', '1', '--wait', '0.01', '--json')
    assert status == 1 and found['status'] == 'queued' and found['error']


@pytest.mark.parametrize('error, words', [
    (PermissionError(13, 'Permission denied', '/x/jobs'), '/x/jobs: Permission denied.'),
    (OSError('disk on fire'), 'disk on fire'), (TransientError(), 'try once more'),
    (ZeroDivisionError('division by\nzero'),
     'ZeroDivisionError: division by zero (P01_REMOTE_TRACE=1 shows where)')])
def test_any_error_is_a_sentence(shop, run, monkeypatch, error, words):
    def broken(target):
        raise error
    monkeypatch.setattr('p01.remote.cli.target.loadApp', broken)
    status, out, err = run('status', shop)
    assert status == 2 and out == '' and err.startswith('Error: ') and words in err \
        and err.count('\n') == 1
    monkeypatch.setenv('P01_REMOTE_TRACE', '1')
    with pytest.raises(type(error)):
        main(['status', shop])


@pytest.mark.parametrize('words', [
    ['status'], ['doctor'], ['pack'], ['jobs', 'list'], ['jobs', 'show',
                                                         '1'], ['jobs', 'cancel', '1', '2'],
    ['jobs', 'retry', '1'], ['jobs', 'remove'], ['queues', 'list'],
    ['queues', 'pause', 'mail', '--for', '1h'], ['queues', 'resume', 'mail'],
    ['enqueue', 'odd'], ['enqueue', '--queue', 'mail', 'odd']])
def test_app_may_stand_in_the_environment(shop, run, monkeypatch, words):
    status, _, err = run(*words)
    assert status == 2 and 'Name APP' in err and 'P01_REMOTE_APP' in err
    run('enqueue', shop, 'add', '[1]')
    monkeypatch.setenv('P01_REMOTE_APP', shop)
    status, _, err = run(*words)
    assert status in (0, 1) and not err


def test_an_app_that_is_named_wins_over_the_environment(shop, run, monkeypatch):
    monkeypatch.setenv('P01_REMOTE_APP', 'sqlite:/nowhere/at/all')
    assert run('enqueue', shop, 'odd')[0] == 0
    assert run('enqueue', shop, 'add', '[1]')[1] == '2\n'
    monkeypatch.setenv('P01_REMOTE_APP', shop)
    assert run('enqueue', 'add', '[1]')[1] == '3\n'
    assert run('jobs', 'show', shop, '1')[0] == 0 and run('jobs', 'cancel', shop, '1', '2')[0] == 0
    assert 'of no kind' in run('status', './jobs')[2] \
        and 'of no kind' in run('jobs', 'show', './jobs', '1')[2]


def test_help_and_wrong_options_come_before_a_missing_app(run):
    assert run('status', '--help')[0] == 0
    assert 'No such option' in run('status', '--wrong')[2]


def test_examples_in_a_help_stand_on_lines_of_their_own(run):
    _, text, _ = run('enqueue', '--help')
    lines = [line.strip() for line in text.splitlines()]
    assert 'p01-remote enqueue tasks:app receipt 42' in lines
    assert ('''p01-remote enqueue sqlite:./jobs tasks.receipt '{"orderId": 42}' --delay 10m'''
            in lines)


def test_a_misspelt_job_is_told_the_one_that_was_meant(shop, run):
    module = shop.partition(':')[0]
    status, _, err = run('enqueue', shop, f'{module}.ad', '1')
    assert status == 2 and f'did you mean {module}.add?' in err
    assert f'did you mean {module}.add?' in run('enqueue', shop, 'ad', '1')[2]
    assert run('status', f'{module}:ap')[2].endswith(f'; did you mean {module}:app?\n')


def test_a_wait_that_was_too_short_says_how_the_job_stands(shop, run):
    assert run('enqueue', shop, 'add', '1', '--wait', '0')[2].startswith('▲ Job 1 is queued after')


def test_show_has_the_trace_of_runs_that_failed_alike_once(tmp_path, monkeypatch, shop, run):
    jobid = run('enqueue', shop, 'fail', '--json')[1]['id']
    drain(shop)
    run('jobs', 'retry', shop, jobid)
    drain(shop)
    _, out, _ = run('jobs', 'show', shop, jobid)
    assert out.count('failed') == 2 and out.count('Traceback') == out.count('as in run 1') == 1
    assert '  ended  ' in out and 'completed' not in out and 'output' not in out


@pytest.mark.parametrize('args, said', [
    (['jobs', 'tasks:app'], 'did you mean `p01-remote jobs list tasks:app`?'),
    (['queues', 'sqlite:./jobs'], 'did you mean `p01-remote queues list sqlite:./jobs`?'),
    (['schedules', 'tasks:app'], 'did you mean `p01-remote schedules list tasks:app`?'),
    (['workers', 'stacks:app', 'x'], 'did you mean `p01-remote workers stacks`?'),
    (['jobs', 'lst', 'tasks:app'], 'did you mean `p01-remote jobs list`?'),
    (['jobs', '12345', '678'], 'it has again, cancel, '),
    (['wrker', 'tasks:app'], '`p01-remote worker`?'),
    (['frobnicate'], 'it has demo, worker, ')])
def test_a_word_that_is_no_command_is_told_which_was_meant(run, args, said):
    status, _, err = run(*args)
    assert status == 2 and said in err and err.count('Error: ') == 1, err


@pytest.mark.parametrize('verb', ['status', 'pack', 'doctor'])
def test_a_file_where_a_folder_belongs_is_told(tmp_path, run, verb):
    """To make a database there, as for one that is not there yet, would not do."""
    (tmp_path / 'jobs').write_text('x')
    status, *said = run(verb, f'sqlite:{tmp_path / "jobs"}')
    assert status and any('is a file' in str(text) for text in said), said
