# SPDX-License-Identifier: ZPL-2.1
"""What a process keeps in memory of a RelStorage database, for all of its connections; with RelStorage 4.3's faults mended.

h  Each revision of an object leaks the one before it, until the process ends     Memory, what it holds
i  The cache loses count of what it forgets, and in the end keeps one object      Memory.recount

tests/contract/test_caching.py shows each fault without its mend, and so tells when a mend can go.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relstorage.cache.local_client import LocalClient
from relstorage.cache.storage_cache import StorageCache
from relstorage.options import Options

MEGABYTES = 5       # for pickles
CHANGES = 1_000     # half of the changes that are kept for idle connections


class Memory(LocalClient):
    """The pickles, by object and revision.

    (h) Native code takes an entry out of the cache and frees only what Python holds: so Python holds it.
    """

    counted = 0     # entries made when they were counted last

    def set_all_for_tid(self, tid: int, states: Iterable[tuple[bytes, int, Any]]) -> None:
        """Keep what was loaded or committed."""
        states = list(states)
        held = [self._cache.get(oid) for _, oid, _ in states]
        super().set_all_for_tid(tid, states)
        del held
        self.recount()

    def freeze(self, changes: Any) -> None:
        """Objects have not changed since these revisions, and nobody looks at older ones."""
        held = [self._cache.get(oid) for oid, _ in changes.items()]
        super().freeze(changes)
        del held

    def delitems(self, changes: Any) -> None:
        """Nobody looks at these revisions any more."""
        held = [self._cache.get(oid) for oid, _ in changes.items()]
        super().delitems(changes)
        del held

    def recount(self) -> None:
        """(i) Begin anew when half of what fills the cache is not there.

        An object's older revisions are not subtracted when they go. Looks only when there are as many new entries as old.
        """
        cache = self._cache
        if cache.weight > 0.9 * self.limit and cache.sets - self.counted > len(cache):
            self.counted = cache.sets
            if 2 * sum(entry.weight for entry in cache.values()) < cache.weight:
                self.flush_all()
                self.counted = 0


class Cache(StorageCache):
    """One connection's view of a Memory."""

    def __init__(self, adapter: Any, options: Options, prefix: str, _parent: StorageCache | None = None) -> None:
        super().__init__(adapter, options, prefix, _parent)
        if _parent is None:
            self.local_client = self.cache = Memory(options, prefix)


def options(**settings: Any) -> Options:
    """RelStorage's options, with ours."""
    return Options(keep_history=False, cache_local_mb=MEGABYTES, cache_delta_size_limit=CHANGES, **settings)
