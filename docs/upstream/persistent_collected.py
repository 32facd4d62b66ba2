# SPDX-License-Identifier: ZPL-2.1
"""A ghost that only garbage refers to is still in its connection's cache. Whoever asks the cache
for it while the collector breaks that garbage up, as any thread may between two steps of a
finalizer, gets an object that is loaded, and then emptied beneath him: it says that it is up to
date, and has no attributes.

Exit status 1 when the fault is there, 0 when it is not.
"""
import gc
import sys

import persistent
import transaction
import ZODB


class Thing(persistent.Persistent):
    """An object of the application."""

    value = 0           # what one without attributes seems to have


connection = ZODB.DB(None).open()
connection.root()['thing'] = Thing()
connection.root()['thing'].value = 1
transaction.commit()
oid = connection.root()['thing']._p_oid
connection.cacheMinimize()          # the root is a ghost as well, and refers to nothing
found = []


class Asks:
    """What another thread would do meanwhile."""

    def __del__(self):
        found.append(connection.get(oid))
        assert found[0].value == 1      # it is loaded


gc.disable()
asks = Asks()
gc.collect()                        # from now on it is old: its end comes when the young ones end
one, two = [], []
one += [one, asks]
two += [two, connection.get(oid)]
del one, two, asks
gc.collect(0)
print(f'up to date: {found[0]._p_status == "saved"}, its value: {found[0].value} of 1')
sys.exit(found[0].value != 1)
