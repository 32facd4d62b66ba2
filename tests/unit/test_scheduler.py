# SPDX-License-Identifier: ZPL-2.1
"""Schedules: when items run next, what is refused, and that one tick runs once."""
import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from ZODB.POSException import ConflictError
from ZODB.tests.util import DB

from p01.remote.exceptions import InputError, RegistrationError
from p01.remote.scheduler import WORDS, Cron, Delay, Scheduler, SchedulerItem

NOW = datetime(2024, 5, 15, 12, 0, tzinfo=UTC).timestamp()      # a Wednesday


def at(zone, *fields):
    return datetime(*fields, tzinfo=ZoneInfo(zone)).timestamp()


def runs(item, after, count):
    found = []
    for _ in range(count):
        after = item.next(after)
        found.append(after)
    return found


# -- one item

def testDelay():
    assert Delay('echo').delay == 10.0
    assert Delay('echo', delay=timedelta(minutes=1)).next(NOW) == NOW + 60
    assert Delay('echo', 5).first(NOW) == NOW + 5
    assert Delay('echo', 5, startTime=100).first(NOW) == 105


@given(st.floats(1e-9, 1e6), st.floats(0, 2e10))
def testDelayIsStrictlyLater(delay, after):
    assert Delay('echo', delay).next(after) > after


def testCronDefaults():
    item = Cron('echo', minute=(0, 30), hour=(8,))
    assert (item.jobName, item.tz, item.active, item.queue,
            item.priority) == ('echo', 'UTC', True, None, 0)
    assert (item.startTime, item.input, item.due, item.__name__) == (None, None, None, None)
    assert [datetime.fromtimestamp(run, UTC).isoformat() for run in runs(item, NOW, 3)] == [
        '2024-05-16T08:00:00+00:00', '2024-05-16T08:30:00+00:00', '2024-05-17T08:00:00+00:00']


@pytest.mark.parametrize('fields, expression', [
    ({}, '* * * * *'),
    ({'minute': (10,)}, '10 * * * *'),
    ({'hour': (2, 13)}, '0 2,13 * * *'),
    ({'hour': (8,), 'minute': ()}, '* 8 * * *'),
    ({'dayOfMonth': (1, 12)}, '0 0 1,12 * *'),
    ({'dayOfMonth': (1,), 'minute': (10,)}, '10 * 1 * *'),
    ({'month': (5,)}, '0 0 1 5 *'),
    ({'dayOfWeek': (0, 6)}, '0 0 * * 1,0'),
    ({'dayOfWeek': range(5), 'hour': 8}, '0 8 * * 1,2,3,4,5'),
    ({'dayOfWeek': 'mon-fri', 'minute': '*/15'}, '*/15 * * * MON-FRI'),
    ({'minute': (30, 0, 30)}, '0,30 * * * *'),
])
def testCronExpression(fields, expression):
    assert Cron('echo', **fields).expression == expression


def testDaysOfTheWeekArePythons():
    for day in range(7):
        run = datetime.fromtimestamp(Cron('echo', dayOfWeek=(day,)).next(NOW), UTC)
        assert run.weekday() == day
    assert datetime.fromtimestamp(Cron('echo', dayOfWeek='0').next(NOW), UTC).weekday() == 6


def testParse():
    item = Cron.parse('echo', ' 0 8 * * mon-FRI ', tz='Europe/Zurich', input=(1,), queue='mail',
                      priority=3)
    assert item.expression == '0 8 * * MON-FRI'
    assert (item.input, item.queue, item.priority, item.tz) == ((1,), 'mail', 3, 'Europe/Zurich')
    assert item.next(at('Europe/Zurich', 2024, 5, 17, 8)) == at('Europe/Zurich', 2024, 5, 20, 8)
    for word, line in WORDS.items():
        assert Cron.parse('echo', word.upper()).expression == line


def testEditedItem():
    item = Cron('echo', hour=(8,))
    item.hour = (9,)
    assert item.next(NOW) == NOW + 21 * 3600
    item.hour = (24,)
    with pytest.raises(InputError, match=r'^hour must be whole numbers from 0 to 23, not 24\.$'):
        item.next(NOW)


