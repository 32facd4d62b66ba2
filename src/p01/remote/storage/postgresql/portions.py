# SPDX-License-Identifier: ZPL-2.1
"""What a vote writes, as values of its functions: in portions, so that no message is larger than
some megabytes."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from p01.remote.storage.core import CHANGES
from p01.remote.storage.iteration import Row
from p01.remote.storage.pending import Pending
from p01.remote.storage.postgresql.arrays import INT8FORMAT, longs, strings

PORTION = 16 << 20      # bytes, about

Item = tuple[int, int, bytes]       # id, the revision that it is based on, state


def portions(pending: Pending) -> Iterator[tuple[list[bytes], bool]]:
    """What is stored, by id, and whether that is the last portion, which has what is to be checked
    as well."""
    items: list[Item] = []
    size = 0
    for item in pending.storing(sorted(pending.stores)):
        if size >= PORTION:
            yield valued(items, {}), False
            items, size = [], 0
        items.append(item)
        size += len(item[2])
    yield valued(items, pending.checks), True


def valued(items: list[Item], checks: dict[int, int]) -> list[bytes]:
    """New objects with their states; others with their bases and states; what is to be checked,
    with revisions."""
    news = [item for item in items if not item[1]]
    if news:
        items = [item for item in items if item[1]]
    return [longs([item[0] for item in news]), strings([item[2] for item in news]),
            longs([item[0] for item in items]),
            longs([item[1] for item in items]), strings([item[2] for item in items]),
            longs(list(checks)),
            longs(list(checks.values()))]


def objects(oids: list[int]) -> Any:
    """What a commit has changed; NULL for very many objects."""
    return longs(oids) if len(oids) < CHANGES else None


def restoring(pending: Pending) -> Iterator[tuple[bytes, list[bytes]]]:
    """What another database has, as statements with their values."""
    rows: list[tuple[int, int, bytes]] = []
    gone: list[tuple[int, int]] = []
    size = 0
    for oid, tid, data in pending.restoring():
        if data is None:
            gone.append((oid, tid))
            continue
        rows.append((oid, tid, data))
        size += len(data)
        if size >= PORTION:
            yield b'restore', restored(rows)
            rows, size = [], 0
    if rows:
        yield b'restore', restored(rows)
    if gone:
        yield b'remove', [longs([row[0] for row in gone]), longs([row[1] for row in gone])]


def restored(rows: list[Row]) -> list[bytes]:
    """Ids, revisions and states."""
    return [longs([row[0] for row in rows]), longs([row[1] for row in rows]),
            strings([row[2] for row in rows])]


def loaded(result: Any) -> list[Row]:
    """Rows of id, revision and state."""
    value, number = result.get_value, INT8FORMAT.unpack
    return [(number(value(row, 0))[0], number(value(row, 1))[0], value(row, 2))
            for row in range(result.ntuples)]
