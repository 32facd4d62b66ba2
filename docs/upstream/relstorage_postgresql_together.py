# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on PostgreSQL fails where several open a new database at the same moment.

It looks for its tables and makes those that are missing, without a lock that would have the others
wait.

python relstorage_postgresql_together.py DSN: of psycopg2, of an empty database.

Exit status 1 when the fault is there, 0 when it did not show.
"""
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import ZODB
from relstorage.adapters.postgresql.adapter import PostgreSQLAdapter
from relstorage.options import Options
from relstorage.storage import RelStorage

MANY = 8


def main():
    start, errors = threading.Barrier(MANY), []

    def run():
        options = Options(keep_history=False)
        start.wait()
        try:
            ZODB.DB(RelStorage(PostgreSQLAdapter(sys.argv[1], options=options),
                               options=options)).close()
        except Exception as error:
            errors.append(error)

    with ThreadPoolExecutor(MANY) as pool:
        for _ in range(MANY):
            pool.submit(run)
    kinds = {f'{type(error).__name__}: {str(error).splitlines()[0]}' for error in errors}
    print(f'{len(errors)} of {MANY} failed:', *sorted(kinds), sep='\n  ')
    return bool(errors)


if __name__ == '__main__':
    sys.exit(main())
