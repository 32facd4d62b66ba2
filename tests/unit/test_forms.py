# SPDX-License-Identifier: ZPL-2.1
"""nextAfter of every form: strictly later, monotonic, the same from any instant between, and
against a walk through every second."""
import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from p01.remote.clock.schedule import Schedule
from p01.remote.clock.settings import settled
from p01.remote.exceptions import InputError
from tests.unit.test_clocks import ZONES, clockChanges, numbers

START = datetime(2026, 1, 1, tzinfo=UTC)


def fields(low, high, *more):
    return st.one_of(st.just('*'), numbers(low, high), *map(st.just, more))


lines = st.tuples(fields(0, 59, '*/10'), fields(0, 59, '*/15'), fields(0, 23, '*/2'),
                  fields(1, 28, 'L', 'LW'), st.just('*'),
                  fields(0, 6, 'MON#2', '5L', 'MON-FRI')).map(' '.join)
crons = st.one_of(lines, lines.map(lambda line: line.partition(' ')[2])).flatmap(
    lambda line: st.sampled_from(ZONES).map(lambda tz: (line, {'tz': tz})))
others = st.one_of(
    st.floats(0.001, 1e6).map(lambda every: (None, {'every': every})),
    st.tuples(st.floats(0.001, 1e6),
              st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))).map(
        lambda found: (None, {'every': found[0], 'aligned': False, 'start': found[1]})),
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1),
                 timezones=st.just(UTC)).map(lambda at: (None, {'at': at})))
instants = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def itemOf(cron, given):
    return Schedule({'job': 'x', **settled(cron, given)})


@settings(max_examples=300, deadline=None)
@given(st.one_of(crons, others), instants, st.floats(0, 1))
def test_strictly_later_monotonic_and_the_same_from_between(form, instant, part):
    try:
        item = itemOf(*form)
    except InputError:
        return              # no date matches
    found = item.nextAfter(instant)
    if found is None:
        assert item.form.at <= instant.timestamp()
        return
    assert found.tzinfo is UTC and found > instant
    between = instant + (found - instant) * part
    if between < found:
        assert item.nextAfter(between) == found
    later = item.nextAfter(found)
    assert later is None or later > found
    assert item.nextAfter(instant) == found         # asking changes nothing


@settings(max_examples=150, deadline=None)
@given(st.one_of(crons, others.filter(lambda form: 'start' not in form[1])), instants,
       st.timedeltas(timedelta(seconds=1), timedelta(days=99)))
def test_a_window_only_leaves_out(form, begin, length):
    try:
        whole = itemOf(*form)
    except InputError:
        return              # no date matches
    expected, tick = [], math.nextafter(begin.timestamp(), -math.inf)
    while len(expected) < 20 and (tick := whole.form.next(tick)) is not None \
            and tick <= (begin + length).timestamp():
        expected.append(tick)
    try:
        found = itemOf(form[0], {**form[1], 'start': begin, 'end': begin + length}).preview(20, 0.0)
    except InputError:
        found = []          # no run lies in it
    assert [tick.timestamp() for tick in found] == expected


def seconds(line, tz, start, end):
    """The instants of a line of six fields, by looking at each second there is; it is a time of day
    or a rhythm."""
    limits = [(0, 59), (0, 59), (0, 23)]
    allowed = [set(range(low, high + 1, int(text[2:] or 1))) if text.startswith('*')
               else set(map(int, text.split(',')))
               for text, (low, high) in zip(line.split(), limits, strict=False)]
    rhythm = any(text.startswith('*') for text in line.split()[1:3])

    def matches(wall):
        return wall.second in allowed[0] and wall.minute in allowed[1] and wall.hour in allowed[2]

    found, before = [], datetime.fromtimestamp(start, tz).replace(tzinfo=None)
    for second in range(start + 1, end):
        shown = datetime.fromtimestamp(second, tz)
        wall, skipped, gap = shown.replace(tzinfo=None), before + timedelta(seconds=1), False
        while not rhythm and skipped < wall:
            gap, skipped = gap or matches(skipped), skipped + timedelta(seconds=1)
        if gap or matches(wall) and (rhythm or not shown.fold):
            found.append(second)
        before = wall
    return found


@settings(max_examples=25, deadline=None)
@given(st.tuples(fields(0, 59, '*/20'), fields(0, 59, '*/15'), fields(0, 4, '*/2')).map(' '.join),
       st.sampled_from([zone for zone in ZONES if clockChanges(zone)]), st.data())
def test_six_fields_against_every_second(times, zone, data):
    change = data.draw(st.sampled_from(clockChanges(zone)))
    start, end = change - 5400, change + 9000
    item = itemOf(f'{times} * * *', {'tz': zone})
    expected, found, tick = seconds(times, ZoneInfo(zone), start, end), [], float(start)
    while len(found) <= len(expected) and (tick := item.form.next(tick)) < end:
        found.append(int(tick))
    assert found == expected
