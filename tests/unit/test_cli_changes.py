# SPDX-License-Identifier: ZPL-2.1
"""Which jobs the command changes, and what it asks before."""
import itertools
import json
import time

import pytest
from ZODB.POSException import ConflictError

from p01.remote import App
from p01.remote.cli import main
from p01.remote.cli.changes import tellLeft
from p01.remote.cli.selection import MOMENT
from p01.remote.job import Job
from p01.remote.testing import EchoJob
from tests.unit.conftest import drain


@pytest.fixture
def filled(shop, run):
    """Of each name two jobs that have ended, and two that wait."""
    module = shop.partition(':')[0]
    for verb in (['add', '1'], ['fail'], ['add', '[1, 2]'], ['fail', '["other"]']):
        assert run('enqueue', shop, *verb)[0] == 0
    drain(shop)
    for verb in (['add', '1', '--delay', '1h'], ['fail', '"x"', '--delay', '1h']):
        run('enqueue', shop, *verb)
    return shop, module


def ids(run, shop, *options):
    return [job['id'] for job in run('jobs', 'list', shop, '--json', *options)[1]]


def test_a_list_is_narrowed(filled, run):
    shop, module = filled
    assert ids(run, shop, '--status', 'completed', '--status', 'error') == [4, 3, 2, 1]
    assert ids(run, shop, '--status', 'completed', '--status', 'delayed', '--name',
               'add') == [5, 3, 1]
    assert ids(run, shop, '--name', f'{module}.fail') == [6, 4, 2] \
        and ids(run, shop, '--name', 'nothing') == []
    assert ids(run, shop, '--since', '1h') == [6, 5, 4, 3, 2,
                                               1] == ids(run, shop, '--since', '2001-01-31')
    assert ids(run, shop, '--older-than',
               '1h') == [] == ids(run, shop, '--since', '2999-01-31T08:30+02:00')
    assert ids(run, shop, '--older-than', '0s', '--queue', 'mail') == [6, 4, 2]
    status, _, err = run('jobs', 'list', shop, '--since', 'yesterday')
    assert status == 2 and 'no instant' in err
    assert run('jobs', 'list', shop, '--name', 'x')[1] == 'No jobs match.\n'


def test_an_instant_is_ago_or_a_date():
    assert abs(MOMENT.convert('90s', None, None) - (time.time() - 90)) < 5
    assert MOMENT.convert('1970-01-02', None,
                          None) == 86400 == MOMENT.convert('1970-01-02T02:00+02:00', None, None)


def test_bulks_are_narrowed(filled, run):
    shop, _ = filled
    found = run('jobs', 'retry', shop, '--name', 'fail', '--dry-run', '--json')[1]
    assert found == {'queued': [4, 2], 'left': {}, 'dryRun': True}
    # none of them failed
    assert run('jobs', 'retry', shop, '--name', 'add')[0] == 1
    assert run('jobs', 'retry', shop, '--all-failed', '--older-than', '1h')[0] == 1
    assert run('jobs', 'cancel', shop, '--name', 'add',
               '--json')[1] == {'cancelled': [5], 'left': {}}
    assert '1 would be cancelled: 6' in run('jobs', 'cancel', shop, '--all', '--dry-run')[1]
    assert run('jobs', 'retry', shop, '--since', '1h',
               '--json')[1] == {'queued': [4, 2], 'left': {}}
    assert run('jobs', 'cancel', shop, '--all', '--older-than', '0s',
               '--json')[1] == {'cancelled': [6, 4, 2], 'left': {}}


def test_a_dry_run_says_of_ids_too_what_would_be_and_changes_nothing(filled, run):
    shop, _ = filled
    before = run('jobs', 'list', shop, '--json')[1]
    for verb, would, done in (('retry', [2], 'queued'), ('cancel', [5], 'cancelled')):
        status, found, _ = run('jobs', verb, shop, '1', '2', '5', '99', '--dry-run', '--json')
        left = {str(jobid): {1: 'completed', 2: 'error', 5: 'delayed', 99: 'unknown'}[jobid]
                for jobid in (1, 2, 5, 99) if jobid not in would}
        assert status == 1 and found == {done: would, 'left': left, 'dryRun': True}
    status, found, _ = run('jobs', 'remove', shop, '1', '2', '5', '99', '--dry-run', '--json')
    assert status == 1 and found == {'removed': {'completed': 1, 'error': 1, 'cancelled': 0},
                                     'left': {'5': 'delayed', '99': 'unknown'}, 'dryRun': True}
    assert run('jobs', 'remove', shop, '1', '--dry-run')[1] == '✔ 1 would be removed: 1 completed\n'
    assert [job['status']
            for job in run('jobs', 'list', shop, '--json')[1]] == [job['status'] for job in before]


