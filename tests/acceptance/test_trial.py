# SPDX-License-Identifier: ZPL-2.1
"""The plugin of pytest: what it gives the tests of an application, tried on tests of one."""
import subprocess
import sys
import threading
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from p01.remote.ground import clocks

pytest_plugins = ['pytester']

TASKS = '''
    from p01.remote import App, current

    app = App('sqlite:{folder}/real')
    sent, steps = [], []

    def send(order):
        sent.append(order)

    @app.job(retries=2)
    def receipt(order):
        steps.append('begun')
        send(order)
        steps.append('sent')
        current.root[order] = 'sent'

    @app.job
    def plain(order):
        send(order)
        return order

    @app.job
    async def later(order):
        import asyncio
        send(order)
        await asyncio.sleep(0)
        steps.append('sent')

    @app.job(retries=0)
    def once(order):
        send(order)
        steps.append('sent')

    @app.job
    def broken(order):
        steps.append('broken')
        raise ValueError('no such order: ' + order)

    @app.schedule('@daily')
    @app.job
    def nightly():
        sent.append('night')
'''
INI = '[pytest]\njobs_app = tasks:app\naddopts = -p p01.remote.trial.plugin\n'


@pytest.fixture
def project(pytester, monkeypatch):
    """Run tests of an application: project(tests) gives what pytest says."""
    monkeypatch.setenv('PYTEST_DISABLE_PLUGIN_AUTOLOAD', '1')
    pytester.makepyfile(tasks=TASKS.replace('{folder}', str(pytester.path)))
    pytester.makeini(INI)

    def run(tests, *options):
        header = 'import pytest, tasks\nfrom tasks import *\n'
        pytester.makepyfile(test_it=header + tests)
        return pytester.runpytest_subprocess('-p', 'no:cacheprovider', *options)

    return run


def test_the_entry_point_is_the_plugin():
    root = Path(__file__).resolve().parents[2]
    entries = tomllib.loads((root / 'pyproject.toml').read_text())['project']['entry-points']
    [target] = entries['pytest11'].values()
    assert import_module(target).jobs


def test_whoever_does_not_use_it_does_not_import_what_it_needs():
    text = ("import sys, pytest; before = set(sys.modules); import p01.remote.trial.plugin; "
            "print([name for name in set(sys.modules) - before if not name.startswith('p01') "
            "and name.partition('.')[0] in ('ZODB', 'transaction', 'BTrees', 'zope', 'asyncio')],"
            " len(set(sys.modules) - before))")
    out = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True, check=True)
    found, count = out.stdout.rsplit(' ', 1)
    assert found == '[]' and int(count) <= 5


@pytest.mark.parametrize('database', ['memory:', 'sqlite:'])
def test_jobs_wait_until_the_drain_and_are_seen(project, database):
    result = project(f'''
pytestmark = pytest.mark.jobs(database={database!r})

def test_one(jobs):
    with app.transaction() as root:
        root['orders'] = 1
        handle = receipt.enqueue('order-42')
        plain.using(priority=2, queue='mail').enqueue(order='x')
    assert sent == []
    assert [each[:7] for each in jobs.enqueued()] == [
        (1, 'tasks.receipt', ('order-42',), {{}}, 'default', 0, None),
        (jobs.enqueued(plain)[0].id, 'tasks.plain', (), {{'order': 'x'}}, 'mail', 2, None)]
    assert jobs.drain() == 2 and sorted(sent) == ['order-42', 'x']
    assert [each.status for each in jobs.enqueued(receipt)] == ['completed']
    assert handle.done()
    assert jobs.enqueued(later) == [] and len(jobs.enqueued('tasks.plain')) == 1

def test_other(jobs):
    sent.clear()
    assert jobs.enqueued() == [] and jobs.drain() == 0 and sent == []
    with app.transaction() as root:
        assert dict(root) .keys() == {{'p01.remote'}}
''')
    result.assert_outcomes(passed=2)


def test_the_database_of_the_app_is_not_touched_and_comes_back(project, pytester):
    result = project('''
def test_before():
    plain.enqueue('real')

def test_within(jobs):
    plain.enqueue('test')
    assert jobs.drain() == 1 and sent == ['test']

def test_behind():
    sent.clear()
    assert app.drain() == 1 and sent == ['real']
    app.close()
''')
    result.assert_outcomes(passed=3)


