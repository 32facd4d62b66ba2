# SPDX-License-Identifier: ZPL-2.1
"""What doctor and status tell, and that one bad thing hides no other."""
import os
import sys
import time
from importlib.metadata import version

import pytest

from p01.remote import App, testing
from p01.remote.clock.schedule import Schedule
from p01.remote.engine.loop import Loop
from p01.remote.front.named import loadApp
from p01.remote.ground import upstream
from p01.remote.options import Policy, WorkerOptions
from p01.remote.scheduler import Cron, Delay, SchedulerItem
from p01.remote.views.health import CHECKS
from tests.unit.conftest import drain


class Every(SchedulerItem):
    """A schedule of an application."""

    def next(self, after):
        return after + 1 / self.often


@pytest.fixture
def change(shop):
    """Does work(processor) in a transaction."""
    def change(work):
        app = loadApp(shop)
        with app.transaction():
            work(app.processor)
        app.close()
    return change


@pytest.fixture
def found(shop, run):
    """The findings of doctor, by check: verdict and text."""
    def found(target=shop):
        status, findings, err = run('doctor', target, '--json')
        assert not err and status == any(each['verdict'] == 'wrong' for each in findings)
        return {each['check']: (each['verdict'], each['text']) for each in findings}
    return found


@pytest.fixture
def seated(shop):
    """Seats a living worker of these queues, and lets it run what is due for it."""
    apps = []

    def seated(*queues):
        app = App(loadApp(shop).database)       # one that the command does not close
        loop = Loop(app.db, app.locate, 'w', WorkerOptions(queues=queues))
        apps.append((app, loop))
        while not loop.poll(time.time()):
            pass
    yield seated
    for app, loop in apps:
        loop.close()
        app.close()


def test_schedules_are_looked_at(shop, run, found, change):
    run('enqueue', shop, 'add', '1')
    drain(shop)
    assert found()['schedules'] == ('good', 'none')

    def add(processor):
        processor.addJob('echo', testing.EchoJob())
        processor.addJob('gone', testing.EchoJob())
        for name, item in (('good', Delay('echo', '1h')), ('gone', Delay('gone', 60)),
                           ('off', Delay('echo', 60, active=False))):
            processor.scheduler._items[name] = item
            item.__parent__, item.__name__, item.due = processor.scheduler, name, time.time() + 3600
        processor.removeJob('gone')
    change(add)
    verdict, text = found()['schedules']
    assert verdict == 'wrong' and 'of 3 schedules' in text and 'gone enqueues nothing' in text \
        and 'off is switched off' in text
    status, facts, _ = run('status', shop, '--json')
    assert status == 0 and {each['name']: bool(each['fault']) for each in facts['schedules']} == {
        'good': False, 'gone': True, 'off': False}
    out = run('status', shop)[1]
    assert '3 schedules, the next in 60 min' in out and '▲ schedule gone' in out \
        and '▲ schedule off is switched off' in out

    def odd(processor):
        for key in ('gone', 'off'):
            processor.scheduler.remove(key)
        zoned, late, bad = Cron('echo', minute='*'), Delay('echo', 60), Every('echo')
        for name, item, due in (('zoned', zoned, 0), ('late', late, -1000), ('bad', bad, 0)):
            processor.scheduler._items[name] = item
            item.__parent__, item.__name__, item.due = processor.scheduler, name, time.time() + due
        zoned.tz, bad.often = 'Removed/Zone', 0
    change(odd)
    verdict, text = found()['schedules']
    assert verdict == 'wrong' and all(words in text for words in (
        'of 4 schedules', 'zoned enqueues nothing: NoZone: No time zone',
        'bad enqueues nothing: ZeroDivisionError',
        'late is late: due 17 min ago'))
    assert all(check == 'schedules' or verdict == 'good' for check, (verdict, _) in found().items())


