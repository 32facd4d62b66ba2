# SPDX-License-Identifier: ZPL-2.1
"""Whether two databases hold the same jobs. Looks at one after the other, so that any number of
them fits in memory."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from p01.remote.exceptions import CopyFailed
from p01.remote.storage.insides import storageOf
from p01.remote.store.payload import Payload
from p01.remote.store.store import Store
from p01.remote.views import figures, listing

FREEEVERY = 1_000       # jobs after which memory is given back


class Jobs(NamedTuple):
    """What two databases have in common."""

    number: int
    counts: dict[str, dict[str, int]]       # queue → status → number
    checksum: str                           # of all jobs


def checksum(store: Store, jobid: int) -> bytes:
    """16 bytes that differ when anything about a job differs: what was asked, where it stands, what
    came of it."""
    view = store.view(jobid)
    record, outcome = view.record, view.outcome
    facts = (view._replace(record=None, outcome=None),      # type: ignore[arg-type]
             record._replace(input=None), stored(record.input),
             outcome and outcome._replace(output=None), outcome and stored(outcome.output))
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).digest()


def stored(kept: Any) -> bytes:
    """What payload.pack made of a value, as it is stored; nothing is unpickled."""
    if not isinstance(kept, Payload):
        return repr(kept).encode()
    data: bytes = storageOf(kept._p_jar).load(kept._p_oid)[0]
    return data


def checksums(store: Store) -> Iterator[tuple[int, bytes]]:
    """The checksums of all jobs, with their ids."""
    for number, jobid in enumerate(listing.ids(store), 1):
        yield jobid, checksum(store, jobid)
        if number % FREEEVERY == 0:
            store._p_jar.cacheGC()


def same(one: Store, other: Store, told: Callable[[str, int], None]) -> Jobs:
    """What the two have in common. Raises CopyFailed for the first difference."""
    total, count = hashlib.blake2b(digest_size=16), 0
    for left, right in zip_longest(checksums(one), checksums(other)):
        if left != right:
            raise CopyFailed(f'Job {min(each[0] for each in (left, right) if each)} differs in the '
                             'copy; copy again into a new database.')
        total.update(left[1])
        count += 1
        told('jobs compared', count)
    if figures.exact(one) != figures.exact(other):
        raise CopyFailed('The counts of jobs differ in the copy; copy again into a new database.')
    return Jobs(count, figures.exact(one), total.hexdigest())
