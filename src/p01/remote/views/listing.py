# SPDX-License-Identifier: ZPL-2.1
"""The jobs of a filter. Looks at as few jobs as it can, and changes nothing."""
from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import ParamSpec

from BTrees.LOBTree import LOBTree

from p01.remote.exceptions import JobNotFound
from p01.remote.store.fates import Fates
from p01.remote.store.keys import idOf, shardOf
from p01.remote.store.kinds import ANY, RARESTATI, Firsts
from p01.remote.store.lines import members as run
from p01.remote.store.outcomes import statusOf
from p01.remote.store.records import DELAYED, FINISHED, QUEUED
from p01.remote.store.segments import Segment
from p01.remote.store.shards import Shard
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views.figures import tallied
from p01.remote.views.filters import EVERYJOB, STATI, Filter, Part

FEWINLINE = 10_000        # jobs in line that are rather looked at than all segments
SETS = 64           # of segments that are merged in each shard
FREESEGMENTS = 50          # segments after which memory is given back

SEGMENTCOST = 20    # jobs that a look at a segment counts as

P = ParamSpec('P')


class Enough(Exception):
    """As many jobs were looked at as one is ready to."""


class Search:
    """A look for jobs that ends when it has looked at so many; None for all. However few, it comes
    further, so that another one below last goes on."""

    def __init__(self, most: int | None = None) -> None:
        self.left = math.inf if most is None else most
        self.last = 0           # the id down to which it has come
        self.floor = 0          # down to which the segments were looked at, where not all were
        self.over = False       # whether it ended before there were no more

    def spend(self) -> None:
        """One more is looked at. Raises Enough."""
        self.left -= 1
        if self.left < 0 and self.last:
            self.over = True
            raise Enough

    def through(self, firsts: Iterable[int]) -> Iterator[int]:
        """Segments to look at, one at least."""
        before = 0
        for first in firsts:
            self.left -= SEGMENTCOST
            if self.left < 0 and before:
                self.over, self.floor = True, max(self.floor, before)
                return
            yield first
            before = first

    def find(self, store: Store, which: Filter) -> Iterator[View]:
        """The jobs of a filter, the newest first, as far as it comes. Raises InputError."""
        which.check()
        found = fitting(store, which, self)
        with suppress(Enough):
            yield from islice(found, which.limit)


def find(store: Store, which: Filter = EVERYJOB) -> Iterator[View]:
    """The jobs of a filter, the newest first, that is, of the highest id. Raises InputError."""
    which.check()
    return islice(fitting(store, which, Search()), which.limit)


def fitting(store: Store, which: Filter, search: Search) -> Iterator[View]:
    """The jobs of a filter whatever its limit. Raises Enough."""
    last, asked, fits = 0, joined(which.ofRecord()), joined(which.ofView())
    below = math.inf if which.below is None else which.below
    for jobid in heapq.merge(*candidates(store, which, search), reverse=True):
        if jobid < search.floor:
            break
        if jobid != last and jobid < below:
            search.spend()
            search.last = last = jobid
            try:
                record = store.entry(jobid)[1]
                if asked is None or asked(jobid, record):
                    view = store.view(jobid)
                    if fits is None or fits(view):
                        yield view
            except JobNotFound:
                pass
    if search.over:
        search.last = search.floor


def joined(checks: list[Callable[P, bool]]) -> Callable[P, bool] | None:
    """One check that is true when all are; None for none."""
    if len(checks) < 2:
        return checks[0] if checks else None
    return lambda *args, **kwargs: all(check(*args, **kwargs) for check in checks)


def candidates(store: Store, which: Filter, search: Search) -> Iterator[Iterator[int]]:
    """The ids of the jobs that may fit, each stream the newest first. They get all that fit, and
    not many others."""
    wanted = which.sought()
    if which.ids.any:
        yield iter(sorted(set(which.ids.any), reverse=True))
        return
    if wanted >= set(STATI):
        firsts = indexed(store, which, ANY) if which.queue or which.name else None
        if firsts is None:
            firsts = descending(store.segments, which.below)
        yield members(store, search.through(firsts), lambda shard, first, jobid: True)
    else:
        # of its claims a worker's seat tells whether they have ended
        over = wanted <= set(FINISHED)
        yield iter(sorted((jobid for seat in store.seats.values()
                           for jobid in (seat.written() if over else seat.claims)), reverse=True))
        for status in FINISHED:
            if status in wanted:
                yield ended(store, which, status, search)
        if not wanted.isdisjoint((QUEUED, DELAYED)):
            yield waiting(store, which, search)
    if not wanted.isdisjoint((QUEUED, DELAYED)):
        yield untaken(store)


def ended(store: Store, which: Filter, status: str,
          search: Search | None = None) -> Iterator[int]:
    """Those that ended so."""
    search = search or Search()

    def kept(shard: Shard, first: int, jobid: int) -> bool:
        fates = shard.fates[first]
        fate = fates.entries.get(jobid)
        return isinstance(fate, int) and statusOf(fates.journals[fate].entries[jobid]) == status

    firsts = None
    if status in RARESTATI or which.queue or which.name:
        firsts = indexed(store, which, status if status in RARESTATI else ANY)
    if firsts is None:
        firsts = heapq.merge(*(descending(shard.fates, which.below) for shard in store.shards),
                             reverse=True)
    firsts = search.through(firsts)
    return members(store, (first for first in firsts if timely(store, first, which)), kept)


