# SPDX-License-Identifier: ZPL-2.1
"""A job that runs is asked to end, on every storage."""
import threading
import time

import pytest

from p01.remote import App, current

application = App('memory:')
amidst = []
seen = []


@application.job(retries=3)
def counts(way):
    """Changes something, has something happen, and looks."""
    current.root['count'] = current.root.get('count', 0) + 1
    seen.append(current.cancelled)
    while amidst:
        amidst.pop()()
    seen.append(current.cancelled)
    if way == 'looks':
        current.progress(1)
    return 'done'


@pytest.fixture(autouse=True)
def clean():
    amidst.clear()
    seen.clear()


def elsewhere(work):
    """Do it in another thread, beside the job's transaction."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)


@pytest.mark.parametrize('way', ['looks', 'blind'])
def test_it_ends_cancelled_if_it_looks_and_completes_else(app, way):
    handle = counts.enqueue(way)
    amidst.append(lambda: elsewhere(lambda: seen.append(handle.cancel(running=True, who='ann'))))
    app.drain()
    assert seen == [False, True, True]
    with app.reading() as processor:
        view, count = processor.store.view(handle.id), processor._p_jar.root().get('count', 0)
        asked = [dict(seat.asked) for seat in processor.store.seats.values() if seat.asked]
    found = view.outcome.asked and (view.outcome.asked.who, view.outcome.asked.when <= time.time())
    assert (view.status, count, found) == (('cancelled', 0, ('ann', True)) if way == 'looks'
                                           else ('completed', 1, None))
    assert asked == [] and handle.cancel(running=True) is False
    if way == 'looks':
        with pytest.raises(Exception, match='Cancelled by ann'):
            handle.result(0)


def test_in_the_callers_own_transaction_nobody_asks(app):
    handle = counts.enqueue('looks')
    with app.transaction():
        assert app.processor.processJobs() == 1
    assert (seen, handle.status) == ([False, False], 'completed')
