# SPDX-License-Identifier: ZPL-2.1
"""What becomes of due ticks, on every storage: those that were missed, those beside a job that
still runs, a clock that jumps, and that each has one job."""
import time

import pytest

from p01.remote import instants, verbs
from p01.remote.clock.schedule import Schedule
from p01.remote.clock.settings import settled
from p01.remote.engine import firing, scheduling, ticker
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import InputError, UnknownSchedule
from p01.remote.ground import clocks
from p01.remote.scheduler import Delay
from p01.remote.storage.places import traverse
from p01.remote.views import listing
from tests.conftest import NAME, START, abort, commit

DAY = 86400.0
TEN = 3653 * DAY
MINUTE = START - START % 60


@pytest.fixture
def clock(place, processor):
    """Fires schedules as one worker does, at the instants that it is told, and runs no job."""
    return Clock(place, processor)


class Clock:
    def __init__(self, place, processor):
        self.place = place
        self.processor = processor
        self.ticker = ticker.Ticker()
        self.last, self.waiting = 0, []

    def add(self, name='item', cron=None, /, at=MINUTE, **given):
        item = Schedule({'job': 'echo', 'queue': 'default', **settled(cron, given)})
        self.processor.scheduler.add(item, at, name)
        firing.reckoned(self.processor.scheduler, item, at)
        commit(self.processor)
        return item

    def at(self, now):
        """The ticks whose jobs are enqueued at an instant."""
        look = self.ticker.look(self.processor, now)

        def do(work):
            done = work(self.processor)
            commit(self.processor)
            return done
        self.ticker.fire(look, now, do)
        return self.new()

    def new(self):
        """The ticks of jobs that are new."""
        new = [jobid for jobid in listing.ids(self.processor.store) if jobid > self.last]
        self.waiting += new
        self.last = max(new, default=self.last)
        return [self.processor.store.entry(jobid)[1].extras['tick'] for jobid in new]

    def jobs(self):
        return [(jobid, self.processor.store.entry(jobid)[1].extras['tick'])
                for jobid in listing.ids(self.processor.store)]

    def run(self):
        """Have all jobs done."""
        for jobid in self.waiting:
            verbs.cancel(self.processor.store, jobid, time.time())
        self.waiting = []
        commit(self.processor)

    def standing(self, name='item'):
        return self.processor.scheduler[name]


# -- ticks that were missed

@pytest.mark.parametrize('missed, expected, lost', [
    ('one', [10], 9), ('all', list(range(1, 11)), 0), (3, [8, 9, 10],
                                                       7), ('none', [10], 9), (1, [10], 9)])
def test_after_a_stop(clock, missed, expected, lost):
    item = clock.add(every='1m', missed=missed)
    assert clock.at(MINUTE + 630) == [MINUTE + 60 * each for each in expected]
    assert (item.passed, item.fired) == (lost, len(expected))
    assert item.tick == item.due == MINUTE + 660
    clock.run()
    assert clock.at(MINUTE + 659) == []
    assert clock.at(MINUTE + 660) == [MINUTE + 660]


def test_more_than_are_counted_are_told_as_so_many_at_least(clock):
    item = clock.add(every='1s', at=0.0)
    clock.at(998.0)
    assert (item.passed, item.history[0][3]) == (997, '997 missed')
    clock.run()
    clock.at(5000.0)
    assert (item.passed, item.history[-2][3]) == (997 + 999, 'at least 999 missed')


def test_none_lets_go_what_is_late(clock):
    item = clock.add('item', '0 8 * * *', missed='none')
    first = item.due
    assert clock.at(first + firing.TOOLATE + 1) == []
    assert (item.passed, item.fired, item.history[-1][3]) == (1, 0, '1 missed')
    assert clock.at(first + DAY + 1) == [first + DAY]


def test_all_is_bounded(clock):
    item = clock.add(every='1s', missed='all')
    assert clock.at(MINUTE + 5000) == [MINUTE + each for each in range(4901, 5001)]
    assert item.passed == 900           # counted up to a thousand
    assert len(item.history) == firing.HISTORY


