# SPDX-License-Identifier: ZPL-2.1
"""Workers who look at the same schedules, fire them in any order, with looks that are too old, and
die before or after any commit: each tick has one job."""
import random
from collections import Counter

import pytest

from p01.remote import verbs
from p01.remote.clock.schedule import Schedule
from p01.remote.clock.settings import settled
from p01.remote.engine import ticker
from p01.remote.engine.loop import Loop
from p01.remote.storage.places import traverse
from p01.remote.views import listing
from tests.conftest import NAME, START, commit, inside
from tests.race.party import enqueued, status

ITEMS, TICKS, KILLED = 20, 1_000, 0.1
MINUTE = START - START % 60


class Killed(MemoryError):
    """The process is gone: nothing is done any more."""


class Mortal:
    """A worker that dies in one of ten of its commits, before or after it."""

    def __init__(self, place, name, chance):
        self.loop = Loop(place.openAgain() if place.shared
                         else place.db, lambda connection: traverse(connection, [NAME]), name)
        self.loop.ready()
        self.commit, self.chance = self.loop.session.commit, chance
        self.loop.session.commit = self.mortally
        self.look, self.now = None, 0.0

    def mortally(self):
        fate = self.chance.random()
        if fate < KILLED / 2:
            raise Killed
        self.commit()
        if fate < KILLED:
            raise Killed

    def step(self, now):
        """Look, or fire what the last look has found."""
        if self.look is None:
            self.look, self.now = self.loop.booking.change(
                lambda processor: self.loop.booking.ticker.look(processor, now)), now
        else:
            look, self.look = self.look, None
            self.loop.booking.ticker.fire(look, self.now, self.loop.booking.change)

    def close(self):
        self.loop.session.commit = self.commit
        self.loop.close()


@pytest.mark.parametrize('workers', [2, 8])
def test_each_tick_has_one_job(place, processor, workers):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for number in range(ITEMS):
        item = Schedule({'job': 'echo', 'queue': 'default',
                         **settled(None, {'every': 60.0, 'missed': 'all',
                                          'jitter': 10.0 * (number % 4)})})
        processor.scheduler.add(item, MINUTE, f'item {number}')
    commit(processor)
    party = [Mortal(place, str(number), chance) for number in range(workers)]
    now, end, deaths = MINUTE, MINUTE + 60.0 * TICKS / ITEMS, 0
    while now < end + 60:
        now += chance.random() * 60
        for _ in range(workers * 2):
            at = chance.randrange(workers)
            try:
                party[at].step(now)
            except Killed:
                deaths += 1
                party[at].loop.free()
                party[at] = Mortal(place, f'{at} {deaths}', chance)
    for each in party:
        each.close()
    processor._p_jar.transaction_manager.begin()
    ticker.tick(processor, end + 70)        # what the last looks have left
    commit(processor)
    found = Counter()
    for jobid in listing.ids(processor.store):
        extras = processor.store.entry(jobid)[1].extras
        found[extras['schedule'], extras['tick']] += 1
    expected = {(f'item {number}', MINUTE + 60.0 * each) for number in range(ITEMS)
                for each in range(1, TICKS // ITEMS + 1)}
    assert deaths > 0 and set(found.values()) == {1}, (deaths, seed)
    assert {each for each in found if each[1] <= end} == expected, seed


@pytest.mark.parametrize('firesFirst', [True, False])
def test_ticks_meet_neither_settles_claims_nor_enqueuers(place, parties, enqueuer, firesFirst):
    worker, other = parties
    item = Schedule({'job': 'echo', 'queue': 'default', **settled('* * * * *', {})})
    enqueuer.scheduler.add(item, MINUTE, 'item')
    ids = enqueued(enqueuer, 3)
    [first, _, _] = worker.do(lambda store: worker.claim(store, 3))
    worker.complete(first)
    ours, _ = worker.begin(), other.begin()
    verbs.settle(ours, worker.seat(ours), {})
    verbs.claim(ours, worker.seat(ours), 3, MINUTE)
    enqueuer.processJob('echo', 'an application')
    assert ticker.tick(inside(other.connection), MINUTE + 60) == 1
    for party in (other, worker) if firesFirst else (worker, other):
        party.commit()
    commit(enqueuer)
    assert status(worker, ids[0]) == 'completed'
    assert other.do(lambda store: len(list(listing.ids(store)))) == 5
