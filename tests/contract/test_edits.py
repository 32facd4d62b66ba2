# SPDX-License-Identifier: ZPL-2.1
"""What becomes of jobs that were moved or edited while they waited, on every storage."""
import time

import pytest

from p01.remote import verbs
from p01.remote.engine import editing
from p01.remote.exceptions import InputError, JobNotFound, NewerDatabase
from p01.remote.options import Unique
from p01.remote.store import store as stores
from p01.remote.store.payload import INLINE
from p01.remote.store.store import EDITED
from p01.remote.views.filters import Filter, Part
from p01.remote.views.listing import find
from p01.remote.views.waits import whyWaits
from tests.conftest import commit, counted, runAll


@pytest.fixture
def now():
    return time.time()


def edit(processor, jobid, input=None, **options):
    calling = None if input is None else editing.Calling(processor.registered('echo'), input)
    done = editing.edit(processor, jobid, editing.changesOf(**options), calling)
    commit(processor)
    return done


def those(processor, **which):
    return [view.id for view in find(processor.store, Filter(**which))]


def test_a_moved_job_is_of_its_new_queue_all_its_life(processor):
    ids = [processor.processJob('echo', number) for number in range(3)]
    commit(processor)
    assert edit(processor, ids[1], queue='between')
    assert edit(processor, ids[1], queue='other', priority=2)
    counted(processor)
    assert those(processor, queue=Part(('between',))) == []
    for stati in (('queued',), ('completed',)):
        assert those(processor, stati=stati, queue=Part(('other',))) == [ids[1]]
        assert those(processor, queue=Part(('other',))) == [ids[1]]
        assert those(processor, stati=stati, queue=Part(('default',))) == [ids[2], ids[0]]
        if stati == ('queued',):
            assert runAll(processor) == [ids[1], ids[0], ids[2]]
    assert processor.getJob(ids[1]).queue == 'other' and processor.getJobResult(ids[1]) == 1
    processor.removeJobs()
    verbs.seal(processor.store, time.time() + 1.0)
    commit(processor)
    counted(processor)
    assert not processor.store.segments and not processor.store.edits
    assert not any(shard.kinds.found for shard in processor.store.shards)


def test_its_age_stays(processor):
    ids = []
    for number in range(3):
        ids.append(processor.processJob('echo', number))
        commit(processor)
    first, second, third = ids
    for jobid in (third, first):
        assert edit(processor, jobid, queue='other')
        assert edit(processor, jobid, queue='default')
    assert runAll(processor) == [first, second, third]


@pytest.mark.parametrize('value', [7, 'x' * (INLINE + 1), ('a', 1)])
def test_its_input_is_another_one(processor, value):
    jobid, other = processor.processJob('echo', 1), processor.processJob('echo', 2)
    commit(processor)
    assert edit(processor, jobid, value)
    assert processor.getJob(jobid).input == value
    runAll(processor)
    assert (processor.getJobResult(jobid), processor.getJobResult(other)) == (value, 2)
    assert verbs.remove(processor.store, jobid) == 'completed'
    commit(processor)
    assert processor.store.edits.get(jobid, {}).get('input') is None


def test_when_it_is_due_is_another_time(processor, now):
    jobid, other = processor.processJob('echo', 1), processor.processJob('echo', 2, delay=60)
    commit(processor)
    assert edit(processor, jobid, at=now + 50) and edit(processor, other, atOnce=True)
    assert [processor.getJobStatus(each) for each in (jobid, other)] == ['delayed', 'queued']
    assert abs(processor.store.view(jobid).due - now - 50) < 1
    assert edit(processor, jobid, queue='other')
    assert processor.getJobStatus(jobid) == 'delayed'
    counted(processor)
    assert runAll(processor, now + 1) == [other]
    assert runAll(processor, now + 51) == [jobid]


