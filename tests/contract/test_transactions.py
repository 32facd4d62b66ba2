# SPDX-License-Identifier: ZPL-2.1
"""What the enqueuing transaction does to its jobs on every storage: abort, savepoints, the very
first one."""
import pytest

from p01.remote import exceptions, job
from p01.remote.views import figures, listing
from tests.conftest import abort, commit, counted, inside


class Note(job.Job):
    """Writes its input into the root, and may fail afterwards."""

    def __call__(self, remoteProcessor):
        root = remoteProcessor._p_jar.root()
        root['notes'] = root.get('notes', ()) + (self.input,)
        if self.input == 'fail':
            raise exceptions.JobError('noted, and failed')


def test_an_aborted_job_was_never_queued_and_its_id_is_not_used_again(processor):
    first = processor.processJob('echo', 1)
    abort(processor)
    with pytest.raises(exceptions.JobNotFound):
        processor.getJobStatus(first)
    second = processor.processJob('echo', 2)
    commit(processor)
    assert second != first and list(listing.ids(processor.store)) == [second]
    assert processor.processJobs() == 1
    assert counted(processor) == {'completed': 1}


def test_a_savepoint_takes_jobs_back(processor):
    manager = processor._p_jar.transaction_manager
    kept = [processor.processJob('echo', 1)]
    savepoint = manager.savepoint()
    gone = processor.processJob('echo', 2)
    savepoint.rollback()
    kept.append(processor.processJob('echo', 3))
    with pytest.raises(exceptions.JobNotFound):
        processor.getJobStatus(gone)
    manager.commit()
    assert list(listing.ids(processor.store)) == kept and gone not in kept
    assert processor.processJobs() == 2


def test_a_savepoint_takes_back_the_very_first_reservation(place, processor):
    """The connection's snapshot is older than the segment that is reserved for it."""
    late = place.connect(place.openAgain())
    manager = late.transaction_manager
    manager.begin()
    mine = inside(late)
    figures.exact(mine.store)
    savepoint = manager.savepoint()
    gone = [mine.processJob('echo', number) for number in range(3)]
    savepoint.rollback()
    for jobid in gone:
        with pytest.raises(exceptions.JobNotFound):
            mine.getJobStatus(jobid)
    kept = mine.processJob('echo', 'kept')
    assert mine.getJobStatus(kept) == 'queued'
    assert counted(mine) == {'queued': 1}
    manager.commit()
    abort(processor)
    assert list(listing.ids(processor.store)) == [kept]
    assert processor.processJobs() == 1 and processor.getJobResult(kept) == 'kept'


def test_the_first_transaction_of_a_connection_runs_its_own_jobs(place, processor):
    late = place.connect(place.openAgain())
    late.transaction_manager.begin()
    mine = inside(late)
    other = inside(place.connect())
    theirs = [other.processJob('echo', number) for number in range(40)]
    commit(other)
    figures.exact(mine.store)
    ids = [mine.processJob('echo', number) for number in range(40)]
    assert mine.processJobs() in (40, 80)
    ids += [mine.processJob('echo', number) for number in range(5)]
    assert mine.processJobs() == 5
    assert [mine.getJobStatus(jobid) for jobid in ids] == ['completed'] * 45
    assert mine.removeJobs()['completed'] >= 45
    ids = [mine.processJob('echo', number) for number in range(40)]
    mine.processJobs()
    commit(mine)
    abort(processor)
    processor.processJobs()
    assert [processor.getJobStatus(jobid) for jobid in ids] == ['completed'] * 40
    assert listing.ids(processor.store) and processor.processJobs() == 0
    assert set(theirs).isdisjoint(ids)
    counted(processor)


def test_what_a_failed_job_did_is_taken_back(processor):
    processor.addJob('note', Note())
    for each in ('one', 'fail', 'two'):
        processor.processJob('note', each)
    assert processor.processJobs() == 3
    commit(processor)
    assert processor._p_jar.root()['notes'] == ('one', 'two')
    assert counted(processor) == {'completed': 2, 'error': 1}
