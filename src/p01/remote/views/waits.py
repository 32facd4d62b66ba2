# SPDX-License-Identifier: ZPL-2.1
"""Why a job waits, in sentences."""
from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from p01.remote.ground.words import ago, count, shown, span
from p01.remote.store import uniques
from p01.remote.store.keys import idOf, shardOf
from p01.remote.store.lines import Line, members, standing
from p01.remote.store.records import DELAYED, QUEUED, Pending
from p01.remote.store.seats import Seat
from p01.remote.store.shards import Shard
from p01.remote.store.store import Store
from p01.remote.store.views import View
from p01.remote.views.workers import Worker, quietOf, workerOf, workersOf

MOST = 1_000        # jobs before it that are counted


class Reason(NamedTuple):
    """Why a job waits.

    kind: paused, delayed, expired, duplicate, claimed, dead (its worker), idle (no worker runs),
    unserved, alone, new, behind or next. until: when it ends by itself, in POSIX seconds. ahead:
    how many jobs come before it, None where that is not what it waits for; MOST + 1 for more than
    MOST. worker: the label of who has it in hand. jobid: the job that it waits for.
    """

    kind: str
    sentence: str
    until: float | None = None
    ahead: int | None = None
    worker: str = ''
    jobid: int | None = None


def whyWaits(store: Store, view: View, now: float) -> tuple[Reason, ...]:
    """What a job waits for, what matters most first; () for one that does not wait. Looks at no
    more than a few thousand jobs."""
    if view.status not in (QUEUED, DELAYED):
        return ()
    held = list(pausedBy(store, view, now))
    if view.due is not None and view.due > now:
        what = 'It failed and runs again' if view.runs \
            else 'It is delayed: it starts at the earliest'
        return (*held, Reason('delayed', f'{what} {ago(view.due, now)}.', view.due))
    if view.worker:
        return (inHand(store, store.seats[view.worker], view.id, now),)
    held += ofItself(store, view, now)
    alive = [worker for worker in workersOf(store, now) if worker.alive]
    serving = [worker for worker in alive if worker.serves(view.record.queue)]
    if not alive:
        held.append(Reason('idle', 'No worker runs.'))
    elif not serving:
        why = ': all workers of it are quiet or stopping' if quietOf(alive, view.record.queue) \
            else ''
        held.append(Reason('unserved', f'No worker serves queue {shown(view.record.queue)}{why}.'))
    return tuple(held) if held else (inLine(store, view, serving, now),)


def pausedBy(store: Store, view: View, now: float) -> Iterable[Reason]:
    """The pause of its queue."""
    queue, paused = view.record.queue, store.settings.pausedAt(now)
    if queue in paused:
        until = paused[queue]
        ends = 'until it is resumed' if until is None \
            else f'and goes on by itself {ago(until, now)}'
        yield Reason('paused', f'Queue {shown(queue)} is paused {ends}.', until)


def ofItself(store: Store, view: View, now: float) -> Iterable[Reason]:
    """What the job itself brings: that it is too late, a duplicate, or has to run alone."""
    extras = view.record.extras or {}
    fate = store.fate(view.id)
    pending = fate if isinstance(fate, Pending) else None
    expires = store.expires(view.id, view.record, pending)
    if expires is not None and expires < now:
        yield Reason('expired',
                     'It has expired, and will not run; a worker ends it when its turn comes.')
    if fate is None and 'unique' in extras:
        holder = uniques.holder(store, extras['unique'][0], now)
        if holder not in (None, view.id):
            yield Reason('duplicate',
                         f'Job {holder} has its unique key; it ends as a duplicate when a worker '
                         'sees it.',
                         jobid=holder)
    if isinstance(fate, Pending) and fate.suspect:
        yield Reason('alone',
                     'A worker died while it had this job and others in hand; it runs alone, as '
                     'soon as a '
                              'worker has nothing else in hand.')


def inHand(store: Store, seat: Seat, jobid: int, now: float) -> Reason:
    """That a worker has claimed it and not begun."""
    worker = workerOf(store, seat, now)
    if not worker.alive:
        return Reason('dead',
                      f'Worker {shown(worker.label)} had it in hand and is dead ({worker.death}); '
                      'another '
                              'worker takes it back.', worker=worker.label)
    waiting, slot = seat.waiting(), seat.seen().slot
    ahead = waiting.index(jobid) if jobid in waiting else 0
    text, running = f'Worker {shown(worker.label)} has claimed it', None
    if slot is not None and slot.jobid in worker.jobs:
        running = slot.jobid
        text += f' and has run job {running} for {span(max(0.0, time.monotonic() - slot.began))}'
    others = f'; {count(ahead, "other")} of its jobs come before it' if ahead else ''
    return Reason('claimed', f'{text}{others}.', None, ahead, worker.label, running)


def inLine(store: Store, view: View, serving: list[Worker], now: float) -> Reason:
    """Where it stands among the jobs that the same workers take."""
    queues = None if any(not worker.queues for worker in serving) else {
        queue for worker in serving for queue in worker.queues}
    number = ahead(store, view, queues, now)
    who = f'{count(len(serving), "worker")} that serve{"s" if len(serving) == 1 else ""} its queue'
    if number:
        some = f'more than {MOST:,} others' if number > MOST else count(number, 'other')
        return Reason('behind', f'It waits behind {some}, for {who}.', None, number)
    shard = store.shards[shardOf(store.floor(view.id))]
    if not shard.taken(store.floor(view.id), view.id):
        return Reason('new', f'No worker has noticed it yet; it is the next one for {who}.', None,
                      0)
    return Reason('next', f'It is the next one for {who}.', None, 0)


def ahead(store: Store, view: View, queues: set[str] | None, now: float) -> int:
    """How many jobs of these queues (None: of all) that are not paused come before it; MOST + 1 for
    more than MOST."""
    fate = store.fate(view.id)
    key = standing(view.id, view.record, fate if isinstance(fate, Pending) else None)
    paused, found = store.settings.pausedAt(now), 0

    def counts(queue: str) -> bool:
        return queue not in paused and (queues is None or queue in queues)

    for shard, lines in store.lanes():
        for _, queue in lines.heads.items(None, key):
            if found > MOST:
                return MOST + 1
            if counts(queue):
                found += before(store, shard, lines.queues[queue], key, MOST + 1 - found)
    untaken = (record for jobid, record in store.untaken() if record.due is None
               and standing(jobid, record, None) < key
               and counts(record.queue))
    return found + sum(1 for _ in islice(untaken, MOST + 1 - found))


def before(store: Store, shard: Shard, line: Line, key: int, most: int) -> int:
    """How many jobs of a line stand before a key; stops when there are so many."""
    found = 0
    for first, last in line.waiting.items(None, key, excludemax=True):
        if found >= most:
            break
        if idOf(first) == last:
            found += 1
            continue
        segment = store.home(idOf(first))
        ids = list(members(idOf(first), last, segment, shard.known(segment.first)))
        found += bisect_left(ids, key, 1,
                             key=lambda jobid: standing(jobid, segment.entries[jobid], None))
    return min(found, most)