def test_the_clock_goes_forward_for_delays_retries_and_schedules(project):
    result = project('''
from datetime import datetime, timedelta, UTC

def test_delays(jobs):
    plain.using(delay='3d').enqueue('a')
    assert jobs.drain() == 0
    now = jobs.clock.forward('2d 23h')
    assert now - datetime.now(UTC) > timedelta(days=2, hours=22)
    plain.using(delay='2h').enqueue('b')
    jobs.drain()
    assert 'a' not in sent and 'b' not in sent
    jobs.clock.forward('61m')
    jobs.drain()
    assert 'a' in sent and 'b' not in sent
    jobs.clock.to(jobs.enqueued(plain)[1].due)
    jobs.drain()
    assert 'b' in sent

def test_retries(jobs):
    steps.clear()
    broken.enqueue('x')
    for runs in range(1, 9):
        jobs.drain(failing=True)
        assert len(steps) == min(runs, 4)
        jobs.clock.forward('5m')
    assert [each.status for each in jobs.enqueued(broken)] == ['error']

def test_schedules(jobs):
    sent.clear()
    jobs.clock.forward('3d')
    jobs.drain()
    assert sent == ['night']
    for _ in range(3):
        jobs.clock.forward('1d')
        jobs.drain()
    assert sent == 4 * ['night']

def test_again(jobs):
    assert abs(jobs.clock.now - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(Exception, match='goes forward only'):
        jobs.clock.to(datetime(2001, 1, 1, tzinfo=UTC))
''')
    result.assert_outcomes(passed=4)
    assert clocks.ahead == 0.0


def test_a_run_that_fails_fails_the_drain_and_says_how(project):
    result = project('''
def test_one(jobs):
    broken.enqueue('order-42')
    jobs.drain()
''')
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([
        r".*Job 1 broken\('order-42'\) failed in run 1: .*: order-42; it runs again in .* s\.",
        r'.*raise ValueError.*', r'.*drain\(failing=True\).*'])
    result.stdout.no_fnmatch_line('*trial/jobs.py*')


def test_a_drain_warns_of_what_is_not_committed(project):
    result = project('''
def test_one(jobs):
    with app.transaction():
        plain.enqueue('x')
        with pytest.warns(UserWarning, match='Job 1 tasks.plain, .*test_it.py:6, is not committed'):
            assert jobs.drain() == 0
    assert jobs.drain() == 1
''', '-W', 'error')
    result.assert_outcomes(passed=1)


KILLS = [
    # function, at, then: status, runs, sent and steps at the death; sent and steps when drained
    ('receipt', "'claimed'", 'queued', 0, 0, 0, 1, 2),
    ('receipt', "'during'", 'queued', 1, 0, 1, 1, 3),
    ('receipt', 'send', 'queued', 1, 1, 1, 2, 3),
    ('receipt', "'before commit'", 'queued', 1, 1, 2, 2, 4),
    ('receipt', "'after commit'", 'completed', 1, 1, 2, 1, 2),
    ('plain', "'before commit'", 'queued', 1, 1, 0, 2, 0),
    ('plain', "'after commit'", 'completed', 1, 1, 0, 1, 0),
    ('later', "'claimed'", 'queued', 0, 0, 0, 1, 1),
    ('later', 'send', 'queued', 1, 1, 0, 2, 1),
    # its run was over, so that nobody blames it
    ('later', "'before commit'", 'queued', 0, 1, 1, 2, 2),
    ('later', "'after commit'", 'completed', 1, 1, 1, 1, 1),
    ('once', 'send', 'error', 1, 1, 0, 1, 0),
]


@pytest.mark.parametrize('database', ['memory:', 'sqlite:'])
def test_a_worker_dies_where_the_test_says(project, database):
    result = project(f'''
pytestmark = pytest.mark.jobs(database={database!r})

@pytest.mark.parametrize('function, at, status, runs, outside, stepped, again, resteps', [
{''.join(f"    ({row[0]}, {row[1]}, {str(row[2:])[1:]}," + chr(10) for row in KILLS)}])
def test_one(jobs, function, at, status, runs, outside, stepped, again, resteps):
    sent.clear(), steps.clear()
    other = plain.using(delay='1h').enqueue('other')
    handle = function.enqueue('order')
    death = jobs.kill(function, at=at)
    assert (death.id, death.run, death.status, death.runs) == (handle.id, 1, status, runs)
    assert death.name == 'tasks.' + function.name.rpartition('.')[2]
    assert len(sent) == outside and len(steps) == stepped
    assert death.why == 'its thread ended'
    with app.transaction() as root:
        assert ('order' in root) == (function is receipt and status == 'completed')
    jobs.drain()
    assert len(sent) == again and len(steps) == resteps
    assert handle.status == ('error' if status == 'error' else 'completed')
    with app.transaction() as root:
        assert ('order' in root) == (function is receipt)
    assert 'Put aside' in death.error if status == 'error' else not death.error or runs
''')
    result.assert_outcomes(passed=len(KILLS))


