# SPDX-License-Identifier: ZPL-2.1
"""What is kept of where a run failed begins where the application was called, wherever that was."""
import asyncio
import json
import time

import pytest

from p01.remote import App
from p01.remote.engine.loop import Loop
from p01.remote.ground.foreign import guarded, traced
from p01.remote.options import WorkerOptions
from p01.remote.testing import waitFor
from p01.remote.views.traces import parsed

application = App('memory:')


@application.job(retries=0)
def unread():
    json.loads('{')


@application.job(retries=0, detached=True)
def unreadAside():
    json.loads('{')


@application.job(retries=0)
async def unreadLater():
    await asyncio.sleep(0)
    json.loads('{')


@application.job(retries=0, detached=True)
def unwritable():
    return lambda: None


@pytest.fixture
def app(memory):
    """The application in memory: none of it depends on the storage."""
    application.database, application._db = memory.db, None
    yield application
    application.close()
    application.database = 'memory:'


def failed(app, job, **options):
    """The frames that are kept of a job that failed."""
    handle = job.enqueue()
    loop = Loop(app.db, app.locate, 'worker', WorkerOptions(**options))

    def over():
        loop.poll(time.time())
        return handle.status == 'error'
    try:
        waitFor(over, 60)
    finally:
        loop.close()
    return parsed(app.processor.getJob(handle.id).attempts[-1].trace).frames


@pytest.mark.parametrize('job, options', [
    (unread, {}), (unreadAside, {}), (unreadLater, {}),
    (unreadAside, {'executor': 'threads', 'slots': 1}),
    (unreadAside, {'executor': 'processes', 'slots': 1})],
                         ids=['transaction', 'detached', 'loop', 'thread', 'process'])
def test_a_trace_begins_in_the_application(app, job, options):
    assert [frame.function for frame in failed(app, job, **options)] \
        == [job.prototype.path.rpartition('.')[2], 'loads', 'decode', 'raw_decode']


def test_a_trace_of_a_drain_begins_in_the_application(app):
    handle = unread.enqueue()
    app.drain()
    assert parsed(app.processor.getJob(handle.id).attempts[-1].trace).frames[0].function == 'unread'


def test_a_trace_that_has_nothing_of_the_application_is_whole(app):
    frames = failed(app, unwritable)
    assert frames and 'p01/remote/' in frames[0].path


def test_the_whole_trace_can_be_had():
    error = guarded(lambda: json.loads('{')).error
    short, whole = (parsed(traced(error, each)).frames for each in (False, True))
    assert [frame.function for frame in whole] == ['guarded', *(each.function for each in short)]
    assert short[0].function == '<lambda>'