@pytest.mark.parametrize('make, sentence', [
    (lambda: Cron('x', minute=61), 'minute must be whole numbers from 0 to 59, not 61.'),
    (lambda: Cron('x', minute=(0, -1)), 'minute must be whole numbers from 0 to 59, not -1.'),
    (lambda: Cron('x', hour=(24,)), 'hour must be whole numbers from 0 to 23, not 24.'),
    (lambda: Cron('x', hour=8.0), 'hour must be whole numbers from 0 to 23, not 8.0.'),
    (lambda: Cron('x', hour=(True,)), 'hour must be whole numbers from 0 to 23, not True.'),
    (lambda: Cron('x', dayOfMonth=(0,)), 'dayOfMonth must be whole numbers from 1 to 31, not 0.'),
    (lambda: Cron('x', month=(13,)), 'month must be whole numbers from 1 to 12, not 13.'),
    (lambda: Cron('x', dayOfWeek=(7,)), 'dayOfWeek must be whole numbers from 0 to 6, not 7.'),
    (lambda: Cron('x', minute='1 2'), "minute must be one crontab field such as */15, not '1 2'."),
    (lambda: Cron('x', minute=''), "minute must be one crontab field such as */15, not ''."),
    (lambda: Cron('x', minute='61'),
     "'61 * * * *' is no crontab line: its minute takes *, 0 to 59"),
    (lambda: Cron('x', minute='9' * 5000), 'is no crontab line'),
    (lambda: Cron('x', dayOfMonth='L-3'), 'is no crontab line'),
    (lambda: Cron('x', dayOfWeek='FRI-MON'),
     "'0 0 * * FRI-MON' is no crontab line: its day of week takes"),
    (lambda: Cron('x', dayOfMonth=31, month=2), 'No date ever matches the crontab line'),
    (lambda: Cron('x', dayOfMonth='30', month=(2,)), 'No date ever matches the crontab line'),
    (lambda: Cron('x', month=2, dayOfWeek='MON#5', dayOfMonth='*/30'), 'No date ever matches'),
    (lambda: Cron('x', tz='Mars/Olympus'), "No time zone is named 'Mars/Olympus'"),
    (lambda: Cron('x', startTime=datetime(2024, 1, 1)),
     'startTime must be a timezone-aware datetime'),
    (lambda: Cron(''), "jobName must be a name in text, not ''."),
    (lambda: Cron('x', queue=3), 'queue must be a name in text, not 3.'),
    (lambda: Cron('x', priority=True), 'priority must be a whole number, not True.'),
    (lambda: Delay('x', -3), 'delay must not be negative: -3'),
    (lambda: Delay('x', 0), 'delay must be above 0 seconds: the job would never pause.'),
    (lambda: Delay('x', math.nan), 'delay must be a finite number of seconds, not nan.'),
    (lambda: Delay('x', 1e300), 'The instant must lie within the years 1 to 9999: 1e+300'),
    (lambda: Delay('x', '5'), "delay needs a unit in a text, as 90s or 10m; '5' has none."),
    (lambda: Delay('x', startTime=True),
     'startTime must be POSIX seconds or a timezone-aware datetime'),
    (lambda: Cron.parse('x', '* * * *'),
     "'* * * *' is no crontab line: write five fields, minute hour"),
    (lambda: Cron.parse('x', '0 * * * * *'), 'is no crontab line: write five fields'),
    (lambda: Cron.parse('x', '@reboot'), 'or one of @yearly, @annually'),
    (lambda: Cron.parse('x', None), 'None is no crontab line: write five fields'),
    (lambda: Cron.parse('x', '60 8 * * *'), "'60 8 * * *' is no crontab line: its minute takes"),
])
def testBadItems(make, sentence):
    with pytest.raises(InputError) as error:
        make()
    assert sentence in str(error.value)


@settings(max_examples=300)
@given(st.text('0123456789*/,-LW#MONFRI ', max_size=20))
def testAnyTextIsALineOrAnInputError(line):
    try:
        item = Cron.parse('x', line)
    except InputError:
        return
    assert item.next(NOW) > NOW


# -- the container

def testAdd():
    scheduler = Scheduler()
    first, second, third = Delay('echo'), Cron('echo', hour=8), Delay('echo', startTime=NOW - 3600)
    assert [scheduler.add(item, NOW)
            for item in (first, second, third)] == ['echo', 'echo-2', 'echo-3']
    assert [first.due, second.due, third.due] == [NOW + 10, NOW + 20 * 3600, NOW - 3590]
    assert (second.__parent__, second.__name__) == (scheduler, 'echo-2')
    assert list(scheduler) == ['echo', 'echo-2', 'echo-3'] and len(scheduler) == 3
    assert 'echo' in scheduler and 'x' not in scheduler
    assert list(scheduler.values()) == [first, second, third] and scheduler['echo-2'] is second
    with pytest.raises(KeyError):
        scheduler['nobody']


def testCronStartsStrictlyAfterStartTime():
    start = datetime(2024, 5, 20, 8, tzinfo=ZoneInfo('Europe/Zurich'))
    scheduler, item = Scheduler(), Cron('x', hour=8, tz='Europe/Zurich', startTime=start)
    scheduler.add(item, NOW)
    assert item.due == start.timestamp() + 86400
    # startTime is still to come
    assert scheduler.reschedule(item, NOW) == start.timestamp() + 86400
    assert scheduler.reschedule(item, NOW + 30 * 86400) > NOW + 30 * 86400


def testRemove():
    scheduler, item = Scheduler(), Delay('echo')
    scheduler.add(item, NOW)
    assert scheduler.remove('echo') is item
    assert (len(scheduler), item.__parent__, item.__name__, item.due) == (0, None, None, None)
    assert scheduler.add(item, NOW) == 'echo'


