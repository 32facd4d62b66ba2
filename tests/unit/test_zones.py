# SPDX-License-Identifier: ZPL-2.1
"""Every tick around the clock changes of zones, against a look at each minute of UTC; tests/long
has all zones there are."""
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from p01.remote.clock.forms import Crontab
from tests.unit.test_clocks import crontabOracle

FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2017, 2027))
# seconds before and after a change; the whole days that a day-of-month may need
AROUND = 86_400
LINES = ['30 2 * * *', '0 0 * * *', '15,45 1-3 * * *', '59 23 * * *', '0 3 1,15 * 0',
         '*/20 * * * *', '7 */2 * * *',
         '* 2 * * *', '0 1 * 3,10,11 *', '30 0 * * 6,0']
SAMPLE = ['Europe/Zurich', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca',
          'Asia/Gaza']


def changes(tz):
    """The instants in which a zone's clock changes, in ten years."""
    found, before = [], None
    for hour in range(FIRST, LAST, 3600):
        offset = datetime.fromtimestamp(hour, tz).utcoffset()
        if before is not None and offset != before:
            low, high = hour - 3600, hour
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low,
                             middle) if datetime.fromtimestamp(middle,
                                                               tz).utcoffset() != before \
                                                                   else (middle, high)
            found.append(high)
        before = offset
    return found


def minutes(tz, start, end):
    """Each minute of a span, with what the clock shows then."""
    return [(minute, datetime.fromtimestamp(minute, tz)) for minute in range(start, end, 60)]


def matching(line, shown):
    """The instants of a line, by looking at each minute."""
    hours = line.split()[:2]
    fixed = not any(text.startswith('*') for text in hours)
    matches, found, before = crontabOracle(expanded(line), None), [], None
    for minute, clock in shown:
        wall = clock.replace(tzinfo=None)
        if before is not None:
            skipped = before + timedelta(minutes=1)
            gap = []
            # the clock jumps forward: what it skipped runs now, once
            while fixed and skipped < wall:
                gap.append(skipped)
                skipped += timedelta(minutes=1)
            if matches(wall) and not (fixed and clock.fold) or any(map(matches, gap)):
                found.append(minute)
        before = wall
    return found


def expanded(line):
    """The line without ranges, as the oracle takes it."""
    return ' '.join(','.join(map(str,
                                 range(int(field.split('-')[0]), int(field.split('-')[1]) + 1)))
                    if '-' in field else field
                    for field in line.split())


def compare(name):
    """The mismatches of a zone: line, change, what is missing, what is too much; how many changes
    were looked at."""
    tz, found, count = ZoneInfo(name), [], 0
    for change in changes(tz):
        start = change - AROUND - change % 60
        shown = minutes(tz, start, change + AROUND)
        count += 1
        for line in LINES:
            expected, form, tick, ticks = matching(line,
                                                   shown), Crontab(line, name), float(start), []
            while (tick := form.next(tick)) < shown[-1][0] + 1:
                ticks.append(int(tick))
            if ticks != expected:
                found.append((line, change, set(expected) - set(ticks), set(ticks) - set(expected)))
    return found, count


@pytest.mark.parametrize('zone', SAMPLE)
def test_every_tick_around_the_changes_of_ten_years(zone, monkeypatch):
    monkeypatch.setattr('tests.unit.test_zones.FIRST',
                        int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()))
    found, count = compare(zone)
    assert found == [] and count >= 3


def test_a_mismatch_is_seen(monkeypatch):
    monkeypatch.setattr(Crontab,
                        'next', lambda self, after, next=Crontab.next: next(self, after + 1800))
    monkeypatch.setattr('tests.unit.test_zones.FIRST',
                        int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()))
    assert compare('Europe/Zurich')[0]


@pytest.mark.parametrize('line, expected', [
    # both are skipped, and run once at the end of the gap
    ('0,30 30 2 * * *', [(2024, 3, 31, 1, 0, 0)]),
    ('15 30 3 * * *', [(2024, 3, 31, 1, 30, 15)]),
])
def test_seconds_and_the_end_of_a_gap(line, expected):
    form, tick, found = Crontab(line,
                                'Europe/Zurich'), datetime(2024, 3, 30, 22,
                                                           tzinfo=UTC).timestamp(), []
    while (tick := form.next(tick)) < datetime(2024, 3, 31, 20, tzinfo=UTC).timestamp():
        found.append(datetime.fromtimestamp(tick, UTC))
    assert found == [datetime(*each, tzinfo=UTC) for each in expected]


def test_seconds_of_a_repeated_hour():
    """A time of day runs once, a rhythm goes on."""
    def count(line):
        form, tick, found = Crontab(line,
                                    'Europe/Zurich'), datetime(2024, 10, 26, 22,
                                                               tzinfo=UTC).timestamp(), 0
        while (tick := form.next(tick)) < datetime(2024, 10, 27, 2, tzinfo=UTC).timestamp():
            found += 1
        return found

    assert (count('*/20 30 2 * * *'), count('*/20 * 2 * * *')) == (3, 2 * 60 * 3)
