# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on PostgreSQL prints to the standard output where the server's messages are not
English.

With each commit its driver for psycopg2 provokes a warning, that no transaction is in progress, and
keeps it from the log by comparing it with the English text; every other one it prints. Here the
driver's list is given what a server with German messages says.

Exit status 1 when the fault is there, 0 when it is not.
"""
import contextlib
import io
import sys

from relstorage.adapters.postgresql.drivers import psycopg2

GERMAN = 'WARNUNG:  keine Transaktion offen\n'


def main():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        psycopg2._FilteredNotices([]).append(GERMAN)
    print('printed with each commit:', repr(printed.getvalue()))
    return bool(printed.getvalue())


if __name__ == '__main__':
    sys.exit(main())
