# SPDX-License-Identifier: ZPL-2.1
"""The component on every storage: its names, ids, results, errors, and what a transaction does to
jobs."""
from datetime import UTC, datetime, timedelta

import pytest
import transaction
from persistent import Persistent
from persistent.mapping import PersistentMapping
from zope.interface.verify import verifyObject
from zope.location.interfaces import ILocation

from p01.remote import exceptions, interfaces, job, testing
from p01.remote.processor import RemoteProcessor
from p01.remote.worker import SimpleWorker
from tests.conftest import NAME, abort, commit, counted, inside, newProcessor


def double(number, plus=0):
    return 2 * number + plus


class Follow(job.Job):
    """Enqueues as many further jobs as its input says."""

    def __call__(self, remoteProcessor):
        return [remoteProcessor.processJob('echo', number) for number in range(self.input)]


class Touch(job.Job):
    """Increases what its persistent input holds."""

    def __call__(self, remoteProcessor):
        self.input[0]['count'] += 1
        return self.input[0]


class Site(PersistentMapping):
    """What a mixin is mixed into."""

    def __init__(self, title):
        super().__init__()
        self.title = title


class RemoteSite(RemoteProcessor, Site):
    """The application's own object, as a processor."""


def test_it_provides_its_interface(anyProcessor):
    assert verifyObject(interfaces.IRemoteProcessor, anyProcessor)
    assert ILocation.providedBy(anyProcessor)
    assert anyProcessor.isProcessing is False
    assert anyProcessor.workerFactory is SimpleWorker
    assert anyProcessor.workerArguments == {'waitTime': 1.0}


def test_ids_count_from_1_and_results_come_back(anyProcessor):
    ids = [anyProcessor.processJob('echo', each) for each in ('a', ('b', 2), None, {'c': [3]})]
    assert ids == [1, 2, 3, 4]
    assert [anyProcessor.getJobStatus(jobid) for jobid in ids] == ['queued'] * 4
    assert anyProcessor.getJobResult(1) is None
    assert counted(anyProcessor) == {'queued': 4}
    assert anyProcessor.processJobs() == 4
    assert [anyProcessor.getJobResult(jobid) for jobid in ids] == ['a', ('b', 2), None, {'c': [3]}]
    assert [anyProcessor.getJobStatus(jobid) for jobid in ids] == ['completed'] * 4
    assert [anyProcessor.getJobError(jobid) for jobid in ids] == [''] * 4
    assert counted(anyProcessor) == {'completed': 4}
    assert anyProcessor.processJobs() == 0


def test_one_job_at_a_time(anyProcessor):
    anyProcessor.processJob('echo', 1)
    anyProcessor.processJob('echo', 2)
    assert anyProcessor.processNextJob() is True
    assert [anyProcessor.getJobStatus(jobid) for jobid in (1, 2)] == ['completed', 'queued']
    assert anyProcessor.processNextJob() is True
    assert anyProcessor.processNextJob() is False


def test_functions_are_jobs(anyProcessor):
    anyProcessor.addJob('double', double)
    for given, result in (((3,), 6), ((3, 1), 7), ({'number': 4}, 8), (5, 10)):
        jobid = anyProcessor.processJob('double', given)
        anyProcessor.processJobs()
        assert anyProcessor.getJobResult(jobid) == result


def test_a_job_error_is_final(anyProcessor):
    jobid = anyProcessor.processJob('error')
    assert anyProcessor.processJobs() == 1
    found = anyProcessor.getJob(jobid)
    assert (found.status, found.error, found.runCounter) == ('error', 'An error occurred.', 1)
    assert anyProcessor.getJobError(jobid) == 'An error occurred.'
    assert counted(anyProcessor) == {'error': 1}


def test_other_exceptions_give_4_runs_in_all(anyProcessor):
    jobid = anyProcessor.processJob('fatal')
    for run in range(1, 4):
        assert anyProcessor.processNextJob() is True
        assert (anyProcessor.getJobStatus(jobid),
                anyProcessor.getJob(jobid).runCounter) == ('queued', run)
        assert 'An error occurred.' in anyProcessor.getJobError(jobid)
        assert counted(anyProcessor) == {'queued': 1}
    assert anyProcessor.processNextJob() is True
    found = anyProcessor.getJob(jobid)
    assert (found.status, found.runCounter, len(found.attempts)) == ('error', 4, 4)
    assert [attempt.number for attempt in found.attempts] == [1, 2, 3, 4]
    assert found.error == 'An error occurred.' and 'testing.py' in found.attempts[0].trace
    assert anyProcessor.processNextJob() is False


