# SPDX-License-Identifier: ZPL-2.1
"""Clocks that are wrong, jump, or stand still: nobody dies of that, no job is blamed, queues and
schedules go on in order."""
import time

import pytest

from p01.remote import scheduler
from p01.remote.engine import death, presence
from p01.remote.ground import blackbox
from p01.remote.options import DEATHS
from p01.remote.store.seats import Seat
from tests.race.test_rescue import boxes, deaths, look, seated

HOUR = 3600.0


def test_a_live_worker_of_this_host_outlives_any_step_of_the_clock(shared, tmp_path):
    """A laptop that sleeps, three times or more: its box is locked, and the clock of its signs of
    life stood still, too."""
    [jobid] = shared.enqueue('effect', 1)
    box = presence.Box(boxes(shared, tmp_path))
    seated(shared, 1, box=str(box.path))
    for sleeps in range(1, 5):
        assert look(shared, time.time() + sleeps * HOUR) == []
    assert look(shared, time.time() - HOUR) == []
    assert (shared.stati([jobid]), deaths(shared, jobid)) == (['processing'], 0)
    box.close()


def test_a_living_worker_elsewhere_is_silent_only_when_its_seat_stands_still(shared):
    """Its clock may be an hour behind, or ours may jump ahead: what it writes changes all the
    same."""
    shared.enqueue('effect', 1)
    seated(shared, 1, host='elsewhere/1', lease=60.0, beat=time.time() - HOUR)
    seat = shared.do(lambda processor: processor.store.seats['stranger'])
    silence = death.Silence()
    assert not silence.lasts(seat, 0.0)
    assert not silence.lasts(seat, 29.0)
    seat = Seat('stranger', 'elsewhere/1', 1, 'another', '-', 60.0, time.time() - HOUR + 15)
    assert not silence.lasts(seat, 31.0)
    assert not silence.lasts(seat, 60.0)
    assert silence.lasts(seat, 61.0)


def test_a_worker_elsewhere_that_was_told_to_stop_takes_no_job_with_it(shared):
    """systemd's second step, or the end of its whole host: all that others see is its seat."""
    [jobid] = shared.enqueue('effect', 1)
    seated(shared, 1, host='elsewhere/1', beat=time.time() - HOUR)

    def tell(processor):
        processor.store.seats['stranger'].told = True
    shared.do(tell)
    assert look(shared, time.time()) == ['stranger']
    assert (shared.stati([jobid]), deaths(shared, jobid),
            shared.view(jobid).runs) == (['queued'], 0, 0)


@pytest.mark.parametrize('left', [True, False], ids=['its box is left', 'its box is gone'])
def test_the_end_of_a_host_is_no_jobs_fault(shared, tmp_path, left):
    """Boot ids tell; with its box gone, as from a folder for temporary files, that it was written
    before this boot."""
    [jobid] = shared.enqueue('effect', 1)
    name = blackbox.HOST.partition('/')[0]
    for _ in range(DEATHS + 1):
        box = presence.Box(boxes(shared, tmp_path))
        box.write(box.take(), jobid, 0.0)
        seated(shared, 1, host=f'{name}/before', box=str(box.path),
               beat=death.blackbox.booted() - 100)
        if left:
            box.leave()
        else:
            box.close()
        assert look(shared, time.time()) == ['stranger']
        assert (shared.stati([jobid]), deaths(shared, jobid),
                shared.view(jobid).runs) == (['queued'], 0, 0)


def test_jobs_enqueued_by_a_clock_that_was_ahead_keep_their_order(stage, monkeypatch):
    """E7a: one is enqueued an hour ahead, then the clock is put right; the same connection, and
    others, go on."""
    real = time.time

    def enqueue(processor, *numbers):
        return [processor.processJob('tests.acceptance.tasks.pure', number) for number in numbers]

    with stage.app.transaction():
        mine = stage.app.processor
        monkeypatch.setattr(time, 'time', lambda: real() + HOUR)
        ids = enqueue(mine, 1)
        monkeypatch.setattr(time, 'time', real)
        ids += enqueue(mine, 2, 3)
    ids += stage.do(lambda processor: enqueue(processor, 4, 5))
    loop = stage.loop()
    assert [task.id for task in stage.claim(loop, 10)] == ids
    assert set(stage.stati(ids)) == {'queued'}      # none has begun
    stage.check()


def test_schedules_reckoned_by_a_clock_that_was_ahead_are_reckoned_anew(stage):
    from p01.remote.engine import ticker
    key = stage.do(
        lambda processor: processor.addScheduler(scheduler.Delay('tests.acceptance.tasks.pure',
                                                                 60.0, input=1)))
    now = time.time()
    # a worker an hour ahead fires it
    stage.do(lambda processor: ticker.tick(processor, now + HOUR))
    stage.do(lambda processor: ticker.tick(processor, now))
    due = stage.do(lambda processor: processor.scheduler[key].due)
    assert now < due <= now + 61
