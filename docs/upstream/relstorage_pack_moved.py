# SPDX-License-Identifier: ZPL-2.1
"""RelStorage without history deletes in a pack what was moved into a new object while it began.

A pack lists all objects first, and then follows the references that a later snapshot shows between
those that it has listed. An object that was made in between, such as a bucket of a BTree that was
split, is in the snapshot and not in the list: what it alone refers to by then counts as garbage.

python relstorage_pack_moved.py takes SQLite in a folder of its own; with a DSN of psycopg2 as its
argument it takes that PostgreSQL database, which must be empty.

Exit status 1 when the fault is there, 0 when it is not.
"""
import sys
import tempfile

import ZODB
from persistent.mapping import PersistentMapping
from relstorage.options import Options
from relstorage.storage import RelStorage
from ZODB.POSException import POSKeyError


def opened(folder, dsn):
    options = Options(keep_history=False)
    if dsn:
        from relstorage.adapters.postgresql.adapter import PostgreSQLAdapter
        adapter = PostgreSQLAdapter(dsn, options=options)
    else:
        from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
        adapter = Sqlite3Adapter(folder, pragmas={}, options=options)
    return ZODB.DB(RelStorage(adapter, options=options))


def main():
    with tempfile.TemporaryDirectory() as folder:
        db = opened(folder, ''.join(sys.argv[1:2]))
        with db.transaction() as connection:
            connection.root()['old'] = PersistentMapping(thing=PersistentMapping(v='precious'))
        packundo = db.storage._adapter.packundo
        inner = packundo.fill_object_refs

        def fill(*args):
            # the objects are listed, no snapshot has begun
            with db.transaction() as connection:
                root = connection.root()
                root['new'] = PersistentMapping(thing=root['old'].pop('thing'))
            return inner(*args)

        packundo.with_options = lambda options: packundo
        packundo.fill_object_refs = fill
        db.pack()
        with db.transaction() as connection:
            connection.cacheMinimize()
            try:
                print('it is there:', connection.root()['new']['thing']['v'])
                return False
            except POSKeyError as error:
                print('what is in use was deleted:', type(error).__name__, error)
                return True


if __name__ == '__main__':
    sys.exit(main())