def test_a_job_knows_its_instants(anyProcessor):
    before = datetime.now(UTC)
    jobid = anyProcessor.processJob('echo', 1)
    found = anyProcessor.getJob(jobid)
    assert before - timedelta(seconds=1) <= found.created <= datetime.now(UTC) + timedelta(
        seconds=1)
    assert (found.started, found.completed, found.due) == (None, None, None) \
        and found.queued == found.created
    anyProcessor.processJobs()
    found = anyProcessor.getJob(jobid)
    assert found.created <= found.started <= found.completed
    assert {each.utcoffset()
            for each in (found.created, found.started, found.completed)} == {timedelta(0)}
    assert (found.id, found.name, found.input, found.output) == (jobid, 'echo', 1, 1)
    assert interfaces.IJob.providedBy(found) and found._p_jar is None


def test_jobs_are_registered_by_name(anyProcessor):
    echo = anyProcessor.getJobByName('echo')
    assert isinstance(echo, testing.EchoJob) \
        and (echo.__name__, echo.__parent__) == ('echo', anyProcessor)
    anyProcessor.removeJob('echo')
    for unknown in ('echo', 'no.such.module', '', None, 5):
        assert anyProcessor.getJobByName(unknown) is None
    for call in (lambda: anyProcessor.processJob('echo'), lambda: anyProcessor.removeJob('echo')):
        with pytest.raises(exceptions.UnknownJob, match="'echo'"):
            call()


def test_an_uncommitted_processor_keeps_its_jobs_when_it_commits(place):
    connection = place.connect()
    processor = connection.root()[NAME] = newProcessor()
    ids = [processor.processJob('echo', number) for number in range(40)]
    connection.transaction_manager.commit()
    ids.append(processor.processJob('echo', 'later'))
    commit(processor)
    assert len(set(ids)) == 41
    assert counted(processor) == {'queued': 41}
    assert SimpleWorker(place.db, [NAME]).processNextJob() is True
    other = inside(place.connect())
    assert other.processJobs() == 40
    assert [other.getJobResult(jobid) for jobid in ids] == [*range(40), 'later']
    assert counted(other) == {'completed': 41}


def test_a_mixin_is_a_processor(place):
    connection = place.connect()
    site = connection.root()['site'] = RemoteSite('Home')
    site.addJob('echo', testing.EchoJob())
    connection.transaction_manager.commit()
    jobid = site.processJob('echo', site)
    commit(site)
    assert (site.title, len(site), bool(site)) == ('Home', 0, False)
    assert SimpleWorker(place.db, ['site']).processNextJob() is True
    connection.transaction_manager.begin()
    assert site.getJobResult(jobid) is site


@pytest.mark.parametrize('count', [1, 40])
def test_jobs_enqueue_jobs(place, processor, count):
    processor.addJob('follow', Follow())
    jobid = processor.processJob('follow', count)
    commit(processor)
    assert SimpleWorker(place.db, [NAME]).processNextJob() is True
    abort(processor)
    follow = processor.getJobResult(jobid)
    assert len(follow) == count
    assert [processor.getJobStatus(each) for each in follow] == ['queued'] * count
    assert processor.processJobs() == count
    assert [processor.getJobResult(each) for each in follow] == list(range(count))


def test_persistent_objects_go_in_and_out_as_references(place, processor):
    processor.addJob('touch', Touch())
    root = processor._p_jar.root()
    root['counter'] = PersistentMapping(count=0)
    commit(processor)
    jobid = processor.processJob('touch', [root['counter'], 'and more'])
    commit(processor)
    assert SimpleWorker(place.db, [NAME]).processNextJob() is True
    abort(processor)
    assert root['counter']['count'] == 1
    assert processor.getJobResult(jobid) is root['counter']
    assert processor.getJob(jobid).input[0] is root['counter']


class Drop(job.Job):
    """Changes its input, and fails."""

    def __call__(self, remoteProcessor):
        self.input.pop()
        raise ValueError(f'{len(self.input)} are left')


@pytest.mark.parametrize('thing', [Persistent, object], ids=['persistent', 'plain'])
def test_a_run_cannot_spoil_the_input_of_the_next(processor, thing):
    processor.addJob('drop', Drop())
    jobid = processor.processJob('drop', [thing(), 1, 2])
    commit(processor)
    assert processor.processJobs() == 4
    assert {attempt.reason
            for attempt in processor.getJob(jobid).attempts} == {'ValueError: 2 are left'}
    assert len(processor.getJob(jobid).input) == 3


def test_big_values_go_in_and_out(place, processor):
    big = 'x' * 900_000
    ids = [processor.processJob('echo', big), processor.processJob('echo', 'small')]
    commit(processor)
    worker = SimpleWorker(place.db, [NAME])
    assert worker.processNextJob() and worker.processNextJob()
    transaction.begin()
    abort(processor)
    assert [len(processor.getJobResult(jobid)) for jobid in ids] == [900_000, 5]
    assert processor.getJob(ids[0]).input == big