def test_one_that_must_begin_in_time_must_so_when_it_was_moved(processor, now):
    ids = [processor.processJob('echo', 1, expires=60) for _ in range(3)]
    commit(processor)
    assert edit(processor, ids[0], queue='other') and edit(processor, ids[1], delay=5)
    view = processor.store.view(ids[0])
    assert 'has expired' in whyWaits(processor.store, view, now + 61)[-2].sentence
    assert processor.processJobs(now + 61) == 0
    assert {processor.getJobStatus(jobid) for jobid in ids} == {'cancelled'}
    counted(processor)
    # who has it run all the same means it
    assert processor.retryJob(ids[0])
    commit(processor)
    assert edit(processor, ids[0], priority=1)
    assert runAll(processor, now + 62) == [ids[0]]
    assert processor.getJobStatus(ids[0]) == 'completed'


def test_its_key_stays(processor):
    jobid = processor.processJob('echo', 1, unique='k')
    period = processor.processJob('echo', 1, unique=Unique('p', period=3600))
    commit(processor)
    assert edit(processor, jobid, queue='other') and edit(processor, period, 5)
    assert processor.processJob('echo', 2, unique='k') == jobid
    assert processor.processJob('echo', 2, unique=Unique('p', period=3600)) == period
    runAll(processor)
    assert processor.processJob('echo', 3, unique='k') != jobid
    commit(processor)


def test_why_it_waits_is_told_of_its_new_queue(processor, now):
    jobid = processor.processJob('echo', 1)
    verbs.pause(processor.store, 'other')
    commit(processor)
    assert edit(processor, jobid, queue='other')
    assert whyWaits(processor.store, processor.store.view(jobid), now)[0].kind == 'paused'


def test_what_ended_or_runs_is_refused_in_a_sentence(processor):
    jobid = processor.processJob('echo', 1)
    taken = processor.processJob('echo', 2)
    commit(processor)
    runAll(processor)
    taken = processor.processJob('echo', 2)
    commit(processor)
    assert processor.pullNextJob().id == taken
    commit(processor)
    assert not edit(processor, jobid, queue='other') and not edit(processor, taken, queue='other')
    assert 'has ended (completed)' in editing.refusal(processor, jobid)
    assert 'runs and cannot be changed' in editing.refusal(processor, taken)
    with pytest.raises(JobNotFound):
        edit(processor, 999_999, queue='other')
    with pytest.raises(InputError, match='has not ended'):
        editing.again(processor, taken, {})


def test_many_that_no_worker_has_noticed_are_taken_in_first(processor, monkeypatch):
    monkeypatch.setattr('p01.remote.verbs.intake.INTAKE', 2)
    ids = []
    for number in range(30):
        ids.append(processor.processJob('echo', number))
        if number % 3 == 2:
            commit(processor)
    for jobid in ids[::-1]:
        assert edit(processor, jobid, queue='other')
    assert those(processor, stati=('queued',), queue=Part(('other',))) == ids[::-1]
    counted(processor)


def test_code_that_knows_no_edits_leaves_the_database_alone(processor, monkeypatch):
    jobid = processor.processJob('echo', 1)
    commit(processor)
    assert processor.store.uses == () and processor.store.edits is None
    assert edit(processor, jobid, queue='other')
    assert processor.store.uses == (EDITED,)
    processor.store.check()
    monkeypatch.setattr(stores, 'KNOWNUSES', ())
    with pytest.raises(NewerDatabase, match='edited jobs'):
        processor.store.check()


def test_what_ran_runs_again_as_a_job_of_its_own(processor):
    jobid = processor.processJob('echo', 'x' * 2000, queue='mail', priority=4, unique='k')
    commit(processor)
    runAll(processor)
    new = editing.again(processor, jobid, {})
    other = editing.again(processor, jobid, {'queue': 'slow'},
                          editing.Calling(processor.registered('echo'), 5))
    commit(processor)
    for each, queue, value in ((new, 'mail', 'x' * 2000), (other, 'slow', 5)):
        job = processor.getJob(each)
        assert (job.queue, job.priority, job.input, job.status) == (queue, 4, value, 'queued')
    runAll(processor)
    assert processor.getJobStatus(jobid) == processor.getJobStatus(new) == 'completed'
