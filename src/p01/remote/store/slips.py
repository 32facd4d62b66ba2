# SPDX-License-Identifier: ZPL-2.1
"""What a job's own commit writes of ours: its outcome, on a slip."""
from __future__ import annotations

import pickle
from collections.abc import Container
from struct import Struct
from typing import Any

from persistent import Persistent
from ZODB.utils import z64

from p01.remote.store.segments import END, HEAD, PROTOCOL, Fields, piece, refers


class Slip(Persistent):
    """A few outcomes that jobs' own commits have written, until their worker's next bookkeeping has them in a journal.

    Each outcome is pickled once. A slip changes in place; enlist has the change stored.
    """

    def __init__(self) -> None:
        self.entries: dict[int, Fields] = {}        # as segments.brief makes them
        self.pieces = bytearray()                   # of the entries
        self.references = False                     # there are Payloads among them: then the pieces do not count

    def __getstate__(self) -> Any:
        # the database's pickler makes references of Payloads
        return self.entries if self.references else bytes(self.pieces)

    def __setstate__(self, state: Any) -> None:
        packed = isinstance(state, bytes)
        super().__setstate__({'entries': dict(pickle.loads(HEAD + state + END)) if packed else state,
                              'pieces': bytearray(state if packed else b''), 'references': not packed})

    def write(self, jobid: int, fields: Fields, claims: Container[int]) -> None:
        """Take an outcome in, in the job's transaction; those of jobs that are claimed no more may go."""
        references = refers(fields)
        self.enlist(references)         # before the change: what fails amidst must be undone
        if self.entries and next(iter(self.entries)) not in claims:     # settled; so are, as a rule, all the others
            self.keep(claims)
        self.add(jobid, fields, references)

    def forget(self, jobid: int) -> None:
        """Forget a job's outcome."""
        if jobid in self.entries:
            self._p_changed = True
            self.keep(self.entries.keys() - {jobid})

    def enlist(self, references: bool) -> None:
        """Have the slip stored, past the connection's pickler where that is possible."""
        jar = self._p_jar
        if references or self.references or self._p_changed or self._p_serial == z64 or jar._needs_to_join:
            self._p_changed = True
        else:
            jar.transaction_manager.get().join(Rider(self))

    def add(self, jobid: int, fields: Fields, references: bool) -> None:
        """Add an outcome, with references or without."""
        self.entries[jobid] = fields
        if references:
            self.references = True
        else:
            self.pieces.extend(piece((jobid, fields)))

    def keep(self, jobids: Container[int]) -> None:
        """Forget all other outcomes."""
        kept = [(jobid, fields) for jobid, fields in self.entries.items() if jobid in jobids]
        self.entries.clear()
        self.pieces.clear()
        if self.references:
            self.references = False
        for jobid, fields in kept:
            self.add(jobid, fields, refers(fields))


CLASS = pickle.dumps(Slip, 3)           # what the record of a slip begins with; its state follows, see ZODB.serialize
STATE = Struct('<3sI')                  # what its state begins with, as pickle.dumps(bytes, 3) would write it


class Rider:
    """Rides with a connection that commits anyway: has a slip stored in the same transaction of the storage.

    It spares the slip what a connection does for an object that could be any: a pickler of its own, which looks at each value
    for references, and is garbage afterwards that only the collector finds. What the storage does stays the same, with it the
    fence: who stores on top of another revision conflicts. A data manager, see transaction.interfaces.IDataManager.
    """

    __slots__ = ('slip',)

    def __init__(self, slip: Slip) -> None:
        self.slip = slip

    def sortKey(self) -> str:
        """Any: all connections have begun before the first data manager commits, and vote after the last."""
        return '~'

    def commit(self, transaction: Any) -> None:
        """Store the slip. Raises what the storage does, ConflictError where it was fenced off."""
        slip = self.slip
        jar, oid = slip._p_jar, slip._p_oid
        record = CLASS + STATE.pack(PROTOCOL + pickle.BINBYTES, len(slip.pieces)) + slip.pieces + END
        jar._normal_storage.store(oid, slip._p_serial, record, '', transaction.data(jar))
        jar._modified.append(oid)       # the connection gives it the new serial, or lets it go with the rest

    def abort(self, transaction: Any) -> None:
        """Have the slip loaded again."""
        self.slip._p_invalidate()

    tpc_abort = abort

    def tpc_begin(self, transaction: Any) -> None:
        """Nothing: the connection does it."""

    tpc_vote = tpc_finish = tpc_begin
