# SPDX-License-Identifier: ZPL-2.1
"""How what came of jobs becomes figures of the history: with each bookkeeping, in the figures of
the minute at hand.

Of many jobs of a kind that ended together, run times and waits are those of a part, each standing
for several; how many there were is always exact.
"""
from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from p01.remote.store.history import BOUNDS, REST, Code, Figures, Kind, Slot, add
from p01.remote.store.keys import sinceOf
from p01.remote.store.outcomes import Stored, statusOf
from p01.remote.store.records import (
    CANCELLED,
    COMPLETED,
    DELAYED,
    ERROR,
    PROCESSING,
    QUEUED,
    Claim,
    Record,
)
from p01.remote.store.seats import Holder
from p01.remote.store.segments import Segment, kindOf

SAMPLES = 8             # jobs of a kind and segment whose times are looked at
SLOW = 0.25             # seconds that so many jobs may take beyond what their samples say
TOP = 16                # queues whose depths are kept
CODES = {COMPLETED: Code.DONE, ERROR: Code.FAILED, CANCELLED: Code.CANCELLED}
DEPTHS = {QUEUED: Code.QUEUED, PROCESSING: Code.RUNNING, DELAYED: Code.DELAYED}



def ended(owner: Holder, homes: Iterable[tuple[Segment, list[int]]], known: Mapping[int, Stored],
          odd: Collection[int], instant: float, edits: Container[int] | None = None) -> None:
    """Jobs have ended, whose claims are the owner's still, by the segments that they are in.

    odd: those that may not have completed, or not at once; with any of these all are looked at.
    edits: those that people have changed, see Store.
    """
    for segment, jobids in homes:
        for kind, some in parted(owner, segment, jobids, edits):
            figures = owner.figures(kind, instant)
            if odd or len(some) <= SAMPLES or not sampled(figures, owner, segment, some, known):
                for jobid in some:
                    fields = known[jobid]
                    count(figures, CODES[statusOf(fields)], 1)
                    timed(figures, owner.claims[jobid], segment.entries[jobid], fields, 1)
                    if len(fields) > 3 and 'conflicts' in fields[3]:
                        count(figures, Code.CONFLICTED, fields[3]['conflicts'][0])


def parted(owner: Holder, segment: Segment, jobids: list[int],
           edits: Container[int] | None) -> Iterable[tuple[Kind, list[int]]]:
    """Jobs of a segment by their kinds. edits: those that may have been moved."""
    pair = segment.kind()
    if pair is not None and not (edits and any(jobid in edits for jobid in jobids)):
        return [(pair, jobids)]
    found: defaultdict[Kind, list[int]] = defaultdict(list)
    for jobid in jobids:
        found[owner.claims[jobid].queue, segment.entries[jobid].name].append(jobid)
    return found.items()


def sampled(figures: Figures, owner: Holder, segment: Segment, jobids: Sequence[int],
            known: Mapping[int, Stored]) -> bool:
    """Count many jobs that completed by a part of them; False when one that was slow would be
    missed."""
    step = len(jobids) // SAMPLES
    chosen = jobids[::step]
    runs = [known[jobid] for jobid in chosen]
    took = step * sum(fields[1] - fields[0] for fields in runs)
    if runs[-1][1] - runs[0][0] > 2 * took + SLOW:
        return False
    count(figures, Code.DONE, len(jobids))
    entries, claims, get = segment.entries, owner.claims, figures.get
    began = [fields[0] - sinceWhen(claims[jobid], entries[jobid])
             for jobid, fields in zip(chosen, runs, strict=True)]
    # what the last one stands for
    rest, last = len(jobids) - step * len(chosen), len(chosen) - 1
    for place, (fields, wait) in enumerate(zip(runs, began, strict=True)):
        number = step + rest if place == last else step
        code = Code.RUNS + bisect_left(BOUNDS, fields[1] - fields[0])
        figures[code] = get(code, 0) + number
        code = Code.WAITS + bisect_left(BOUNDS, wait)
        figures[code] = get(code, 0) + number
    for code, whole in ((Code.RUNTIME, took), (Code.WAITTIME, step * sum(began))):
        count(figures, code, max(0, int(whole * 1_000_000)))
    return True


def sinceWhen(claim: Claim, record: Record) -> float:
    """Since when a job could start, in POSIX seconds."""
    if claim.key is not None:
        return sinceOf(claim.key)
    due = record.due
    return due if due is not None and due > record.created else record.created


def timed(figures: Figures, claim: Claim, record: Record, fields: Stored, number: int) -> None:
    """So many jobs took as long as this one, and waited as long."""
    started, ended = fields[0], fields[1]
    if started is None:
        return
    took, waited = max(0.0, ended - started), max(0.0, started - sinceWhen(claim, record))
    count(figures, Code.RUNS + bisect_left(BOUNDS, took), number)
    count(figures, Code.WAITS + bisect_left(BOUNDS, waited), number)
    count(figures, Code.RUNTIME, int(took * 1_000_000) * number)
    count(figures, Code.WAITTIME, int(waited * 1_000_000) * number)


def retried(owner: Holder, claim: Claim, record: Record, started: float, end: float) -> None:
    """An attempt failed that is followed by another one."""
    figures = owner.figures(kindOf(record), end)
    count(figures, Code.RETRIED, 1)
    timed(figures, claim, record, (started, end), 1)


def dropped(owner: Holder, record: Record, status: str, instant: float) -> None:
    """A job ended that nobody claimed."""
    count(owner.figures(kindOf(record), instant), CODES[status], 1)


def came(owner: Holder, numbers: Mapping[Kind, int], instant: float) -> None:
    """So many jobs were taken in."""
    for kind, number in numbers.items():
        count(owner.figures(kind, instant), Code.CAME, number)


def looked(owner: Holder, counts: Mapping[str, Mapping[str, int]], instant: float) -> None:
    """So many jobs of each queue were in each status at an instant."""
    for kind, figures in depths(counts).items():
        mine = owner.figures(kind, instant)
        for code, number in figures.items():
            count(mine, code, number)


def depths(counts: Mapping[str, Mapping[str, int]]) -> Slot:
    """One look at how many jobs of each queue are in each status."""
    found: Slot = {REST: {Code.LOOKS: 1}}
    queues = {queue: {code: numbers[status] for status, code in DEPTHS.items()
                      if numbers.get(status, 0) > 0} for queue, numbers in counts.items()}
    deep = sorted(queues, key=lambda queue: sum(queues[queue].values()), reverse=True)
    for place, queue in enumerate(deep):
        add(found, {(queue, '') if place < TOP else REST: queues[queue]})
    return found


def count(figures: Figures, code: int, number: int) -> None:
    """So many more."""
    figures[code] = figures.get(code, 0) + number