# -- overlap

def test_one_waiting_or_running_job_at_a_time(clock):
    item = clock.add(every='1m')
    assert clock.at(MINUTE + 60) == [MINUTE + 60]
    assert clock.at(MINUTE + 120) == []
    assert (item.skipped, item.history[-1][:3]) == (1, (MINUTE + 120, MINUTE + 120, 0))
    assert 'is queued' in item.history[-1][3]
    clock.run()
    assert clock.at(MINUTE + 180) == [MINUTE + 180]


def test_one_beside_its_times_hides_none_that_runs(clock, monkeypatch):
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE + 61)
    clock.add(every='1m')
    clock.at(MINUTE + 60)
    [scheduled] = clock.waiting
    byhand = scheduling.runNow(clock.processor, 'item')
    verbs.cancel(clock.processor.store, byhand, time.time())
    clock.new()
    assert clock.at(MINUTE + 120) == []         # the first one still waits
    verbs.cancel(clock.processor.store, scheduled, time.time())
    assert clock.at(MINUTE + 180) == [MINUTE + 180]


def test_a_queue_of_them(clock):
    clock.add(every='1m', overlap='queue')
    assert [clock.at(MINUTE + 60 * each)
            for each in (1, 2, 3)] == [[MINUTE + 60 * each] for each in (1, 2, 3)]


def test_the_one_that_waits_is_cancelled(clock):
    clock.add(every='1m', overlap='cancel')
    clock.at(MINUTE + 60)
    assert clock.at(MINUTE + 120) == [MINUTE + 120]
    first, second = (jobid for jobid, _ in clock.jobs())
    assert [clock.processor.getJobStatus(each)
            for each in (first, second)] == ['cancelled', 'queued']


# -- a clock that jumps

@pytest.mark.parametrize('jump', [DAY, -DAY, TEN, -TEN, 3 * 3600.0 + 7])
@pytest.mark.parametrize('steps', [4])
def test_no_tick_has_two_jobs_and_no_schedule_is_lost(clock, jump, steps):
    """It goes right, jumps and stays there for so many steps, and is right again."""
    lines = {'steady': '*/10 * * * *', 'daily': '0 8 * * *', 'hourly': '@hourly',
             'quick': '*/10 * * * * *'}
    items = [clock.add(name, line)
             for name, line in lines.items()] + [clock.add('pause', delay='1m')]
    now, fired = MINUTE, []

    def go(count, by=0.0):
        nonlocal now
        for _ in range(count):
            now += 600
            clock.at(now + by)
            fired.extend((record.extras['schedule'], record.extras['tick'])
                         for jobid in clock.waiting
                         for record in [clock.processor.store.entry(jobid)[1]])
            clock.run()

    go(10)
    go(steps, jump)
    go(160)
    found = [tick for name, tick in fired if name == 'steady']
    expected = {MINUTE - MINUTE % 600 + 600 * each for each in range(14 + steps, 160)}
    # rhythm goes on, and each tick that passed had its job
    assert expected <= set(found)
    assert all(now < item.due <= now + DAY for item in items)
    named = [each for each in fired if each[0] != 'pause']
    assert len(named) == len(set(named))


def test_what_a_wrong_clock_has_ended_goes_on(clock):
    item = clock.add(every='1m', end=MINUTE + DAY)
    clock.at(MINUTE + 60)
    clock.run()
    clock.at(MINUTE + TEN)
    clock.run()
    assert item.due is None
    assert clock.at(MINUTE + 120) == []         # reckoned anew
    assert clock.at(MINUTE + 180) == [MINUTE + 180]


def test_what_a_wrong_clock_has_added_is_fired(clock):
    clock.add(every='1m', at=MINUTE + TEN)
    clock.at(MINUTE)
    assert clock.at(MINUTE + 60) == [MINUTE + 60]


