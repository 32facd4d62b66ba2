# SPDX-License-Identifier: ZPL-2.1
"""The rings of the history, and what is read of them."""
import random
import statistics
from collections import Counter

import pytest

from p01.remote.store import history
from p01.remote.store.history import ATHAND, BOUNDS, MOSTKINDS, REACHES, Code
from p01.remote.store.seats import Seat
from p01.remote.store.store import Store
from p01.remote.verbs import recording
from p01.remote.verbs.workers import evict, rise, sit
from p01.remote.views import history as past

NOW = 1_900_000_020.0
MINUTE = int(NOW // 60)


def seated(store, name='worker'):
    seat = Seat(name, 'host', 1, 'process', '', 30.0, NOW)
    sit(store, seat)
    return seat


def done(seat, kind, number, now, code=Code.DONE):
    recording.count(seat.figures(kind, now), code, number)


def completed(found):
    return sum(point.completed for point in found.points())


@pytest.mark.parametrize('span', REACHES)
def test_a_ring_has_what_is_within_its_span_and_is_bounded(span):
    """Over three spans, with a job a minute: never more slots than the span and a chunk have."""
    store = Store()
    seat = seated(store)
    width, slots = REACHES[span]
    step = max(1, width // 4)
    minutes = range(MINUTE, MINUTE + 3 * width * slots, step)
    for minute in minutes:
        done(seat, ('mail', 'send'), 1, minute * 60.0)
    kept = sum(len(chunk.slots) for chunk in seat.history.rings[span].values())
    assert slots <= kept <= slots + 2 * history.CHUNK
    found = past.historyOf(store, span, minutes[-1] * 60.0)
    points = found.points()
    assert len(points) == slots
    assert [point.start for point in points] == [(minutes[-1] // width - slots + 1 + place)
                                                 * width * 60.0 for place in range(slots)]
    assert all(point.completed == width // step for point in points[:-1])
    assert found.sum().completed == completed(found)
    assert past.everOf(store)['mail', 'send'][Code.DONE] == len(minutes)


def test_spans_agree():
    store = Store()
    seat = seated(store)
    for minute in range(50):
        done(seat, ('mail', 'send'), minute, NOW + 60 * minute)
    for span in REACHES:
        assert completed(past.historyOf(store, span, NOW + 60 * 50)) == sum(range(50))


def test_an_unknown_span_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'week'.*hour, day, month"):
        past.historyOf(Store(), 'week', NOW)


def test_the_point_of_now_is_as_long_as_it_lasts():
    store = Store()
    done(seated(store), ('mail', 'send'), 30, NOW + 15)
    last = past.historyOf(store, 'hour', NOW + 15).points()[-1]
    assert (last.start, last.seconds, last.rate) == (MINUTE * 60.0, NOW + 15 - MINUTE * 60.0,
                                                     30 / last.seconds)


@pytest.mark.parametrize('go', [rise, evict], ids=['rise', 'evict'])
def test_what_a_worker_did_outlives_it_and_the_next_one_goes_on(go):
    store = Store()
    for number in range(5):
        seat = seated(store, f'worker {number}')
        done(seat, ('mail', 'send'), 1, NOW)
        assert completed(past.historyOf(store, 'hour', NOW)) == number + 1
        go(store, seat) if go is evict else go(store, seat, {})
        assert completed(past.historyOf(store, 'hour', NOW)) == number + 1
    assert len(store.pasts) == 1


def test_there_are_as_many_histories_as_workers_at_once():
    store = Store()
    for _ in range(3):
        seats = [seated(store, f'worker {number}') for number in range(4)]
        assert len({id(seat.history) for seat in seats}) == 4
        for seat in seats:
            done(seat, ('mail', 'send'), 1, NOW)
            rise(store, seat, {})
    assert len(store.pasts) == 4
    assert completed(past.historyOf(store, 'day', NOW)) == 12


def test_a_queue_and_a_job_that_are_called_other_are_told_apart_from_all_others():
    store = Store()
    seat = seated(store)
    done(seat, ('other', 'other'), 70, NOW)
    for number in range(300):
        done(seat, (f'tenant {number}', 'job'), 1, NOW)
    seat.fold()
    done(seat, ('other', 'other'), 7, NOW)
    found = past.historyOf(store, 'hour', NOW)
    assert found.queues()[0] == 'other' and found.queues()[-1] == past.ELSE != 'other'
    assert found.sum('other').completed == found.sum(name='other').completed == 77
    assert found.sum(past.ELSE, past.ELSE).completed == found.sum(past.ELSE).completed > 200


def test_kinds_are_bounded_and_the_busiest_stay():
    store = Store()
    seat = seated(store)
    for minute in range(30):
        for number in range(5):
            done(seat, ('busy', f'job {number}'), 50, NOW + 60 * minute)
        for number in range(300):
            done(seat, (f'tenant {minute} {number}', 'job'), 1, NOW + 60 * minute)
        assert len(seat.recent) <= ATHAND + 1
    found = past.historyOf(store, 'day', NOW + 60 * 29)
    assert found.queues()[0] == 'busy' and found.queues()[-1] == past.ELSE
    assert set(found.names()[:6]) >= {f'job {number}' for number in range(5)}
    assert found.sum('busy').completed == 30 * 5 * 50
    assert found.sum().completed == 30 * (5 * 50 + 300)
    assert found.sum(past.ELSE).completed > 20 * 300
    for ring in seat.history.rings.values():
        for chunk in ring.values():
            assert all(len(slot) <= MOSTKINDS + 1 for slot in chunk.slots.values())
    ever = past.everOf(store)
    assert len(ever) <= history.EVER + 1
    assert sum(each[Code.DONE] for each in ever.values()) == 30 * (5 * 50 + 300)


def test_depths_take_no_room_of_the_sums_since_ever():
    """They are of an instant; with many queues there would be no room for what came of jobs."""
    store = Store()
    seat = seated(store)
    for number in range(60):
        now = NOW + 60 * number
        done(seat, (f'queue {number}', f'job {number}'), 1, now)
        recording.looked(seat, {f'queue {number}': {'queued': 1}}, now)
    assert {f'queue {number}' for number in range(60)} <= {queue for queue, _ in past.everOf(store)}
    assert all(figures.keys().isdisjoint(history.DEPTHCODES)
               for figures in past.everOf(store).values())


def test_no_sum_since_ever_gets_smaller():
    """Whatever is folded, merged and inherited meanwhile."""
    store, chance, before = Store(), random.Random(1), {}
    seats = [seated(store, f'{number}') for number in range(3)]
    for turn in range(400):
        place = chance.randrange(3)
        done(seats[place], (f'queue {chance.randrange(200)}', 'job'), 1,
             NOW + turn * chance.choice([1, 30]))
        if chance.random() < 0.02:
            rise(store, seats[place], {})
            seats[place] = seated(store, f'{place} {turn}')
        now = past.everOf(store)
        for kind, figures in before.items():
            for code, number in figures.items():
                assert now[kind][code] >= number
        before = now
    assert sum(each[Code.DONE] for each in before.values()) == 400


@pytest.mark.parametrize('jump', [86_400 * 400, -86_400 * 400, -90, 90])
def test_a_clock_that_jumps_and_comes_back_takes_nothing_along(jump):
    store = Store()
    seat = seated(store)
    done(seat, ('mail', 'send'), 3, NOW)
    done(seat, ('mail', 'send'), 4, NOW + jump)
    for minute in range(1, 9):
        done(seat, ('mail', 'send'), 1, NOW + 60 * minute)
    found = past.historyOf(store, 'hour', NOW + 480)
    assert [point.completed for point in found.points()[-8:]] == [1] * 8 \
        or abs(jump) < 100 and completed(found) == 15
    assert past.everOf(store)['mail', 'send'][Code.DONE] == 15


@pytest.mark.parametrize('spread', [0.01, 1.0, 3.0])
def test_percentiles_are_within_a_bucket_of_the_truth(spread):
    chance = random.Random(2)
    values = [chance.lognormvariate(-3, spread) for _ in range(5_000)]
    figures = Counter(Code.WAITS + recording.bisect_left(BOUNDS, value) for value in values)
    found = past.timesOf(figures, Code.WAITS, Code.WAITTIME)
    cuts = statistics.quantiles(values, n=100)
    for answer, percent in ((found.p50, 50), (found.p90, 90), (found.p95, 95), (found.p99, 99)):
        assert 1 / 1.42 <= answer / max(cuts[percent - 1], BOUNDS[0]) <= 1.42
    assert found.p50 <= found.p90 <= found.p95 <= found.p99
    assert found.number == 5_000


@pytest.mark.parametrize('value', [0.0, 1e-9, BOUNDS[0], 1.0, BOUNDS[-1], 1e12])
def test_any_duration_has_a_bucket(value):
    figures = Counter([Code.WAITS + recording.bisect_left(BOUNDS, value)])
    assert BOUNDS[0] <= past.timesOf(figures, Code.WAITS, Code.WAITTIME).p99 <= BOUNDS[-1]
    assert len(BOUNDS) < Code.WAITS - Code.RUNS and len(BOUNDS) < Code.DONE - Code.WAITS


def test_depths_are_means_of_looks_stay_while_nothing_happens_and_are_true_now():
    store = Store()
    seat = seated(store)
    recording.looked(seat, {'mail': {'queued': 10, 'processing': 2}, 'web': {'queued': 1}}, NOW)
    recording.looked(seat, {'mail': {'queued': 20, 'delayed': 4}}, NOW + 1)
    recording.looked(seat, {'mail': {'queued': 7}}, NOW + 180)
    found = past.historyOf(store, 'hour', NOW + 240)
    assert [each and each.queued for each in (point.depth for point in found.points('mail'))] \
        == [None] * 55 + [15.0, 15.0, 15.0, 7.0, 0.0]
    assert found.points('mail')[55].depth == past.Depth(15.0, 1.0, 2.0)
    assert found.points()[55].depth == past.Depth(15.5, 1.0, 2.0)
    assert found.points('web')[58].depth == past.Depth(0.0, 0.0, 0.0)
    assert found.points(name='send')[-1].depth is None


def test_depths_of_many_queues_are_those_of_the_deepest():
    store = Store()
    seat = seated(store)
    recording.looked(seat, {f'queue {number}': {'queued': number} for number in range(100)}, NOW)
    found = past.historyOf(store, 'hour', NOW)
    assert found.points()[-1].depth.queued == sum(range(100))
    assert found.points('queue 99')[-1].depth.queued == 99
    assert found.points('queue 1')[-1].depth is None
