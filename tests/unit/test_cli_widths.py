# SPDX-License-Identifier: ZPL-2.1
"""Every list of the command fits the terminal, be it narrow or wide, whatever things are called."""
import io
import itertools
import re
import sys
import time
from importlib import import_module

import pytest
from rich.cells import cell_len

from p01.remote import App, cli, verbs
from p01.remote.cli.terminal import console
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.store.audit import Line

WIDE = '顧客への請求書を送信する毎晩の仕事' * 4     # two columns a letter
LONG = 'quarterly-invoices-of-all-customers-' * 5
SHOP = '''
from p01.remote import App, JobError
app = App({address!r})

@app.job(queue='{wide}', retries=0)
def fail_{wide}(text):
    raise JobError(text)

@app.job(queue='{long}')
def work_{name}(*args, **kwargs):
    return args
'''
LISTS = [['jobs', 'list'], ['jobs', 'show', 'FAILED'],
         ['jobs', 'why', 'WAITS'], ['errors'], ['queues', 'list'], ['schedules', 'list'],
         ['schedules', 'show', LONG], ['schedules', 'show', 'lost'],
         ['schedules', 'next', LONG], ['workers', 'list'], ['status'], ['doctor'], ['history'],
         ['history', '--queue', WIDE], ['top', '--once'], ['audit']]
numbers = itertools.count()
ROWS = {('jobs', 'list'): 5, ('errors',): 1, ('workers', 'list'): 1, ('audit',): 2}
ESCAPES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An application whose things have long names, after some work; a job that failed, and one
    that waits."""
    name = f'wideshop{next(numbers)}'
    address = f'sqlite:{tmp_path / "jobs"}'
    (tmp_path / f'{name}.py').write_text(SHOP.format(
        address=address, long=LONG, wide=WIDE, name=LONG.replace('-', '_')))
    monkeypatch.syspath_prepend(str(tmp_path))
    module = import_module(name)
    app, (fail, work) = module.app, module.app.jobs.values()
    with app.transaction():
        failed = fail.enqueue(f'{WIDE} {LONG}')
        for number in range(3):
            work.enqueue(WIDE, number)
    other = App(address)        # that no command closes
    loop = Loop(other.db, other.locate, WIDE, WorkerOptions(queues=(WIDE, LONG), drain=True))
    loop.work()
    with app.transaction():
        waits = work.using(queue=f'nobody-{LONG}').enqueue(1)
    app.schedules.add(LONG, work, '*/7 1-3,5 2-9/3 JAN-MAR *', description=WIDE)
    app.schedules.add(f'{WIDE} {LONG}', work, '0 8 * * MON-FRI', title=WIDE,
                      tz='America/Argentina/ComodRivadavia')
    app.schedules.add('lost', work, every='1h', jitter='5m')
    app.schedules.pause(LONG)
    with app.transaction():
        verbs.pause(app.processor.store, WIDE)
        for who in (WIDE, LONG):
            verbs.note(app.processor.store, Line(time.time(), who, 'cli', f'pause queue {who}'))
        item = app.processor.scheduler['lost']
        item.base = {**item.base, 'job': f'gone.{LONG}'}
    yield f'{name}:app', failed.id, waits.id
    loop.close()
    for each in (other, app):
        each.close()
    del sys.modules[name]


class Terminal(io.StringIO):
    """A terminal, as far as those ask who write to it."""

    def isatty(self):
        return True


@pytest.mark.parametrize('width', [60, 80, 120, 200])
@pytest.mark.parametrize('words', LISTS, ids=lambda words: ' '.join(words[:2]))
def test_a_list_fits(place, words, width, monkeypatch):
    target, failed, waits = place
    for variable in ('LINES', 'NO_COLOR', 'FORCE_COLOR'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('COLUMNS', str(width))
    monkeypatch.setenv('TERM', 'xterm-256color')
    monkeypatch.setenv('P01_REMOTE_APP', target)
    words = [{'FAILED': str(failed), 'WAITS': str(waits)}.get(word, word) for word in words]
    terminal = Terminal()
    monkeypatch.setattr('sys.stdout', terminal)
    console.cache_clear()
    try:
        status = cli.main(words)
    finally:
        console.cache_clear()
    lines = ESCAPES.sub('', terminal.getvalue()).splitlines()
    assert status in (0, 1)
    assert not [line for line in lines if cell_len(line.rstrip()) > width]
    # a row is a line, and what a line has no room for goes on below itself
    rows = ROWS.get(tuple(words[:2]))
    assert rows is None or len(lines) == rows + 1
    if words[1:2] == ['show']:
        assert all(line.startswith(('  ', '↻')) for line in lines[1:])
    if words[0] == 'top':
        assert [len(line.split()) > 4 for line in lines[5:8]] == [True] * 3