def test_a_host_without_zones_loses_nothing_of_a_wrong_clock(clock, monkeypatch):
    clock.add('item', '* * * * *', tz='Europe/Zurich', at=MINUTE + TEN)

    def missing(name):
        raise LookupError(name)

    monkeypatch.setattr(instants, 'ZoneInfo', missing)
    assert clock.at(MINUTE) == []
    monkeypatch.undo()
    assert clock.at(MINUTE + ticker.LOOKAGAIN) == []        # reckoned anew
    assert clock.at(MINUTE + 60) == [MINUTE + 60]
    assert sum(len(part.entries) for part in clock.processor.scheduler.parts) == 1


def test_the_newest_of_the_history_is_the_job(clock):
    item = clock.add(every='1m')
    clock.at(MINUTE + 630)
    assert [each[3] for each in item.history] == ['9 missed', '']


# -- what people do

def test_paused_until(clock, monkeypatch):
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE)
    item = clock.add(every='1m')
    scheduling.pause(clock.processor, 'item', MINUTE + 200)
    assert [clock.at(MINUTE + each) for each in (60, 120, 180)] == [[], [], []]
    # what passed meanwhile is not made up for
    assert clock.at(MINUTE + 200) == [] and item.active
    assert clock.at(MINUTE + 239) == []
    assert clock.at(MINUTE + 240) == [MINUTE + 240]
    assert item.passed == 0
    with pytest.raises(InputError, match='until lies in the past'):
        scheduling.pause(clock.processor, 'item', MINUTE - 1)


def test_paused_and_resumed(clock, monkeypatch):
    clock.add(every='1m')
    scheduling.pause(clock.processor, 'item', None)
    assert clock.at(MINUTE + 600) == []
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE + 610)
    assert scheduling.resume(clock.processor, 'item') \
        and not scheduling.resume(clock.processor, 'item')
    assert clock.at(MINUTE + 630) == []
    assert clock.at(MINUTE + 660) == [MINUTE + 660]


def test_the_next_ones_skipped(clock):
    item = clock.add(every='1m')
    scheduling.skip(clock.processor, 'item', 2)
    assert [clock.at(MINUTE + 60 * each) for each in (1, 2, 3)] == [[], [], [MINUTE + 180]]
    assert item.skips == 0 \
        and [each[3] for each in item.history] == [firing.UNWANTED, firing.UNWANTED, '']


def test_run_by_hand_beside_its_times(clock, monkeypatch):
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE + 30)
    item = clock.add(every='1m', overlap='queue')
    jobid = scheduling.runNow(clock.processor, 'item')
    assert clock.processor.store.entry(jobid)[1].extras == {'tick': MINUTE + 30, 'schedule': 'item'}
    assert (item.due, clock.new()) == (MINUTE + 60, [MINUTE + 30])
    assert clock.at(MINUTE + 60) == [MINUTE + 60]


def test_a_backfill_once(clock, monkeypatch):
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE + 605)
    item = clock.add(every='1m')
    clock.at(MINUTE + 60)
    clock.run()
    clock.at(MINUTE + 300)
    expected = [MINUTE + 60 * each for each in (2, 3, 4, 6, 7, 8, 9)]
    assert scheduling.span(clock.processor, 'item', MINUTE + 60, MINUTE + 600) == expected
    assert [tick
            for tick, _ in scheduling.backfill(clock.processor, 'item', MINUTE + 60,
                                               MINUTE + 600)] == expected
    assert scheduling.backfill(clock.processor, 'item', MINUTE + 60, MINUTE + 600) == []
    assert clock.new() == expected
    clock.run()
    # nothing to come
    assert scheduling.span(clock.processor, 'item', MINUTE, MINUTE + DAY) == [MINUTE, MINUTE + 600]
    assert clock.at(MINUTE + 600) == [MINUTE + 600]     # what was due meanwhile is done
    assert item.tick == MINUTE + 660
    with pytest.raises(InputError, match='span must end after it begins'):
        scheduling.span(clock.processor, 'item', MINUTE, MINUTE)
    with pytest.raises(UnknownSchedule, match="did you mean 'item'"):
        scheduling.span(clock.processor, 'itm', MINUTE, MINUTE + 1)
    clock.processor.addScheduler(Delay('echo'))
    with pytest.raises(InputError, match='has no ticks of its own'):
        scheduling.span(clock.processor, 'echo', MINUTE, MINUTE + 1)


