# SPDX-License-Identifier: ZPL-2.1
"""Instants and durations: what is taken, and what is refused with which sentence."""
import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p01.remote.exceptions import InputError
from p01.remote.instants import clockChange, duration, offset, seconds, utc, zone

ZURICH = ZoneInfo('Europe/Zurich')


@pytest.mark.parametrize('instant, expected', [
    (0, 0.0),
    (-1.5, -1.5),
    (datetime(1970, 1, 1, 1, tzinfo=UTC), 3600.0),
    (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0.0),
    (datetime(2024, 10, 27, 2, 30, tzinfo=ZURICH), 1729989000.0),
    (datetime(2024, 10, 27, 2, 30, tzinfo=ZURICH, fold=1), 1729992600.0),
])
def testSecondsTakes(instant, expected):
    found = seconds(instant)
    assert found == expected and type(found) is float


@pytest.mark.parametrize('instant, sentence', [
    (True, 'start must be POSIX seconds or a timezone-aware datetime, not True.'),
    (None, 'start must be POSIX seconds or a timezone-aware datetime, not None.'),
    ('now', "start must be POSIX seconds or a timezone-aware datetime, not 'now'."),
    ([], 'start must be POSIX seconds or a timezone-aware datetime, not [].'),
    (datetime(2024, 1, 1),
     ('start must be a timezone-aware datetime, not the naive datetime.datetime(2024, 1, 1, 0, '
      '0); give it a zone, as its astimezone() does.')),
    (math.nan, 'start must be a finite number of seconds, not nan.'),
    (-math.inf, 'start must be a finite number of seconds, not -inf.'),
    (10 ** 400, 'start must be a finite number of seconds, not 1' + '0' * 58 + '….'),
    pytest.param(10 ** 5000,
                 'start must be a finite number of seconds, not <int that cannot be shown: '
                 'ValueError>.',
                 id='unprintable'),
    (1e15, 'start must lie within the years 1 to 9999: 1000000000000000.0'),
])
def testSecondsRefuses(instant, sentence):
    with pytest.raises(InputError) as error:
        seconds(instant, 'start')
    assert str(error.value) == sentence


@pytest.mark.parametrize('value, expected', [
    (0, 0.0), (3, 3.0), (0.5, 0.5), (timedelta(minutes=1), 60.0), (timedelta(0), 0.0),
])
def testDurationTakes(value, expected):
    found = duration(value)
    assert found == expected and type(found) is float


@pytest.mark.parametrize('value, sentence', [
    (-3, 'pause must not be negative: -3'),
    (timedelta(seconds=-1),
     'pause must not be negative: datetime.timedelta(days=-1, seconds=86399)'),
    (False, "pause must be seconds, a timedelta, or a text such as '10m', not False."),
    ('1', "pause needs a unit in a text, as 90s or 10m; '1' has none."),
    (math.nan, 'pause must be a finite number of seconds, not nan.'),
    (math.inf, 'pause must be a finite number of seconds, not inf.'),
])
def testDurationRefuses(value, sentence):
    with pytest.raises(InputError) as error:
        duration(value, 'pause')
    assert str(error.value) == sentence


@given(st.datetimes(timezones=st.timezones()))
def testInstantsComeBack(instant):
    try:
        number = seconds(instant)
    except InputError:              # the zone's offset carries the edges of the calendar out of it
        assert instant.year in (1, 9999)
        return
    assert abs(utc(number) - instant.astimezone(UTC)) <= timedelta(microseconds=40)
    assert utc(number).tzinfo is UTC


@given(st.floats(-6e10, 2.5e11))
def testEveryInstantCanBeShown(number):
    assert seconds(utc(number)) == pytest.approx(number, abs=1e-4)


@pytest.mark.parametrize('name', ['Europe/Zuerich', 'Europe', '', '../etc/passwd', '/etc/passwd',
                                  'a\0b',
                                  'ü' * 99, None, 3, b'UTC', ('UTC',), ['UTC']])
def testUnknownZone(name):
    with pytest.raises(InputError, match='No time zone is named'):
        zone(name)


def testUtcNeedsNoFiles():
    assert zone('UTC') is UTC


@pytest.mark.parametrize('name, change', [
    ('Europe/Zurich', datetime(2024, 3, 31, 1, tzinfo=UTC)),
    ('Europe/Zurich', datetime(2024, 10, 27, 1, tzinfo=UTC)),
    ('Australia/Lord_Howe', datetime(2024, 4, 6, 15, tzinfo=UTC)),
    ('America/St_Johns', datetime(2008, 3, 9, 3, 31, tzinfo=UTC)),
])
@given(before=st.integers(1, 10 ** 6), after=st.integers(0, 10 ** 6))
def testClockChange(name, change, before, after):
    tz, instant = zone(name), int(change.timestamp())
    shift = offset(tz, instant - before)
    assert clockChange(tz, instant - before, instant + after, shift) == instant
    assert clockChange(tz, instant - before, instant - 1, shift) is None
    assert clockChange(tz, instant, instant + after, offset(tz, instant)) is None
