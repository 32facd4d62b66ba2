# SPDX-License-Identifier: ZPL-2.1
"""The command moves jobs that wait, changes them, and runs others again, edited."""
import time

import pytest

from p01.remote import verbs
from p01.remote.front.named import loadApp
from p01.remote.store.seats import Seat
from tests.unit.conftest import drain


@pytest.fixture
def filled(shop, run):
    """A job that completed, one that failed, three that wait."""
    for verb in (['add', '1'], ['fail']):
        assert run('enqueue', shop, *verb)[0] == 0
    drain(shop)
    for verb in (['add', '[1, 2]'], ['fail', '"x"'], ['add', '3', '--delay', '1h']):
        run('enqueue', shop, *verb)
    return shop


def known(run, shop, jobid):
    return run('jobs', 'show', shop, jobid, '--json')[1]


def queues(run, shop):
    return {job['id']: job['queue'] for job in run('jobs', 'list', shop, '--json')[1]}


def test_jobs_are_moved_by_their_ids(filled, run):
    status, out, _ = run('jobs', 'move', filled, 3, 4, '--to', 'night')
    assert status == 0 and '2 moved: 3, 4' in out
    assert queues(run, filled) == {1: 'default', 2: 'mail', 3: 'night', 4: 'night', 5: 'default'}
    status, out, _ = run('jobs', 'move', filled, 1, 3, 9, '--priority', 7, '--json')
    assert (status, out) == (1, {'moved': [3], 'left': {'1': 'completed', '9': 'unknown'}})
    assert known(run, filled, 3)['priority'] == 7


def test_jobs_are_moved_by_a_filter(filled, run):
    dry = run('jobs', 'move', filled, 'job:add', '--to', 'night', '--dry-run', '--json')
    assert dry[:2] == (0, {'moved': [5, 3], 'left': {}, 'dryRun': True})
    assert queues(run, filled)[3] == 'default'
    assert run('jobs', 'move', filled, 'job:add', '--to', 'night', '--json')[1]['moved'] == [5, 3]
    assert run('jobs', 'move', filled, '--queue', 'night', '--to', 'day')[0] == 0
    assert queues(run, filled) == {1: 'default', 2: 'mail', 3: 'day', 4: 'mail', 5: 'day'}
    assert run('jobs', 'move', filled, '--queue', 'none', '--to', 'day')[0] == 1
    assert run('jobs', 'move', filled, '--all', '--to', 'last', '--json')[1]['moved'] == [5, 4, 3]
    assert run('jobs', 'show', filled, 5, '--json')[1]['status'] == 'delayed'


@pytest.mark.parametrize('args, word', [
    (['3'], 'Say where they go'), (['--to', 'night'], 'Name the ids'),
    (['status:error', '--to', 'night'], 'can be moved'), (['3', '--to', ''], 'not empty'),
    (['3', 'job:add', '--to', 'night'], 'not both'), (['3', '--priority', '101'], 'from -100')])
def test_what_makes_no_sense_is_refused(filled, run, args, word):
    status, _, err = run('jobs', 'move', filled, *args)
    assert status == 2 and word in err


def test_a_moved_job_runs_where_it_is_now(filled, run):
    run('jobs', 'move', filled, 3, '--to', 'night', '--priority', 1)
    drain(filled)
    found = known(run, filled, 3)
    assert (found['status'], found['queue'], found['output']) == ('completed', 'night', 3)
    assert run('jobs', 'list', filled, 'queue:night', 'status:completed', '--json')[1][0]['id'] == 3


def test_delayed_jobs_run_now(filled, run):
    dry = run('jobs', 'now', filled, '--all', '--dry-run', '--json')
    assert dry[:2] == (0, {'queued': [5], 'left': {}, 'dryRun': True})
    assert known(run, filled, 5)['status'] == 'delayed'
    status, out, _ = run('jobs', 'now', filled, 3, 5)
    assert status == 1 and '1 queued now: 5' in out and 'job 3 is queued; left as it is' in out
    assert known(run, filled, 5)['status'] == 'queued'
    assert run('jobs', 'now', filled, 'job:add')[0] == 1
    assert run('audit', filled, '--json')[1][0]['what'] == 'run now 1 job: 5'
    status, _, err = run('jobs', 'now', filled)
    assert status == 2 and 'Name the ids' in err
    status, _, err = run('jobs', 'now', filled, 'status:error')
    assert status == 2 and 'can be run now' in err


