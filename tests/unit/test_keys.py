# SPDX-License-Identifier: ZPL-2.1
"""Keys sort jobs as promised, and give back what they were made of."""
from collections import Counter

from hypothesis import given
from hypothesis import strategies as some

from p01.remote.store import keys

ids = some.integers(1, 2 ** 40 - 1)
priorities = some.integers(keys.LOWEST, keys.HIGHEST)
instants = some.integers(0, 2 ** 51 - 1).map(lambda micros: keys.ORIGIN + micros / 1_000_000)
anything = some.floats(-1e12, 1e12)
jobs = some.tuples(priorities, instants, ids)


@given(jobs)
def test_a_waiting_key_gives_back_its_parts(job):
    priority, instant, jobid = job
    key = keys.waitingKey(*job)
    assert (keys.idOf(key), keys.rankOf(key)) == (jobid, keys.HIGHEST - priority)
    assert abs(keys.sinceOf(key) - instant) < 0.000_002


@given(jobs)
def test_a_due_key_gives_back_its_parts(job):
    _, instant, jobid = job
    key = keys.dueKey(*job)
    assert keys.idOf(key) == jobid
    assert abs(keys.dueOf(key) - instant) < 0.000_002


@given(jobs, jobs)
def test_waiting_keys_sort_by_priority_then_age_then_id(one, two):
    def order(job):
        return -job[0], keys.micros(job[1]), job[2]
    assert (keys.waitingKey(*one) < keys.waitingKey(*two)) == (order(one) < order(two))


@given(jobs, jobs)
def test_due_keys_sort_by_instant_then_priority_then_id(one, two):
    def order(job):
        return keys.micros(job[1]), -job[0], job[2]
    assert (keys.dueKey(*one) < keys.dueKey(*two)) == (order(one) < order(two))


@given(jobs)
def test_a_ripened_key_is_the_waiting_key_of_that_instant(job):
    assert keys.ripened(keys.dueKey(*job)) == keys.waitingKey(*job)


@given(jobs, instants)
def test_the_limit_takes_what_is_due_and_nothing_else(job, now):
    due = keys.dueKey(*job) <= keys.dueLimit(now)
    assert due == (keys.micros(job[1]) <= keys.micros(now))
    assert keys.dueKey(*job) <= keys.dueLimit(job[1])


@given(anything, anything)
def test_any_instant_is_clipped_and_keeps_its_order(one, two):
    low, high = sorted((one, two))
    assert 0 <= keys.micros(low) <= keys.micros(high) < 2 ** 51
    assert keys.idOf(keys.waitingKey(0, one, 7)) == 7


def test_an_instant_that_a_datetime_shows_is_the_same_instant():
    """A due time goes out as a datetime, rounded to a microsecond, and comes back as now."""
    for number in range(2000):
        due = 1_795_000_000 + number * 0.123_456_7
        assert keys.micros(round(due, 6)) >= keys.micros(due)


def test_segments_of_every_size_spread_over_the_shards():
    for size in (1, 32, 64, 128, 256, 512):
        counts = Counter(keys.shardOf(1 + number * size) for number in range(800))
        assert set(counts) == set(range(keys.SHARDS)) and max(counts.values()) < 250, size
