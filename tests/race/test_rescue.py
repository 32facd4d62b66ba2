# SPDX-License-Identifier: ZPL-2.1
"""Who counts as dead, what becomes of his jobs, and what it costs them. Nobody dies here: time and
places are made up."""
import os
import time

import pytest
from ZODB.POSException import ConflictError

from p01.remote import storage, verbs
from p01.remote.engine import presence, rescuing
from p01.remote.ground import blackbox, folders
from p01.remote.ground.blackbox import HOST
from p01.remote.options import DEATHS, Policy
from p01.remote.store.seats import Seat
from tests.race.stage import session


def seated(stage, count, *, host=HOST, process='another', box='-', lease=60.0, beat=None,
           name='stranger'):
    """Seat a worker of another process, with so many claims; returns their ids."""
    def work(processor):
        now = time.time()
        seat = Seat(name, host, 1, process, box, lease, now if beat is None else beat)
        verbs.sit(processor.store, seat)
        return verbs.claim(processor.store, seat, count, now)
    return stage.do(work)


def look(stage, now, host=HOST):
    """One round of a janitor; returns whom it rescued."""
    return [event.worker
            for event in stage.do(lambda processor: rescuing.rescueAll(processor, host, now))]


def deaths(stage, jobid):
    """How many workers a waiting job took down."""
    fate = stage.do(lambda processor: processor.store.fate(jobid))
    return 0 if fate is None else fate.deaths


# -- what becomes of the jobs

def test_only_the_job_that_ran_counts_a_death(stage):
    jobids = stage.enqueue('effect', *range(5))
    dead = stage.loop('dead')
    stage.claim(dead, 5)
    stage.rescue(dead, {jobids[2]}, 'killed by signal SIGKILL')
    views = [stage.view(jobid) for jobid in jobids]
    assert [view.runs for view in views] == [0, 0, 1, 0, 0]
    assert [deaths(stage, jobid) for jobid in jobids] == [0, 0, 1, 0, 0]
    assert views[2].attempts[0].reason == 'WorkerDied: killed by signal SIGKILL'
    assert views[2].attempts[0].worker == dead.name
    stage.check()


def test_rescued_jobs_go_back_to_their_old_place(stage):
    jobids = stage.enqueue('pure', *range(5))
    dead = stage.loop('dead')
    stage.claim(dead, 3)
    stage.rescue(dead, {jobids[1]})
    assert [task.id for task in stage.claim(stage.loop('other'), 5)] == jobids


def test_when_nobody_knows_which_job_ran_all_are_suspects_and_run_alone(stage):
    jobids = stage.enqueue('effect', *range(4))
    dead, other = stage.loop('dead'), stage.loop('other')
    stage.claim(dead, 3)
    stage.rescue(dead, None)
    assert [deaths(stage, jobid) for jobid in jobids] == [0] * 4
    for jobid in jobids[:3]:
        [task] = stage.claim(other, 500)
        assert task.id == jobid
        other.act(task)
    assert [task.id for task in stage.claim(other, 500)] == jobids[3:]
    stage.check()


def test_the_next_death_tells_which_suspect_it_was(shared):
    jobids = shared.enqueue('effect', *range(3))
    dead = shared.loop('dead')
    shared.claim(dead, 3)
    shared.rescue(dead, None)
    assert seated(shared, 500, beat=0.0) == jobids[:1]
    assert look(shared, time.time()) == ['stranger']
    assert [deaths(shared, jobid) for jobid in jobids] == [1, 0, 0]
    assert [shared.view(jobid).runs for jobid in jobids] == [1, 0, 0]
    shared.check()


def test_a_suspect_that_did_not_run_stays_one(stage):
    jobids = stage.enqueue('effect', 1, 2)
    dead, other = stage.loop('dead'), stage.loop('other')
    stage.claim(dead, 2)
    stage.rescue(dead, None)
    assert [task.id for task in stage.claim(other, 2)] == jobids[:1]
    stage.leave(other)
    assert [fate.suspect
            for fate
            in stage.do(lambda processor: list(map(processor.store.fate, jobids)))] == [True, True]


def test_a_suspect_never_joins_what_a_worker_already_holds(stage):
    [suspect] = stage.enqueue('pure', 1)
    stage.enqueue('pure', 2, priority=5)
    dead, other = stage.loop('dead'), stage.loop('other')
    stage.claim(dead, 2)
    stage.rescue(dead, None)
    later = stage.enqueue('pure', 3, priority=9)
    assert [task.id for task in stage.claim(other, 1)] == later
    assert [task.id for task in stage.claim(other, 500)] == later
    assert stage.view(suspect).status == 'queued'


