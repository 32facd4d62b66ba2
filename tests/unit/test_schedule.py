# SPDX-License-Identifier: ZPL-2.1
"""@app.schedule and app.schedules: what they take and refuse, and what they say."""
import sys
import types
from datetime import UTC, datetime, timedelta

import pytest

from p01.remote import App, current
from p01.remote.exceptions import (
    ArgumentsError,
    InputError,
    RegistrationError,
    UnknownJob,
    UnknownSchedule,
)

application = App('memory:')
DAY = datetime(2027, 1, 1, tzinfo=UTC)


@application.schedule('* * * * * *', name='quick', args=(5,), kwargs={'more': 2})
@application.schedule('0 8 * * MON-FRI', tz='Europe/Zurich', title='Morning', queue='slow',
                      priority=3)
@application.job(queue='mail', priority=1)
def report(number=0, more=0):
    return number + more, current.tick, current.schedule


@application.schedule(every='1h')
def hourly():
    return current.tick


@application.job
def plain():
    return current.tick, current.schedule


REPORT, HOURLY = 'tests.unit.test_schedule.report', 'tests.unit.test_schedule.hourly'


@pytest.fixture
def app():
    application.database = 'memory:'
    application.drain()
    yield application
    application.close()


def declare(cron=None, /, function=None, **given):
    """What a declaration in a module of its own makes of a function; the App is another one."""
    other = App('memory:')
    module = sys.modules['declaring'] = types.ModuleType('declaring')
    exec('def job(number=0): pass', module.__dict__)
    try:
        return other, other.schedule(cron, **given)(function(other, module.job) if function
                                                    else module.job)
    finally:
        del sys.modules['declaring']


def test_declared(app):
    found = {each.name: each for each in app.schedules.list()}
    assert set(found) == {REPORT, HOURLY, 'quick'}
    morning = found[REPORT]
    assert (morning.job, morning.tz, morning.title, morning.source, morning.state) == (
        REPORT, 'Europe/Zurich', 'Morning', 'code', 'active')
    assert morning.when == 'At 08:00 on Monday through Friday, Europe/Zurich'
    assert (morning.settings['queue'], morning.settings['priority']) == ('slow', 3)
    assert (found['quick'].settings['queue'], found['quick'].settings['priority']) == ('mail', 1)
    assert found[HOURLY].when == 'Every hour, counted from midnight UTC'
    assert app.jobs[HOURLY].name == HOURLY


def test_a_job_knows_its_tick_and_schedule(app):
    handle = app.schedules.runNow('quick')
    app.drain()
    value, tick, schedule = handle.result()
    assert (value, tick.tzinfo, schedule) == (7, UTC, 'quick') \
        and abs(tick - datetime.now(UTC)) < timedelta(seconds=5)
    by = plain.enqueue()
    app.drain()
    assert by.result() == (None, None)
    [past] = [each for each in app.schedules['quick'].history if each.jobid == handle.id]
    assert (past.status, past.why) == ('completed', 'by hand')     # beside the ticks of each second


def test_part_of_the_transaction_around(app):
    with pytest.raises(ZeroDivisionError), app.transaction():
        app.schedules.pause('quick')
        app.schedules.runNow('quick')
        raise ZeroDivisionError
    assert app.schedules['quick'].state == 'active' and app.schedules['quick'].history == ()
    with app.transaction():
        app.schedules.pause('quick', length='1h')
    assert app.schedules['quick'].state == 'paused' and app.schedules['quick'].edited == ('paused',)
    assert app.schedules.resume('quick') and app.schedules['quick'].state == 'active'


def test_changed_and_reset(app):
    app.schedules.change('quick', every='2h', missed='all')
    found = app.schedules['quick']
    assert (found.when,
            found.edited) == ('Every 2 hours, counted from midnight UTC', ('every', 'missed',
                                                                           'overlap'))
    app.schedules.change('quick', '0 9 * * *')
    assert app.schedules['quick'].edited == ('missed', 'overlap', 'cron')
    assert app.schedules.reset('quick')
    assert app.schedules['quick'].when == 'Every second, UTC'
    for wrong, words in (((), 'Give what is to be changed'), (('x',), 'is no crontab line')):
        with pytest.raises(InputError, match=words):
            app.schedules.change('quick', *wrong)


def test_added_and_removed(app):
    app.schedules.add('mine', plain, every='1m')
    app.schedules.add('named', REPORT, '@daily', args=(1,), tz='Europe/Zurich')
    assert app.schedules['mine'].source == 'hand'
    assert app.schedules['named'].settings['queue'] == 'mail'
    app.schedules.remove('mine')
    with pytest.raises(UnknownSchedule, match=r"There is no schedule 'mine'; there are "):
        app.schedules['mine']
    with pytest.raises(UnknownJob):
        app.schedules.add('other', 'no such', every='1m')
    with pytest.raises(ArgumentsError):
        app.schedules.add('other', plain, every='1m', args=(1,))
    with pytest.raises(InputError, match='lies in the past'):
        app.schedules.add('other', plain, at=1.0)
    with pytest.raises(InputError, match='end lies before'):
        app.schedules.add('other', plain, every='1m', end=1e9)


