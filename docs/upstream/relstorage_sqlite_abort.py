# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on SQLite publishes what an aborted transaction wrote.

B reads z and writes x, A commits z, B's commit is refused with a read conflict and aborted. B's
next commit, of y alone, publishes x as well: its row still stands in temp_store, since the rollback
that would empty it is skipped where conn.in_transaction is False.

Exit status 1 when the fault is there, 0 when it is not.
"""
import sys
import tempfile

import transaction
import ZODB
from persistent.mapping import PersistentMapping
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage
from ZODB.POSException import ConflictError


def opened(folder):
    options = Options(keep_history=False, commit_lock_timeout=5)
    manager = transaction.TransactionManager(explicit=True)
    adapter = Sqlite3Adapter(folder, pragmas={}, options=options)
    return manager, ZODB.DB(RelStorage(adapter, options=options)).open(manager)


def main():
    with tempfile.TemporaryDirectory() as folder:
        (ofA, a), (ofB, b), (ofC, c) = opened(folder), opened(folder), opened(folder)
        with ofA:
            for key in 'xyz':
                a.root()[key] = PersistentMapping(v='original')
        ofB.begin()
        print('B reads', b.root()['x']['v'], b.root()['z']['v'])
        b.readCurrent(b.root()['z'])
        with ofA:
            a.root()['z']['v'] = 'by A'
        b.root()['x']['v'] = 'aborted by B'
        try:
            ofB.commit()
        except ConflictError as error:
            print('the first commit of B is refused, as it should be:', type(error).__name__)
        ofB.abort()
        with ofB:
            b.root()['y']['v'] = 'by B'
        ofC.begin()
        found = c.root()['x']['v']
        print('x is', repr(found))
        return found != 'original'


if __name__ == '__main__':
    sys.exit(main())
