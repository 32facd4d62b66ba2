# SPDX-License-Identifier: ZPL-2.1
"""Several attempts of one worker commit at once: each has slips of its own, and the fence is before
all of them."""
import time

import pytest
import transaction
from ZODB.POSException import ConflictError

from p01.remote import verbs
from p01.remote.engine import rescuing
from p01.remote.exceptions import ClaimLost
from p01.remote.store.outcomes import success
from p01.remote.store.seats import PARTSLIPS
from p01.remote.store.slips import SLIPROOM

PARTS = 3


@pytest.fixture
def parts(stage):
    """A worker with claims, and attempts of it that have begun, each in a connection of its own."""
    loop = stage.loop()
    stage.enqueue('effect', *range(PARTS * PARTSLIPS * SLIPROOM * 2))

    def begin(parts):
        stage.claim(loop, 1000)

        def prepare(processor):
            processor.store.seats[loop.name].prepare(parts)
        stage.do(prepare)
        return [Part(stage, loop.name, number) for number in range(PARTS)]
    opened = []

    def begun(parts):
        opened.extend(begin(parts))
        return opened
    yield stage, loop, begun
    for part in opened:
        part.close()


class Part:
    """An attempt with a connection of its own."""

    def __init__(self, stage, worker, number):
        self.manager = transaction.TransactionManager()
        self.connection = stage.app.db.open(self.manager)
        self.locate, self.worker, self.number = stage.app.locate, worker, number
        self.begin()

    def begin(self):
        self.manager.begin()
        self.seat = self.locate(self.connection).store.seats.get(self.worker)

    def write(self, jobid):
        """The outcome of a job, and what it did."""
        store = self.locate(self.connection).store
        verbs.complete(store, self.seat, {jobid: success(None, 1, time.time(), time.time(), ())},
                       self.number)

    def close(self):
        self.manager.abort()
        self.connection.close()


def testAttemptsCommitAtOnceAndDoNotMeet(parts):
    stage, loop, begin = parts
    attempts = begin(PARTS)
    jobids = list(attempts[0].seat.claims)
    # many more than have room: no attempt begins a slip, which would write the shelf
    for at in range(0, len(jobids), PARTS):
        for part in attempts:
            part.begin()
        for part, jobid in zip(attempts, jobids[at:at + PARTS]):
            part.write(jobid)
        for part in attempts:
            part.manager.commit()
    assert stage.stati(jobids) == ['completed'] * len(jobids)
    stage.claim(loop)
    assert stage.do(lambda processor: len(processor.store.seats[loop.name].claims)) == 0
    assert stage.stati(jobids) == ['completed'] * len(jobids)
    stage.check()


def testWithoutSlipsOfTheirOwnTheyMeet(parts):
    _, _, begin = parts
    one, two, _ = begin(1)
    first, second, *_ = one.seat.claims
    one.write(first)
    two.number = 0
    two.write(second)
    one.manager.commit()
    with pytest.raises(ConflictError):
        two.manager.commit()


def testTheFenceIsBeforeAllOfThem(parts):
    stage, loop, begin = parts
    attempts = begin(PARTS)
    jobids = list(attempts[0].seat.claims)
    for part, jobid in zip(attempts, jobids):
        part.write(jobid)
    stage.rescue(loop, set())
    for part in attempts:
        with pytest.raises(ConflictError):
            part.manager.commit()
        part.manager.abort()
        part.begin()
        assert part.seat is None
    assert set(stage.stati(jobids)) == {'queued'}


def testOneThatWasTakenOverIsRefusedAlone(parts):
    """A job beyond its time limit goes to others, while the other attempts of its worker go on."""
    stage, loop, begin = parts
    attempts = begin(PARTS)
    jobids = list(attempts[0].seat.claims)

    def take(processor):
        seat = processor.store.seats[loop.name]
        seat.fence()
        rescuing.verbs.retry(processor.store, seat, jobids[0], None, None)
    for part, jobid in zip(attempts, jobids):
        part.write(jobid)
    stage.do(take)
    for part in attempts:
        with pytest.raises(ConflictError):
            part.manager.commit()
        part.manager.abort()
        part.begin()
    with pytest.raises(ClaimLost):
        attempts[0].write(jobids[0])
    for part, jobid in zip(attempts[1:], jobids[1:]):
        part.write(jobid)
        part.manager.commit()
    assert stage.stati(jobids[:PARTS]) == ['queued', 'completed', 'completed']