def test_a_job_that_many_schedules_have_and_that_is_gone_is_sought_once(shop, run, found,
                                                                        monkeypatch):
    run('schedules', 'add', shop, 'first', f'{shop.partition(":")[0]}.add', '--every', '1h',
        '--args', '[1]')
    app = loadApp(shop)
    with app.transaction():
        for number in range(50):
            item = Schedule({'every': 3600.0, 'job': 'lostshop.task'})
            app.processor.scheduler.add(item, time.time(), f'lost-{number}')
    app.close()
    sought = []

    class Seeker:
        """Where Python looks for modules."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            sought.append(name)

    monkeypatch.setattr('sys.meta_path', [Seeker, *sys.meta_path])
    verdict, text = found()['schedules']
    assert verdict == 'wrong' and 'lost-0 enqueues what cannot run here' in text
    assert sought.count('lostshop') == 1
    assert run('status', shop)[0] == 0 and sought.count('lostshop') == 2


def test_a_schedule_whose_class_is_gone_hides_no_other(shop, run, found, change, monkeypatch):
    def add(processor):
        processor.addJob('echo', testing.EchoJob())
        item = Every('echo')
        item.often = 1
        processor.addScheduler(item)
        processor.addScheduler(Delay('echo', 60))
    change(add)
    monkeypatch.delattr('tests.unit.test_cli_doctor.Every')
    verdict, text = found()['schedules']
    assert verdict == 'wrong' and 'of 2 schedules' in text and 'Every is gone' in text
    assert run('status', shop)[0] == 0


def test_queues_that_nobody_serves_or_knows(shop, run, found, seated):
    run('enqueue', shop, 'fail')
    run('enqueue', shop, 'add', '1')
    # and no worker at all, which another check tells
    assert found()['queues'] == ('good', 'none is held up')
    seated('default', 'mial')
    verdict, text = found()['queues']
    assert verdict == 'look' and '1 job in mail waits, and no worker serves it' in text \
        and '--queue mail' in text
    assert 'a worker serves mial, but no job has ever been in queue mial' in text \
        and 'did you mean mail?' in text
    out = run('status', shop)[1]
    assert 'no worker serves mail; 1 job there waits' in out and 'default, mial' in out
    assert run('status', shop, '--json')[1]['unserved'] == {'mail': 1}
    seated()
    assert 'serves it' not in found()['queues'][1]


def test_a_misspelt_queue_is_told_at_once_and_later(shop, run, found):
    run('enqueue', shop, 'fail')
    status, out, _ = run('queues', 'pause', shop, 'mial')
    assert status == 0 and 'did you mean mail?' in out
    assert 'did you mean' not in run('queues', 'pause', shop, 'mail')[1]
    verdict, text = found()['queues']
    assert verdict == 'look' and 'mial is paused, but no job' in text \
        and 'mail is paused with 1 waiting' in text
    assert 'did you mean mail?' in run('status', shop)[1]
    assert run('queues', 'pause', shop, '')[0] == 2


def test_many_that_failed_and_will_run_again(found, change, seated, monkeypatch):
    class Patient(testing.FatalJob):
        policy = Policy(backoff=1000)

    monkeypatch.setattr('tests.unit.test_cli_doctor.Patient', Patient, raising=False)
    Patient.__qualname__ = 'Patient'
    change(lambda processor: (processor.addJob('fatal',
                                               Patient()), [processor.processJob('fatal')
                                                            for _ in range(12)]))
    seated()
    verdict, text = found()['retries']
    assert verdict == 'look' \
        and text.startswith('12 jobs failed and will run again, most often fatal (12)')


def test_a_check_that_fails_is_a_row(shop, run, found, monkeypatch):
    run('enqueue', shop, 'add', '1')
    monkeypatch.setitem(CHECKS, 'waiting', lambda scene: 1 / 0)
    rows = found()
    assert rows['waiting'] == ('wrong',
                               'could not be looked at: ZeroDivisionError: division by zero')
    assert rows['names'][0] == 'good' and rows['schedules'][0] == 'good'
    monkeypatch.setattr('p01.remote.views.health.workersOf', lambda store, now: 1 / 0)
    assert found()['database'][0] == 'wrong'


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everywhere')
def test_a_folder_without_permission_is_a_row(tmp_path, found):
    App(f'sqlite:{tmp_path / "jobs"}').open()
    (tmp_path / 'jobs').chmod(0)
    try:
        assert found(f'sqlite:{tmp_path / "jobs"}')['database'][0] == 'wrong'
    finally:
        (tmp_path / 'jobs').chmod(0o700)


def test_a_refused_look_is_a_row(tmp_path, found, monkeypatch):
    app = App(f'sqlite:{tmp_path / "jobs"}')
    app.open()
    app.close()

    def refused(self, **options):
        raise PermissionError(13, 'Permission denied', str(self))
    monkeypatch.setattr('pathlib.Path.exists', refused)
    verdict, text = found(f'sqlite:{tmp_path / "jobs"}')['database']
    assert verdict == 'wrong' and 'Permission denied' in text


def test_thousands_of_one_kind_are_summed_up(shop, change, found, run, seated):
    """What people read stays short, however many queues, schedules and jobs there are; --json has
    all."""
    def fill(processor):
        for number in range(40):
            processor.addJob(f'echo {number:02}', testing.EchoJob())
            processor.addScheduler(Delay(f'gone {number:02}', 5,
                                         queue='mail')) if number < 20 else None
        for number in range(300):
            processor.processJob('echo 00', queue=f'tenant {number:03}')

    change(lambda processor: [processor.addJob(f'gone {number:02}', testing.EchoJob())
                              for number in range(20)])
    change(fill)
    change(lambda processor: [processor.removeJob(f'gone {number:02}') for number in range(20)])
    seated('mail')
    _, out, _ = run('status', shop)
    warned = [line for line in out.splitlines() if line.startswith('▲')]
    assert len(warned) == 2 * 6 and '▲ and 295 more of these' in warned \
        and '▲ and 15 more of these' in warned
    assert len(run('status', shop, '--json')[1]['unserved']) == 300
    assert '; and 295 more' in found()['queues'][1] and '; and 15 more' in found()['schedules'][1]
    status, _, err = run('enqueue', shop, 'nobody')
    assert status == 2 and 'echo 01' in err and 'and 38 more' in err and 'echo 02' not in err


def test_the_libraries_are_named(found, change):
    change(lambda processor: None)
    verdict, text = found()['libraries']
    assert verdict == 'good' and f'ZODB {version("ZODB")}, transaction ' in text


def test_one_that_was_not_tested_is_worth_a_look(found, change, monkeypatch):
    change(lambda processor: None)
    monkeypatch.setitem(upstream.RANGES, 'ZODB', ('1.0', '2'))
    verdict, text = found()['libraries']
    assert verdict == 'look' and 'pip install "ZODB>=1.0,<2"' in text and 'transaction' not in text


def test_workers_that_are_to_claim_no_more_are_told_apart(shop, run, seated):
    run('enqueue', shop, 'add', '1')
    seated('default')
    assert run('workers', 'quiet', shop, '--all')[0] == 0
    for verb in ('status', 'top'):
        assert '⏸ quiet' in run(verb, shop)[1]
    jobid = run('enqueue', shop, 'add', '1', '--json')[1]['id']
    said = 'no worker serves it: 1 is quiet or stopping; `p01-remote workers unquiet'
    assert said in run('doctor', shop)[1] and 'no worker serves default' in run('status', shop)[1]
    assert 'No worker serves queue default: all workers of it are' in run('jobs', 'why', shop,
                                                                             jobid)[1]
    assert run('workers', 'unquiet', shop, '--all')[0] == 0
    assert 'no worker serves' not in run('doctor', shop)[1]
