# SPDX-License-Identifier: ZPL-2.1
"""What all tests share: a database of each storage, connections that are closed in the right order,
processors."""
import contextlib
import os
import sys
import threading
from collections import Counter

import BTrees.check
import pytest
import transaction
import zope.event
from BTrees.OOBTree import OOBTree
from hypothesis import HealthCheck, Phase, settings
from transaction.interfaces import NoTransaction

from p01.remote import storage, testing
from p01.remote.engine import batch, group, sizes
from p01.remote.engine.loop import Loop
from p01.remote.options import WorkerOptions
from p01.remote.processor import RemoteProcessor
from p01.remote.store.keys import idOf
from p01.remote.store.lines import Delays, Stretches, members
from p01.remote.views import figures, listing
from tests import servers

# by exact type: without this it refuses our trees
for known in (BTrees.check._type2kind, BTrees.check._btree2bucket):
    known[Delays] = known[OOBTree]
    known[Stretches] = known[OOBTree]

# Shrinking a failure of the model may take five minutes, after which faulthandler_timeout ends the
# run without a word; the printed blob reproduces it, and with all phases shrinks it.
settings.register_profile('ci', max_examples=200, stateful_step_count=50, deadline=None,
                          print_blob=True,
                          phases=[Phase.explicit, Phase.reuse, Phase.generate],
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile('local', settings.get_profile('ci'), max_examples=40)
settings.load_profile('ci' if os.environ.get('CI') else 'local')

NAME = 'processor'
START = 1_900_000_000.0     # an instant long after all jobs of the tests were enqueued

# how a storage is addressed, and whether a second database object can open what the first has open
STORAGES = {
    'memory': (lambda folder: 'memory:', False),
    'file': (lambda folder: f'file:{folder / "jobs.fs"}', False),
    'sqlite': (lambda folder: f'sqlite:{folder / "jobs"}', True),
    'zeo': (lambda folder: servers.zeo().database(), True),
    'postgresql': (lambda folder: servers.postgresql().database(), True),
}


@pytest.fixture(autouse=True)
def leavesNothing():
    """No test leaves in the thread what is around a job, nor an event loop in another one: those
    behind it would meet that."""
    yield
    left = []
    if type(transaction.manager.manager) is not transaction.TransactionManager:
        left.append(f'the manager {transaction.manager.manager!r}')
        transaction.manager.manager = transaction.TransactionManager()
    security = sys.modules.get('zope.security.management')
    if security is not None and security.queryInteraction() is not None:
        left.append('an interaction')
        security.endInteraction()
    with contextlib.suppress(AssertionError):
        testing.waitFor(lambda: not loops())
    left += loops()
    assert not left, 'the test leaves ' + ', '.join(left)


def loops():
    """The threads of workers' event loops."""
    return [each.name for each in threading.enumerate() if each.name.startswith('p01.remote.async')]


class Place:
    """A database and what was opened of it."""

    def __init__(self, kind, folder):
        make, self.shared = STORAGES[kind]
        self.kind = kind
        self.address = make(folder)
        self.db = storage.openDatabase(self.address)
        self.others = []
        self.opened = []

    def openAgain(self):
        """A second database object of the same storage; the same one where there can be only
        one."""
        if not self.shared:
            return self.db
        self.others.append(storage.openDatabase(self.address))
        return self.others[-1]

    def connect(self, db=None, explicit=False):
        """A connection with a transaction manager of its own."""
        manager = transaction.TransactionManager(explicit=explicit)
        connection = (db or self.db).open(manager)
        self.opened.append(connection)
        return connection

    def close(self):
        for connection in reversed(self.opened):
            leave(connection)
        for db in reversed(self.others):
            db.close()
        self.db.close()


def unhurry(monkeypatch):
    """Have jobs claimed at once, and share a commit, however slow this machine is."""
    monkeypatch.setattr(group, 'GROUPLASTS', 60.0)
    monkeypatch.setattr(sizes, 'LONGALONE', 60.0)
    monkeypatch.setattr(batch, 'AIM', 60.0)
    monkeypatch.setattr(batch, 'LARGESTCLAIM', 60.0)


def leave(connection):
    """Abort and close."""
    if connection.opened:
        with contextlib.suppress(NoTransaction):
            connection.transaction_manager.abort()
        connection.close()


@pytest.fixture(params=list(STORAGES))
def place(request, tmp_path):
    place = Place(request.param, tmp_path)
    yield place
    transaction.abort()
    place.close()


@pytest.fixture
def app(request, place):
    """The application of the test's module, on this storage."""
    application = request.module.application
    application.database, application._db = place.db, None
    yield application
    transaction.abort()
    application.close()
    application.database = 'memory:'


@pytest.fixture
def memory(tmp_path):
    """A place in memory, for what does not depend on the storage."""
    place = Place('memory', tmp_path)
    yield place
    transaction.abort()
    place.close()


@pytest.fixture
def db(place):
    return place.db


@pytest.fixture
def address(place):
    return place.address


def drained(app):
    """A worker of its own does all that is due; returns its loop, which has ended."""
    loop = Loop(app.db, app.locate, 'worker', WorkerOptions(drain=True))
    try:
        loop.work()
    finally:
        loop.close()
    return loop


def nested(levels):
    """A list within a list …"""
    found = []
    for _ in range(levels):
        found = [found]
    return found


def newProcessor():
    """A processor with the test jobs; not stored."""
    processor = RemoteProcessor()
    processor.__name__ = NAME
    processor.addJob('echo', testing.EchoJob())
    processor.addJob('error', testing.ErrorJob())
    processor.addJob('fatal', testing.FatalJob())
    return processor


def stored(place):
    """One that is committed, in a connection of its own."""
    connection = place.connect()
    processor = connection.root()[NAME] = newProcessor()
    connection.transaction_manager.commit()
    return processor


def uncommitted(place):
    """One that was stored in a transaction that is still open."""
    connection = place.connect()
    processor = connection.root()[NAME] = newProcessor()
    connection.transaction_manager.savepoint()      # else it would not know its connection yet
    return processor


def unstored(place):
    """One that is in no database."""
    return newProcessor()


@pytest.fixture
def processor(place):
    return stored(place)


@pytest.fixture(params=[stored, uncommitted, unstored], ids=lambda make: make.__name__)
def anyProcessor(request, place):
    return request.param(place)


def inside(connection):
    """The processor in a connection."""
    return connection.root()[NAME]


def commit(processor):
    """Commit the transaction that a processor is in."""
    processor._p_jar.transaction_manager.commit()


def abort(processor):
    """Abort it, and begin another: that is when a ZEO client looks for what others have
    committed."""
    processor._p_jar.transaction_manager.abort()
    processor._p_jar.transaction_manager.begin()


def standing(lines):
    """The trees of a shard's lines, whose bounds are proven: none is too high, each stands among
    the heads, no other does."""
    assert {queue: line.bound
            for queue, line in lines.queues.items()} == {queue: key
                                                         for key, queue in lines.heads.items()}
    assert all(line.bound <= next(iter(line.waiting.keys()), line.bound)
               for line in lines.queues.values())
    return [lines.queues, lines.heads, lines.delayed,
            *(line.waiting for line in lines.queues.values())]


def recount(store):
    """What counts() must say, found by looking at every job."""
    found = {}
    for jobid in listing.ids(store):
        view = store.view(jobid)
        found.setdefault(view.record.queue, Counter())[view.status] += 1
    return {queue: dict(counts) for queue, counts in found.items()}


def counted(processor):
    """The counts by status, proven by a recount."""
    store = processor.store
    assert figures.exact(store) == recount(store)
    total = Counter()
    for counts in figures.exact(store).values():
        total.update(counts)
    return dict(total)


def runAll(processor, now=None):
    """Run what is due one by one, counts proven at every step; returns the ids in the order in
    which they ended."""
    order = []
    while True:
        done = {jobid for jobid, _ in listing.finished(processor.store)}
        if not processor.processNextJob(now):
            return order
        order += [jobid for jobid, _ in listing.finished(processor.store) if jobid not in done]
        counted(processor)


@pytest.fixture
def told():
    """The events that subscribers are told of, in their order."""
    found = []
    zope.event.subscribers.append(found.append)
    yield found
    zope.event.subscribers.remove(found.append)


def leftOpen(db):
    """The connections that stay open: what works alongside, as for neighbours that died, opens one
    for a moment."""
    def found():
        return [each for each in db.connectionDebugInfo() if each['opened']]

    with contextlib.suppress(AssertionError):
        testing.waitFor(lambda: not found())
    return found()


def inLines(store):
    """The ids of all jobs that wait, due or not yet; looks at no other."""
    for shard, lines in store.lanes():
        for line in lines.queues.values():
            for key, last in line.waiting.items():
                segment = store.home(idOf(key))
                yield from members(idOf(key), last, segment, shard.known(segment.first))
        yield from map(idOf, lines.delayed)
    yield from (jobid for jobid, _ in store.untaken())
