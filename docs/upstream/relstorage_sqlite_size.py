# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on SQLite never makes its file smaller: a pack frees pages within it, and gives none
back.

With PRAGMA auto_vacuum = INCREMENTAL when the file is made, and incremental_vacuum after a pack, it
would.

Exit status 1 when the fault is there, 0 when it is not.
"""
import sys
import tempfile
from pathlib import Path

import ZODB
from persistent.mapping import PersistentMapping
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage


def main():
    with tempfile.TemporaryDirectory() as folder:
        options = Options(keep_history=False)
        db = ZODB.DB(RelStorage(Sqlite3Adapter(folder, pragmas={}, options=options),
                                options=options))
        with db.transaction() as connection:
            connection.root()['many'] = PersistentMapping({each: PersistentMapping(v='x' * 4000)
                                                           for each in range(1000)})
        with db.transaction() as connection:
            del connection.root()['many']
        db.pack()
        db.close()
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        print(f'{size:,} bytes for an empty root')
        return size > 1 << 20


if __name__ == '__main__':
    sys.exit(main())