def test_remove_asks_or_is_told(filled, run, monkeypatch):
    shop, _ = filled
    status, out, err = run('jobs', 'remove', shop)
    assert status == 2 and out == '' and '4 jobs (2 completed, 2 error)' in err and '--yes' in err
    status, out, err = run('jobs', 'remove', shop, '--dry-run')
    assert status == 0 and '4 would be removed: 2 completed, 2 error' in out
    assert len(ids(run, shop)) == 6
    for stream in ('stdin', 'stderr'):
        monkeypatch.setattr(f'sys.{stream}.isatty', lambda: True)
    for answer in ('n', '', 'y'):
        monkeypatch.setattr('sys.stdin.readline', lambda answer=answer: f'{answer}\n' if answer
                            else '')
        status, out, err = run('jobs', 'remove', shop, '--status', 'error')
        assert status == (0 if answer == 'y' else 130) \
            and 'Remove 2 jobs for good (2 error)? [y/N]' in err
    assert ids(run, shop) == [6, 5, 3, 1]


def test_remove_by_id_and_by_age(filled, run):
    shop, _ = filled
    status, found, _ = run('jobs', 'remove', shop, '1', '5', '999', '--json')
    assert status == 1 and found == {'removed': {'completed': 1, 'error': 0, 'cancelled': 0},
                                     'left': {'5': 'delayed', '999': 'unknown'}}
    assert run('jobs', 'remove', shop, '2')[0] == 0
    assert run('jobs', 'remove', shop, '--older-than', '1h', '--yes')[0] == 1
    assert run('jobs', 'remove', shop, '1', '--status', 'error')[0] == 2
    assert run('jobs', 'remove', shop, '--older-than', '0s', '--name', 'fail', '--yes',
               '--json')[1]['removed']['error'] == 1
    assert run('jobs', 'remove', shop, '--queue', 'default',
               '--yes')[1].startswith('✔ 1 removed: 1 completed')
    assert ids(run, shop) == [6, 5]


def test_many_are_removed(tmp_path, run):
    app = App(f'sqlite:{tmp_path / "many"}')
    with app.transaction():
        app.processor.addJob('len', len)
        for _ in range(250):
            app.processor.processJob('len', ('x',))
    app.drain()
    app.close()
    assert run('jobs', 'remove', f'sqlite:{tmp_path / "many"}', '--yes',
               '--json')[1]['removed']['completed'] == 250


def test_whatever_a_job_returned_is_shown(tmp_path, capsys):
    app = App(f'sqlite:{tmp_path / "jobs"}')
    with app.transaction():
        for name, value in (('nan',
                             float('nan')), ('pairs', {(1,
                                                        2): 3}), ('large', 10 ** 6000), ('text',
                                                                                         '\udcff\x1b[31m')):
            app.processor.addJob(name, EchoJob())
            app.processor.processJob(name, value)
    app.drain()
    app.close()
    for number, more in itertools.product(range(1, 5), ([], ['--json'])):
        assert main(['jobs', 'show', f'sqlite:{tmp_path / "jobs"}', str(number), *more]) == 0
        out, err = capsys.readouterr()
        assert out and not err and '\x1b' not in out
        if more:
            json.loads(out, parse_constant=lambda word: pytest.fail(word))


class Meets(Job):
    """Meets others twice."""

    met = 0

    def __call__(self, remoteProcessor):
        Meets.met += 1
        if Meets.met < 3:
            raise ConflictError(object=remoteProcessor)


def test_conflicts_are_shown(tmp_path, capsys):
    address = f'sqlite:{tmp_path / "jobs"}'
    app = App(address)
    with app.transaction():
        app.processor.addJob('meets', Meets())
        app.processor.processJob('meets')
    app.drain()
    app.close()
    assert main(['jobs', 'show', address, '1']) == 0
    assert 'conflicts 2, the last on p01.remote.processor.RemoteProcessor' in ' '.join(
        capsys.readouterr().out.split())
    assert main(['jobs', 'show', address, '1', '--json']) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown['conflicts']['number'], shown['runs'], shown['attempts']) == (2, 1, [])


