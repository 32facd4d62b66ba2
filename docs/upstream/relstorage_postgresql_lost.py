# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on PostgreSQL raises, for a connection that was lost, errors that no one repeats.

When the server ends a connection in the midst of a transaction, whoever loads next gets an error
that is no TransientError (a commit connects again): transaction.manager.run(), pyramid_tm and Zope
give up at once, where a second try would have succeeded.

python relstorage_postgresql_lost.py DSN: of psycopg2, of an empty database.

Exit status 1 when the fault is there, 0 when it is not.
"""
import contextlib
import sys

import psycopg2
import transaction
import ZODB
from persistent.mapping import PersistentMapping
from relstorage.adapters.postgresql.adapter import PostgreSQLAdapter
from relstorage.options import Options
from relstorage.storage import RelStorage
from transaction.interfaces import NoTransaction, TransientError

OTHERS = ('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '
          'current_database() AND pid <> pg_backend_pid()')


def cut():
    """End all connections to the database but this one."""
    with contextlib.closing(
        psycopg2.connect(sys.argv[1])) as connection, connection.cursor() as cursor:
        cursor.execute(OTHERS)
        connection.commit()


def met(work):
    """What work() raises."""
    try:
        work()
    except Exception as error:
        return error
    return None


def main():
    options = Options(keep_history=False, cache_local_mb=0)
    db = ZODB.DB(RelStorage(PostgreSQLAdapter(sys.argv[1], options=options), options=options))
    manager = transaction.TransactionManager(explicit=True)
    connection = db.open(manager)
    with manager:
        connection.root()['thing'] = PersistentMapping()

    def commit():
        manager.begin()
        connection.root()['thing']['key'] = 1
        cut()
        manager.commit()

    def load():
        manager.begin()
        connection.cacheMinimize()
        cut()
        len(connection.root()['thing'])

    faulty = False
    for work in (commit, load):
        error = met(work)
        with contextlib.suppress(NoTransaction):        # where it was committed all the same
            manager.abort()
        transient = isinstance(error, TransientError)
        print(f'{work.__name__}: {"no error" if error is None else type(error).__name__}, '
              f'transient: {transient}')
        faulty |= error is not None and not transient
    return faulty


if __name__ == '__main__':
    sys.exit(main())