def test_a_change_that_leaves_the_ticks_as_they_are_forgets_none(clock, monkeypatch):
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE + 61)
    clock.add(every='1m')
    clock.at(MINUTE + 60)
    scheduling.change(clock.processor, 'item', {'jitter': 5.0, 'end': MINUTE + DAY})
    assert scheduling.span(clock.processor, 'item', MINUTE + 1, MINUTE + 61) == []
    scheduling.change(clock.processor, 'item', {'every': 30.0})
    assert scheduling.span(clock.processor, 'item', MINUTE + 1,
                           MINUTE + 61) == [MINUTE + 30, MINUTE + 60]


def test_a_tick_that_a_backfill_has_enqueued_is_not_fired(clock, monkeypatch):
    monkeypatch.setattr(clocks, 'now', lambda: MINUTE + 61)
    clock.add(every='1m')
    scheduling.backfill(clock.processor, 'item', MINUTE, MINUTE + 61)
    assert clock.new() == [MINUTE, MINUTE + 60]
    clock.run()
    assert clock.at(MINUTE + 62) == []
    assert clock.at(MINUTE + 120) == [MINUTE + 120]


def test_jitter_is_the_same_for_all(clock):
    items = [clock.add(f'item {number}', every='1m', jitter='50s') for number in range(50)]
    late = [item.due - item.tick for item in items]
    assert all(0 <= each < 50 for each in late) and len(set(late)) > 40
    assert [item.dueOf(item.tick) for item in items] == [item.due for item in items]
    fired = [tick for second in range(60, 111) for tick in clock.at(MINUTE + second)]
    assert fired == [MINUTE + 60] * 50
    assert {item.tick for item in items} == {MINUTE + 120}


# -- many workers

@pytest.fixture
def loops(place, processor):
    found = []

    def make(name):
        found.append(Loop(place.openAgain(), lambda connection: traverse(connection, [NAME]), name))
        found[-1].ready()
        found[-1].stopping.set()        # it claims nothing
        found[-1].book(MINUTE, 0)
        return found[-1]
    yield make
    for loop in found:
        loop.close()


def test_each_worker_has_its_part_first_and_anothers_when_that_one_does_not_come(clock, loops,
                                                                                 processor):
    for number in range(100):
        clock.add(f'item {number}', every='1m')
    left, right = loops('left'), loops('right')
    abort(processor)
    looks = [loop.booking.ticker.look(processor, MINUTE + 60) for loop in (left, right)]
    keys = [{key for _, key in look.ready} for look in looks]
    assert not keys[0] & keys[1] and len(keys[0] | keys[1]) == 100
    assert min(look.coming for look in looks) == MINUTE + 60 + ticker.STAGGER
    looks = [loop.booking.ticker.look(processor, MINUTE + 60 + ticker.STAGGER)
             for loop in (left, right)]
    assert [len(look.ready) for look in looks] == [100, 100]


def test_two_who_fire_the_same_leave_one_job_for_each(clock, loops, processor):
    for number in range(250):
        clock.add(f'item {number}', every='1m')
    left, right = loops('left'), loops('right')
    look = ticker.Ticker().look(processor, MINUTE + 60)
    count = left.booking.ticker.fire(look, MINUTE + 60, left.booking.change)
    # as one does whose look was too old
    count += right.booking.ticker.fire(look, MINUTE + 60, right.booking.change)
    abort(processor)
    assert count == len(clock.jobs()) == 250
    assert {item.due for item in processor.scheduler.values()} == {MINUTE + 120}


