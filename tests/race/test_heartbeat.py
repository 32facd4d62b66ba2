# SPDX-License-Identifier: ZPL-2.1
"""The heartbeat, and whose it is."""
import subprocess
import sys
import time

from p01.remote.engine import heartbeat
from p01.remote.store.slips import SLIPROOM
from tests.acceptance import tasks
from tests.acceptance.trees import DEADLINE, environment

FORKED = '''
import os, signal
from p01.remote import storage
from p01.remote.engine import heartbeat
from p01.remote.engine import presence
from p01.remote.ground import blackbox

db = storage.openDatabase('memory:')

class Loop:
    began = 0.0
    class options:
        lease = 60.0

mine = Loop()
heartbeat.watch(mine)
presence.live.add('mine')
token, box = presence.PROCESS, presence.mine(db)
with heartbeat._lock, presence._lock:     # at the worst moment
    pid = os.fork()
if pid:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert presence.PROCESS == token and presence.live == {'mine'} and not blackbox.died(box.path)
else:
    signal.alarm(60)
    heartbeat.watch(mine)
    assert heartbeat._heartbeat[0].is_alive()
    assert presence.PROCESS != token and not presence.live and presence.mine(db).path != box.path
    os._exit(0)
'''


def test_a_forked_process_is_another_process(tmp_path):
    """What its parent's workers do is none of its business: it must not think them dead because it
    does not know them.

    And it has a heartbeat and a box of its own.
    """
    done = subprocess.run([sys.executable, '-c', FORKED],
                          env=environment('memory:') | {'TMPDIR': str(tmp_path)},
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr


# -- the heartbeat

def test_a_long_job_keeps_its_worker_alive(shared):
    shared.enqueue('pure', 1)
    loop = shared.loop(lease=8.0)
    [task] = shared.claim(loop)

    def beat():
        return shared.do(lambda processor: processor.store.seats[loop.name].beat)

    def meanwhile():
        heart = heartbeat.Heartbeat()       # ours is never started: it beats when it is told to
        heart.loops.add(loop)
        first, now = beat(), time.monotonic()
        assert heart.poll(now + 1.9) <= 1.0
        assert beat() == first
        heart.poll(now + 2.1)
        second = beat()
        assert second > first
        heart.poll(now + 2.2)
        assert beat() == second
        heart.poll(now + 4.3)
        assert beat() > second
    tasks.interlude.append(meanwhile)
    loop.act(task)
    assert not tasks.interlude
    heart = heartbeat.Heartbeat()
    heart.loops.add(loop)
    last = beat()
    heart.poll(time.monotonic() + 100)      # nothing runs any more
    assert beat() == last


def test_a_heartbeat_brings_no_rescued_worker_back(shared):
    [jobid] = shared.enqueue('effect', 1)
    loop = shared.loop()
    [task] = shared.claim(loop)

    def meanwhile():
        shared.rescue(loop, {jobid})
        heartbeat.beat(loop)
        assert shared.do(lambda processor: loop.name not in processor.store.seats)
    tasks.interlude.append(meanwhile)
    loop.act(task)
    assert (shared.effects, shared.stati([jobid])) == ({}, ['queued'])


def test_a_heartbeat_does_not_disturb_a_commit(shared):
    [jobid] = shared.enqueue('effect', 1)
    loop = shared.loop()
    [task] = shared.claim(loop)
    tasks.interlude.append(lambda: heartbeat.beat(loop))
    loop.act(task)
    shared.claim(loop)
    assert (shared.effects, shared.view(jobid).runs) == ({1: 1}, 1)


def test_a_heartbeat_does_not_disturb_a_commit_that_begins_a_slip(shared):
    shared.enqueue('effect', *range(SLIPROOM + 1))
    loop = shared.loop()
    work = shared.claim(loop, SLIPROOM + 1)
    for task in work[:SLIPROOM]:
        loop.act(task)
    tasks.interlude.extend([lambda: heartbeat.beat(loop)] * 2)
    loop.act(work[SLIPROOM])
    assert len(tasks.interlude) == 1        # it ran once
    tasks.interlude.clear()
    assert len(shared.do(lambda processor: processor.store.seats[loop.name].shelf.slips)) == 2
    shared.claim(loop)
    assert shared.effects == dict.fromkeys(range(SLIPROOM + 1), 1)
    shared.check()