def test_preview_is_pure(app):
    assert app.schedules.preview(REPORT, 3, datetime(2024, 10, 25, 12, tzinfo=UTC)) == [
        # the clock went back on 27
        datetime(2024, 10, day, hour, tzinfo=UTC) for day, hour in ((28, 7), (29, 7), (30, 7))]


@pytest.mark.parametrize('given, sentence', [
    (((), {}), "such as '0 8 * * MON-FRI', every='15m', delay='10m', at=an instant; not nothing."),
    ((('@daily',), {'every': 5}), 'not cron and every'),
    ((('* * *',), {}), "'* * *' is no crontab line: write five fields"),
    ((('0 8 ? * MON',), {}), "its day of month takes *, 1 to 31, L or LW, or lists, rising ranges"),
    ((('0 8 * * 6-1',), {}), "its day of week takes *, 0 to 7, SUN to SAT, MON#2 or 5L, or lists"),
    ((('60 0 8 * * *',), {}), "its second takes *, 0 to 59, or lists, rising ranges and steps"),
    ((('15m',), {}), "'15m' is no crontab line; for a fixed rate write every='15m'."),
    (((300,), {}), '300 is no crontab line; for a fixed rate write every=300.'),
    (((declare,), {}), "@app.schedule takes when to run, as @app.schedule('0 8 * * *') or"),
    (((), {'every': '90'}), "every needs a unit in a text, as 90s or 10m; '90' has none."),
    ((('0 0 31 2 *',), {}), "No date ever matches the crontab line '0 0 31 2 *'; give days"),
    ((('0 0 */30 2 MON#5',), {}), 'No date ever matches'),
    ((('0 0 * * *',), {'tz': 'Mars/Olympus'}),
     "No time zone is named 'Mars/Olympus'; write one like Europe/Zurich"),
    (((), {'every': 0}), 'every must be above 0 seconds, not 0.'),
    (((), {'every': '0.1 ms'}), "every must be at least 1 ms, not '0.1 ms'."),
    (((), {'delay': 0}), 'delay must be above 0 seconds'),
    (((), {'every': 'often'}), "every must be seconds, a timedelta, or a text such as '90s'"),
    (((), {'every': 5, 'start': DAY, 'end': DAY}),
     'end must be after start (2027-01-01 00:00:00 UTC)'),
    ((('@yearly',), {'start': DAY + timedelta(1), 'end': DAY + timedelta(2)}),
     'No run lies up to end: the first one is at 2028-01-01'),
    (((), {'at': DAY, 'start': DAY + timedelta(1)}), 'at lies before start'),
    (((), {'at': datetime(2027, 1, 1)}), 'at must be a timezone-aware datetime'),
    (((), {'every': 60, 'jitter': 60}),
     'jitter must be below the time between two runs, 60 s, not 60 s.'),
    (((), {'every': 60, 'missed': 'some'}),
     "missed must be 'one', 'all', 'none', or a number of ticks up to 1,000, not"),
    (((), {'every': 60, 'missed': 0}), 'missed must be'),
    (((), {'every': 60, 'overlap': 'both'}),
     "overlap must be one of skip, queue, cancel, not 'both'."),
    (((), {'every': 60, 'missed': 'all', 'overlap': 'skip'}),
     "missed='all' enqueues several jobs at once"),
    (((), {'delay': 60, 'aligned': False}), "aligned is for a fixed rate, as every='15m'"),
    (((), {'every': 60, 'aligned': 1}), 'aligned must be True or False, not 1.'),
    (((), {'every': 60, 'priority': 'high'}), 'priority must be a whole number'),
    (((), {'every': 60, 'queue': ''}), 'A queue must be a text that is not empty'),
    (((), {'every': 60, 'title': 5}), 'title must be a text'),
    (((), {'evry': 60}), 'A schedule has no option evry; did you mean every?'),
    ((('@daily',), {'minute': 5}), 'Give a crontab line or its fields'),
    (((), {'hour': 25}), 'hour must be whole numbers from 0 to 23, not 25.'),
    (((), {'every': 60, 'args': 'text'}), 'args must be a tuple of arguments, as (42,).'),
    (((), {'every': 60, 'kwargs': (1,)}), 'kwargs must be a dict of keyword arguments'),
    (((), {'every': 60, 'name': ''}), 'name must be a text that is not empty'),
    (((), {'every': 60, 'args': (1, 2)}),
     'declaring.job(number=0) cannot be called with these arguments: too many'),
    (((), {'every': 60, 'kwargs': {'nr': 1}}), "got an unexpected keyword argument 'nr'"),
    (((), {'every': 60, 'args': (lambda: 0,)}), 'cannot be pickled'),
])
def test_refused_where_it_is_declared(given, sentence):
    with pytest.raises(InputError) as error:
        declare(*given[0], **given[1])
    assert sentence in str(error.value) and str(error.value).endswith(('.', '?'))


