# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on PostgreSQL spends half of each commit on emptying its temporary tables.

They are made with ON COMMIT DELETE ROWS, for which PostgreSQL truncates three tables with their
indexes at each commit, be they empty or not. Tables that preserve their rows, of which the commit
deletes what it has put in, take less: this measures both statements beside each other.

python relstorage_postgresql_truncates.py DSN: of psycopg2, of an empty database.

Exit status 1 when deleting is a quarter faster, 0 when it is not.
"""
import contextlib
import sys
import time

import psycopg2

MANY = 100
STORE = '(zoid BIGINT PRIMARY KEY, prev_tid BIGINT NOT NULL, md5 CHAR(32), state BYTEA)'
CHUNK = '(zoid BIGINT, chunk_num BIGINT, chunk OID, PRIMARY KEY (zoid, chunk_num))'


def commits(rows, behind):
    """Commits per second that put a row into a temporary table, with what each does behind."""
    with contextlib.closing(
        psycopg2.connect(sys.argv[1])) as connection, connection.cursor() as cursor:
        for name, columns in (('temp_store', STORE), ('temp_store_replacements',
                                                      STORE), ('temp_blob_chunk', CHUNK)):
            cursor.execute(f'CREATE TEMPORARY TABLE {name} {columns} ON COMMIT {rows} ROWS')
        connection.commit()
        began = time.perf_counter()
        for _ in range(MANY):
            cursor.execute("INSERT INTO temp_store VALUES (1, 0, '', ''); " + behind)
            connection.commit()
        return MANY / (time.perf_counter() - began)


def main():
    theirs = commits('DELETE', 'SELECT 1')
    ours = commits('PRESERVE', 'DELETE FROM temp_store; DELETE FROM temp_store_replacements')
    print(f'{theirs:,.0f} commits per second with ON COMMIT DELETE ROWS, {ours:,.0f} with '
          'statements that delete')
    return ours > 1.25 * theirs


if __name__ == '__main__':
    sys.exit(main())
