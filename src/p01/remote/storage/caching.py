# SPDX-License-Identifier: ZPL-2.1
"""What a process keeps in memory of a RelStorage database, for all of its connections."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relstorage.cache.storage_cache import StorageCache
from relstorage.options import Options

MEGABYTES = 10      # for pickles
CHANGES = 2_500     # half of the changes that are kept for idle connections
OURS = b'cp01.remote.store.segments\n'      # how pickles of journals, slips and pages begin, after two bytes


class Cache(StorageCache):
    """Keeps what is loaded, and what is committed unless it is a journal, a slip or a page: there are ever new ones, and who
    has written them has them at hand."""

    __slots__ = ()

    def after_tpc_finish(self, tid: bytes, states: Iterable[tuple[bytes, int, int]]) -> None:
        """Keep what was committed."""
        super().after_tpc_finish(tid, (each for each in states if not each[0].startswith(OURS, 2)))


def options(**settings: Any) -> Options:
    """RelStorage's options, with ours."""
    return Options(keep_history=False, cache_local_mb=MEGABYTES, cache_delta_size_limit=CHANGES, **settings)