def timely(store: Store, first: int, which: Filter) -> bool:
    """Whether any job of a segment has ended, within the time asked for."""
    fates = store.shards[shardOf(first)].fates.get(first)
    return fates is not None and (which.since is None or which.since <= fates.newest) \
        and (which.before is None or fates.oldest < which.before)


def waiting(store: Store, which: Filter, search: Search) -> Iterator[int]:
    """Those in line: of a few all that there are, else by segments."""
    total = tallied(store)
    stati = [status for status in (QUEUED, DELAYED) if status in which.stati]
    few = sum(count for (queue, status), count in total.items() if status in stati
              and which.queue.takes(queue)) <= FEWINLINE \
        and (DELAYED not in stati
             or sum(count for (_, status), count in total.items()
                    if status == DELAYED) <= FEWINLINE)
    if few:
        return iter(sorted(inLine(store, which.queue, stati), reverse=True))
    firsts = indexed(store, which, ANY)
    firsts = descending(store.segments, which.below) if firsts is None else firsts
    return members(store, search.through(firsts),
                   lambda shard, first, jobid: not isinstance(shard.known(first).get(jobid), int))


def inLine(store: Store, queue: Part[str], stati: Collection[str]) -> Iterator[int]:
    """All that wait in these queues."""
    for shard, lines in store.lanes():
        names = [name for name in queue.any or lines.queues if name in lines.queues
                 and queue.takes(name)]
        for line in (lines.queues[name] for name in names if QUEUED in stati):
            for key, last in line.waiting.items():
                segment = store.home(idOf(key))
                yield from run(idOf(key), last, segment, shard.known(segment.first))
        if DELAYED in stati:
            yield from (idOf(key) for key, of in lines.delayed.items() if queue.takes(of))


def untaken(store: Store) -> Iterator[int]:
    """Those that no worker has noticed."""
    cursors = dict(store.unnoticed())
    return members(store,
                   sorted(cursors,
                          reverse=True), lambda shard, first, jobid: jobid > cursors[first])


def members(store: Store, firsts: Iterable[int],
            kept: Callable[[Shard, int, int], bool]) -> Iterator[int]:
    """The ids in these segments that are kept, but not those of removed jobs."""
    for number, first in enumerate(firsts, 1):
        shard = store.shards[shardOf(first)]
        try:
            entries = store.segment(first).entries
        except KeyError:
            continue            # it went, and its last jobs with it
        fates = shard.known(first)
        for jobid in sorted(entries, reverse=True):
            if fates.get(jobid, entries) is not None and kept(shard, first, jobid):
                yield jobid
        if number % FREESEGMENTS == 0 and store._p_jar is not None:
            store._p_jar.cacheGC()      # however many there are


def indexed(store: Store, which: Filter, status: str) -> Iterator[int] | None:
    """The first ids of segments that may have jobs of these queues and names, by the index of what
    ended so, or of all; None when there is too much to merge."""
    queue = which.queue.any[0] if len(which.queue.any) == 1 else None
    named = which.named if which.queue or which.name else None
    return merged(store, lambda shard: shard.kinds.matching(status, queue, named, SETS),
                  which.below)


def merged(store: Store, matching: Callable[[Shard], list[Firsts] | None],
           below: int | None = None) -> Iterator[int] | None:
    """The first ids of the shards' segments that match and that have ids below one, the newest
    first; None when there is too much to merge."""
    found: list[Firsts] = []
    for shard in store.shards:
        more = matching(shard)
        if more is None:
            return None
        found += more
    begin = None if below is None else 1 - below
    return unique(-first for first in heapq.merge(*(each.keys(begin) for each in found)))


def unique(values: Iterable[int]) -> Iterator[int]:
    """Sorted values, each once."""
    last = None
    for value in values:
        if value != last:
            yield value
            last = value


def descending(tree: LOBTree[Segment] | LOBTree[Fates], below: int | None = None) -> Iterator[int]:
    """The keys of a tree below one, from the last one; reads no more of it than is asked for."""
    last = None if below is None else below - 1
    while tree:
        try:
            key = tree.maxKey() if last is None else tree.maxKey(last)
        except ValueError:
            return
        yield key
        last = key - 1


def ids(store: Store, newest: bool = False) -> Iterator[int]:
    """The ids of all jobs there are."""
    firsts = sorted({*store.segments.keys(), *store.adopted()}, reverse=newest)
    for first in firsts:
        fates = store.shards[shardOf(first)].known(first)
        entries = store.segment(first).entries
        for jobid in sorted(entries, reverse=newest):
            if fates.get(jobid, entries) is not None:
                yield jobid


def finished(store: Store) -> Iterator[tuple[int, str]]:
    """The ids of all finished jobs with their status; looks at no other."""
    for shard in store.shards:
        for fates in shard.fates.values():
            for jobid, fate in fates.entries.items():
                if isinstance(fate, int):
                    yield jobid, statusOf(fates.journals[fate].entries[jobid])
