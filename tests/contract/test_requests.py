# SPDX-License-Identifier: ZPL-2.1
"""A job that runs is asked to end, on every storage."""
import threading
import time

import pytest

from p01.remote import App, current
from p01.remote.exceptions import InputError, TimeLimit
from p01.remote.options import Policy

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


# -- soft time limits

@application.job(retries=1, backoff=0, soft=0.01, timeout=600)
def lasts(way):
    """Runs longer than its soft limit, but in its second run."""
    current.root['count'] = current.root.get('count', 0) + 1
    if current.job.runCounter > 1:
        return 'quick'
    time.sleep(0.02)
    try:
        while way == 'tracks':
            current.progress(1)
        current.check()
    except Exception:
        return 'swallowed'
    except TimeLimit:
        if way != 'catches':
            raise
        current.check()             # it is told once
        return 'cleaned up'


@pytest.mark.parametrize('way', ['looks', 'tracks', 'catches'])
@pytest.mark.parametrize('byHand', [False, True], ids=['worker', 'by hand'])
def test_one_that_runs_long_is_told_once(app, way, byHand):
    handle = lasts.enqueue(way)
    if byHand:
        with app.transaction():
            app.processor.processJobs()
    else:
        app.drain()
    with app.reading() as processor:
        view, count = processor.store.view(handle.id), processor._p_jar.root()['count']
    reasons = [attempt.reason for attempt in view.attempts]
    if way == 'catches':
        assert (view.status, reasons, handle.result(0)) == ('completed', [], 'cleaned up')
    else:
        assert reasons == ['TimeLimit: The job runs longer than its soft time limit.']
        assert (view.status, view.runs, handle.result(0)) == ('completed', 2, 'quick')
    assert count == 1


@pytest.mark.parametrize('soft, timeout', [(0, None), (-1, None), (5, 5), ('1m', '30s'),
                                           ('x', None)])
def test_a_soft_limit_is_less_than_the_hard_one(soft, timeout):
    with pytest.raises(InputError, match='soft'):
        Policy(soft=soft, timeout=timeout)
    assert Policy(soft='1m', timeout='2m').soft == 60
