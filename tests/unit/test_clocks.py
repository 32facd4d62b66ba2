# SPDX-License-Identifier: ZPL-2.1
"""Cron items across clock changes, against a look at every minute in zones with every kind of
change."""
import functools
import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p01.remote.scheduler import Cron

NOW = datetime(2024, 5, 15, 12, 0, tzinfo=UTC).timestamp()


def at(zone, *fields):
    return datetime(*fields, tzinfo=ZoneInfo(zone)).timestamp()


def runs(item, after, count):
    found = []
    for _ in range(count):
        after = item.next(after)
        found.append(after)
    return found


@pytest.mark.parametrize('zone, skips, repeats, hour', [
    ('Europe/Zurich', (2024, 3, 31), (2024, 10, 27), 2),
    # skips 02:00 to 03:00, repeats 01:00 to 02:00
    ('America/New_York', (2024, 3, 10), (2024, 11, 3), 1),
    ('Australia/Sydney', (2024, 10, 6), (2024, 4, 7), 2),
])
def testDailyRunsOnceOnBothClockChanges(zone, skips, repeats, hour):
    midnight, item = at(zone, *skips), Cron('x', minute=30, hour=2, tz=zone)
    first, second = runs(item, midnight, 2)
    assert first == at(zone, *skips, 3)                         # the end of the gap
    assert second == first + 23.5 * 3600
    midnight, item = at(zone, *repeats), Cron('x', minute=30, hour=hour, tz=zone)
    first, second = runs(item, midnight, 2)
    assert first == at(zone, *repeats, hour, 30)                # the first of the two
    assert second == first + 25 * 3600


def testNextWithinTheRepeatedHour():
    item = Cron('x', minute=30, hour=2, tz='Europe/Zurich')
    # at 02:10 for the second time: 02:30 is still to come, but has run already
    again = datetime(2024, 10, 27, 2, 10, fold=1, tzinfo=ZoneInfo('Europe/Zurich')).timestamp()
    assert item.next(again) == at('Europe/Zurich', 2024, 10, 28, 2, 30)


def testRhythmFollowsTheClock():
    item = Cron('x', minute=(0, 30), hour=(), tz='Europe/Zurich')
    start = at('Europe/Zurich', 2024, 10, 27, 1, 45)
    assert [run - start for run in runs(item, start, 5)] == [900, 2700, 4500, 6300, 8100]


@pytest.mark.parametrize('zone, expression, after, expected', [
    ('Australia/Lord_Howe', '* 4 * * *', (2009, 10, 4, 1, 11), (2009, 10, 4, 4, 0)),
    ('America/St_Johns', '47 */2 * * *', (2008, 3, 8, 23, 54), (2008, 3, 9, 2, 47)),
])
def testNoRunIsLostWhereTheClockMovesByHalfAnHourOrPastMidnight(zone, expression, after, expected):
    assert Cron.parse('x', expression, tz=zone).next(at(zone, *after)) == at(zone, *expected)


def testARunIsNotLostWithinTheLastMicrosecondBeforeIt():
    noon = at('UTC', 2024, 5, 15, 12, 0)
    before = math.nextafter(noon, 0)        # what a clock may well say; a datetime shows it as noon
    for expression in ('*/7 */2 * * *', '0 12 * * *'):
        assert Cron.parse('x', expression).next(before) == noon


def crontabOracle(expression, zone):
    """Whether a wall-clock minute matches, written from crontab(5) for the fields used below."""
    fields, limits = [], [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    for text, (low, high) in zip(expression.split(), limits, strict=True):
        if text.startswith('*'):
            fields.append(set(range(low, high + 1, int(text[2:] or 1))))
        else:
            fields.append({int(number) for number in text.split(',')})
    either = not expression.split()[2].startswith('*') and not expression.split()[4].startswith('*')

    def matches(wall):
        days = wall.day in fields[2], wall.isoweekday() % 7 in fields[4]
        return (wall.minute in fields[0] and wall.hour in fields[1] and wall.month in fields[3]
                and (any(days) if either else all(days)))
    return matches


def bruteForce(expression, zone, after, until):
    """The first run after an instant, found by looking at every minute there is."""
    tz, matches = ZoneInfo(zone), crontabOracle(expression, zone)
    fixed = not any(text.startswith('*') for text in expression.split()[:2])
    minute = math.floor(after / 60) * 60
    before = datetime.fromtimestamp(minute, tz).replace(tzinfo=None)
    while minute < until:
        minute += 60
        shown = datetime.fromtimestamp(minute, tz)
        wall = shown.replace(tzinfo=None)
        if matches(wall) and not (fixed and shown.fold):
            return minute
        skipped = before + timedelta(minutes=1)
        # the clock jumps forward: what it skipped runs now
        while fixed and skipped < wall:
            if matches(skipped):
                return minute
            skipped += timedelta(minutes=1)
        before = wall
    return None


@functools.cache
def clockChanges(zone):
    """The hours from 2007 to 2026 in which the zone's clock changes."""
    tz, found, shift = ZoneInfo(zone), [], None
    for hour in range(1167609600, 1790000000, 3600):
        offset = datetime.fromtimestamp(hour, tz).utcoffset()
        if shift is not None and offset != shift:
            found.append(hour)
        shift = offset
    return found


def numbers(low, high):
    return st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True).map(
        lambda found: ','.join(map(str, sorted(found))))


def fields(low, high, *more):
    return st.one_of(st.just('*'), numbers(low, high), *map(st.just, more))


# half an hour (Lord Howe), two hours (Troll), at midnight (Havana, Beirut), at 00:01 (St Johns
# until 2011), a whole day (Apia 2011), backwards in spring (Casablanca), and none at all
ZONES = ['Europe/Zurich', 'America/New_York', 'Australia/Lord_Howe', 'Antarctica/Troll',
         'America/Havana',
         'Asia/Beirut', 'America/St_Johns', 'Pacific/Apia', 'Africa/Casablanca', 'Asia/Kathmandu',
         'UTC']


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize('zone', ZONES)
def testNextAgainstEveryMinute(zone, data):
    changes = clockChanges(zone) or [int(NOW)]
    after = data.draw(st.sampled_from(changes)) + data.draw(
        st.one_of(st.integers(-8000, 8000), st.integers(-90000, 90000), st.floats(-7300, 7300)))
    expression = ' '.join([data.draw(fields(0, 59, '*/15', '*/7')), data.draw(fields(0, 4, '*/2')),
                           data.draw(st.sampled_from(['*', '*', '1,15'])), '*',
                           data.draw(st.sampled_from(['*', '*', '0', '1,3']))])
    item = Cron.parse('x', expression, tz=zone)
    found = item.next(after)
    assert found > after
    expected = bruteForce(expression, zone, after, after + 3 * 86400)
    assert expected == found if expected else found > after + 3 * 86400 - 60
