# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on SQLite fails where several open a new folder at the same moment.

It looks for its tables in one transaction and makes those that are missing in another one, without
a lock: the slower ones meet tables that are there already, or a file that is locked.

Exit status 1 when the fault is there, 0 when it did not show in 20 tries.
"""
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ZODB
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage

MANY = 8


def opened(folder):
    options = Options(keep_history=False, commit_lock_timeout=20)
    return ZODB.DB(RelStorage(Sqlite3Adapter(str(folder), pragmas={}, options=options),
                              options=options))


def together(folder):
    """What is raised where so many threads open it."""
    start, errors = threading.Barrier(MANY), []

    def run():
        start.wait()
        try:
            opened(folder).close()
        except Exception as error:
            errors.append(error)

    with ThreadPoolExecutor(MANY) as pool:
        for _ in range(MANY):
            pool.submit(run)
    return errors


def main():
    with tempfile.TemporaryDirectory() as folder:
        for tried in range(20):
            errors = together(Path(folder, str(tried)))
            if errors:
                print(f'try {tried + 1}: {len(errors)} of {MANY} failed:',
                      *sorted({f'{type(error).__name__}: {str(error).splitlines()[0]}'
                               for error in errors}), sep='\n  ')
                return True
    return False


if __name__ == '__main__':
    sys.exit(main())