# -- two at once

def test_of_two_rescuers_at_once_one_does_it(stage):
    jobids = stage.enqueue('effect', 1, 2)
    dead = stage.loop('dead')
    stage.claim(dead, 2)
    with session(stage) as (processor, manager):
        rescuing.rescue(processor.store, processor.store.seats[dead.name], time.time(), {jobids[0]})
        stage.rescue(dead, {jobids[0]})
        with pytest.raises(ConflictError):
            manager.commit()
    stage.rescue(dead, {jobids[0]})
    assert [deaths(stage, jobid) for jobid in jobids] == [1, 0]
    stage.drain()
    assert stage.effects == {1: 1, 2: 1}
    assert [stage.view(jobid).runs for jobid in jobids] == [2, 1]
    stage.check()


def test_of_two_rescuers_at_once_one_does_it_when_there_is_nothing_to_rescue(stage):
    jobids = stage.enqueue('effect', 1)
    dead = stage.loop('dead')
    dead.act(*stage.claim(dead))
    stage.claim(dead, 0)
    with session(stage) as (processor, manager):
        rescuing.rescue(processor.store, processor.store.seats[dead.name], time.time(), set())
        stage.rescue(dead, set())
        with pytest.raises(ConflictError):
            manager.commit()
    assert stage.stati(jobids) == ['completed']
    stage.check()


# -- who is dead

def test_a_silent_worker_elsewhere_is_dead_after_its_lease(shared):
    jobids = shared.enqueue('pure', 1, 2)
    now = time.time()
    seated(shared, 2, host='elsewhere', lease=60.0, beat=now)
    assert look(shared, now + 60.0) == []
    assert shared.stati(jobids) == ['processing', 'processing']
    assert look(shared, now + 60.1) == ['stranger']
    assert shared.stati(jobids) == ['queued', 'queued']


def boxes(shared, elsewhere):
    """Where the boxes of this database lie."""
    place = storage.folder(shared.app.db)
    return elsewhere if place is None else folders.folderFor(place)


def test_a_box_of_another_host_says_nothing(shared, tmp_path):
    """The same path there is another file here."""
    shared.enqueue('pure', 1)
    box = boxes(shared, tmp_path) / 'freed.box'
    box.parent.mkdir(exist_ok=True)
    box.write_bytes(b'')
    now = time.time()
    seated(shared, 1, host='elsewhere', box=str(box), beat=now)
    assert look(shared, now + 1) == []
    assert look(shared, now + 61) == ['stranger']


def test_a_worker_of_this_host_is_dead_as_soon_as_its_box_is_free(shared, tmp_path):
    jobids = shared.enqueue('effect', 1, 2, 3)
    box = presence.Box(boxes(shared, tmp_path))
    seated(shared, 3, box=str(box.path))
    box.write(box.take(), jobids[1], 0.0)
    box.map.flush()
    assert look(shared, time.time()) == []
    # as the system does when a process ends; the mapping holds the lock as well
    box.file.close()
    box.map.close()
    assert look(shared, time.time()) == ['stranger']
    assert [deaths(shared, jobid) for jobid in jobids] == [0, 1, 0]
    shared.check()


def test_a_worker_of_this_host_that_is_stopped_is_dead_after_its_lease(shared, tmp_path):
    """By the clock that stands still while the host sleeps, and whatever the other one says."""
    [jobid] = shared.enqueue('effect', 1)
    box = presence.Box(tmp_path / 'boxes')
    now = time.time()
    seated(shared, 1, box=str(box.path), lease=2.0, beat=now)
    assert look(shared, now + 1e6) == []
    box.beat(time.monotonic() - 2.1)
    assert look(shared, now) == ['stranger']
    assert shared.stati([jobid]) == ['queued']
    box.close()


def test_a_lost_box_leaves_the_lease(shared, tmp_path):
    shared.enqueue('effect', 1)
    now = time.time()
    seated(shared, 1, box=str(tmp_path / 'nowhere.box'), beat=now)
    assert look(shared, now + 59) == []
    assert look(shared, now + 61) == ['stranger']