def testStrangersAreRefused():
    scheduler, other, item = Scheduler(), Scheduler(), Delay('echo')
    other.add(item, NOW)
    scheduler.add(Delay('echo'), NOW)
    for call in (lambda: scheduler.add(item, NOW), lambda: scheduler.add('echo', NOW),
                 lambda: scheduler.remove('nobody'), lambda: scheduler.reschedule(item, NOW),
                 lambda: scheduler.advance(Delay('echo'),
                                           NOW), lambda: scheduler.reschedule(None, NOW),
                 lambda: scheduler.due(datetime(2024, 1,
                                                1)), lambda: scheduler.advance('echo', 'now')):
        with pytest.raises(InputError):
            call()


def testDueInOrder():
    scheduler = Scheduler()
    assert scheduler.due(NOW) == [] and scheduler.nextDue() is None
    late, early, paused, same = Delay('a', 20), Delay('z', 10), Delay('b', 5), Delay('c', 10)
    paused.active = False
    for item in (late, early, paused, same):
        scheduler.add(item, NOW)
    assert scheduler.nextDue() == NOW + 10
    assert scheduler.due(NOW + 9.99) == []
    assert scheduler.due(NOW + 10) == [same, early]
    assert scheduler.due(datetime.fromtimestamp(NOW + 20, UTC)) == [same, early, late]


def testMissedTicksRunOnce():
    scheduler = Scheduler()
    cron, delay = Cron('cron', minute='*/5'), Delay('delay', 60)
    scheduler.add(cron, NOW)
    scheduler.add(delay, NOW)
    woken = NOW + 17 * 60 + 3
    assert scheduler.due(woken) == [delay, cron]
    assert scheduler.advance(cron, woken) == NOW + 20 * 60
    assert scheduler.advance('delay', woken) == woken + 60
    assert scheduler.due(woken) == []
    assert scheduler.nextDue() == woken + 60


def testAdvanceOnTheTickIsStrictlyLater():
    scheduler, item = Scheduler(), Cron('x', minute=())
    scheduler.add(item, NOW)
    assert scheduler.advance(item, item.due) == NOW + 120


def testRescheduleAll():
    scheduler = Scheduler()
    for number in range(3):
        scheduler.add(Delay('echo', 10 + number), NOW)
    scheduler.rescheduleAll(NOW - 100)
    assert [item.due for item in scheduler.values()] == [NOW - 90, NOW - 89, NOW - 88]


@given(st.lists(st.tuples(st.floats(0.1, 50), st.booleans()), max_size=8),
       st.lists(st.floats(0, 60), max_size=15))
def testEveryTickFiresOnceAndNoneEarly(items, steps):
    scheduler, now = Scheduler(), NOW
    for delay, active in items:
        scheduler.add(Delay('x', delay, active=active), now)
    for step in steps:
        now += step
        found = scheduler.due(now)
        assert [item.due for item in found] == sorted(item.due for item in found)
        for item in found:
            assert item.active and item.due <= now
            assert scheduler.advance(item, now) > now
        assert scheduler.due(now) == []
        nextDue = scheduler.nextDue()
        assert nextDue is None or (nextDue > now and scheduler.due(nextDue))


# -- two schedulers, one tick

@pytest.fixture
def database():
    db = DB()
    yield db
    db.close()


@pytest.mark.parametrize('item', [Cron('x', minute=()), Delay('x', 60)], ids=['Cron', 'Delay'])
def testTwoSchedulersOneTick(database, item):
    managers = [transaction.TransactionManager(explicit=True) for _ in range(3)]
    first, second, reader = (database.open(manager) for manager in managers)
    managers[0].begin()
    first.root()['scheduler'] = scheduler = Scheduler()
    scheduler.add(item, NOW)
    managers[0].commit()

    for connection, manager in zip((first, second), managers, strict=False):
        manager.begin()
        scheduler = connection.root()['scheduler']
        due, = scheduler.due(NOW + 60)
        scheduler.advance(due, NOW + 60)            # both arrive at the same due time
    managers[0].commit()
    with pytest.raises(ConflictError):
        managers[1].commit()
    managers[1].abort()

    managers[2].begin()
    scheduler = reader.root()['scheduler']
    assert scheduler['x'].due == NOW + 120
    assert scheduler.due(NOW + 60) == []
    managers[2].abort()
    for connection in (first, second, reader):
        connection.close()


def testItemsAreObjectsOfTheirOwn(database):
    managers = [transaction.TransactionManager(explicit=True) for _ in range(2)]
    connections = [database.open(manager) for manager in managers]
    managers[0].begin()
    connections[0].root()['scheduler'] = scheduler = Scheduler()
    for name in ('a', 'b'):
        scheduler.add(Delay(name), NOW)
    managers[0].commit()
    for connection, manager, name in zip(connections, managers, ('a', 'b'), strict=True):
        manager.begin()
        connection.root()['scheduler'].advance(name, NOW)
    for manager in managers:                        # different items do not meet
        manager.commit()
    for connection in connections:
        connection.close()


def testAnItemOfYourOwnSaysWhenItRuns():
    with pytest.raises(RegistrationError, match='has no next'):
        Scheduler().add(SchedulerItem('echo'), NOW)
