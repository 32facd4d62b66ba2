# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on SQLite gives ids that are in use where its file of ids is lost.

The last id that was given is in oids.sqlite3, which is neither synced nor journalled: it could be
made again from the main file, but nobody does that. A power cut, or a backup of main.sqlite3 alone,
loses it; new objects then overwrite, or clash with, those that are there.

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


def added(folder, name):
    """Add a hundred objects; their ids."""
    options = Options(keep_history=False)
    db = ZODB.DB(RelStorage(Sqlite3Adapter(folder, pragmas={}, options=options), options=options))
    try:
        with db.transaction() as connection:
            found = [PersistentMapping(name=name) for _ in range(100)]
            for number, each in enumerate(found):
                connection.root()[f'{name}-{number}'] = each
        return {each._p_oid for each in found}
    finally:
        db.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        before = added(folder, 'before')
        Path(folder, 'oids.sqlite3').unlink()
        try:
            after = added(folder, 'after')
        except Exception as error:
            print(f'the second hundred cannot be added: {type(error).__name__}: {error}')
            return True
        print(f'{len(before & after)} ids were given twice')
        return bool(before & after)


if __name__ == '__main__':
    sys.exit(main())
