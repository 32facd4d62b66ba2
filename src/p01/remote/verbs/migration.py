# SPDX-License-Identifier: ZPL-2.1
"""Brings an older layout forward, in small commits, while nothing else uses it.

A step takes (store, at): it changes a bounded piece of the database, beginning at a position that
it understands itself, None at first, and returns the position where the next piece begins, or None
when it is done. The store's version is the new one from the first piece on, so that older code
keeps out; `migrating` says which step is how far, so that any process can go on where another one
was killed.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p01.remote.store.store import VERSION, Store

Step = Callable[[Store, Any], Any]
STEPS: dict[int, Step] = {}         # the version a step starts from → the step


def piece(store: Store) -> bool:
    """Migrate one piece; whether there was one to do."""
    store.check(True)
    if store.version < VERSION:
        store.migrating = store.version, None
        store.version = VERSION
    if store.migrating is None:
        return False
    version, at = store.migrating
    at = STEPS[version](store, at) if version in STEPS else None
    if at is not None:
        store.migrating = version, at
    else:
        store.migrating = (version + 1, None) if version + 1 < VERSION else None
    return True
