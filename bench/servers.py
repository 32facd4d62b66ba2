# SPDX-License-Identifier: ZPL-2.1
"""The servers that measurements need: those of the tests, but with all the durability that tests
can do without."""
from __future__ import annotations

import tempfile
from typing import Any

from tests import servers

KINDS = ('postgresql', 'zeo')
# all else as PostgreSQL has it
DURABLE = {'fsync': 'on', 'full_page_writes': 'on', 'shared_buffers': '128MB'}
Unavailable = servers.Unavailable


class PostgreSQL(servers.PostgreSQL):
    """A server that loses nothing when the power fails."""

    def __init__(self) -> None:
        super().__init__()
        self.options.update(DURABLE)


def started(kind: str, folder: str | None) -> Any:
    """A running server, with its files in a folder within that one. Raises Unavailable."""
    before = tempfile.tempdir
    tempfile.tempdir = folder or before     # where servers make their folders
    try:
        server = PostgreSQL() if kind == 'postgresql' else servers.ZEO()
    finally:
        tempfile.tempdir = before
    return server.__enter__()
