# SPDX-License-Identifier: ZPL-2.1
"""What follows when jobs have ended, on every storage: remove, retry, and the journals that tell of
them."""
import time

import pytest
import zope.event
from transaction.interfaces import TransientError

from p01.remote import events, exceptions, job
from p01.remote.engine import rescuing
from p01.remote.engine.loop import Loop
from p01.remote.scheduler import Cron, Delay
from p01.remote.views import listing
from p01.remote.worker import SimpleWorker
from tests.conftest import NAME, START, abort, commit, counted, inside


@pytest.fixture
def loop(place, processor):
    loop = Loop(place.db, inside, 'loop')
    yield loop
    loop.close()


class Moody(job.Job):
    """Fails while the root says so."""

    def __call__(self, remoteProcessor):
        if remoteProcessor._p_jar.root().get('moody'):
            raise exceptions.JobError('not now')
        return 'fine'


def finished(processor):
    """One job of each end."""
    ids = {'completed': processor.processJob('echo'), 'error': processor.processJob('error')}
    processor.processJobs()
    ids['cancelled'] = processor.processJob('echo')
    processor.cancelJob(ids['cancelled'])
    commit(processor)
    return ids


# -- remove

@pytest.mark.parametrize('stati, gone', [
    (None, {'completed', 'error',
            'cancelled'}), (['completed'], {'completed'}), ('error', {'error'}),
    (('error', 'cancelled'), {'error', 'cancelled'}), ([], set())])
def test_remove_by_status(processor, stati, gone):
    ids = finished(processor)
    waits = processor.processJob('echo')
    assert processor.removeJobs(stati) == dict.fromkeys(gone, 1)
    for status, jobid in ids.items():
        if status in gone:
            with pytest.raises(exceptions.JobNotFound):
                processor.getJob(jobid)
        else:
            assert processor.getJobStatus(jobid) == status
    assert processor.getJobStatus(waits) == 'queued'
    commit(processor)
    assert counted(processor) == {'queued': 1, **dict.fromkeys(set(ids) - gone, 1)}


@pytest.mark.parametrize('stati', ['queued', ['completed',
                                              'processing'], ['delayed'], ['no such'], [None]])
def test_only_finished_jobs_are_removed(processor, stati):
    finished(processor)
    with pytest.raises(ValueError):
        processor.removeJobs(stati)
    assert counted(processor) == {'completed': 1, 'error': 1, 'cancelled': 1}


def test_removed_jobs_leave_no_segments_behind(place, processor):
    for number in range(200):
        processor.processJob('echo', number)
    commit(processor)
    other = inside(place.connect())
    ids = list(listing.ids(other.store))
    assert other.getJobStatus(ids[3]) == 'queued'
    assert processor.processJobs() == 200
    commit(processor)
    assert processor.removeJobs() == {'completed': 200, 'error': 0, 'cancelled': 0}
    commit(processor)
    assert len(processor.store.segments) <= 8 and counted(processor) == {}
    abort(other)
    for jobid in (ids[3], ids[4], ids[150]):
        with pytest.raises(exceptions.JobNotFound):
            other.getJobStatus(jobid)
        with pytest.raises(exceptions.JobNotFound):
            other.cancelJob(jobid)
        with pytest.raises(exceptions.JobNotFound):
            other.retryJob(jobid)
    jobid = other.processJob('echo')
    commit(other)
    assert other.processJobs() == 1 and other.getJobStatus(jobid) == 'completed'


# -- retry by people

def test_a_failed_job_runs_again(processor):
    processor.addJob('moody', Moody())
    root = processor._p_jar.root()
    root['moody'] = True
    jobid = processor.processJob('moody')
    processor.processJobs()
    assert processor.getJobStatus(jobid) == 'error'
    root['moody'] = False
    assert processor.retryJob(jobid) is True
    assert counted(processor) == {'queued': 1}
    assert processor.retryJob(jobid) is False
    assert processor.processJobs() == 1
    found = processor.getJob(jobid)
    assert (found.status, found.output, found.error,
            len(found.attempts)) == ('completed', 'fine', '', 1)
    assert processor.retryJob(jobid) is False


