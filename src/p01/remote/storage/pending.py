# SPDX-License-Identifier: ZPL-2.1
"""What a transaction is about to write: kept until the vote in memory, and beyond some megabytes in
a temporary file."""
from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from p01.remote.storage.faults import Full

MEMORYROOM = 8 << 20      # bytes that are kept in memory

# a state, or its place in the file: from which byte on, and how many
Kept = bytes | tuple[int, int]


class Pending:
    """The stores of one transaction. Ids and revisions are integers, as databases have them."""

    def __init__(self, given: bytes | None = None) -> None:
        # the revision that it must have, when it is a copy
        self.given = given
        # id → the revision that it is based on, 0 for a new object
        self.stores: dict[int, tuple[int, Kept]] = {}
        # id → revision; without a state it is gone
        self.restores: dict[int, tuple[int, Kept | None]] = {}
        # id → the revision that must still be the current one
        self.checks: dict[int, int] = {}
        # id → file, until it stands under its revision
        self.blobs: dict[int, str] = {}
        self.size = 0                                       # bytes of all states
        self.file: Any = None

    def __bool__(self) -> bool:
        return bool(self.stores or self.checks or self.restores)

    def store(self, oid: int, serial: int, data: bytes) -> None:
        """Keep the new state of an object."""
        self.size = size = self.size + len(data)
        self.stores[oid] = serial, data if size <= MEMORYROOM else self.put(data)

    def restore(self, oid: int, tid: int, data: bytes | None) -> None:
        """Keep a state that some other database has."""
        self.size = size = self.size + len(data or b'')
        self.restores[oid] = tid, data if data is None or size <= MEMORYROOM else self.put(data)

    def storing(self, oids: Any = None) -> Iterator[tuple[int, int, bytes]]:
        """Id, base and state of what is stored, of these ids or of all."""
        stores = self.stores
        for oid in stores if oids is None else oids:
            serial, kept = stores[oid]
            yield oid, serial, kept if type(kept) is bytes \
                else self.get(kept)      # type: ignore[arg-type]

    def restoring(self) -> Iterator[tuple[int, int, bytes | None]]:
        """Id, revision and state of what is restored."""
        for oid, (tid, kept) in self.restores.items():
            yield oid, tid, self.get(kept) if type(kept) is tuple \
                else kept         # type: ignore[misc]

    def put(self, data: bytes) -> tuple[int, int]:
        """Append to the file. Raises Full."""
        try:
            if self.file is None:
                # clear() closes it
                self.file = tempfile.TemporaryFile(prefix='p01.remote-')    # noqa: SIM115
            place = self.file.seek(0, os.SEEK_END), len(data)
            self.file.write(data)
        except OSError as error:
            raise Full(f'The temporary file of a transaction of more than {MEMORYROOM >> 20} MB '
                       f'cannot be written ({error}); make room in {tempfile.gettempdir()}, or '
                       'store less at once.') from error
        return place

    def get(self, place: tuple[int, int]) -> bytes:
        """What stands at a place of the file."""
        self.file.seek(place[0])
        data: bytes = self.file.read(place[1])
        return data

    def forget(self, oid: int) -> None:
        """Remove the file of a blob that will not be committed."""
        name = self.blobs.pop(oid, None)
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)

    def clear(self) -> None:
        """It is over."""
        for oid in list(self.blobs):
            self.forget(oid)
        if self.file is not None:
            # it writes out what it has, and the disk may be full
            with contextlib.suppress(OSError):
                self.file.close()