def test_a_kill_that_does_not_come_about_says_why(project):
    result = project('''
def test_nothing(jobs):
    with pytest.raises(AssertionError, match='No job of tasks.plain is due'):
        jobs.kill(plain)

def test_failed(jobs):
    broken.enqueue('x')
    with pytest.raises(AssertionError, match="did not come to 'before commit': it failed before: "
                       'ValueError: no such order: x'):
        jobs.kill(at='before commit')

def test_elsewhere(jobs):
    plain.enqueue('x')
    with pytest.raises(AssertionError, match='did not come to .*: it completed without'):
        jobs.kill(at=test_failed)

@pytest.mark.parametrize('at', ['behind', print, 3])
def test_points(jobs, at):
    with pytest.raises(Exception, match='before commit'):
        jobs.kill(at=at)

@pytest.mark.parametrize('function', ['nosuch', print, test_failed])
def test_functions(jobs, function):
    with pytest.raises(Exception, match='is no job of this App; .*receipt'):
        jobs.enqueued(function)
''')
    result.assert_outcomes(passed=9)


def test_a_job_that_swallows_its_death_is_dead_all_the_same(project):
    result = project('''
def swallowing(order):
    try:
        send(order)
    except BaseException:
        pass
    current.root['after'] = 1

@pytest.fixture
def jobsApp(monkeypatch):
    monkeypatch.setattr(tasks.receipt, 'function', swallowing)
    return tasks.app

def test_one(jobs):
    receipt.enqueue('order')
    assert jobs.kill(at=send).status == 'queued'
    with app.transaction() as root:
        assert 'after' not in root
''')
    result.assert_outcomes(passed=1)


def test_nothing_is_left_running(project):
    result = project('''
import threading

@pytest.mark.parametrize('number', range(20))
def test_one(jobs, number):
    later.enqueue('x')
    plain.enqueue('x')
    if number % 2:
        jobs.kill(later, at=send)
    jobs.drain()

def test_threads():
    from p01.remote.testing import waitFor
    waitFor(lambda: threading.active_count() == 1, message=str(threading.enumerate()))
''')
    result.assert_outcomes(passed=21)


def test_several_processes_of_xdist_do_not_meet(project):
    pytest.importorskip('xdist', reason='pytest-xdist is in p01.remote[test]')
    result = project('''
pytestmark = pytest.mark.jobs(database='sqlite:')

@pytest.mark.parametrize('number', range(12))
def test_one(jobs, number):
    plain.enqueue(number)
    assert [each.args for each in jobs.enqueued()] == [(number,)]
    assert jobs.drain() == 1
''', '-p', 'xdist.plugin', '-n', '2')
    result.assert_outcomes(passed=12)


@pytest.mark.parametrize('ini, mark, told', [
    ('', '', 'does not know the App: write jobs_app'),
    ('jobs_app = nosuch:app', '', "*jobs_app = 'nosuch:app': *nosuch*"),
    ('jobs_app = tasks:send', '', "*jobs_app = 'tasks:send': *"),
    ('jobs_database = zeo:x', "app='tasks:app'", '*memory: or sqlite:, not*zeo:x*'),
    ('', "apps='tasks:app'", '*The marker jobs takes app=*'),
])
def test_what_is_not_set_up_is_told_in_a_sentence(project, pytester, ini, mark, told):
    pytester.makeini(f'[pytest]\naddopts = -p p01.remote.trial.plugin\n{ini}\n')
    result = project(f'''
@pytest.mark.jobs({mark})
def test_one(jobs):
    pass
''')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f'*{told}*'])
    result.stdout.no_fnmatch_line('*Traceback*')


def test_no_thread_of_these_tests_is_left():
    assert not [each for each in threading.enumerate() if each.name.startswith('p01.remote.')]