def test_one_that_has_ended_is_not_asked_to(filled, run):
    shop, _ = filled
    status, found, _ = run('jobs', 'cancel', shop, 1, 2, 5, '--running', '--json')
    assert (status, found) == (1, {'cancelled': [5], 'left': {'1': 'completed', '2': 'error'}})
    assert 'job 1 is completed; left as it is' in run('jobs', 'cancel', shop, 1, '--running')[1]


def test_who_leaves_one_that_runs_is_told_how_to_end_it(capsys):
    tellLeft({7: 'processing', 8: 'completed'})
    assert capsys.readouterr().out.splitlines() == [
        '▲ job 7 is processing; left as it is; `jobs cancel --running` asks it to end',
        '▲ job 8 is completed; left as it is']


def test_a_filter_in_words_is_joined_by_options(filled, run, monkeypatch):
    shop, module = filled
    assert ids(run, shop, 'status:completed',
               'status:error') == [4, 3, 2, 1] == ids(run, shop, 'status:completed status:error')
    assert ids(run, shop, 'job:fail',
               '-status:delayed') == [4, 2] == ids(run, shop, 'job:fail', 'status:error')
    assert ids(run, shop, 'error:BAD') == [2]
    assert ids(run, shop, '-queue:mail', '--status', 'completed') == [3, 1] \
        and ids(run, shop, 'other') == [4]
    assert ids(run, shop, 'id:1', 'id:6', f'job:{module}.fail') == [6] \
        and ids(run, shop, 'age>1h') == []
    assert ids(run, shop, 'queue:default', '--queue', 'mail', '--since', '1h',
               'before:0s') == [6, 5, 4, 3, 2, 1]
    monkeypatch.setenv('P01_REMOTE_APP', shop)
    assert [job['id'] for job in run('jobs', 'list', 'status:error', '-id:2', '--json')[1]] == [4]
    assert run('jobs', 'cancel', 'id:5', '--json')[1] == {'cancelled': [5], 'left': {}}


@pytest.mark.parametrize('words, told', [
    (['list', 'qeue:mail'], 'did you mean queue?'), (['list', '-stats:error'],
                                                     'did you mean status?'),
    (['list', '--queue', ''], 'names nothing'), (['retry', '1', 'queue:mail'], 'id:1'),
    (['retry', 'status:completed'], 'error or cancelled'),
    (['cancel', 'status:error'], 'queued or delayed'), (['remove', 'status:queued'],
                                                        'completed or error or cancelled'),
    (['cancel', 'age>x'], 'no age'), (['retry', 'x', '--name', '"'], '')])
def test_a_filter_that_says_nothing_is_one_sentence(filled, run, words, told):
    verb, *rest = words
    status, out, err = run('jobs', verb, filled[0], *rest)
    assert status == (2 if told else 1) and told in err and (not told or out == '')


def test_bulks_take_filters(filled, run):
    shop, _ = filled
    assert run('jobs', 'retry', shop, 'error:other', '--dry-run',
               '--json')[1] == {'queued': [4], 'left': {}, 'dryRun': True}
    assert run('jobs', 'retry', shop, '-error:other', '--json')[1] == {'queued': [2], 'left': {}}
    assert run('jobs', 'cancel', shop, '-job:add', '--json')[1] == {'cancelled': [6, 2], 'left': {}}
    assert run('jobs', 'retry', shop, 'status:cancelled', 'id:2',
               '--json')[1] == {'queued': [2], 'left': {}}
    assert run('jobs', 'remove', shop, 'job:add', '-id:3', '--yes',
               '--json')[1]['removed']['completed'] == 1
    assert run('jobs', 'remove', shop, 'job:fail', '--status', 'error', '--yes',
               '--json')[1] == {'removed': {'error': 1}}
    assert ids(run, shop) == [6, 5, 3, 2]


def test_a_word_of_a_filter_is_completed():
    from p01.remote.cli.jobs import listJobs
    words = next(each for each in listJobs.params if each.name == 'words')
    assert [each.value for each in words.shell_complete(None, 'status:e')] == ['status:error']
