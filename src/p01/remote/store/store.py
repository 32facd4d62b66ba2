# SPDX-License-Identifier: ZPL-2.1
"""What a processor has in the database, and where in it a job stands. Who changes it are the verbs,
see p01.remote.verbs."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.exceptions import JobNotFound, NewerDatabase, OlderDatabase
from p01.remote.ground.door import Closed
from p01.remote.ground.foreign import listed
from p01.remote.store import writers
from p01.remote.store.audit import Audit
from p01.remote.store.history import History
from p01.remote.store.journals import Journal
from p01.remote.store.keys import SHARDS, shardOf
from p01.remote.store.records import DELAYED, FINISHED, PROCESSING, QUEUED, Attempt, Pending, Record
from p01.remote.store.seats import PULLED, Seat
from p01.remote.store.segments import Segment
from p01.remote.store.settings import Settings
from p01.remote.store.shards import Lane, Shard
from p01.remote.store.views import View, ended

VERSION = 1
EDITED = 'edited jobs'
KNOWNUSES = (EDITED,)       # what a database may use that not all have, see Store.uses
NOSEGMENTS: dict[int, Segment] = {}
NORECORDS: dict[int, Record] = {}


class LastId(Closed, Persistent):
    """The last id given out."""

    last = 0


class Store(Closed, Persistent):
    """Everything a processor's jobs need in the database."""

    migrating: tuple[int, Any] | None = None            # see verbs.migration
    # kinds of things that some databases have and code must know to leave whole; written with the
    # first one of a kind, so that a layout can grow for those who use it, without a new version for
    # all
    uses: tuple[str, ...] = ()
    # by id: the fields of a record that people have changed while the job waited, see verbs.editing
    edits: LOBTree[dict[str, Any]] | None = None
    audit: Audit | None = None      # what people have done, once they have done anything
    _v_writer: writers.Writer | None                    # see writers.known; gone with the state
    _v_near: Segment

    def __init__(self) -> None:
        self.version = VERSION
        self.counter = LastId()
        self.segments: LOBTree[Segment] = LOBTree()     # by first id
        self.shards = tuple(Shard(number) for number in range(SHARDS))
        self.seats: OOBTree[str, Seat] = OOBTree()      # by name
        self.settings = Settings()
        # of workers that have left, by their names: the next ones go on with them
        self.pasts: OOBTree[str, History] = OOBTree()
        self.past = History()                           # of jobs run in callers' transactions
        # when it was made, in microseconds → register, see verbs.registers
        self.registers: LOBTree[OOBTree[str, int]] = LOBTree()

    def check(self, migrating: bool = False) -> None:
        """Raises NewerDatabase when this code is too old for the database, OlderDatabase when it
        must be migrated first."""
        if self.version > VERSION:
            raise NewerDatabase(f'The database has layout {self.version}, this p01.remote knows '
                                f'layouts up to {VERSION}; upgrade the package.')
        unknown = [kind for kind in self.uses if kind not in KNOWNUSES]
        if unknown:
            raise NewerDatabase(f'The database has {listed(unknown)}, which this p01.remote does '
                                'not know; upgrade the package.')
        if not migrating and (self.version < VERSION or self.migrating is not None):
            raise OlderDatabase(f'The database has layout {self.version}, this p01.remote needs '
                                f'layout {VERSION}; start a worker, which brings it forward.')

    def floor(self, jobid: int) -> int:
        """The first id of the segment of a job. Raises JobNotFound."""
        if not isinstance(jobid, int):
            raise JobNotFound(f'There is no job {jobid!r}; the id of a job is an integer.')
        for first, segment in self.adopted().items():
            if first <= jobid <= segment.last:
                return first
        try:
            return self.segments.maxKey(jobid)
        except (ValueError, TypeError):
            raise JobNotFound(f'There is no job {jobid}; it never existed, was aborted, or has '
                              'been removed.') from None

    def adopted(self) -> dict[int, Segment]:
        """Segments of this transaction that its snapshot does not show."""
        mine = writers.known(self)
        if mine is None:
            return NOSEGMENTS
        mine.meet(self._p_jar)
        return mine.present()

    def segment(self, first: int) -> Segment:
        """The segment that begins with this id."""
        return self.adopted().get(first) or self.segments[first]

    def entry(self, jobid: int) -> tuple[int, Record]:
        """The first id of a job's segment, and its record. Raises JobNotFound."""
        home = self.home(jobid)
        return home.first, self.edited(jobid, home.entries[jobid])

    def edited(self, jobid: int, record: Record) -> Record:
        """A job's record as people have changed it."""
        edit = None if self.edits is None else self.edits.get(jobid)
        return record._replace(**edit) if edit else record

    def edit(self, jobid: int, changes: dict[str, Any]) -> None:
        """Change fields of a job's record, which stays as it is in its segment: who enqueues writes
        that, and meets nobody."""
        if self.edits is None:
            self.edits, self.uses = LOBTree(), (*self.uses, EDITED)
        self.edits[jobid] = {**self.edits.get(jobid, {}), **changes}

    def expires(self, jobid: int, record: Record, fate: Pending | None) -> float | None:
        """Until when a job must have begun, None where it has begun or need not."""
        if fate is not None and (fate.runs or self.edits is None or jobid not in self.edits):
            return None
        found: float | None = (record.extras or {}).get('expires')
        return found

    def home(self, jobid: int) -> Segment:
        """The segment that a job is in. Raises JobNotFound."""
        near: Segment | None = getattr(self, '_v_near', None)
        if near is None or not isinstance(jobid, int) or not writers.loadable(near) \
                or jobid not in near.entries:
            near = self._v_near = self.segment(self.floor(jobid))
            if jobid not in near.entries:
                raise JobNotFound(f'There is no job {jobid}; it never existed, was aborted, or has '
                                  'been removed.')
        return near

    def entries(self, jobids: Iterable[int]) -> Iterator[tuple[int, Record]]:
        """Of each job what entry gives; quick for neighbours. For use at once, within one
        transaction."""
        near, entries = 0, NORECORDS
        for jobid in jobids:
            record = entries.get(jobid)
            if record is None:
                near, record = self.entry(jobid)
                entries = self._v_near.entries
            elif self.edits is not None:
                record = self.edited(jobid, record)
            yield near, record

    def homes(self, jobids: Iterable[int]) -> Iterable[tuple[Segment, list[int]]]:
        """The segments that jobs are in, each with its own of them. Raises JobNotFound."""
        found: dict[int, tuple[Segment, list[int]]] = {}
        here: Collection[int] = ()
        for jobid in jobids:
            if jobid not in here:
                home = self.home(jobid)
                here = home.entries
                group = found.setdefault(home.first, (home, []))[1]
            group.append(jobid)
        return found.values()

    def fate(self, jobid: int) -> Journal | Pending | None:
        """Its journal, Pending or None; raises JobNotFound when the job was removed."""
        first = self.floor(jobid)
        fates = self.shards[shardOf(first)].fates.get(first)
        if fates is None or jobid not in fates.entries:
            return None
        found = fates.fate(jobid)
        if found is None:
            raise JobNotFound(f'Job {jobid} has been removed.')
        return found

    def unnoticed(self) -> Iterator[tuple[int, int]]:
        """The segments that may have jobs which no worker has noticed yet: first id, the last id
        that was taken in."""
        for shard in self.shards:
            yield from list(shard.intake.open.items())
        seen = [shard.intake.seen for shard in self.shards]
        opened = [shard.intake.open for shard in self.shards]
        for first in sorted({*self.segments.keys(min(seen) + 1), *self.adopted()}):
            number = shardOf(first)
            if first > seen[number] and first not in opened[number]:
                yield first, first - 1

    def untaken(self,
                segments: Iterable[tuple[int, int]] | None = None) -> Iterator[tuple[int, Record]]:
        """Jobs that no worker has noticed yet; in some of the segments that may have any, or in
        all."""
        for first, cursor in self.unnoticed() if segments is None else segments:
            segment = self.segment(first)
            if segment.top > cursor:
                fates = self.shards[shardOf(first)].known(first)
                yield from ((jobid, record) for jobid, record in segment.entries.items()
                            if jobid > cursor and jobid not in fates)

    def view(self, jobid: int) -> View:
        """A job as it is now. Raises JobNotFound."""
        first, record = self.entry(jobid)
        fate = self.fate(jobid)
        if isinstance(fate, Journal):
            return ended(jobid, record, fate.outcome(jobid))
        for seat in self.seats.values():
            claim = seat.claims.get(jobid)
            if claim is not None:
                outcome = seat.outcome(jobid)
                if outcome is not None:
                    return ended(jobid, record, outcome)
                if jobid in seat.waiting():
                    return View(jobid, record, QUEUED, claim.runs, None, claim.attempts, None,
                                seat.name)
                return View(jobid, record, PROCESSING, claim.runs + 1, None, claim.attempts, None,
                            seat.name)
        runs, due = 0, record.due
        attempts: tuple[Attempt, ...] = ()
        if isinstance(fate, Pending):
            runs, attempts, due = fate.runs, fate.attempts, fate.due
        shard = self.shards[shardOf(first)]
        delayed = due is not None
        if delayed and shard.taken(first, jobid):
            delayed = shard.delays(first, jobid, record, fate)
        return View(jobid, record, DELAYED if delayed else QUEUED, runs, due, attempts)

    def lanes(self) -> Iterator[Lane]:
        """Where jobs wait."""
        return ((shard, lines) for shard in self.shards for lines in shard.lanes)

    def workers(self) -> Iterator[tuple[str, Seat]]:
        """The seats of workers, by name: all but that of jobs which callers pulled."""
        return ((name, seat) for name, seat in self.seats.items() if name != PULLED)

    def over(self, jobid: int) -> bool:
        """Whether a job has ended; its worker gives the key back with its next bookkeeping only."""
        try:
            return self.view(jobid).status in FINISHED
        except JobNotFound:
            return True



