# SPDX-License-Identifier: ZPL-2.1
"""ZODB's own tests of storages, on sqlite:."""
import tempfile

from ZODB.tests.StorageTestBase import StorageTestBase

from p01.remote.storage.sqlite import openStorage
from tests.contract.zodb import Copies, Storages


class Folders:

    opened = staticmethod(openStorage)

    def database(self):
        """A folder for a new database."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        return made.name


class StorageTests(Folders, Storages, StorageTestBase):
    """See ZODB."""


class CopyTests(Folders, Copies, StorageTestBase):
    """See ZODB."""