def test_a_worker_of_this_process_is_alive_as_long_as_it_is_there(stage):
    [jobid] = stage.enqueue('effect', 1)
    loop = stage.loop()
    stage.claim(loop)
    assert look(stage, time.time() + 1e6) == []
    presence.live.discard(loop.name)
    assert look(stage, time.time()) == [loop.name]
    assert stage.stati([jobid]) == ['queued']


@pytest.mark.parametrize('stage', ['file:'], indirect=True)
def test_the_worker_of_an_earlier_process_is_dead_though_its_pid_lives(stage):
    """A database of one process alone: whoever wrote this seat is gone, though we may have got his
    pid."""
    jobids = stage.enqueue('effect', 1, 2)

    def work(processor):
        seat = Seat('a', HOST, os.getpid(), 'earlier', '', 60.0, time.time())
        verbs.sit(processor.store, seat)
        verbs.claim(processor.store, seat, 2, time.time())
    stage.do(work)
    assert stage.stati(jobids) == ['processing'] * 2
    assert look(stage, time.time()) == ['a']
    stage.drain()
    assert stage.effects == {1: 1, 2: 1}


# -- whom a death is laid to

def test_the_time_out_of_a_neighbour_is_no_death(stage):
    """E8: both ran when their process was killed, for one of them."""
    innocent, late = stage.enqueue('effect', 1, 2)
    for number in range(DEATHS):
        dead = stage.loop(f'dead{number}')
        stage.claim(dead, 2)

        def work(processor, dead=dead):
            rescuing.rescue(processor.store, processor.store.seats[dead.name],
                           time.time(), {innocent, late}, 'killed',
                           {late: Policy(retries=10, timeout=2)})
        stage.do(work)
        assert (stage.view(innocent).status, stage.view(innocent).runs,
                deaths(stage, innocent)) == ('queued', 0, 0)
    assert stage.view(late).attempts[-1].reason == 'TimedOut: it ran longer than its timeout of 2 s'
    assert deaths(stage, late) == 0


@pytest.mark.parametrize('policy, runs', [(Policy(retries=0),
                                           1), (Policy(retries=1), 2), (Policy(), 3),
                                          (Policy(retries=0, deaths=4),
                                           5), (Policy(retries=9, deaths=0), 1)])
def test_a_death_is_a_failed_run_unless_the_job_says_otherwise(stage, policy, runs):
    [jobid] = stage.enqueue('effect', 1)
    for number in range(runs):
        assert stage.view(jobid).status == 'queued'
        dead = stage.loop(f'dead{number}')
        stage.claim(dead)

        def work(processor, dead=dead):
            rescuing.rescue(processor.store, processor.store.seats[dead.name], time.time(), {jobid},
                           'killed',
                           policies=lambda jobid: policy)
        stage.do(work)
    view = stage.view(jobid)
    assert (view.status, view.runs) == ('error', runs)
    assert view.outcome.error.startswith('Put aside: ')


def test_a_process_that_was_to_end_takes_no_job_with_it(shared, tmp_path):
    """However often: told by a signal, or at the end of a server that works beside other things."""
    [jobid] = shared.enqueue('effect', 1)
    for end in [blackbox.TOLD, blackbox.ENDS] * DEATHS:
        box = presence.Box(boxes(shared, tmp_path))
        box.write(box.take(), jobid, 0.0)
        seated(shared, 1, box=str(box.path))
        box.end(end)
        box.leave()
        assert look(shared, time.time()) == ['stranger']
        assert (shared.stati([jobid]), deaths(shared, jobid),
                shared.view(jobid).runs) == (['queued'], 0, 0)


def test_each_pulled_job_has_a_lease_of_its_own(stage):
    """E47: whoever pulls others meanwhile does not renew it."""
    jobids = stage.enqueue('pure', *range(4))
    now = time.time()
    assert stage.do(lambda processor: processor.pullNextJob(now).id) == jobids[0]
    assert stage.do(lambda processor: processor.pullNextJob(now + 3000).id) == jobids[1]
    assert look(stage, now + 3000) == []
    # it came back
    assert stage.do(lambda processor: processor.pullNextJob(now + 6000).id) == jobids[0]
    assert stage.stati(jobids) == ['processing', 'processing', 'queued', 'queued']
    assert look(stage, now + 6700) == ['by hand']
    assert stage.stati(jobids) == ['processing', 'queued', 'queued', 'queued']
    stage.check()
