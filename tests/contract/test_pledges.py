# SPDX-License-Identifier: ZPL-2.1
"""A transaction that holds jobs and never commits is told of once, with the line that enqueued;
what is meant is silent."""
import gc
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import transaction
import zope.event
from ZODB.DB import DB

from p01.remote import App, events
from p01.remote.engine import pledge
from p01.remote.engine.bell import bellOf
from tests.conftest import leftOpen

application = App('memory:')
HERE = __file__


@application.job
def note(number):
    return number


@application.job
def spawn():
    return note.enqueue(1).id


@pytest.fixture
def app(memory):
    application.database = memory.db
    yield application
    transaction.abort()
    application.close()
    application.database = 'memory:'


@pytest.fixture
def told():
    heard = []

    def hear(event):
        if isinstance(event, events.JobsUncommitted):
            heard.append(event)

    gc.collect()        # what other tests have left
    zope.event.subscribers.append(hear)
    yield heard
    zope.event.subscribers.remove(hear)


def line():
    """The line below the caller's."""
    return f'{HERE}:{sys._getframe(1).f_lineno + 1}'


def test_one_that_stays_open_is_told_of_once(app, told, caplog):
    transaction.begin()
    where = line()
    handle = note.enqueue(1)
    note.enqueue(2)
    now = time.monotonic()
    assert 50 < pledge.look(now) <= pledge.OPEN and told == []
    with caplog.at_level(logging.ERROR, 'p01.remote'):
        pledge.look(now + pledge.OPEN + 1)
        pledge.look(now + pledge.OPEN + 100)
    assert [(event.id, event.where, event.lost) for event in told] == [(handle.id, where, False)]
    assert where in caplog.text and 'open for' in caplog.text
    transaction.commit()
    assert pledge.look(now + 1000) is None and len(told) == 1


def test_a_block_that_stays_open_is_told_of(app, told):
    with app.transaction():
        where = line()
        note.enqueue(1)
        pledge.look(time.monotonic() + pledge.OPEN + 1)
    assert [event.where for event in told] == [where]


def test_a_job_may_take_its_time(app, told):
    spawn.enqueue()
    seen = []

    def look(event):
        if isinstance(event, events.JobQueued):
            seen.append(pledge.look(time.monotonic() + pledge.OPEN + 1))

    zope.event.subscribers.append(look)
    try:
        app.drain()
    finally:
        zope.event.subscribers.remove(look)
    assert seen and told == []


@pytest.mark.parametrize('how', ['commit', 'abort', 'block', 'raise', 'alone', 'savepoint'])
def test_what_is_meant_is_silent(app, told, how):
    if how in ('block', 'raise'):
        try:
            with app.transaction():
                note.enqueue(1)
                if how == 'raise':
                    raise KeyError
        except KeyError:
            pass
    elif how == 'alone':
        note.enqueue(1)
    else:
        transaction.begin()
        savepoint = transaction.savepoint()
        note.enqueue(1)
        if how == 'savepoint':
            savepoint.rollback()
        (transaction.commit if how == 'commit' else transaction.abort)()
    gc.collect()
    assert pledge.look(time.monotonic() + 1000) is None and told == []


def test_one_that_is_dropped_is_told_of(app, told):
    connection = app.db.open(transaction.TransactionManager())
    with app.within(connection):
        where = line()
        handle = note.enqueue(1)
    del connection
    app.db.cacheMinimize()
    gc.collect()
    assert [(event.id, event.where, event.lost) for event in told] == [(handle.id, where, True)]


def test_one_whose_successor_begins_is_told_of(app, told):
    transaction.begin()
    where = line()
    note.enqueue(1)
    transaction.begin()
    assert [(event.where, event.lost) for event in told] == [(where, True)] \
        and 'another' in told[0].reason


def test_one_whose_thread_ends_is_told_of_and_its_connection_goes_back(app, told):
    where = []

    def work():
        transaction.begin()
        where.append(line())
        note.enqueue(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    assert [(event.where, event.lost) for event in told] == [(where[0], True)] \
        and 'thread ended' in told[0].reason
    assert leftOpen(app.db) == []


def test_one_whose_process_ends_is_told_of(tmp_path):
    (tmp_path / 'shop.py').write_text("""
from p01.remote import App
app = App('sqlite:./jobs')

@app.job
def receipt(number):
    return number
""")
    (tmp_path / 'order.py').write_text("""
import shop, transaction
transaction.begin()
shop.receipt.enqueue(1)
""")
    done = subprocess.run([sys.executable, 'order.py'], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60, check=False,
                          env={'PYTHONPATH': f'{Path(__file__).parents[2] / "src"}:{tmp_path}',
                               'PATH': ''})
    assert 'order.py:4' in done.stderr and 'process ended' in done.stderr, done.stderr


def test_each_database_of_a_transaction_has_its_bell_rung(tmp_path):
    apps = [App(DB(None)), App(DB(None))]
    for each in apps:
        each.connection().root()        # under the thread's manager
        each.processor.addJob('note', note)
    for each in apps:
        for _ in range(3):
            each.processor.processJob('note', (1,))
    rings = [bellOf(each.db).rings for each in apps]
    transaction.commit()
    assert [bellOf(each.db).rings for each in apps] == [rings[0] + 1, rings[1] + 1]


def test_the_watching_thread_ends_when_there_is_nothing_to_watch(app, monkeypatch):
    monkeypatch.setattr(pledge, 'OPEN', 0.05)
    transaction.begin()
    note.enqueue(1)
    assert pledge.look(time.monotonic() - 1) > 0        # one of an earlier test may still sleep
    transaction.commit()
    assert pledge.look(time.monotonic()) is None and not pledge._watch
    transaction.begin()
    note.enqueue(1)
    thread, = pledge._watch
    transaction.commit()
    thread.join(60)
    assert not thread.is_alive() and not pledge._watch
