# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on SQLite acknowledges commits that a power cut can take back.

Its connections have PRAGMA synchronous = NORMAL, with a journal in WAL mode: that syncs at
checkpoints only, not at commits. No test can cut the power; this one says what SQLite is told, and
counts the syncs of ten commits with strace where it is installed.

Exit status 1 when the fault is there, 0 when it is not.
"""
import shutil
import subprocess
import sys
import tempfile

import ZODB
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage

COMMITS = 10


def commits(folder, level):
    options = Options(keep_history=False)
    adapter = Sqlite3Adapter(folder, pragmas={'synchronous': level} if level else {},
                             options=options)
    db = ZODB.DB(RelStorage(adapter, options=options))
    connection, cursor = adapter.connmanager.open_for_store()
    found = cursor.execute('PRAGMA synchronous').fetchone()[0]
    adapter.connmanager.rollback_and_close(connection, cursor)
    print('begin', flush=True)
    for number in range(COMMITS):
        with db.transaction() as opened:
            opened.root()['number'] = number
    print('end', flush=True)
    return found


def traced(folder, level):
    """How many files were synced between the first and the last commit."""
    command = ['strace', '-f', '-e', 'trace=fsync,fdatasync,write', sys.executable, __file__,
               folder, str(level)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    inside = lines[next(i for i, line in enumerate(lines) if '"begin' in line):
                   next(i for i, line in enumerate(lines) if '"end' in line)]
    return sum('sync(' in line for line in inside)


def main():
    if sys.argv[1:]:
        return commits(sys.argv[1], int(sys.argv[2])) and 0
    with tempfile.TemporaryDirectory() as folder:
        found = commits(folder, 0)
    print(f'PRAGMA synchronous is {found} (1 is NORMAL, 2 is FULL)')
    if shutil.which('strace'):
        for level, name in ((0, 'as RelStorage has it'), (2, 'with FULL')):
            with tempfile.TemporaryDirectory() as folder:
                print(f'{COMMITS} commits, {name}: {traced(folder, level)} syncs')
    return found < 2


if __name__ == '__main__':
    sys.exit(main())
