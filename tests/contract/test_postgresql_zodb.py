# SPDX-License-Identifier: ZPL-2.1
"""ZODB's own tests of storages, on postgresql:."""
from ZODB.tests.StorageTestBase import StorageTestBase

from p01.remote.storage.postgresql import openStorage
from tests import servers
from tests.contract.zodb import Copies, Storages


class Server:

    opened = staticmethod(openStorage)

    def database(self):
        """Where libpq finds a new database."""
        server = servers.postgresql()
        return server.address(server.create()).partition(':')[2]


class StorageTests(Server, Storages, StorageTestBase):
    """See ZODB."""


class CopyTests(Server, Copies, StorageTestBase):
    """See ZODB."""
