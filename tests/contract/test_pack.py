# SPDX-License-Identifier: ZPL-2.1
"""Packing on every storage: under load nothing is lost, two packs at once are refused, the command
tells what it did."""
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import ZODB
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf

from p01.remote import storage
from p01.remote.cli import main
from p01.remote.engine.loop import Loop
from p01.remote.exceptions import PackRunning, RemoteError
from p01.remote.job import Job, PackZODBJob
from p01.remote.options import Retention, WorkerOptions
from p01.remote.storage.flock import FileLock
from p01.remote.storage.packing import pack
from p01.remote.storage.postgresql.link import Link
from p01.remote.views import figures, listing
from tests.conftest import NAME, counted, inside, leave, newProcessor, stored

DEADLINE = 120
# packs, and jobs that are done meanwhile; they are slow beside a pack in the same process
PACKS, LEAST = 5, 60


class Grow(Job):
    """Puts an object into a tree, whose buckets split, and moves an old one from one place to
    another."""

    def __call__(self, remoteProcessor):
        root = remoteProcessor._p_jar.root()
        root['tree'][self.input] = PersistentMapping(number=self.input)
        source, target = ('left', 'right') if 'thing' in root['left'] else ('right', 'left')
        if self.input % 10 == 0:
            # a new object each time
            root[target] = PersistentMapping(thing=root[source].pop('thing'))
        return self.input


def test_nothing_is_lost_while_it_is_packed(place):
    processor = stored(place)
    processor.addJob('grow', Grow())
    root = processor._p_jar.root()
    root['tree'], root['left'], root['right'] = OOBTree(), PersistentMapping(
        thing=PersistentMapping(v=1)), PersistentMapping()
    processor._p_jar.transaction_manager.commit()
    over = threading.Event()

    def enqueue():
        connection = place.connect(place.openAgain(), explicit=True)
        number = 0
        while not over.is_set():
            connection.transaction_manager.begin()
            for _ in range(10):
                inside(connection).processJob('grow', number)
                number += 1
            connection.transaction_manager.commit()
            over.wait(0.05)             # the worker is to keep up
        return number

    def work():
        loop = Loop(place.openAgain(), inside, 'busy', WorkerOptions(waitTime=0.05))
        loop.ready()
        threading.Thread(target=lambda: (over.wait(), loop.stop())).start()
        loop.work()
        done = loop.done
        loop.close()
        return done

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(enqueue), pool.submit(work)]
        try:
            packWhile(lambda packs: packs < PACKS or jobs(place) < LEAST, place.db)
        finally:
            over.set()
        enqueued, _ = (future.result(DEADLINE) for future in futures)
    prove(place, enqueued)


@pytest.mark.parametrize('place', ['postgresql'], indirect=True)
def test_packs_follow_each_other(place, monkeypatch):
    """One that has ended holds nothing that the next one needs, though the server may come to know
    late that its connection is closed."""
    lasting = []
    monkeypatch.setattr(Link, 'close', lambda link: lasting.append(link))
    for _ in range(3):
        pack(place.db)


def test_a_size_is_of_all_there_is(place):
    """Also of what stands in a log or journal only."""
    if place.db.getSize() is None:
        pytest.skip('it tells no size')
    before = place.db.getSize()
    with place.db.transaction() as connection:
        connection.root()['much'] = os.urandom(300_000)
    assert place.db.getSize() >= before + 250_000       # some pages were free


def packWhile(condition, db):
    """Pack again and again."""
    packs, deadline = 0, time.monotonic() + DEADLINE
    while condition(packs):
        assert time.monotonic() < deadline
        pack(db)
        packs += 1


def jobs(place):
    """How many have completed."""
    connection = place.connect(explicit=True)
    connection.transaction_manager.begin()
    counts = figures.exact(inside(connection).store).get('default', {})
    connection.transaction_manager.abort()
    connection.close()
    return counts.get('completed', 0)


def prove(place, enqueued):
    """Let the rest run, and look at everything, with a fresh cache."""
    loop = Loop(place.db, inside, 'last', WorkerOptions(drain=True))
    loop.work()
    loop.close()
    pack(place.db)
    connection = place.connect(explicit=True)
    connection.cacheMinimize()
    connection.transaction_manager.begin()
    processor, root = inside(connection), connection.root()
    assert counted(processor) == {'completed': enqueued}
    assert sorted(processor.getJobResult(jobid)
                  for jobid in listing.ids(processor.store)) == list(range(enqueued))
    assert [each['number'] for each in root['tree'].values()] == list(range(enqueued))
    assert [each['thing']['v'] for each in (root['left'], root['right']) if 'thing' in each] == [1]
    connection.transaction_manager.abort()