def test_a_cancelled_job_runs_again(processor):
    ids = [processor.processJob('echo', 1), processor.processJob('echo', 2, delay=60),
           processor.processJob('echo', 3)]
    assert [processor.cancelJob(jobid) for jobid in ids] == [True] * 3
    assert [processor.retryJob(jobid) for jobid in ids] == [True] * 3
    commit(processor)
    assert processor.cancelJob(ids[2]) is True
    assert counted(processor) == {'queued': 2, 'cancelled': 1}
    assert processor.processJobs() == 2
    assert counted(processor) == {'completed': 2, 'cancelled': 1}


def test_a_worker_runs_again_what_failed_in_its_own_hands(processor, loop):
    processor.addJob('moody', Moody())
    root = processor._p_jar.root()
    root['moody'] = True
    jobid = processor.processJob('moody')
    commit(processor)
    loop.poll(time.time())
    loop.book(time.time(), 1)
    abort(processor)
    assert processor.getJobStatus(jobid) == 'error'
    root['moody'] = False
    processor.retryJob(jobid)
    commit(processor)
    tasks, _ = loop.book(time.time(), 1)
    abort(processor)
    # until it begins
    assert [task.id for task in tasks] == [jobid] and processor.getJobStatus(jobid) == 'queued'
    assert counted(processor) == {'queued': 1}
    tasks, _ = loop.book(time.time(), 1)
    abort(processor)
    assert [task.id for task in tasks] == [jobid] and processor.getJobStatus(jobid) == 'queued'
    loop.act(tasks[0])
    loop.book(time.time(), 1)
    abort(processor)
    assert (processor.getJobStatus(jobid), processor.getJobResult(jobid)) == ('completed', 'fine')
    assert counted(processor) == {'completed': 1}


def test_unknown_ids_are_told(processor):
    processor.processJob('echo')
    for call in (processor.getJob, processor.getJobStatus, processor.getJobResult,
                 processor.getJobError,
                 processor.cancelJob, processor.retryJob):
        for jobid in (0, -1, 2, 10 ** 6, 2 ** 70, '1', None, 1.5, b'', [], ()):
            with pytest.raises(exceptions.JobNotFound):
                call(jobid)


# -- schedules

def test_a_delay_runs_again_and_again(processor):
    item = Delay('echo', delay=10, startTime=START, input='tick')
    key = processor.addScheduler(item)
    commit(processor)
    assert processor.processJobs(START + 9) == 0
    assert processor.processJobs(START + 10) == 1
    assert processor.processJobs(START + 19) == 0
    assert processor.processJobs(START + 20) == 1
    assert processor.processJobs(START + 200) == 1       # ticks that passed are not made up for
    assert [processor.getJobResult(jobid) for jobid in listing.ids(processor.store)] == ['tick'] * 3
    assert processor.scheduler[key] is item
    item.active = False
    assert processor.processJobs(START + 500) == 0
    assert counted(processor) == {'completed': 3}


