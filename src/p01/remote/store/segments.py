# SPDX-License-Identifier: ZPL-2.1
"""Jobs as they were enqueued, in segments of neighbours with one writer each."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter
from typing import Any

from p01.remote.store import records
from p01.remote.store.packed import Appended
from p01.remote.store.payload import Payload
from p01.remote.store.records import Record

# of a record
kindOf, nameOf, queueOf = itemgetter(3, 0), itemgetter(0), itemgetter(3)


def alike(jobs: Collection[Record]) -> tuple[str, str] | None:
    """Queue and name that all of these jobs have, None when they have several. Strings alone are
    compared in half the time of pairs."""
    names, queues = set(map(nameOf, jobs)), set(map(queueOf, jobs))
    return (queues.pop(), names.pop()) if len(names) == len(queues) == 1 else None


class Segment(Appended):
    """Jobs with the ids first … first + size - 1, appended to by one connection only.

    Ids of aborted transactions leave holes. When its ids are used up it never changes again.
    """

    # whether jobs in it are younger than the next ones, by a clock that was put back
    astray = False
    # queue and name of its jobs, None where they differ, as of so many of them
    _v_kind: tuple[int, tuple[str, str] | None]

    def __init__(self, first: int, size: int, born: float) -> None:
        self.first = first
        self.size = size
        self.born = born                            # POSIX seconds
        self.top = first - 1                        # the last id in use
        self.entries: dict[int, Record] = {}

    @property
    def last(self) -> int:
        """The last id that it can hold."""
        return self.first + self.size - 1

    def kind(self) -> tuple[str, str] | None:
        """Queue and name that all of its jobs have, None when they have several."""
        count, kind = getattr(self, '_v_kind', (0, None))
        if count != len(self.entries):
            kind = alike(self.entries.values())
            self._v_kind = len(self.entries), kind
        return kind

    def knows(self, kinds: Mapping[tuple[str, str], int]) -> None:
        """So many of its jobs have this queue and name, as somebody has counted: kind need not, if
        these are all."""
        if len(kinds) == 1:
            [(kind, count)] = kinds.items()
            if count == len(self.entries):
                self._v_kind = count, kind

    def append(self, jobid: int, record: Record) -> None:
        """Take a job in."""
        self.entries[jobid] = record
        self.top = jobid
        if isinstance(record.input, Payload):
            self.references = True

    def toStored(self, entries: Iterable[tuple[int, Record]]) -> list[tuple[int, tuple[Any, ...]]]:
        return [(jobid, records.toStored(record)) for jobid, record in entries]

    def fromStored(self, stored: list[tuple[int, tuple[Any, ...]]]) -> list[tuple[int, Record]]:
        return [(jobid, records.fromStored(fields)) for jobid, fields in stored]
