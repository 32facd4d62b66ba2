# SPDX-License-Identifier: ZPL-2.1
"""RelStorage on SQLite lets two packs run at once, in one process or in several.

The pack lock of its adapter locks nothing. Both packs fill and empty the same tables pack_object
and object_ref; what the one has marked as used the other forgets.

Exit status 1 when the fault is there, 0 when it is not.
"""
import sys
import tempfile

import ZODB
from relstorage.adapters.sqlite.adapter import Sqlite3Adapter
from relstorage.options import Options
from relstorage.storage import RelStorage


def opened(folder):
    options = Options(keep_history=False)
    return ZODB.DB(RelStorage(Sqlite3Adapter(folder, pragmas={}, options=options), options=options))


def packed(db, meanwhile):
    """Pack, and call meanwhile when the pack lock is held."""
    packundo = db.storage._adapter.packundo
    inner = packundo.pre_pack

    def prePack(*args, **options):
        meanwhile()
        return inner(*args, **options)

    packundo.with_options = lambda options: packundo
    packundo.pre_pack = prePack
    db.pack()


def main():
    with tempfile.TemporaryDirectory() as folder:
        first, second, entered = opened(folder), opened(folder), []

        def another():
            try:
                packed(second, lambda: entered.append(True))
            except Exception as error:
                print('the second pack is refused, as it should be:', type(error).__name__)

        packed(first, another)
        if entered:
            print('the second pack ran within the first one')
        return bool(entered)


if __name__ == '__main__':
    sys.exit(main())
