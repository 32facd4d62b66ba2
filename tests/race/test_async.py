# SPDX-License-Identifier: ZPL-2.1
"""Deaths of workers with many jobs on an event loop: whom they are laid to, and who runs alone
next."""
import asyncio
import threading
import time

import pytest

from p01.remote import App
from p01.remote.engine import death, rescuing
from p01.remote.engine.loop import Loop
from p01.remote.ground import blackbox
from p01.remote.ground.blackbox import (
    BOXHEAD,
    FREE,
    HOST,
    KILLED,
    RUN,
    SLOTSIZE,
    STEP,
    TAKEN,
    TURN,
    UNKNOWN,
    WORKS,
)
from p01.remote.options import WorkerOptions
from p01.remote.storage.transactions import transact
from p01.remote.testing import waitFor

application = App('memory:')
here = set()            # the jobs that run
most = []               # how many did, whenever one began
go = threading.Event()


@pytest.fixture
def app(tmp_path):
    application.database = f'sqlite:{tmp_path / "jobs"}'
    here.clear()
    most.clear()
    go.clear()
    yield application
    application.close()
    application.database = 'memory:'


@application.job
async def stays(number):
    here.add(number)
    most.append(len(here))
    while not go.is_set():
        await asyncio.sleep(0.001)
    here.discard(number)


def loopOf(app, name='a', **options):
    return Loop(app.db, app.locate, name, WorkerOptions(waitTime=0.05, **options))


def claimed(app, count, parts=9):
    """A worker with so many claims, which could be on its event loop."""
    with app.transaction():
        handles = [stays.enqueue(number) for number in range(count)]
    loop = loopOf(app)
    loop.book(time.time(), count)

    def prepare(connection):
        app.locate(connection).store.seats[loop.name].prepare(parts)
    transact(app.db, prepare)
    return loop, [handle.id for handle in handles]


def saying(step=0, begun=(), thread=0, end=WORKS, code=-11, late=()):
    """What the box of its process says: a thread, an event loop, and what has begun there."""
    slots = [(thread, 1.0, 0.0, TAKEN), (step, 1.0, 0.0, STEP)]
    slots += [(jobid, 1.0, 2.0 if jobid in late else 0.0, FREE) for jobid in begun]
    data = bytearray(BOXHEAD.size + len(slots) * SLOTSIZE)
    BOXHEAD.pack_into(data, 0, end, 10.0, 0, 0, 0, code, len(slots))
    for number, (jobid, since, until, kind) in enumerate(slots):
        RUN.pack_into(data, BOXHEAD.size + number * SLOTSIZE, jobid, since, until)
        TURN.pack_into(data, BOXHEAD.size + number * SLOTSIZE + RUN.size, kind, 0)
    return blackbox.Saying(blackbox.Head(*BOXHEAD.unpack_from(data)),
                           [blackbox.slot(bytes(data), BOXHEAD.size + number * SLOTSIZE)
                            for number in range(len(slots))])


def judged(app, loop, said):
    """How a worker ended whose box says so."""
    def work(connection):
        seat = app.locate(connection).store.seats[loop.name]
        seat.box = '1-nobody.box'
        return death.ended(seat, said)
    return transact(app.db, work)


@pytest.mark.parametrize('said, ran, among', [
    ({'step': 3, 'begun': (1, 2, 3)}, {3},
     set()), ({'begun': (1, 2, 3)}, set(), {1, 2, 3}), ({'begun': (2,)}, {2}, set()),
    ({'step': 3, 'thread': 1, 'begun': (2, 3)},
     set(), {1, 3}), ({'thread': 1, 'begun': (2, 3)}, set(), {1, 2, 3}),
    ({}, set(), set()), ({'step': 99, 'begun': (99,)}, set(), set())],
    ids=['a step', 'no step', 'one alone', 'a step and a thread', 'a thread', 'none',
         "another worker's"])