def test_two_of_one_name_are_refused():
    with pytest.raises(InputError,
                       match=r"There are two schedules 'declaring.job'; give the second one a name "
                             r"of its own"):
        declare('@daily', function=lambda app, job: app.schedule('@hourly')(job))
    app, _ = declare('@daily', function=lambda app, job: app.schedule('@hourly')(job),
                     name='nightly')
    assert set(app.declared) == {'declaring.job', 'nightly'}


@pytest.mark.parametrize('function, words', [
    (lambda app, job: None, 'is written above a function'),
    (lambda app, job: 'job', 'is written above a function'),
    (lambda app, job: app.job(app.schedule('@hourly', name='x')(job)),
     'is a job already; write @app.job once, right above the function, and @app.schedule above')])
def test_above_what_is_no_function(function, words):
    with pytest.raises(RegistrationError, match=words):
        declare('@daily', function=function)


def test_a_change_after_which_it_never_runs_is_refused(app):
    for given, words in (({'at': 1.0}, 'at lies in the past'), ({'end': 1e9}, 'end lies before')):
        with pytest.raises(InputError, match=words):
            app.schedules.change(HOURLY, **given)
    assert app.schedules[HOURLY].edited == ()
    app.schedules.add('mine', plain, every='1h')
    with pytest.raises(InputError, match='end lies before'):
        app.schedules.change('mine', end=1e9)
    assert app.schedules['mine'].due is not None


def test_a_preview_of_so_many(app):
    assert app.schedules.preview(HOURLY, 0) == []
    for wrong in (-1, 'two', 10_001, None):
        with pytest.raises(InputError, match='count must be'):
            app.schedules.preview(HOURLY, wrong)


def test_an_added_one_needs_a_job(app):
    for wrong in (None, 5, declare):
        with pytest.raises(InputError, match=r'job must be an @app\.job function or the name of'):
            app.schedules.add('other', wrong, every='1m')


def test_a_pause_of_no_length_is_refused(app):
    with pytest.raises(InputError, match='length must be above 0 seconds, not 0'):
        app.schedules.pause(HOURLY, length=0)


def test_a_job_of_the_app_that_is_not_there(app):
    for name in ('plainn', 'tests.unit.test_schedule.plainn'):
        with pytest.raises(UnknownJob, match=rf"'{name}'; there are .*test_schedule.hourly"):
            app.schedules.add('other', name, every='1m')


def test_a_job_of_another_app_is_refused():
    with pytest.raises(RegistrationError, match='is a job of another App'):
        declare('@daily', function=lambda app, job: plain)
    with pytest.raises(RegistrationError):
        declare('@daily', function=lambda app, job: 5)


@pytest.mark.parametrize('given, when', [
    ({'minute': (0, 30), 'hour': 8}, 'At 08:00 and 08:30 every day, UTC'),
    ({'dayOfWeek': (0,)}, 'At 00:00 on Monday, UTC'),
    ({'every': '90s'}, 'Every 1 minute 30 seconds, counted from midnight UTC'),
    ({'every': '7d', 'aligned': False, 'start': DAY},
     'Every week, counted from 2027-01-01 00:00:00 UTC'),
    ({'delay': timedelta(minutes=10)}, '10 minutes after the last time'),
    ({'at': DAY}, 'Once, at 2027-01-01 00:00:00 UTC'),
])
def test_all_forms_in_words(app, given, when):
    app.schedules.add('mine', plain, **given)
    assert app.schedules['mine'].when == when


@pytest.mark.parametrize('line, after, expected', [
    ('30 0 8 * * *', datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 8, 0, 30, tzinfo=UTC)),
    ('0 8 L * *', datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, 8, tzinfo=UTC)),
    ('0 8 * * MON#2', datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 9, 8, tzinfo=UTC)),
    ('0 8 * * 5L', datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 27, 8, tzinfo=UTC)),
    ('@weekly', datetime(2026, 2, 2, tzinfo=UTC), datetime(2026, 2, 8, tzinfo=UTC)),
])
def test_lines(app, line, after, expected):
    app.schedules.add('mine', plain, line)
    assert app.schedules.preview('mine', 1, after) == [expected]


def test_a_window(app):
    app.schedules.add('mine', plain, every='1h', start=DAY, end=DAY + timedelta(hours=2))
    assert app.schedules.preview('mine', 9,
                                 DAY
                                 - timedelta(days=9)) == [DAY + timedelta(hours=each)
                                                          for each in range(3)]


@pytest.mark.parametrize('start', [1_900_000_000.4956527, 1_900_000_000.2810564, 1_900_000_000.1,
                                   1_900_000_000])
def test_the_first_run_of_a_window_is_at_its_start(app, start):
    app.schedules.add('mine', plain, every='1h', aligned=False, start=start)
    assert abs(app.schedules['mine'].due - start) < 1e-6


def test_a_rate_that_is_not_aligned_counts_from_when_it_was_added(app):
    app.schedules.add('mine', plain, every='1h', aligned=False)
    [first, second] = app.schedules.preview('mine', 2)
    assert second - first == timedelta(hours=1) \
        and first - datetime.now(UTC) > timedelta(minutes=59)
