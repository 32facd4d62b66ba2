# SPDX-License-Identifier: ZPL-2.1
"""Errors leave no rings that have objects of the database: the collector would take their
attributes while others load them, see docs/upstream/persistent_collected.py."""
import asyncio
import gc
import weakref
from contextlib import contextmanager
from types import CoroutineType, FrameType

import pytest
from persistent import Persistent

from p01.remote import App, current

application = App('memory:')
met = []


@application.job(backoff=0)
async def hot():
    """All change one object."""
    async with application.transaction() as root:
        value = root.get('hot', 0)
        await asyncio.sleep(0.001)
        root['hot'] = value + 1


@application.job(backoff=0)
def meets(number):
    """Conflicts once."""
    current.root['meets'] = number
    if number not in met:
        met.append(number)
        with application.transaction(independent=True) as root:
            root['meets'] = -number


@application.job(retries=1, backoff=0)
def fails():
    current.root['fails'] = 1
    raise ValueError('as it is to')


@application.job(retries=1, backoff=0)
async def failsLater():
    async with application.transaction() as root:
        root['later'] = 1
        await asyncio.sleep(0)
        raise ValueError('as it is to')


@application.job(retries=0)
async def failsWithOthers():
    """What is awaited fails, and takes the other tasks along."""
    async def inner():
        raise ValueError('as it is to')

    async with application.transaction() as root:
        root.get('others')
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())
            group.create_task(asyncio.sleep(60))


@application.job(retries=0, timeout=0.05)
async def lasts():
    async with application.transaction() as root:
        root.get('lasts')
        await asyncio.sleep(60)


@application.job(retries=0, soft=0.05)
async def isTold():
    async with application.transaction() as root:
        root.get('told')
        await asyncio.sleep(60)


@application.job(retries=0, detached=True)
def failsDetached():
    with application.transaction() as root:
        root['detached'] = 1
        raise ValueError('as it is to')


@application.job(retries=0, detached=True, executor='processes')
def failsElsewhere():
    raise ValueError('as it is to')


@application.job(retries=0)
async def failsBeside():
    """What it waits for in another thread fails."""
    async with application.transaction() as root:
        root.get('beside')
        await asyncio.to_thread(lambda: 1 / 0)


@application.job(retries=0)
async def failsInParts():
    async with application.transaction() as root:
        root['parts'] = 1
        try:
            async with application.transaction():
                root['parts'] = 2
                raise ValueError('of the part')
        except ValueError as error:
            await asyncio.sleep(0)
            raise LookupError('as it is to') from error


@contextmanager
def collected():
    """What only the collector finds of what is done within."""
    found = []
    gc.collect()
    gc.disable()
    before = gc.get_debug()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [each for each in gc.garbage if ours(each)]
    finally:
        gc.set_debug(before)
        gc.garbage.clear()
        gc.enable()


def ours(each):
    """Whether garbage is a frame of a job of this module, or an object of its database."""
    if isinstance(each, FrameType):
        return each.f_code.co_filename == __file__
    if isinstance(each, CoroutineType):
        return each.cr_code.co_filename == __file__
    return isinstance(each, Persistent) and each._p_jar is not None \
        and each._p_jar.db() is application.db


@pytest.fixture
def app():
    met.clear()
    yield application
    application.close()


@pytest.mark.parametrize('calls', [
    [(hot, ())] * 6, [(meets, (number,)) for number in range(3)], [(fails, ())],
    [(failsLater, ())], [(failsWithOthers, ())], [(lasts, ())], [(isTold, ())],
    [(failsDetached, ())], [(failsElsewhere, ())], [(failsBeside, ())],
    [(failsInParts, ())]], ids=lambda calls: calls[0][0].name.rpartition('.')[2])
def test_a_run_that_ends_badly_leaves_none(app, calls):
    hot.enqueue()
    app.drain()                 # what is made once
    with collected() as found:
        for job, args in calls:
            job.enqueue(*args)
        app.drain()
    assert not found, found


@pytest.mark.parametrize('job', [failsLater, failsBeside, failsInParts],
                         ids=lambda job: job.name.rpartition('.')[2])
def test_a_call_in_an_event_loop_that_is_not_ours_leaves_none(app, job):
    ended = []

    async def calls():
        # not asyncio.run: it has what the error comes from itself
        try:
            await job()
        except (ValueError, ZeroDivisionError, LookupError):
            ended.append(job)

    asyncio.run(calls())        # what is made once
    with collected() as found:
        asyncio.run(calls())
    assert len(ended) == 2 and not found, found


def test_a_transaction_that_meets_a_conflict_leaves_none(app):
    def change(root):
        root['here'] = 1
        if not met:
            met.append(True)
            with app.transaction(independent=True) as other:
                other['here'] = 2

    app.run(change)
    met.clear()
    with collected() as found:
        app.run(change)
    assert met and not found, found


def test_the_root_is_never_garbage(app):
    with app.transaction() as root:
        connection = root._p_jar
        known = weakref.ref(root)
        ring = [root]
        ring.append(ring)
    del root, ring
    connection.cacheMinimize()
    gc.collect()
    assert known() is not None
