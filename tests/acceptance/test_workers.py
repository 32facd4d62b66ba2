# SPDX-License-Identifier: ZPL-2.1
"""`p01-remote workers`, from this host and as from another one, with real processes; signals;
service managers."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from p01.remote.ground import blackbox
from p01.remote.testing import waitFor
from p01.remote.wire import stacks
from tests.acceptance.test_death import house  # noqa: F401 - a fixture
from tests.acceptance.test_requests import APP, command
from tests.acceptance.trees import CODE, DEADLINE, ROOT, environment


def listed(house):     # noqa: F811
    return {each['pid']: each for each in command(house, 'workers', 'list', APP)}


def test_they_are_listed_with_what_they_run(house):     # noqa: F811
    house.tree(processes=1, threads=2, queues=('default', 'other'))
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    pid = house.pidOf(1, jobid)
    found = waitFor(lambda: len(found := command(house, 'workers', 'list', APP)) == 2 and found,
                    DEADLINE)
    assert {(each['pid'], each['state'], tuple(each['queues']))
            for each in found} == {(pid, 'alive', ('default', 'other'))}
    assert sorted(each['label'] for each in found) == ['1.1', '1.2']
    assert sorted((each['running'], each['job'])
                  for each in found) == [([], ''), ([jobid], 'tests.acceptance.tasks.wait')]
    house.go(1)


def test_a_job_that_runs_says_since_when_and_its_worker_is_alive_now(house):     # noqa: F811
    before = time.time()
    house.tree(processes=1)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    found = command(house, 'jobs', 'show', APP, str(jobid))
    assert before < datetime.fromisoformat(found['started']).timestamp() < time.time()
    [one] = command(house, 'workers', 'list', APP)
    waitFor(lambda: command(house, 'workers', 'list', APP)[0]['seen'] > one['seen'], DEADLINE)


@pytest.mark.parametrize('busy', [False, True], ids=['idle', 'busy'])
def test_one_that_is_stopped_ends_after_its_job_and_is_not_replaced(house, busy):     # noqa: F811
    tree = house.tree(processes=2, threads=2)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    runner = house.pidOf(1, jobid)
    tree.ready()
    waitFor(lambda: len(command(house, 'workers', 'list', APP)) == 4, DEADLINE)
    [idle] = set(listed(house)) - {runner}
    pid, other = (runner, idle) if busy else (idle, runner)
    assert len(command(house, 'workers', 'stop', APP, pid)['workers']) == 2
    if busy:
        waitFor(lambda: listed(house)[pid]['state'] == 'stopping', DEADLINE)
        assert house.stage.stati([jobid]) == ['processing']
        house.go(1)
    waitFor(lambda: tree.workers() == [other], DEADLINE, 'it does not end')
    house.go(1)
    assert {each.status
            for each in house.finish([jobid,
                                      *house.stage.enqueue('effect', 5, 6)])} == {'completed'}
    assert tree.workers() == [other] and house.stage.effects == {1: 1, 5: 1, 6: 1}
    assert command(house, 'workers', 'stop', APP, '--all')['unknown'] == []
    assert tree.wait() == 0


def test_one_that_does_not_end_within_its_grace_is_ended(house):     # noqa: F811
    tree = house.tree(processes=1, grace=0.5)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    command(house, 'workers', 'stop', APP, '1')
    assert tree.wait() == 0
    view = house.stage.view(jobid)
    assert (view.status, view.runs, view.attempts) == ('queued', 0, ())


def test_quiet_ones_claim_no_more_until_unquiet(house):     # noqa: F811
    house.tree(processes=1)
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    house.pidOf(1, jobid)
    assert command(house, 'workers', 'quiet', APP, blackbox.HOST.partition('/')[0])['unknown'] == []
    house.go(1)
    assert house.finish([jobid])[0].status == 'completed'
    others = house.stage.enqueue('effect', 5, 6)
    tree = house.tree(processes=1, queues=('none',))
    tree.ready(1)
    assert house.stage.stati(others) == ['queued'] * 2
    assert {each['state'] for each in command(house, 'workers', 'list', APP)} == {'quiet', 'alive'}
    assert command(house, 'workers', 'unquiet', APP, '--all')['unknown'] == []
    assert {each.status for each in house.finish(others)} == {'completed'}


@pytest.mark.parametrize('way', ['blind', 'hold'])
def test_stacks_are_shown(house, way):     # noqa: F811
    tree = house.tree(processes=1)
    [jobid] = house.stage.enqueue('heed', (1, str(house.marks), way))
    pid = house.pidOf(1, jobid)
    tree.ready(1)
    for _ in range(2):
        [found] = command(house, 'workers', 'stacks', APP)['stacks']
        assert found['pid'] == pid
        assert re.search(rf'which runs job {jobid} for [\d.]+ s:\n(  .*\n)*  File ".*tasks.py", '
                         r'line \d+,? in heed', found['stacks'])
        assert found['stacks'].count(' in heed') == 1           # those of now only
    os.kill(tree.process.pid, signal.SIGQUIT)
    waitFor(lambda: f'which runs job {jobid}' in tree.said and ' in heed' in tree.said, DEADLINE)
    assert tree.process.poll() is None and tree.workers() == [pid]
    os.killpg(tree.process.pid, signal.SIGQUIT)                 # as a terminal does, to all of them
    waitFor(lambda: tree.said.count(' in heed') == 2, DEADLINE)
    assert tree.process.poll() is None and tree.workers() == [pid]


def test_one_that_computes_lives_however_often_it_is_asked(house):     # noqa: F811
    """What is read of it does not change meanwhile."""
    tree = house.tree(processes=1)
    [jobid] = house.stage.enqueue('heed', (1, str(house.marks), 'churn'))
    pid = house.pidOf(1, jobid)
    tree.ready(1)
    for number in range(40):
        waitFor(lambda number=number: os.kill(tree.process.pid, signal.SIGQUIT)
                or tree.said.count(' in heed') > number, DEADLINE)
    assert tree.workers() == [pid] and house.stage.stati([jobid]) == ['processing']


@pytest.mark.parametrize('busy', [False, True], ids=['idle', 'busy'])
def test_one_of_another_host_answers_by_the_database(house, busy, monkeypatch):     # noqa: F811
    tree = house.tree(processes=1)
    tree.ready(1)
    if busy:
        [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
        house.pidOf(1, jobid)
    from p01.remote.cli import workers
    monkeypatch.setattr(blackbox, 'HOST', 'elsewhere/1234')
    monkeypatch.setattr(stacks, 'STACKWAIT', DEADLINE)
    [one] = waitFor(lambda: workers.chosen(house.stage.app, (), True)[0], DEADLINE)
    for text in asked(house, one.name):
        assert 'Thread MainThread' in text and ('tasks.py' in text) is busy \
            and ('which runs job' in text) is busy
    assert house.stage.do(lambda processor: [seat.orders for seat in
                                             processor.store.seats.values()]) == [{}]
    house.go(1)


def asked(house, name, people=8):  # noqa: F811
    """What so many are told who ask at the same time where a process stands."""
    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(lambda number: stacks.stackOf(house.stage.app, name, f'ann {number}'),
                             range(people)))


def test_each_of_many_who_ask_at_once_is_told_where_a_process_stands(house):  # noqa: F811
    tree = house.tree(processes=1)
    tree.ready(1)
    [jobid] = house.stage.enqueue('heed', (1, str(house.marks)))
    house.pidOf(1, jobid)
    from p01.remote.cli import workers
    [one] = workers.chosen(house.stage.app, (), True)[0]
    for text in asked(house, one.name):
        assert text.count(f'which runs job {jobid} for') == text.count(' in heed') == 1
    house.go(1)


@pytest.mark.parametrize('number', [signal.SIGQUIT, signal.SIGTERM])
def test_a_storm_of_signals(house, number):     # noqa: F811
    """To ask is free, however often; to end is at once with the second one. Nothing is lost or done
    twice."""
    tree = house.tree(processes=2, threads=2)
    jobids = house.stage.enqueue('effect', *range(500))
    tree.ready()
    for _ in range(100):
        os.kill(tree.process.pid, number)
    if number == signal.SIGTERM:
        assert tree.wait() == 0
        house.tree()
    assert {view.status for view in house.finish(jobids)} == {'completed'}
    assert house.stage.effects == dict.fromkeys(range(500), 1)
    if number == signal.SIGQUIT:
        assert tree.terminate() == 0 and 'Worker process' in tree.said


# -- a service manager

def test_a_service_manager_is_told(house, tmp_path):     # noqa: F811
    place = str(tmp_path / 'notify')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.bind(place)
        way.settimeout(DEADLINE)
        process = subprocess.Popen([sys.executable, '-c', CODE, repr({'processes': 1}), APP],
                                   cwd=ROOT,
                                   env=environment(house.address) | {'NOTIFY_SOCKET': place,
                                                                     'WATCHDOG_USEC': '1000000'})
        try:
            ready, told = f'READY=1\nSTATUS=works on {house.address}', [way.recv(4096).decode()]
            while ready not in told or told[-1] != 'WATCHDOG=1':
                told.append(way.recv(4096).decode())
            process.terminate()
            while told[-1] != 'STOPPING=1':
                told.append(way.recv(4096).decode())
        finally:
            if told[-1] != 'STOPPING=1':
                process.kill()
            process.wait(DEADLINE)


# -- a web process

WEB = '''
import sys, time
from pathlib import Path
from tests.acceptance.tasks import app
with app.transaction():
    app.processor.startProcessing()
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
if sys.argv[2] == 'exit':
    sys.exit(3)
if sys.argv[2] == 'interrupt':
    raise KeyboardInterrupt
Path(sys.argv[1] + '.seen').touch()
while True:
    time.sleep(1)
'''


@pytest.mark.parametrize('way, status', [('exit', 3), ('interrupt', -signal.SIGINT),
                                         ('TERM', -signal.SIGTERM), ('HUP', -signal.SIGHUP)])
def test_workers_end_with_the_web_process_that_has_them(house, way, status):     # noqa: F811
    """It does not wait for a job that runs; that goes to others, and nobody is blamed, also when it
    handles no signals."""
    [jobid] = house.stage.enqueue('wait', (1, str(house.marks)))
    process = subprocess.Popen([sys.executable, '-c', WEB, str(house.marks / f'1.{jobid}.1'), way],
                               cwd=ROOT,
                               env=environment(house.address), stderr=subprocess.DEVNULL)
    try:
        if status in (-signal.SIGTERM, -signal.SIGHUP):
            waitFor((house.marks / f'1.{jobid}.1.seen').exists, DEADLINE)
            process.send_signal(-status)
        assert process.wait(DEADLINE) == status
    finally:
        process.kill()
    house.go(1)
    house.tree(processes=1)
    [view] = house.finish([jobid])
    assert (view.status, view.runs, house.stage.effects) == ('completed', 1, {1: 1})


# -- the first process of a container

ORPHANS = '''
import os, sys, time
from p01.remote.engine.supervisor import Supervisor
from p01.remote.options import WorkerOptions
if os.fork() == 0:
    if os.fork():
        os._exit(0)
    time.sleep(0.5)             # its parent is gone: it is the first process's by now
    os._exit(0)
os.wait()
sys.exit(Supervisor(sys.argv[2], WorkerOptions(**eval(sys.argv[1]))).run())
'''


@pytest.mark.skipif(shutil.which('unshare') is None, reason='needs unshare')
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_as_the_first_process_of_a_container(house, number):     # noqa: F811
    """It has no default actions for signals there, and is the parent of all orphans."""
    probe = subprocess.run(['unshare', '--pid', '--fork', '--mount-proc', 'true'], check=False,
                           capture_output=True)
    if probe.returncode:
        pytest.skip('no namespace of processes can be made here')
    tree = subprocess.Popen(['unshare', '--pid', '--fork', '--mount-proc', sys.executable, '-c',
                             ORPHANS,
                             repr({'processes': 1, 'waitTime': 0.2}), APP], cwd=ROOT,
                            env=environment(house.address))
    try:
        assert {each.status
                for each in house.finish(house.stage.enqueue('effect', 1, 2))} == {'completed'}
        [first] = children(tree.pid)
        waitFor(lambda: len(children(first)) == 1, DEADLINE, 'zombies stay')
        os.kill(first, number)
        assert tree.wait(DEADLINE) == 0
    finally:
        tree.kill()
        tree.wait()


def children(pid):
    """The processes whose parent this is, zombies too."""
    with open(f'/proc/{pid}/task/{pid}/children') as file:
        return [int(each) for each in file.read().split()]


def test_jobs_that_await_are_listed_and_show_where(house):     # noqa: F811
    house.tree(processes=1)
    jobids = house.stage.enqueue('flight', *[(key, str(house.marks), 60.0) for key in range(5)])
    pids = {house.pidOf(key, jobid) for key, jobid in enumerate(jobids)}
    [found] = command(house, 'workers', 'list', APP)
    assert (set(found['running']), {found['pid']}) == (set(jobids), pids)
    [found] = command(house, 'workers', 'stacks', APP)['stacks']
    for jobid in jobids:
        assert re.search(rf'Job {jobid} tests.acceptance.tasks.flight, which awaits, began [0-9.]+ '
                         r's ago:\n  File ".*tasks.py", line \d+, in flight\n.*\n  File ".*", line '
                         r'\d+, in sleep', found['stacks'])
    text = subprocess.run([sys.executable, '-m', 'p01.remote', 'workers', 'list', APP], cwd=ROOT,
                          env=environment(house.address), capture_output=True, text=True,
                          timeout=DEADLINE, check=True).stdout
    assert f'5 jobs, first {jobids[0]} tests.acceptance.tasks.flight for ' in text
    (house.marks / 'go').touch()
    assert {each.status for each in house.finish(jobids)} == {'completed'}
