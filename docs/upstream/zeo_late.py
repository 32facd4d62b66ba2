# SPDX-License-Identifier: ZPL-2.1
"""A ZEO client stumbles over a transaction that its server tells of late.

A server on uvloop, which ZEO takes wherever it is installed, answers a client's commit before it
tells of those before it. The client takes notice of them, and then raises a ValueError from
ClientCache.setLastTid, since their id is older: an error in the log each time. Here the client is
told by hand what such a server tells.

Exit status 1 when the fault is there, 0 when it is not.
"""
import sys
import tempfile

import ZEO
import ZODB
from ZEO.ClientStorage import ClientStorage
from ZODB.utils import z64


def main():
    with tempfile.TemporaryDirectory() as folder:
        address, stop = ZEO.server(f'{folder}/data.fs')
        db = ZODB.DB(ClientStorage(address, wait_timeout=30))
        try:
            for value in ('old', 'new'):
                before = db.storage.lastTransaction()
                with db.transaction() as connection:
                    connection.root()['key'] = value
            client = db.storage._server
            try:
                client.io_call(client.apply_co(client.client.invalidateTransaction, before, [z64]))
            except ValueError as error:
                print('told late of a commit:', error)
                return True
            return False
        finally:
            db.close()
            stop()


if __name__ == '__main__':
    sys.exit(main())
