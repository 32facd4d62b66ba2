# SPDX-License-Identifier: ZPL-2.1
"""Unique keys on every storage: one job at a time holds one, by its rule, and gives it back however
it ends."""
import threading
import time

import pytest

from p01.remote import App, verbs
from p01.remote.engine.loop import Loop
from p01.remote.front.home import Home
from p01.remote.options import Unique
from p01.remote.verbs import registers
from p01.remote.views import listing
from tests.conftest import NAME, abort, commit, counted, inLines, inside, runAll
from tests.contract.test_transactions import Note

application = App('memory:')


@pytest.mark.parametrize('rule', ['key', Unique('key'), Unique('key', 'start'),
                                  Unique('key', period=3600)])
def test_a_key_has_one_job(processor, rule):
    first = processor.processJob('echo', 1, unique=rule)
    assert processor.processJob('echo', 2, unique=rule) == first
    commit(processor)
    processor.processJob('echo', 3)
    verbs.pause(processor.store, 'default')
    runAll(processor)
    assert processor.processJob('echo', 4, unique=rule) == first
    assert processor.processJob('echo', 5, unique='another') != first
    commit(processor)
    assert counted(processor) == {'queued': 3}


def test_a_key_that_no_worker_has_seen_gives_its_holder(place, processor):
    """From the first commit on, in every connection and process."""
    first = processor.processJob('echo', 1, unique='key')
    commit(processor)
    others = [inside(place.connect(place.openAgain())) for _ in range(3)]
    for each in others:
        assert each.processJob('echo', 2, unique='key') == first
        own = each.processJob('echo', 2, unique=f'own {id(each)}')
        assert each.processJob('echo', 2, unique=f'own {id(each)}') == own != first
        commit(each)
    abort(processor)
    assert processor.processJob('echo', 3, unique='key') == first
    assert sorted(listing.ids(processor.store)) == sorted(inLines(processor.store))
    assert counted(processor) == {'queued': 4}
    runAll(processor)
    assert processor.processJob('echo', 3, unique='key') != first


def test_an_aborted_job_holds_no_key(place, processor):
    processor.processJob('echo', 1, unique='key')
    abort(processor)
    other = inside(place.connect(place.openAgain()))
    second = other.processJob('echo', 2, unique='key')
    commit(other)
    abort(processor)
    assert processor.processJob('echo', 3, unique='key') == second


def test_two_that_enqueue_a_key_at_once_both_commit_and_the_worker_settles_it(place, processor):
    application.database, application.name = place.db, NAME
    application.home = Home(NAME, '')
    try:
        other = inside(place.connect())
        ids = [each.processJob('echo', number, unique='key')
               for number, each in enumerate((processor, other))]
        commit(processor)
        commit(other)
        abort(processor)
        assert ids[0] != ids[1] and processor.processJob('echo', 3, unique='key') == min(ids)
        assert application.drain() == 1
        abort(processor)
        kept, = (jobid for jobid in ids if processor.getJobStatus(jobid) == 'completed')
        gone, = set(ids) - {kept}
        assert processor.getJobStatus(gone) == 'cancelled' \
            and f'uplicate of job {kept}' in processor.getJobError(gone)
        assert application.handle(gone).result(0) == application.handle(kept).result(0)
        assert counted(processor) == {'completed': 1, 'cancelled': 1}
    finally:
        application.close()
        application.database, application.home = 'memory:', Home(None, '')


def test_unique_keys_never_make_anybody_conflict(place, processor):
    """Each with connections of their own, with the same keys and others, without a worker and
    beside one."""
    failed, ids = [], []

    def enqueue(who):
        mine = inside(place.connect())
        try:
            for number in range(40):
                mine._p_jar.transaction_manager.begin()
                ids.append((number, mine.processJob('echo', number, unique=f'key {number}')))
                mine.processJob('echo', number, unique=f'key {who} {number}')
                commit(mine)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=enqueue, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    abort(processor)
    assert failed == [] and len(processor.store.registers) == 4
    runAll(processor)
    commit(processor)
    done = {number for number, jobid in ids if processor.getJobStatus(jobid) == 'completed'}
    assert done == set(range(40))
    assert counted(processor)['completed'] == 40 + 4 * 40


def test_registers_stay_small_and_go(processor):
    for number in range(3 * registers.SWEEPEVERY):
        processor.processJob('echo', number, unique=f'key {number}')
        processor.processJobs()
        commit(processor)
    register, = processor.store.registers.values()
    assert len(register) <= registers.SWEEPEVERY + 1
    registers.tidy(processor.store, time.time())
    assert len(processor.store.registers) == 1          # its connection may be about to use it
    registers.tidy(processor.store, time.time() + registers.SECONDSKEPT + 1)
    commit(processor)
    assert len(processor.store.registers) == 0
    first = processor.processJob('echo', 1, unique='key')
    commit(processor)
    assert len(processor.store.registers) == 1 \
        and processor.processJob('echo', 1, unique='key') == first
    registers.tidy(processor.store, time.time() + registers.SECONDSKEPT + 1)
    assert len(processor.store.registers) == 1          # nobody has taken it in


@pytest.mark.parametrize('taken', [False, True])
def test_a_failed_job_is_not_run_again_beside_another_that_holds_its_key(place, processor, taken):
    first = processor.processJob('error', 1, unique='key')
    commit(processor)
    for _ in range(4):
        runAll(processor)
    assert processor.getJobStatus(first) == 'error'
    commit(processor)
    other = inside(place.connect())
    other._p_jar.transaction_manager.begin()
    second = other.processJob('echo', 2, unique='key')
    commit(other)
    abort(processor)
    if taken:
        verbs.pause(processor.store, 'default')
        runAll(processor)
        verbs.resume(processor.store, 'default')
    assert processor.retryJob(first) is False
    runAll(processor)
    assert processor.getJobStatus(second) == 'completed'
    assert processor.retryJob(first) is True
    assert processor.processJob('echo', 3, unique='key') == first
    counted(processor)


def test_the_id_given_is_never_of_a_removed_job(processor):
    rule = Unique('key', period=3600)
    first = processor.processJob('echo', 1, unique=rule)
    runAll(processor)
    assert processor.processJob('echo', 1, unique=rule) == first
    processor.removeJobs()
    second = processor.processJob('echo', 1, unique=rule)
    assert second != first and processor.getJobStatus(second) == 'queued'


@pytest.mark.parametrize('taken', [False, True])
def test_a_job_that_is_cancelled_before_it_ran_has_not_used_its_period(processor, taken):
    rule = Unique('key', period=3600)
    first = processor.processJob('echo', 1, unique=rule)
    commit(processor)
    if taken:
        verbs.pause(processor.store, 'default')
        runAll(processor)
        verbs.resume(processor.store, 'default')
    assert processor.cancelJob(first)
    assert processor.processJob('echo', 1, unique=rule) != first


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
    assert processor.getJobStatus(first) == 'completed' \
        and processor.getJobStatus(running) == 'processing'
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
        verbs.pause(processor.store, 'default')
        runAll(processor)
        verbs.resume(processor.store, 'default')
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
