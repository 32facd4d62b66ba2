# SPDX-License-Identifier: ZPL-2.1
"""What people want of workers: to claim no more, to end, to say where they stand."""
import time

import pytest

from p01.remote.engine import orders, progress
from p01.remote.store.seats import Order
from p01.remote.testing import waitFor
from p01.remote.verbs.requests import (
    QUIET,
    STACKS,
    STOP,
    WATCH,
    heard,
    lastOf,
    order,
    reply,
    revoke,
    watch,
)
from tests.acceptance import tasks
from tests.race.stage import session

WANTED = Order('roy', 100.0)


def seatOf(processor, loop):
    return processor.store.seats[loop.name]


def want(stage, loop, word, verb=order):
    stage.do(lambda processor: verb(seatOf(processor, loop), word, WANTED) if verb is order
             else verb(seatOf(processor, loop), word))


def test_a_quiet_one_goes_on_with_what_it_has_and_claims_no_more(stage):
    loop, other = stage.loop(), stage.loop('other')
    loop.batch.average = 0.001
    first = stage.enqueue('effect', 1, 2, 3)
    tasks.interlude.append(lambda: want(stage, loop, QUIET))
    loop.poll(time.time())
    others = stage.enqueue('effect', 4, 5)
    assert stage.claim(loop, 10) == []
    assert stage.effects == {1: 1, 2: 1, 3: 1} and set(stage.stati(first)) == {'completed'}
    assert [task.id for task in stage.claim(other, 10)] == others
    stage.rescue(other, ())
    want(stage, loop, QUIET, revoke)
    assert [task.id for task in stage.claim(loop, 10)] == others
    stage.check()


def test_one_that_is_to_end_gives_back_what_it_has_not_begun(stage):
    loop = stage.loop()
    loop.batch.average = 0.001
    jobids = stage.enqueue('effect', 1, 2, 3)
    tasks.interlude.append(lambda: (want(stage, loop, STOP),
                                    orders.hear(stage.app.db, stage.app.locate, [loop])))
    loop.poll(time.time())
    assert loop.stopping.is_set() and loop.dismissed
    stage.leave(loop)
    assert (stage.effects, stage.stati(jobids)) == ({1: 1}, ['completed', 'queued', 'queued'])
    stage.check()


def test_one_that_waits_ends_at_its_next_look(stage):
    loop = stage.loop()
    stage.claim(loop)
    want(stage, loop, STOP)
    loop.work()
    assert loop.stopping.is_set()


def test_workers_of_a_processs_own_threads_end_for_good(shared):
    shared.do(lambda processor: processor.startProcessing())
    seats = waitFor(lambda: shared.do(lambda processor: list(processor.store.seats)), 30)
    assert shared.do(lambda processor: processor.isProcessing)
    shared.do(lambda processor: [order(processor.store.seats[name], STOP, WANTED)
                                 for name in seats] and None)
    waitFor(lambda: not shared.do(lambda processor: processor.isProcessing), 30)
    assert shared.do(lambda processor: list(processor.store.seats)) == []


@pytest.mark.parametrize('word', [QUIET, STOP])
def test_an_order_meets_a_bookkeeping_and_one_of_both_is_repeated(stage, word):
    loop = stage.loop()
    stage.claim(loop)
    stage.enqueue('effect', 1)
    with session(stage) as (processor, manager):
        order(seatOf(processor, loop), word, WANTED)
        stage.claim(loop)
        with pytest.raises(Exception, match='conflict'):
            manager.commit()
    want(stage, loop, word)
    want(stage, loop, word)                 # the first one counts
    assert stage.do(lambda processor: dict(seatOf(processor, loop).orders)) == {word: WANTED}


def answered(stage, loop, last):
    """What a worker has answered since its last answer was that one."""
    return stage.do(lambda processor: heard(seatOf(processor, loop), last))


def test_an_answer_is_to_an_order(stage):
    loop = stage.loop()
    stage.claim(loop)
    stage.do(lambda processor: reply(seatOf(processor, loop), 'nobody asked'))
    assert stage.do(lambda processor: lastOf(seatOf(processor, loop))) is None
    want(stage, loop, STACKS)
    assert answered(stage, loop, None) is None
    stage.claim(loop)
    text = waitFor(lambda: answered(stage, loop, None), 30)
    assert 'Thread MainThread' in text and 'test_an_answer_is_to_an_order' in text
    assert stage.do(lambda processor: dict(seatOf(processor, loop).orders)) == {}


def test_all_who_ask_hear_the_next_answer_and_none_before(stage):
    """Whoever ordered it, and when by whose clock."""
    loop = stage.loop()
    stage.claim(loop)
    want(stage, loop, STACKS)
    stage.do(lambda processor: reply(seatOf(processor, loop), 'one'))
    assert [answered(stage, loop, None) for _ in range(2)] == ['one', 'one']
    last = stage.do(lambda processor: lastOf(seatOf(processor, loop)))
    assert answered(stage, loop, last) is None
    stage.do(lambda processor: order(seatOf(processor, loop), STACKS, Order('bob', 50.0)))
    want(stage, loop, STACKS)
    stage.do(lambda processor: reply(seatOf(processor, loop), 'two'))
    assert answered(stage, loop, last) == answered(stage, loop, None) == 'two'


def test_a_watch_ends_when_nobody_asks_any_more(stage, monkeypatch):
    """By when it was seen here: the clocks of two hosts differ."""
    loop = stage.loop()
    stage.claim(loop)

    def kept():
        stage.claim(loop)
        return WATCH in stage.do(lambda processor: seatOf(processor, loop).orders)
    for when in (1.0, 1e12):
        stage.do(lambda processor, when=when: watch(seatOf(processor, loop), Order('roy', when)))
        assert kept() and kept()
    monkeypatch.setattr(orders, 'WATCHLASTS', -1.0)
    waitFor(lambda: not kept(), 30)


def test_what_is_shown_is_of_claimed_jobs_and_written_when_it_changes(stage):
    loop = stage.loop()
    [jobid] = stage.enqueue('effect', 1)
    stage.claim(loop)
    area, other = (progress.areaFor(stage.app.db, each) for each in (jobid, 999))
    other.tell(1, 2, 'not ours')
    serials = []
    for number in (1, 1, 2):
        area.tell(number, 4, 'row')
        orders.publish(loop)
        shown, serial = stage.do(lambda processor: (seatOf(processor, loop).show.said,
                                                    seatOf(processor, loop).show._p_serial))
        assert {key: each[0] for key, each in shown.items()} == {jobid: (number, 4, 'row')}
        serials.append(serial)
    assert serials[0] == serials[1] < serials[2]
    for each in (area, other):
        each.close()
