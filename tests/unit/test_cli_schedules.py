# SPDX-License-Identifier: ZPL-2.1
"""p01-remote schedules: what it shows and changes, in words and as JSON, and what it refuses."""
import sys
import time
from datetime import datetime

import pytest

from p01.remote import App

TASKS = '''
from p01.remote import App, current
app = App('sqlite:./jobs')

@app.schedule('0 8 * * MON-FRI', tz='Asia/Tokyo', title='Morning', description='For all.')
@app.job
def report(number=0):
    return number

@app.schedule(every='15m', name='often', args=(5,))
@app.schedule(every='1d', name='rare', jitter='1h')
def other(number=0):
    return number
'''


@pytest.fixture
def shop(tmp_path, monkeypatch, application):
    """An application with schedules, in its folder; they are in the database."""
    return application(TASKS)


@pytest.fixture
def application(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def make(text):
        name = f'shop{time.monotonic_ns()}'
        (tmp_path / f'{name}.py').write_text(text)
        names.append(name)
        app = __import__(name).app
        app.drain()
        app.close()
        return f'{name}:app'
    yield make
    for name in names:
        sys.modules.pop(name, None)


def test_list(run, shop):
    module = shop.partition(':')[0]
    status, facts, _ = run('schedules', 'list', shop, '--json')
    assert status == 0 and [each['name'] for each in facts] == ['often', 'rare', f'{module}.report']
    morning = facts[2]
    assert (morning['state'], morning['tz'], morning['when']) == (
        'active', 'Asia/Tokyo', 'At 08:00 on Monday through Friday, Asia/Tokyo')
    assert morning['due'].endswith('T23:00:00+00:00') and morning['history'] == []
    out = run('schedules', 'list', shop)[1]
    assert '08:00:00 Asia/Tokyo' in out and 'Morning' in out and ' in ' in out
    assert run('schedules', 'list', 'sqlite:./none')[0] == 2


def test_none(run, application):
    target = application("from p01.remote import App\napp = App('sqlite:./others')\n")
    status, out, _ = run('schedules', 'list', target)
    assert status == 1 and '@app.schedule' in out
    assert run('schedules', 'list', target, '--json')[:2] == (1, [])


def test_show_and_next(run, shop):
    name = f'{shop.partition(":")[0]}.report'
    out = run('schedules', 'show', shop, name)[1]
    assert all(words in out
               for words in ('✔ active', 'Morning', 'For all.', 'declared by code', 'Asia/Tokyo',
                             '0 fired'))
    facts = run('schedules', 'show', shop, name, '--json')[1]
    assert len(facts['coming']) == 3 and facts['settings']['tz'] == 'Asia/Tokyo'
    status, found, _ = run('schedules', 'next', shop, name, '--count', 2, '--after',
                           '2026-11-20T00:00', '--json')
    assert (status, found) == (0, ['2026-11-22T23:00:00+00:00', '2026-11-23T23:00:00+00:00'])
    assert 'Mon 2026-11-23 08:00:00 Asia/Tokyo (' in run('schedules', 'next', shop, name,
                                                         '--after', '2026-11-20')[1]
    status, _, err = run('schedules', 'show', shop, 'offen')
    assert status == 1 and "There is no schedule 'offen'; did you mean 'often'?" in err


def test_show_tells_the_jitter(run, shop):
    facts, out = run('schedules', 'show', shop, 'rare', '--json')[1], run('schedules', 'show', shop,
                                                                         'rare')[1]
    assert facts['tick'] == facts['coming'][0] < facts['due']
    assert f'its job starts {datetime.fromisoformat(facts["due"]):%a %Y-%m-%d %H:%M:%S} UTC' in out
    assert 'by the jitter' not in run('schedules', 'show', shop, 'often')[1]


def test_paused_and_resumed(run, shop):
    out = run('schedules', 'pause', shop, 'often', '--for', '10m')[1]
    assert 'often is paused, and goes on by itself in 10' in out
    assert '⏸ paused' in run('schedules', 'list', shop)[1]
    status, facts, _ = run('schedules', 'pause', shop, 'often', '--json')
    assert (status, facts) == (0, {'name': 'often', 'paused': True, 'until': None})
    assert 'until it is resumed' in run('schedules', 'show', shop, 'often')[1]
    assert 'often is paused' in {each['check']: each['text']
                                 for each in run('doctor', shop, '--json')[1]}['schedules']
    status, facts, _ = run('schedules', 'resume', shop, 'often', '--json')
    assert (status, facts['was']) == (0, True)
    status, out, _ = run('schedules', 'resume', shop, 'often')
    assert status == 1 and 'was not paused' in out
    assert run('schedules', 'pause', shop, 'often', '--until', '2020-01-01')[0] == 2


def test_run_and_skip(run, shop):
    status, facts, _ = run('schedules', 'run', shop, 'often', '--json')
    job = run('jobs', 'show', shop, facts['id'], '--json')[1]
    assert status == 0 and (job['input'], job['schedule']) == ([[5], {}], 'often') and job['tick']
    assert 'often, for ' in run('jobs', 'show', shop, facts['id'])[1]
    assert 'job of often is queued' in run('schedules', 'run', shop, 'often')[1]
    assert run('schedules', 'skip', shop, 'often', '--count', 2,
               '--json')[1] == {'name': 'often', 'skips': 2}
    out = run('schedules', 'show', shop, 'often')[1]
    assert 'the next 2 ticks' in out and 'queued (by hand)' in out
    assert 'skips 0 runs' in run('schedules', 'skip', shop, 'often', '--count', 0)[1]


def test_edited_and_reset(run, shop):
    options = '--cron', '0 9 * * *', '--tz', 'Europe/Zurich', '--missed', 3
    status, facts, _ = run('schedules', 'edit', shop, 'often', *options, '--json')
    assert (status, sorted(facts['edited'])) == (0, ['cron', 'missed', 'overlap', 'tz'])
    assert 'active, edited' in run('schedules', 'list', shop)[1]
    assert 'takes that back' in run('schedules', 'show', shop, 'often')[1]
    assert 'is changed: Every 2 hours' in run('schedules', 'edit', shop, 'often', '--every',
                                              '2h')[1]
    assert 'is as it was declared: Every 15 minutes' in run('schedules', 'reset', shop, 'often')[1]
    assert run('schedules', 'reset', shop, 'often')[0] == 1
    for wrong, words in ((('--cron', 'x'),
                          'is no crontab line'), (('--tz', 'X'),
                                                  'No time zone'), ((), 'Give what is to be'),
                         (('--missed', 'some'),
                          'missed must be'), (('--jitter', '1d'), 'jitter must be below')):
        status, _, err = run('schedules', 'edit', shop, 'often', *wrong)
        assert status == 2 and words in err, wrong


def test_added_and_removed(run, shop):
    status, facts, _ = run('schedules', 'add', shop, 'mine', 'report', '[7]', '--every', '1h',
                           '--json')
    assert (status, facts['source'], facts['job']) == (0, 'hand',
                                                       f'{shop.partition(":")[0]}.report')
    assert 'added by hand' in run('schedules', 'show', shop, 'mine')[1]
    assert run('schedules', 'remove', shop, 'mine',
               '--json')[:2] == (0, {'name': 'mine', 'removed': True})
    for wrong, words in ((('mine', 'nobody', '--every', '1h'), 'No job is registered'),
                         (('mine', 'report', '[1, 2]', '--every', '1h'),
                          'cannot be called with these arguments'),
                         (('often', 'report', '--every', '1h'), 'There is a schedule'),
                         (('mine', 'report'), 'with --cron, --every, --delay or --at')):
        status, _, err = run('schedules', 'add', shop, *wrong)
        assert status == 2 and words in err, wrong
    status, _, err = run('schedules', 'remove', shop, 'often')
    assert status == 2 and 'is declared by code' in err


def test_backfill(run, shop):
    span = '--from', '2026-01-01T10:00', '--to', '2026-01-01T11:00'
    status, facts, _ = run('schedules', 'backfill', shop, 'often', *span, '--dry-run', '--json')
    assert (status, len(facts), facts[0]) == (0,
                                              4, {'tick': '2026-01-01T10:00:00+00:00', 'id': None})
    assert '4 jobs would be enqueued' in run('schedules', 'backfill', shop, 'often', *span,
                                             '--dry-run')[1]
    status, facts, _ = run('schedules', 'backfill', shop, 'often', *span, '--json')
    assert (status, len({each['id'] for each in facts})) == (0, 4)
    status, out, _ = run('schedules', 'backfill', shop, 'often', *span)
    assert status == 1 and 'no run of often in this span, up to now, is without one' in out
    assert run('schedules', 'backfill', shop, 'often', '--from', '2026-01-02', '--to',
               '2026-01-01')[0] == 2
    status, _, err = run('schedules', 'backfill', shop, 'often', '--from', '9998-01-01', '--to',
                         '9999-01-01')
    assert status == 2 and 'The span begins in the future (9998-01-01 00:00:00 UTC)' in err


def test_what_is_gone_or_broken_is_told(run, shop):
    app = App('sqlite:./jobs')
    with app.transaction():
        app.processor.scheduler['often'].retire(time.time())
        item = app.processor.scheduler['rare']
        item.base = {**item.base, 'job': 'gone.job'}
    app.close()
    out = run('schedules', 'list', shop)[1]
    assert '⊘ retired' in out and '✖ broken' in out and 'gone.job' in out
    found = {each['check']: each for each in run('doctor', shop, '--json')[1]}['schedules']
    assert found['verdict'] == 'wrong' and 'often' not in found['text'] \
        and 'rare enqueues what cannot run here: gone.job cannot be found' in found['text']
    app = App('sqlite:./jobs')
    assert app.schedules.runNow('rare').id      # it does enqueue
    app.close()


def test_what_is_wrong_is_told_in_the_words_of_the_command(run, shop):
    for words, said in (
            (('pause', '--for', '1h', '--until', '2999-01-01'), 'Give --for or --until, not both.'),
            (('edit',), 'Give what is to be changed, as --cron, --every or --queue.'),
            (('backfill', '--from', '2026-01-02', '--to', '2026-01-01'),
             'The span must end after it begins (2026-01-02')):
        status, _, err = run('schedules', words[0], shop, 'often', *words[1:])
        assert status == 2 and said in ' '.join(err.split())
