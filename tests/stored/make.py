# SPDX-License-Identifier: ZPL-2.1
"""How the stored databases are made.

python -m tests.stored.make makes tests/stored/layout1.*: do that only as long as no release has
this layout. A later layout gets databases of its own, and these stay as they are.
"""
import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from persistent.mapping import PersistentMapping

from p01.remote import verbs
from p01.remote.engine.loop import Loop
from p01.remote.ground import blackbox
from p01.remote.options import Retention, Unique, WorkerOptions
from p01.remote.scheduler import Cron, Delay
from p01.remote.storage.transactions import transact
from tests.stored.jobs import DAY, Mine, app, fail, later, mark, plain, stumble

HERE = Path(__file__).parent
LAYOUT = 1
KINDS = {'file': 'Data.fs', 'sqlite': 'main.sqlite3'}


def fill():
    """Jobs in all states, and all else that a processor can have."""
    with app.transaction() as root:
        root['marks'] = PersistentMapping()
        processor = root[app.name]
        processor.retention = Retention(completed='30d', error=None)
        processor.addJob('mine', Mine())
        processor.addScheduler(Delay('mine', delay=DAY))
        processor.addScheduler(Cron.parse('mine', '0 8 * * MON-FRI', tz='Europe/Zurich'))
    loop = Loop(app.db, app.locate, 'gone', WorkerOptions(lease=1.0))
    for number in range(6):         # one by one, so that slips are used again
        mark.enqueue(number)
        loop.poll(loop.clock.now())
    plain.map(range(40))
    plain.enqueue('x' * 10_000)
    plain.using(unique=Unique('period', period=DAY)).enqueue({'a': [1, 2.5, None]})
    stumble.enqueue('again')
    fail.enqueue('no')
    later.enqueue(DAY)
    with app.transaction() as root:
        root[app.name].processJob('mine', ('in',))
        root['thing'] = PersistentMapping(a=1)
    with app.transaction() as root:
        plain.enqueue(root['thing'])
    for _ in range(20):
        loop.poll(loop.clock.now())
    fail.enqueue('removed').cancel()
    gone = plain.enqueue('gone')
    gone.cancel()
    revived = fail.enqueue('revived')
    loop.poll(loop.clock.now())
    transact(app.db, lambda connection: verbs.remove(app.locate(connection).store, gone.id))
    transact(app.db, lambda connection: verbs.revive(app.locate(connection).store, revived.id,
                                                     loop.clock.now()))
    plain.using(queue='paused').enqueue('waits')
    transact(app.db, lambda connection: verbs.pause(app.locate(connection).store, 'paused'))
    plain.using(delay=DAY).enqueue('delayed')
    plain.using(expires=DAY).enqueue('expires')
    plain.using(unique='finish').enqueue('held')
    mark.enqueue('claimed')
    loop.book(loop.clock.now(), 2)           # these are in the hands of a worker that dies
    mark.enqueue('fresh')                       # nobody has noticed it
    plain.map(range(5))


def make(kind, target):
    """A database of this kind, of a process that was killed; packed into a file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, '-m', 'tests.stored.make', f'{kind}:{folder}/db'
                        if kind == 'sqlite' else f'{kind}:{folder}/{KINDS[kind]}'], check=True)
        [path] = Path(folder).rglob(KINDS[kind])
        if kind == 'sqlite':
            with sqlite3.connect(path) as database:
                database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            database.close()
        with path.open('rb') as source, gzip.GzipFile(target, 'wb', mtime=0) as packed:
            shutil.copyfileobj(source, packed)


def unpack(kind, folder):
    """A copy of a stored database in a folder; returns its address."""
    place = folder / 'db' if kind == 'sqlite' else folder
    place.mkdir(parents=True, exist_ok=True)
    with gzip.open(HERE / f'layout{LAYOUT}.{kind}.gz') as packed, (place / KINDS[kind]).open(
        'wb') as target:
        shutil.copyfileobj(packed, target)
    return f'sqlite:{place}' if kind == 'sqlite' else f'file:{place / KINDS[kind]}'


if __name__ == '__main__':
    if len(sys.argv) > 1:
        blackbox.HOST = 'elsewhere'
        app.database = sys.argv[1]
        fill()
        os._exit(0)                             # as a kill does: no seat is given back
    for kind in KINDS:
        make(kind, HERE / f'layout{LAYOUT}.{kind}.gz')