def test_a_cron_runs_by_the_clock(processor):
    midnight = START - START % 86400
    processor.addScheduler(Cron('echo', minute=(0, 30), hour=(8,), startTime=midnight))
    commit(processor)
    runs = []
    for minute in range(0, 24 * 60, 10):
        if processor.processJobs(midnight + minute * 60):
            runs.append((minute // 60, minute % 60))
    assert runs == [(8, 0), (8, 30)]


def test_rescheduling_counts_from_now(processor):
    item = Delay('echo', delay=10, startTime=START)
    processor.addScheduler(item)
    processor.reScheduleItem(item, START + 100)
    assert item.due == START + 110
    processor.reScheduleItems(START + 200)
    assert item.due == START + 210
    assert processor.processJobs(START + 209) == 0 and processor.processJobs(START + 210) == 1


def test_a_schedule_of_a_job_that_is_gone_blocks_nothing(place, processor):
    now = time.time()
    processor.addScheduler(Delay('error', delay=10, startTime=now))
    processor.addScheduler(Delay('echo', delay=10, startTime=now))
    processor.removeJob('error')
    waits = processor.processJob('echo')
    commit(processor)
    worker = SimpleWorker(place.db, [NAME])
    while worker.processNextJob(now + 20):
        pass
    abort(processor)
    assert processor.getJobStatus(waits) == 'completed'
    assert counted(processor) == {'completed': 2}


def test_completed_jobs_are_removed_by_a_job(place, processor):
    processor.addJob('remove', job.RemoveCompletedJobsJob())
    ids = finished(processor)
    remover = processor.processJob('remove')
    commit(processor)
    assert SimpleWorker(place.db, [NAME]).processNextJob() is True
    abort(processor)
    assert processor.getJobResult(remover) == {'completed': 1}
    assert processor.getJobStatus(ids['error']) == 'error'
    assert counted(processor) == {'completed': 1, 'error': 1, 'cancelled': 1}
    assert processor.processJob('remove', ['error', 'cancelled']) and processor.processJobs() == 1
    assert counted(processor) == {'completed': 2}


def test_the_database_is_packed_by_a_job(place, processor):
    processor.addJob('pack', job.PackZODBJob())
    waits = [processor.processJob('echo', number) for number in range(50)]
    packer = processor.processJob('pack', priority=5)
    commit(processor)
    worker = SimpleWorker(place.db, [NAME])
    assert worker.processNextJob() is True
    abort(processor)
    assert processor.getJobStatus(packer) == 'completed', processor.getJobError(packer)
    while worker.processNextJob():
        pass
    abort(processor)
    assert [processor.getJobResult(jobid) for jobid in waits] == list(range(50))


# -- segments that nobody writes to any more

@pytest.mark.parametrize('before', [0, 1, 5, 40])
@pytest.mark.parametrize('after', [1, 40])
def test_a_clock_that_runs_ahead_loses_no_job(place, processor, before, after):
    """A worker whose clock is a day ahead takes segments for abandoned that their connection still
    has in hand."""
    ids = [processor.processJob('echo', number) for number in range(before)]
    commit(processor)
    processor.processJob('echo', 'aborted')         # a segment is reserved, and stays empty
    abort(processor)
    for _ in range(3):
        loop = Loop(place.db, inside, 'ahead')
        loop.book(time.time() + 86400, 1)
        loop.close()
        for attempt in range(10):
            try:
                abort(processor)
                more = [processor.processJob('echo', number) for number in range(after)]
                commit(processor)
                break
            except TransientError:
                assert attempt < 9
        ids += more
    assert counted(processor) == {'queued': len(ids)}
    abort(processor)
    assert processor.processJobs() == len(ids)
    assert [processor.getJobStatus(jobid) for jobid in ids] == ['completed'] * len(ids)


def test_a_run_that_an_outage_ended_is_told_of_when_somebody_else_has_its_job(processor, loop,
                                                                              monkeypatch):
    jobid = processor.processJob('echo', 1)
    commit(processor)
    loop.group.unsure = loop.book(time.time(), 1)[0]
    processor._p_jar.transaction_manager.begin()
    # somebody thought it dead
    rescuing.rescue(processor.store, processor.store.seats[loop.name], time.time(), [])
    commit(processor)
    told = []
    monkeypatch.setattr(zope.event, 'subscribers', [told.append])
    loop.book(time.time(), 1)
    loop.book(time.time(), 1)
    assert [event for event in told if isinstance(event, events.ClaimRefused)] == [
        events.ClaimRefused(jobid, 'echo', loop.name)]