def test_a_job_is_claimed_as_it_is_fired(clock, loops, processor):
    """There is one commit between a tick and its job."""
    clock.add(every='1m')
    loop, commits = loops('only'), []
    loop.stopping.clear()
    before = loop.session.commit
    loop.session.commit = lambda: (commits.append(1), before())
    tasks, _ = loop.book(MINUTE + 60, 10)
    loop.stopping.set()
    assert ([task.record.extras['tick'] for task in tasks], len(commits)) == ([MINUTE + 60], 1)
    abort(processor)
    [seat] = processor.store.seats.values()
    assert list(seat.claims) == [task.id for task in tasks] and seat.round == 1


def test_one_that_fires_what_another_has_fired_claims_nothing_twice(clock, loops, processor):
    for number in range(20):
        clock.add(f'item {number}', every='1m')
    left, right = loops('left'), loops('right')
    for loop in (left, right):
        loop.stopping.clear()
    book = right.booking.book

    def late(*args):            # the other one is quicker, between our look and our firing
        booked = book(*args)
        first.extend(left.book(MINUTE + 61, 100)[0])
        return booked

    first, right.booking.book = [], late
    second = right.book(MINUTE + 61, 100)[0]
    for loop in (left, right):
        loop.stopping.set()
    ids = [task.id for task in [*first, *second]]
    abort(processor)
    assert len(set(ids)) == len(ids) == len(clock.jobs()) == 20


def test_a_burst_is_shared(clock, loops, processor):
    """A worker that comes late to a long row begins where the one before it does not come soon."""
    for number in range(1200):
        item = Schedule({'job': 'echo', 'queue': 'default', 'every': 60.0})
        processor.scheduler.add(item, MINUTE, f'item {number:04}')
    commit(processor)
    left, right = loops('left'), loops('right')
    abort(processor)
    for part in processor.scheduler.parts:
        part.latest = MINUTE + 60
    looks = [loop.booking.ticker.look(processor, MINUTE + 60) for loop in (left, right)]
    keys = [{key for _, key in look.ready} for look in looks]
    assert not keys[0] & keys[1]


def test_hints_mend_themselves(clock, processor):
    """Those of a schedule that is gone, moved, or was written without its container."""
    item = clock.add(every='1m')
    part = processor.scheduler.parts[ticker.partOf('item')]
    part.enter(MINUTE + 10, 'item')
    processor.scheduler.parts[ticker.partOf('gone')].enter(MINUTE + 10, 'gone')
    assert clock.at(MINUTE + 11) == []
    assert [pair for part in processor.scheduler.parts
            for pair in part.entries] == [(MINUTE + 60, 'item')]
    assert processor.scheduler.nextDue() == item.due
    processor.scheduler.remove('item')
    assert [list(part.entries) for part in processor.scheduler.parts] == [[]] * 4


def test_real_time_goes_by_unharmed(clock, processor):
    """By hand, as of now."""
    now = time.time()
    clock.add('now', every='1m', at=now - 120)
    assert processor.processJobs(now) == 1
    assert processor.processJobs(now) == 0


def test_those_with_nothing_else_to_do_stand_before_those_with_jobs(clock, loops, processor):
    left, right = loops('left'), loops('right')
    for number in range(40):
        processor.processJob('echo', number)
    commit(processor)
    left.stopping.clear()
    left.book(time.time(), 5)
    abort(processor)
    assert len(processor.store.seats[left.name].claims) == 5
    assert ticker.places(processor.store, right.name) == [0] * 4
    assert ticker.places(processor.store, left.name) == [1] * 4
    clock.add('item', every='1m')
    assert len(right.booking.ticker.look(processor, MINUTE + 60).ready) == 1
    assert left.booking.ticker.look(processor, MINUTE + 60).ready == []
    assert len(left.booking.ticker.look(processor, MINUTE + 60 + ticker.STAGGER).ready) == 1
