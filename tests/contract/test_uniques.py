# SPDX-License-Identifier: ZPL-2.1
"""Unique keys on every storage: one job at a time holds one, by its rule, and gives it back however it ends."""
import time

import pytest

from p01.remote.engine.loop import Loop
from p01.remote.options import Unique
from tests.conftest import abort, commit, counted, inside, runAll
from tests.contract.test_transactions import Note


@pytest.mark.parametrize('rule', ['key', Unique('key'), Unique('key', 'start'), Unique('key', period=3600)])
def test_a_key_has_one_job(processor, rule):
    first = processor.processJob('echo', 1, unique=rule)
    assert processor.processJob('echo', 2, unique=rule) == first
    commit(processor)
    processor.processJob('echo', 3)
    processor.store.pause('default')
    runAll(processor)
    assert processor.processJob('echo', 4, unique=rule) == first
    assert processor.processJob('echo', 5, unique='another') != first
    commit(processor)
    assert counted(processor) == {'queued': 3}


def test_a_key_that_no_worker_has_seen_is_settled_by_the_worker(place, processor):
    first = processor.processJob('echo', 1, unique='key')
    commit(processor)
    other = inside(place.connect())
    second = other.processJob('echo', 2, unique='key')
    commit(other)
    abort(processor)
    assert second != first
    runAll(processor)
    assert sorted(processor.getJobStatus(jobid) for jobid in (first, second)) == ['cancelled', 'completed']
    assert any(f'uplicate of job {jobid}' in processor.getJobError(other) for jobid, other in
               ((first, second), (second, first)))
    assert counted(processor) == {'completed': 1, 'cancelled': 1}


@pytest.mark.parametrize('until, free', [('start', True), ('finish', False)])
def test_a_running_job_keeps_its_key_by_its_rule(processor, until, free):
    first = processor.processJob('echo', 1, unique=Unique('key', until))
    commit(processor)
    processor.pullNextJob()
    commit(processor)
    second = processor.processJob('echo', 2, unique=Unique('key', until))
    assert (second != first) is free
    commit(processor)
    processor.completeJob(first)
    commit(processor)
    if not free:
        assert processor.processJob('echo', 3, unique=Unique('key', until)) != first
    counted(processor)


def test_a_job_that_has_committed_its_end_holds_no_key_though_its_worker_goes_on(place, processor):
    """The worker gives the key back with its next bookkeeping, which may be long after."""
    processor.addJob('note', Note())
    first = processor.processJob('note', 1, unique='key')
    running = processor.processJob('note', 2)
    commit(processor)
    loop = Loop(place.db, inside, 'loop')
    tasks, _ = loop.book(time.time(), 2)
    loop.act(tasks[0])
    abort(processor)
    assert processor.getJobStatus(first) == 'completed' and processor.getJobStatus(running) == 'processing'
    second = processor.processJob('echo', 3, unique='key')
    commit(processor)
    assert second != first
    loop.act(tasks[1])
    loop.book(time.time(), 1)
    abort(processor)
    assert processor.processJob('echo', 4, unique='key') == second
    loop.close()
    abort(processor)
    processor.processJobs()
    assert counted(processor) == {'completed': 3}


@pytest.mark.parametrize('until', ['start', 'finish'])
@pytest.mark.parametrize('taken', [True, False])
def test_a_cancelled_job_gives_its_key_back(processor, until, taken):
    first = processor.processJob('echo', 1, unique=Unique('key', until))
    commit(processor)
    if taken:
        processor.store.pause('default')
        runAll(processor)
        processor.store.resume('default')
    assert processor.cancelJob(first)
    commit(processor)
    second = processor.processJob('echo', 2, unique=Unique('key', until))
    commit(processor)
    assert second != first and runAll(processor) == [second]


@pytest.mark.parametrize('name', ['error', 'fatal', 'echo'])
def test_a_finished_job_gives_its_key_back(processor, name):
    first = processor.processJob(name, 1, unique='key')
    commit(processor)
    runAll(processor)
    assert processor.processJob(name, 1, unique='key') != first


def test_a_key_lasts_for_its_period(processor):
    processor.processJob('echo', 1, unique=Unique('key', period=3600))
    commit(processor)
    runAll(processor)
    again = processor.processJob('echo', 1, unique=Unique('key', period=3600))
    assert processor.getJobStatus(again) == 'completed'


def test_a_savepoint_takes_a_key_back(processor):
    processor.processJob('echo')
    commit(processor)
    savepoint = processor._p_jar.transaction_manager.savepoint()
    processor.processJob('echo', 1, unique='key')
    savepoint.rollback()
    jobid = processor.processJob('echo', 2, unique='key')
    commit(processor)
    assert processor.getJobStatus(jobid) == 'queued'


def test_a_key_is_free_again_within_the_transaction_that_ran_its_job(processor):
    first = processor.processJob('echo', 1, unique='key')
    assert processor.processJobs() == 1
    second = processor.processJob('echo', 2, unique='key')
    assert second != first and processor.processJobs() == 1
