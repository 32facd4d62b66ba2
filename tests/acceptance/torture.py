# SPDX-License-Identifier: ZPL-2.1
"""Processes that change the same objects of a database, without jobs, and are killed; what was
acknowledged must be there.

Each transaction changes a counter whose conflicts are resolved and a tree with its length, every
other one a plain counter as well, and every fourth one moves an object, which makes garbage. Two
objects are only ever changed with a look at each other (readCurrent): of each pair at most one is
taken.
"""
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import transaction
from BTrees.check import check
from BTrees.Length import Length
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from transaction.interfaces import TransientError
from ZODB.POSException import ConflictError, StorageError

from p01.remote.exceptions import AddressError, DatabaseLocked, PackRunning
from p01.remote.storage import openDatabase
from p01.remote.storage.packing import pack
from p01.remote.testing import waitFor
from tests.acceptance.trees import DEADLINE, ROOT, environment

PROCESSES = 4
PAIRS = 8


class Log:
    """What a process tries, in a file that outlives it: t try, a done, n certainly not done;
    capitals: plain as well."""

    def __init__(self, folder, number):
        self.handle = os.open(folder / f'{number}.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                              0o666)

    def add(self, letter, plain):
        os.write(self.handle, (letter.upper() if plain else letter).encode())


def prepare(db):
    """The objects."""
    with db.transaction() as connection:
        root = connection.root()
        root['resolved'], root['tree'], root['length'] = Length(), OOBTree(), Length()
        root['plain'] = PersistentMapping(n=0)
        root['boxes'] = [PersistentMapping(thing=None) for _ in range(4)]
        root['boxes'][0]['thing'] = PersistentMapping(kept='yes')
        root['pairs'] = [(PersistentMapping(taken=0), PersistentMapping(taken=0))
                         for _ in range(PAIRS)]


def work(address, number, folder):
    """Change, until a file says stop."""
    log, chance, count = Log(folder, number), random.Random(), 0
    manager = transaction.TransactionManager(explicit=True)
    db = connection = None
    while not (folder / 'stop').exists():
        if connection is None:
            with suppress(AddressError, DatabaseLocked):        # the server is away
                db = openDatabase(address)
                connection = db.open(manager)
            continue
        plain, tried = chance.random() < 0.5, False
        try:
            manager.begin()
            change(connection, connection.root(), f'{number:04d} {count:08d}', plain, chance)
            count += 1
            log.add('t', plain)
            tried = True
            manager.commit()
            log.add('a', plain)
        except ConflictError:
            manager.abort()
            if tried:
                log.add('n', plain)
        except (StorageError, TransientError):      # lost: it may have been done
            manager.abort()
    if connection is not None:
        connection.close()
        db.close()


def change(connection, root, key, plain, chance):
    """One transaction's changes."""
    root['resolved'].change(1)
    root['tree'][key] = PersistentMapping(key=key)
    root['length'].change(1)
    if plain:
        root['plain']['n'] += 1
    if chance.random() < 0.25:
        boxes = root['boxes']
        source = next(box for box in boxes if box['thing'] is not None)
        chance.choice([box for box in boxes
                       if box
                       is not source])['thing'] = PersistentMapping(kept=source['thing']['kept'])
        source['thing'] = None
    mine, other = chance.sample(chance.choice(root['pairs']), 2)
    if not other['taken']:
        connection.readCurrent(other)
        mine['taken'] = not mine['taken']


def verify(db, keys=None):
    """What holds in every snapshot; returns the counters."""
    with db.transaction() as connection:
        root = connection.root()
        check(root['tree'])
        found = len(root['tree'])
        assert root['length']() == root['resolved']() == found, (root['length'](),
                                                                 root['resolved'](), found)
        assert [box['thing']['kept'] for box in root['boxes']
                if box['thing'] is not None] == ['yes']
        assert all(not (one['taken'] and two['taken']) for one, two in root['pairs'])
        assert all(value['key'] == key for key, value in root['tree'].items())
        return found, root['plain']['n']


def torture(address, folder, seconds, strike=None, seed=None):
    """Let them work for so long, while they are killed and the database is packed; strike() hits
    the server, now and then.

    AssertionError for anything that is lost, doubled or torn. Returns what was done, in words.
    """
    seed = random.randrange(1 << 32) if seed is None else seed
    chance = random.Random(seed)
    db = openDatabase(address)
    prepare(db)
    processes, started, kills, packs, strikes = [], 0, 0, 0, 0
    until = time.monotonic() + seconds
    try:
        while True:
            while len(processes) < PROCESSES:
                started += 1
                processes.append(spawn(address, started, folder))
            enough = size(folder) + chance.randrange(20, 400)
            waitFor(lambda enough=enough: size(folder) > enough, DEADLINE,
                    f'nobody goes on (seed {seed})')
            assert all(process.poll() is None for process in processes), said(folder)
            if time.monotonic() > until:
                break
            match chance.randrange(4):
                case 0 | 1:
                    victim = processes.pop(chance.randrange(len(processes)))
                    victim.kill()
                    victim.wait()
                    kills += 1
                case 2:
                    with suppress(PackRunning, StorageError):   # the server may go meanwhile
                        pack(db)
                        packs += 1
                case 3 if strike is not None:
                    strike()
                    strikes += 1
            with suppress(TransientError):
                verify(db)
        (folder / 'stop').touch()
        assert [process.wait(DEADLINE)
                for process in processes] == [0] * len(processes), said(folder)
        found = verify(db)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        db.close()
    words = []
    for kind, count, letters in (('transactions',
                                  found[0], ('ATN', 'atn')), ('plain', found[1], ('ATN',))):
        acked, tried, refused = (sum(tally(folder).get(each[at], 0) for each in letters)
                                 for at in range(3))
        assert acked <= count <= tried - refused, (kind, acked, count, tried - refused, seed)
        words.append(f'{kind}: {acked:,} acknowledged, {count:,} there, {tried - refused:,} '
                     'possible')
    return f'{"; ".join(words)}; {kills} kills, {packs} packs, {strikes} strikes (seed {seed})'


def spawn(address, number, folder):
    """One more process."""
    with open(folder / 'said', 'ab') as log:
        return subprocess.Popen([sys.executable, '-m', 'tests.acceptance.torture', address,
                                 str(number), str(folder)], cwd=ROOT,
                                env=environment(address), stdout=log, stderr=log)


def size(folder):
    """Bytes of all logs."""
    return sum(log.stat().st_size for log in folder.glob('*.log'))


def said(folder):
    """What they had to say."""
    return (folder / 'said').read_text()[-5000:]


def tally(folder):
    """How often each letter stands in the logs."""
    found = {}
    for log in folder.glob('*.log'):
        for letter in log.read_text():
            found[letter] = found.get(letter, 0) + 1
    return found


if __name__ == '__main__':
    work(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