def testADeathIsLaidToWhoRan(app, said, ran, among):
    loop, jobids = claimed(app, 4)
    numbers = dict(enumerate(jobids, 1)) | {99: 10_000, 0: 0}
    given = {key: numbers[value] if isinstance(value, int) else tuple(map(numbers.get, value))
             for key, value in said.items()}
    found = judged(app, loop, saying(**given))
    assert (found.ran,
            found.among) == ({numbers[each] for each in ran}, {numbers[each] for each in among})
    loop.close()


@pytest.mark.parametrize('late, step, blamed', [((1, 2),
                                                 2, {2}), ((1, 2), 0, {1, 2}), ((1,), 3, set())])
def testWhoHeldTheEventLoopIsToBlameForTheTime(app, late, step, blamed):
    loop, jobids = claimed(app, 4)
    numbers = dict(enumerate(jobids, 1)) | {0: 0}
    found = judged(app, loop,
                   saying(numbers[step], jobids, end=KILLED, code=UNKNOWN,
                          late=[numbers[each] for each in late]))
    assert found.late == {numbers[each] for each in blamed}
    assert found.ran == ({numbers[each] for each in blamed} or {numbers[step]})
    loop.close()


def testWhoWasAtTwoDeathsRunsAlone(app):
    loop, jobids = claimed(app, 6)
    with app.transaction():
        others = [stays.enqueue(number) for number in range(10, 16)]

    def die(among):
        def work(connection):
            processor = app.locate(connection)
            for seat in list(processor.store.seats.values()):
                rescuing.bury(processor, seat, death.Death('died', set(), among=frozenset(among)),
                             time.time())
        transact(app.db, work)
    die(jobids)
    assert {app.handle(jobid).status for jobid in jobids} == {'queued'}
    again = loopOf(app, 'b')
    assert len(again.book(time.time(), 12)[0]) == 12            # at once, as before
    die(jobids[:2])
    again.free()
    last = loopOf(app, 'c')
    thread = threading.Thread(target=last.work)
    thread.start()
    waitFor(lambda: here)
    for _ in range(3):
        last.bell.ring()
    waitFor(lambda: len(here) in (1, 10))
    assert most[0] == 1
    go.set()
    waitFor(lambda: {app.handle(jobid).status for jobid in jobids} == {'completed'})
    waitFor(lambda: {handle.status for handle in others} == {'completed'})
    last.stop()
    thread.join()
    last.close()
    with app.reading() as processor:
        assert all(not processor.getJob(jobid).attempts for jobid in jobids)
    loop.free()


def testTheBoxSaysWhatRuns(app):
    assert HOST
    with app.transaction():
        handles = [stays.enqueue(number) for number in range(5)]
    loop = loopOf(app)
    thread = threading.Thread(target=lambda: (loop.work(), loop.close()))
    thread.start()
    waitFor(lambda: len(here) == 5)
    said = blackbox.read(loop.post.box.path)
    assert {slot.jobid for slot in said.slots if slot.round == FREE
            and slot.jobid} == {handle.id for handle in handles}
    assert [slot.round for slot in said.slots].count(STEP) == 1
    go.set()
    waitFor(lambda: {handle.status for handle in handles} == {'completed'})
    loop.stop()
    thread.join()
    assert not any(slot.jobid for slot in blackbox.slots(loop.post.box.path))


def test_a_job_that_ends_before_its_event_loop_is_given_up_ends_that(app, monkeypatch):
    """The worker may be held up between telling the event loop to leave and anything else."""
    loop, _ = claimed(app, 1)
    waitFor(lambda: loop.poll(time.time()) or here)
    aio = loop.handed.places[''].aio
    thread, soon = aio.thread, aio.soon

    def heldUp(work):
        soon(work)
        waitFor(lambda: not aio.running)
    monkeypatch.setattr(aio, 'soon', heldUp)
    loop.close()
    assert not thread.is_alive()