def test_a_waiting_job_is_edited(filled, run):
    status, out, _ = run('jobs', 'edit', filled, 3, '--args', '[20]', '--kwargs', '{"b": 5}',
                         '--queue', 'night', '--json')
    assert (status, out) == (0, {'id': 3, 'changed': ['what it is called with', 'queue']})
    assert run('jobs', 'edit', filled, 5, '--now')[0] == 0
    assert known(run, filled, 5)['status'] == 'queued'
    assert run('jobs', 'edit', filled, 4, '--delay', '1h')[0] == 0
    assert known(run, filled, 4)['status'] == 'delayed'
    drain(filled)
    assert known(run, filled, 3)['output'] == 25
    assert known(run, filled, 5)['output'] == 4
    assert known(run, filled, 4)['status'] == 'delayed'


@pytest.mark.parametrize('args, word', [
    ([], 'Say what is to be changed'), (['--args', '{}'], 'JSON list'),
    (['--kwargs', '[]'], 'JSON object'), (['--args', '['], 'is not JSON'),
    (['--args', '[1, 2, 3]'], 'cannot be called'), (['--kwargs', '{"c": 1}'], 'cannot be called'),
    (['--now', '--delay', '1h'], 'not both'), (['--queue', ''], 'not empty')])
def test_an_edit_that_makes_no_sense_is_refused(filled, run, args, word):
    status, _, err = run('jobs', 'edit', filled, 3, *args)
    assert status == 2 and word in err
    assert known(run, filled, 3)['input'] == [[1, 2], {}]


def test_what_has_ended_is_not_edited_and_runs_again(filled, run):
    status, out, _ = run('jobs', 'edit', filled, 2, '--args', '["y"]')
    assert status == 1 and 'has ended (error)' in out and 'run it again' in out
    assert run('audit', filled, '--json')[1] == []
    status, out, _ = run('jobs', 'again', filled, 1, '--args', '[5]', '--priority', 3)
    assert (status, out) == (0, '6\n')
    assert run('jobs', 'again', filled, 2, '--json')[1] == {'id': 7, 'of': 2}
    drain(filled)
    found = known(run, filled, 6)
    assert (found['output'], found['priority'], found['queue']) == (6, 3, 'default')
    assert (known(run, filled, 7)['error'], known(run, filled, 7)['queue']) == ('bad luck', 'mail')
    assert known(run, filled, 1)['output'] == 2
    status, _, err = run('jobs', 'again', filled, 5)
    assert status == 2 and 'has not ended' in err
    assert run('jobs', 'again', filled, 99)[0] == 1


def test_what_runs_again_has_no_key_of_the_old_one(shop, run):
    run('enqueue', shop, 'add', '1', '--unique', 'once', '--expires', '1h')
    drain(shop)
    new = run('jobs', 'again', shop, 1, '--json')[1]['id']
    app = loadApp(shop)
    with app.reading() as processor:
        assert processor.store.entry(new)[1].extras in (None, {})
    assert run('enqueue', shop, 'add', '1', '--unique', 'once')[1] != f'{new}\n'


def test_what_was_done_is_written_down(filled, run):
    assert run('audit', filled) == (1, 'Nobody has done anything yet.\n', '')
    run('jobs', 'move', filled, 3, 4, '--to', 'night')
    run('jobs', 'retry', filled, 2)
    run('queues', 'pause', filled, 'mail')
    found = run('audit', filled, '--json')[1]
    assert [line['what'] for line in found] == ['pause queue mail', 'run again 1 job: 2',
                                                'move 2 jobs: 3, 4']
    assert {line['face'] for line in found} == {'cli'}
    assert 'pause queue mail' in run('audit', filled, '--limit', 1)[1]


def test_what_did_nothing_is_not_written_down(filled, run):
    run('schedules', 'add', filled, 's', 'add', '[1]', '--cron', '17 12 * * *')
    for words in (['queues', 'resume', filled, 'mail'], ['schedules', 'resume', filled, 's'],
                  ['schedules', 'reset', filled, 's'], ['workers', 'stop', filled, 'nobody'],
                  ['schedules', 'backfill', filled, 's', '--from', '2026-01-01T00:00',
                   '--to', '2026-01-01T00:01'], ['jobs', 'cancel', filled, 1]):
        assert run(*words)[0] == 1, words
    assert [line['what'] for line in run('audit', filled, '--json')[1]] == ['add schedule s']


def test_workers_that_were_asked_already_leave_no_line(filled, run):
    app = loadApp(filled)
    with app.transaction():
        verbs.sit(app.processor.store, Seat('w:1:x', 'far', 1, 'far:1', 'box', 3600.0, time.time()))
    for word in ('quiet', 'unquiet'):
        for _ in range(2):
            assert run('workers', word, filled, '--all')[0] == 0
    assert [line['what'] for line in run('audit', filled, '--json')[1]] == [
        'unquiet 1 worker: w', 'quiet 1 worker: w']