# PostgreSQL gives room back in its own time
@pytest.mark.parametrize('place', ['file', 'sqlite', 'zeo'], indirect=True)
def test_what_was_pruned_takes_no_room(place):
    processor = stored(place)
    processor.retention = Retention(0, 0, 0)
    for number in range(3000):
        processor.processJob('echo', f'{number}' * 100)
    processor._p_jar.transaction_manager.commit()
    pack(place.db)
    before = max(place.db.getSize(), 1 << 20)       # SQLite's may still be in its journal
    loop = Loop(place.db, inside, 'sweep', WorkerOptions())
    while jobsLeft(place):
        loop.poll(time.time())
        loop.booking.janitor.looked = -1e9      # at once, not after a while
    loop.close()
    for connection in place.opened:
        leave(connection)
    pack(place.db)              # SQLite's file gets smaller when nobody reads what was there
    assert place.db.getSize() < before / 2


def jobsLeft(place):
    """Whether there are any."""
    connection = place.connect(explicit=True)
    connection.transaction_manager.begin()
    found = next(listing.ids(inside(connection).store), None)
    connection.transaction_manager.abort()
    connection.close()
    return found is not None


@pytest.mark.parametrize('place', ['file', 'sqlite', 'zeo', 'postgresql'], indirect=True)
def test_two_packs_at_once(place):
    """Whoever comes second is refused, in our words, and the first one is not disturbed."""
    connection = place.connect()
    connection.root()['many'] = OOBTree({number: PersistentMapping(v='x' * 100)
                                         for number in range(5000)})
    connection.transaction_manager.commit()
    dbs = [place.db, place.openAgain()]
    refused, done, deadline = [], 0, time.monotonic() + DEADLINE

    def once(db):
        try:
            pack(db)
        except PackRunning as error:
            refused.append(str(error))
            return 0
        return 1

    with ThreadPoolExecutor(2) as pool:
        while not refused:
            assert time.monotonic() < deadline
            done += sum(pool.map(once, dbs))
    assert 'again when' in refused[0] and done > 0
    connection.cacheMinimize()
    connection.transaction_manager.begin()
    assert len(connection.root()['many']) == 5000 and connection.root()['many'][4999]['v']


@pytest.mark.parametrize('place', ['sqlite', 'postgresql'], indirect=True)
def test_what_moves_while_it_is_packed_is_kept(place):
    """Moved behind the mark: what it was in has been followed, and what it gets into has not."""
    connection = place.connect()
    root = connection.root()
    root['old'] = PersistentMapping(thing=PersistentMapping(v='precious'))
    root['garbage'] = PersistentMapping()
    connection.transaction_manager.commit()
    garbage = root.pop('garbage')._p_oid
    connection.transaction_manager.commit()
    moved = []

    def references(state):
        if not moved:
            moved.append(True)
            root['new'] = PersistentMapping(box=PersistentMapping(thing=root['old'].pop('thing')))
            connection.transaction_manager.commit()
        return referencesf(state)

    place.db.storage.pack(time.time() + 1, references)
    connection.cacheMinimize()
    connection.transaction_manager.begin()
    assert connection.root()['new']['box']['thing']['v'] == 'precious'
    with pytest.raises(POSKeyError):
        connection.get(garbage)


def test_relstorage_without_history_is_not_packed(tmp_path):
    """It would lose objects; the sentence says how not."""
    options = Options(keep_history=False)
    db = ZODB.DB(RelStorage(Sqlite3Adapter(str(tmp_path), pragmas={}, options=options),
                            options=options))
    connection = db.open()
    processor = connection.root()[NAME] = newProcessor()
    connection.transaction_manager.commit()
    with pytest.raises(RemoteError, match='zodbpack'):
        PackZODBJob()(processor)
    leave(connection)
    db.close()


def test_the_command(tmp_path, capsys):
    address = f'sqlite:{tmp_path / "jobs"}'
    storage.openDatabase(address).close()
    assert main(['pack', address]) == 0
    assert capsys.readouterr().out.startswith(f'✔ packed {address} in ')
    assert main(['pack', address, '--json', '--keep', '7d']) == 0
    assert json.loads(capsys.readouterr().out).keys() == {'app', 'seconds', 'before', 'after'}
    lock = FileLock(tmp_path / 'jobs' / 'pack.lock')
    assert lock.acquire()
    assert main(['pack', address]) == 2
    said = capsys.readouterr()
    assert said.out == '' and said.err.startswith('Error: ') and 'being packed already' in said.err
    assert said.err.count('\n') == 1
    lock.release()
    with suppress(SystemExit):
        assert main(['pack', 'memory:']) == 2
    assert 'one process only' in capsys.readouterr().err
