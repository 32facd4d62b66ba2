# SPDX-License-Identifier: ZPL-2.1
"""What a job's own commit writes of ours: its outcome, on a slip."""
from __future__ import annotations

import pickle
from collections.abc import Container, Mapping
from typing import Any

from persistent import Persistent
from ZODB.utils import z64

from p01.remote.ground.door import Closed
from p01.remote.storage.insides import headOf, isLast, storeLast
from p01.remote.store.outcomes import Stored, refers, stamped, tidOf

SLIPROOM = 4        # outcomes of a slip: what a job's commit writes counts, see docs/decisions.md


class Slip(Closed, Persistent):
    """A few outcomes that jobs' own commits have written, until their worker's next bookkeeping has
    them in a journal; those of jobs that share a commit come all at once."""

    def __init__(self) -> None:
        self.entries: dict[int, Stored] = {}        # as outcomes.toStored makes them

    def __getstate__(self) -> Any:
        return self.entries

    def __setstate__(self, state: Any) -> None:
        super().__setstate__({'entries': state})

    def write(self, outcomes: Mapping[int, Stored], claims: Container[int]) -> None:
        """Take outcomes in, in their jobs' transaction; those of jobs that are claimed no more may
        go."""
        self.touch()                    # before the change: what fails amidst must be undone
        # settled; so are, as a rule, all the others
        if self.entries and next(iter(self.entries)) not in claims:
            self.keep(claims)
        self.entries.update(outcomes)

    def written(self) -> dict[int, Stored]:
        """The outcomes, each with the transaction that wrote it, and what its job changed."""
        if self._p_changed or self._p_serial == z64:
            return self.entries         # stamped before it was changed, or never committed
        return {jobid: stamped(each, self._p_serial) if tidOf(each) is None else each
                for jobid, each in self.entries.items()}

    def stamp(self) -> None:
        """Note which transaction wrote what is here, before another one writes: each object knows
        only the last one that wrote it."""
        self.entries = self.written()

    def touch(self) -> None:
        """Be stored with the transaction, so that it meets whoever fences this worker off."""
        self.stamp()
        if self._p_jar is not None and self._p_serial != z64:
            self._p_jar.transaction_manager.get().join(Rider(self))

    def full(self, claims: Container[int]) -> bool:
        """Whether it has so many outcomes of claimed jobs that another slip should take the next
        one."""
        return len(self.entries) >= SLIPROOM and next(iter(self.entries)) in claims

    def references(self) -> bool:
        """Whether there are Payloads among its outcomes."""
        # most are shorter; to see that here spares the call
        return any(len(fields) > 3 and refers(fields) for fields in self.entries.values())

    def forget(self, jobid: int) -> None:
        """Forget a job's outcome."""
        if jobid in self.entries:
            self.stamp()
            self.keep(self.entries.keys() - {jobid})

    def keep(self, jobids: Container[int]) -> None:
        """Forget all other outcomes."""
        self.entries = {jobid: fields for jobid, fields in self.entries.items() if jobid in jobids}


SLIPHEAD = headOf(Slip)         # of its record; its state follows


class Rider:
    """Rides with a slip's connection: has the slip stored in the same transaction of the storage,
    in the connection's stead.

    It spares the slip what a connection does for an object that could be any: a pickler of its own,
    which looks at each value for references, and is garbage afterwards that only the collector
    finds. What the storage does stays the same, with it the fence: who stores on top of another
    revision conflicts. All else is the connection's, with which the slip is registered: savepoints,
    aborts, the new serial. A data manager, see transaction.interfaces.ISavepointDataManager.
    """

    __slots__ = ('slip',)
    rides = True        # it has no vote of its own, so that the connection's may commit

    def __init__(self, slip: Slip) -> None:
        self.slip = slip

    def sortKey(self) -> str:
        """Before all connections: these have begun before the first data manager commits."""
        return ''

    def commit(self, transaction: Any) -> None:
        """Store the slip, if nothing was registered after it and it refers to nothing.

        Raises what the storage does, ConflictError from the fence.
        """
        slip = self.slip
        # else the connection stores it, with what its savepoints have, and what it refers to
        if isLast(slip) and not slip.references():
            storeLast(slip, SLIPHEAD + pickle.dumps(slip.entries, 3), transaction)

    def savepoint(self) -> Rider:
        """What rolls nothing back: the connection does it."""
        return self

    def rollback(self) -> None:
        """Nothing, see savepoint."""

    def tpc_begin(self, transaction: Any) -> None:
        """Nothing: the connection does it."""

    abort = tpc_vote = tpc_finish = tpc_abort = tpc_begin
