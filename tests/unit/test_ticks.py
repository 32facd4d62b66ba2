# SPDX-License-Identifier: ZPL-2.1
"""Which ticks have passed, how many, and which had their job: against a list of them."""
import math
from bisect import bisect_left, bisect_right

from hypothesis import given
from hypothesis import strategies as st

from p01.remote.clock import ticks
from p01.remote.clock.forms import Rate

instants = st.lists(st.integers(0, 500), min_size=1, max_size=60, unique=True).map(sorted)


def following(found):
    def next(after):
        at = bisect_right(found, after)
        return float(found[at]) if at < len(found) else None
    return next


@given(instants, st.integers(0, 600), st.integers(1, 20))
def test_those_that_passed(found, until, most):
    passed = found[:bisect_right(found, until)]
    if not passed:
        return
    next, first = following(found), float(passed[0])
    assert list(ticks.walk(next, -1.0, until)) == passed
    assert ticks.latest(next, first, until) == passed[-1]
    assert ticks.counted(next, first, until) == len(passed)
    assert ticks.lasts(next, first, until, most) == passed[-most:]


def test_years_of_seconds_are_not_walked_through():
    rate = Rate(1.0)
    assert ticks.latest(rate.next, 0.0, 3e8) == 3e8
    assert ticks.counted(rate.next, 0.0, 3e8) == ticks.COUNTED
    assert ticks.lasts(rate.next, 0.0, 3e8, 3) == [3e8 - 2, 3e8 - 1, 3e8]


@given(instants, st.lists(st.tuples(st.integers(0, 500), st.integers(0, 8)), max_size=6))
def test_each_tick_has_one_job_however_the_clock_jumps(found, jumps):
    """Whatever was done before, the next one is the first that was not."""
    next, spans, done = following(found), (), set()
    for after, many in jumps:
        linked = None
        for _ in range(many):
            tick = ticks.onward(next, after, spans)
            expected = [each for each in found[bisect_right(found, after):] if each not in done]
            assert tick == (expected[0] if expected else None)
            if tick is None:
                break
            gap = linked is None or bisect_left(found, tick) > bisect_left(found, linked) + 1
            spans = ticks.joined(spans, [tick], None if gap else linked)
            done.add(tick)
            assert {each for each in found if ticks.within(each, spans)} == done
            after = linked = tick


def test_the_oldest_spans_are_forgotten():
    spans = ()
    for number in range(200):
        spans = ticks.joined(spans, [float(number * 10)], None)
    assert len(spans) == ticks.SPANSKEPT and spans[-1] == (1990.0, 1990.0)
    assert ticks.joined(spans, [2000.0, 2010.0], 1990.0)[-1] == (1990.0, 2010.0)


@given(st.text(max_size=20), st.floats(0, 4e9), st.floats(1e-3, 1e5))
def test_jitter_is_below_its_bound_and_the_same_each_time(name, tick, most):
    found = ticks.jitter(name, tick, most)
    assert 0.0 <= found < most and ticks.jitter(name, tick, most) == found
    assert ticks.jitter(name, tick, 0.0) == 0.0


@given(st.floats(0.001, 1e6), st.floats(-1e9, 4e9), st.floats(0, 4e9))
def test_a_rate_is_strictly_later_monotonic_and_the_same_from_any_instant_between(every, anchor,
                                                                                  after):
    rate = Rate(every, anchor)
    found = rate.next(after)
    assert after < found <= after + every + 1e-5
    assert rate.next(math.nextafter(found, -math.inf)) == found
    assert rate.next(found) > found
