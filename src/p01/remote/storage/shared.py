# SPDX-License-Identifier: ZPL-2.1
"""What all views of one database share within a process; each kind of storage has its own."""
from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p01.remote.ground import fork
from p01.remote.storage.blobs import Blobs
from p01.remote.storage.faults import Forked


class Shared(ABC):
    """What all views of one database share within a process."""

    def __init__(self, name: str, readOnly: bool = False, blobs: Path | None = None) -> None:
        self.name, self.readOnly = name, readOnly
        self.blobs = blobs and Blobs(blobs)
        self.mark = fork.mark
        self.closed = False
        self.ids: Iterator[int] = iter(())
        self.idLock = threading.Lock()

    def own(self) -> None:
        """Raises Forked in a child of the process that opened it."""
        if self.mark is not fork.mark:
            raise Forked()

    def newId(self, view: Any) -> int:
        """An id that no object has or had, for a view."""
        with self.idLock:
            for found in self.ids:
                return found
            self.ids = iter(self.reserve(view))
            return next(self.ids)

    @abstractmethod
    def reserve(self, view: Any) -> range:
        """Ids for this process alone, also when it ends at once: a commit of its own, never below
        what any object has."""

    @abstractmethod
    def close(self) -> None:
        """No view of it is used any more."""
