# SPDX-License-Identifier: ZPL-2.1
"""Two clients of a ZEO server use the same ids for new objects after it was restarted.

A client fetches 100 ids ahead. A server that starts anew begins above the ids that it has seen
used, and gives those that the first client still holds to whoever asks first. Whoever commits
second then meets a conflict on an object that he has just made, again and again, or puts his object
in the place of another one.

Exit status 1 when the fault is there, 0 when it is not.
"""
import socket
import subprocess
import sys
import tempfile
import time

import ZODB
from persistent.mapping import PersistentMapping
from ZEO.ClientStorage import ClientStorage

PATIENCE = 30


def started(port, folder):
    server = subprocess.Popen([sys.executable, '-m', 'ZEO.runzeo', '-a', f'127.0.0.1:{port}', '-f',
                               f'{folder}/data.fs'],
                              cwd=folder, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return server
        except OSError:
            time.sleep(0.05)
    raise TimeoutError('the server does not answer')


def add(db, name, number):
    with db.transaction() as connection:
        for each in range(number):
            connection.root()[f'{name}-{each}'] = PersistentMapping(name=name)


def main():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = started(port, folder)
        try:
            first, second = (ZODB.DB(ClientStorage(('127.0.0.1', port), wait_timeout=PATIENCE,
                                                   server_sync=True)) for _ in 'ab')
            add(first, 'before', 1)             # which fetches 100 ids
            server.terminate()
            server.wait()
            server = started(port, folder)
            limit = time.monotonic() + PATIENCE
            while not (first.storage.is_connected() and second.storage.is_connected()) \
                    and time.monotonic() < limit:
                time.sleep(0.05)
            add(second, 'second', 50)           # gets the same ones
            try:
                add(first, 'first', 50)
            except Exception as error:
                print(f'new objects alone were made, and met: {type(error).__name__}: {error}')
                return True
            with second.transaction() as connection:
                found = [value._p_oid for value in connection.root().values()]
            print(f'{len(found)} objects have {len(set(found))} ids')
            return len(set(found)) < len(found)
        finally:
            server.terminate()
            server.wait()


if __name__ == '__main__':
    sys.exit(main())
