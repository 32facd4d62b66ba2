# SPDX-License-Identifier: ZPL-2.1
"""Finding jobs and counting them; changes nothing."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from p01.remote.exceptions import JobNotFound
from p01.remote.ground.door import Closed
from p01.remote.store import writer
from p01.remote.store.keys import idOf, shardOf
from p01.remote.store.lines import Lines, members
from p01.remote.store.records import DELAYED, PROCESSING, QUEUED, Attempt, Claim, Outcome, Pending, Record
from p01.remote.store.segments import Journal, Segment, statusOf
from p01.remote.store.shards import Shard, Tally

LOOK = 100          # segments that a look at jobs opens which no worker has noticed
END = float('inf')
Lane = tuple[Shard, Lines]
NONE: dict[int, Segment] = {}
NOTHING: dict[int, Record] = {}


class View(NamedTuple):
    """A job as it is now. Instants are POSIX seconds."""

    id: int
    record: Record
    status: str
    runs: int = 0
    due: float | None = None
    attempts: tuple[Attempt, ...] = ()
    outcome: Outcome | None = None
    worker: str = ''

    @property
    def error(self) -> str:
        """The text of its error, of its last failed run while it is retried; '' without one."""
        if self.outcome is not None:
            return self.outcome.error
        return self.attempts[-1].reason if self.attempts else ''


class Look(Closed, Persistent):
    """The reading half of a store."""

    segments: LOBTree
    shards: tuple[Shard, ...]
    seats: OOBTree

    def floor(self, jobid: int) -> int:
        """The first id of the segment of a job. Raises JobNotFound."""
        if not isinstance(jobid, int):
            raise JobNotFound(f'There is no job {jobid!r}; the id of a job is an integer.')
        for first, segment in self.adopted().items():
            if first <= jobid <= segment.last:
                return first
        try:
            return int(self.segments.maxKey(jobid))
        except (ValueError, TypeError):
            raise JobNotFound(f'There is no job {jobid}; it never existed, was aborted, or has '
                              'been removed.') from None

    def adopted(self) -> dict[int, Segment]:
        """Segments of this transaction that its snapshot does not show."""
        mine = writer.known(self)
        if mine is None:
            return NONE
        mine.meet(self._p_jar)
        return mine.present()

    def segment(self, first: int) -> Segment:
        """The segment that begins with this id."""
        found: Segment = self.adopted().get(first) or self.segments[first]
        return found

    def entry(self, jobid: int) -> tuple[int, Record]:
        """The first id of a job's segment, and its record. Raises JobNotFound."""
        home = self.home(jobid)
        return home.first, home.entries[jobid]

    def home(self, jobid: int) -> Segment:
        """The segment that a job is in. Raises JobNotFound."""
        near: Segment | None = getattr(self, '_v_near', None)
        if near is None or not isinstance(jobid, int) or not writer.loadable(near) or jobid not in near.entries:
            near = self._v_near = self.segment(self.floor(jobid))
            if jobid not in near.entries:
                raise JobNotFound(f'There is no job {jobid}; it never existed, was aborted, or has '
                                  'been removed.')
        return near

    def entries(self, jobids: Iterable[int]) -> Iterator[tuple[int, Record]]:
        """Of each job what entry gives; quick for neighbours. For use at once, within one transaction."""
        near, entries = 0, NOTHING
        for jobid in jobids:
            record = entries.get(jobid)
            if record is None:
                near, record = self.entry(jobid)
                entries = self._v_near.entries
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

    def fate(self, jobid: int) -> Any:
        """Outcomes, Pending or None; raises JobNotFound when the job was removed."""
        first = self.floor(jobid)
        page = self.shards[shardOf(first)].pages.get(first)
        if page is None or jobid not in page.fates:
            return None
        found = page.fate(jobid)
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

    def untaken(self, segments: Iterable[tuple[int, int]] | None = None) -> Iterator[tuple[int, Record]]:
        """Jobs that no worker has noticed yet; in some of the segments that may have any, or in all."""
        for first, cursor in self.unnoticed() if segments is None else segments:
            segment = self.segment(first)
            if segment.top > cursor:
                fates = self.shards[shardOf(first)].fates(first)
                yield from ((jobid, record) for jobid, record in segment.entries.items()
                            if jobid > cursor and jobid not in fates)

    def view(self, jobid: int) -> View:
        """A job as it is now. Raises JobNotFound."""
        first, record = self.entry(jobid)
        fate = self.fate(jobid)
        if isinstance(fate, Journal):
            return ended(jobid, record, fate.outcome(jobid))
        for seat in self.seats.values():
            claim: Claim | None = seat.claims.get(jobid)
            if claim is not None:
                outcome = seat.outcome(jobid)
                if outcome is not None:
                    return ended(jobid, record, outcome)
                if jobid in seat.waiting():
                    return View(jobid, record, QUEUED, claim.runs, None, claim.attempts, None, seat.name)
                return View(jobid, record, PROCESSING, claim.runs + 1, None, claim.attempts, None, seat.name)
        runs, due = 0, record.due
        attempts: tuple[Attempt, ...] = ()
        if isinstance(fate, Pending):
            runs, attempts, due = fate.runs, fate.attempts, fate.due
        shard = self.shards[shardOf(first)]
        delayed = due is not None
        if delayed and shard.taken(first, jobid):
            delayed = shard.delays(first, jobid, record, fate)
        return View(jobid, record, DELAYED if delayed else QUEUED, runs, due, attempts)

    def ids(self, newest: bool = False) -> Iterator[int]:
        """The ids of all jobs there are."""
        firsts = sorted({*self.segments.keys(), *self.adopted()}, reverse=newest)
        for first in firsts:
            fates = self.shards[shardOf(first)].fates(first)
            entries = self.segment(first).entries
            for jobid in sorted(entries, reverse=newest):
                if fates.get(jobid, entries) is not None:
                    yield jobid

    def lanes(self) -> Iterator[Lane]:
        """Where jobs wait."""
        return ((shard, lines) for shard in self.shards for lines in shard.lanes)

    def waiting(self) -> Iterator[int]:
        """The ids of all jobs that wait, due or not yet; looks at no other."""
        for shard, lines in self.lanes():
            for line in lines.queues.values():
                for key, last in line.waiting.items():
                    segment = self.home(idOf(key))
                    yield from members(idOf(key), last, segment, shard.fates(segment.first))
            yield from map(idOf, lines.delayed)
        yield from (jobid for jobid, _ in self.untaken())

    def finished(self) -> Iterator[tuple[int, str]]:
        """The ids of all finished jobs with their status; looks at no other."""
        for shard in self.shards:
            for page in shard.pages.values():
                for jobid, fate in page.fates.items():
                    if isinstance(fate, int):
                        yield jobid, statusOf(page.journals[fate].entries[jobid])

    def behind(self) -> bool:
        """Whether there are segments that no worker has looked at."""
        newest = self.segments.maxKey() if self.segments else 0
        return any(shard.intake.seen < newest for shard in self.shards)

    def tallied(self) -> Tally:
        """How many jobs of each queue have which status, but for those that no worker has noticed."""
        total = Tally()
        for shard in self.shards:
            total.add(shard.tally)
        for seat in self.seats.values():
            total.add(seat.tally)
            for jobid, fields in seat.written().items():
                total.move(seat.claims[jobid].queue, PROCESSING, statusOf(fields))
            for jobid in seat.waiting():
                total.move(seat.claims[jobid].queue, PROCESSING, QUEUED)
        return total

    def counts(self) -> dict[str, dict[str, int]]:
        """How many jobs of each queue have which status; exact within one poll of a worker.

        Costs as much as there are workers, jobs in their hands, and jobs that no worker has
        noticed; see figures.counts.
        """
        total = self.tallied()
        for _, record in self.untaken():
            total.move(record.queue, None, QUEUED if record.due is None else DELAYED)
        return nested(total)

    def oldest(self) -> float | None:
        """Since when the oldest job waits that could start, in POSIX seconds; None when none waits.

        Of jobs that no worker has noticed, as many are looked at as are in LOOK segments.
        """
        found = min((instant for shard in self.shards if (instant := shard.oldest()) is not None), default=END)
        for first, cursor in islice(self.unnoticed(), LOOK):
            segment = self.segment(first)
            if segment.born > found and first > cursor:
                break           # this one, and all that were reserved after it, have younger jobs
            found = min([found, *(record.created for _, record in self.untaken([(first, cursor)]) if record.due is None)])
        return None if found == END else found

    def nextDue(self, noticed: bool = True) -> float | None:
        """When the next delayed job is due, in POSIX seconds; noticed: of those that a worker has
        noticed, else of the others as well, as many as are in LOOK segments."""
        found = [instant for shard in self.shards if (instant := shard.nextDue()) is not None]
        if not noticed:
            found += [record.due for _, record in self.untaken(islice(self.unnoticed(), LOOK)) if record.due is not None]
        return min(found, default=None)


def nested(total: Tally) -> dict[str, dict[str, int]]:
    """Counts by queue, then by status."""
    counts: dict[str, dict[str, int]] = {}
    for (queue, status), count in sorted(total.items()):
        counts.setdefault(queue, {})[status] = count
    return counts


def ended(jobid: int, record: Record, outcome: Outcome) -> View:
    """The view of a finished job."""
    return View(jobid, record, outcome.status, outcome.runs, None, outcome.attempts, outcome, outcome.worker)
