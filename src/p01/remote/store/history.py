# SPDX-License-Identifier: ZPL-2.1
"""What came of jobs over time: numbers for each minute, ten minutes and four hours, in rings with
one writer each.

A worker's seat has the figures of the minute at hand; when it is over, they go to the history
beside the seat, with a bookkeeping that happens anyway. A history outlives its worker: the next one
goes on with it. Who reads adds all of them up.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from p01.remote.ground.door import Closed
from p01.remote.store.packed import Packed

Kind = tuple[str, str]              # queue and name; what is of a queue only has the name ''
Figures = dict[int, int]            # by Code; all of them add up
Slot = dict[Kind, Figures]

# seconds that the buckets reach to, each included: 61 µs to 48 days, by the root of 2
BOUNDS = tuple(2.0 ** (power / 2) for power in range(-28, 45))


class Code:
    """What the figures are. What is below 256 takes two bytes where it is stored."""

    RUNS, WAITS = 0, 80                 # buckets of run times, and of waits
    # attempts that ended so: a failed one that is followed by another is retried
    DONE, FAILED, CANCELLED, RETRIED = 160, 161, 162, 163
    CAME = 164                          # jobs that workers took in
    RUNTIME, WAITTIME = 165, 166        # sums, in microseconds
    CONFLICTED = 167                    # runs repeated since others had changed the same
    # sums over looks at all queues; and how many looks, which is of REST
    QUEUED, RUNNING, DELAYED, LOOKS = 170, 171, 172, 173


DEPTHCODES = frozenset((Code.QUEUED, Code.RUNNING, Code.DELAYED, Code.LOOKS))
WEIGHED = Code.DONE, Code.FAILED, Code.CANCELLED, Code.RETRIED, Code.CAME, Code.QUEUED
REST: Kind = '', ''                 # all that are beyond the most
MOSTKINDS = 48                           # kinds of a slot
ATHAND = 96                         # kinds of the minute at hand
EVER = 100                          # kinds of the sums since ever
MINUTE = 60.0                       # seconds
CHUNK = 6                           # slots that are written as one object


class Span(NamedTuple):
    """How far back a ring reaches, and how finely."""

    width: int                      # of a slot, in minutes
    slots: int


REACHES: Mapping[str, Span] = {'hour': Span(1, 60), 'day': Span(10, 144), 'month': Span(240, 186)}


def add(slot: Slot, more: Mapping[Kind, Mapping[int, int]]) -> None:
    """Add figures to those of a slot."""
    for kind, figures in more.items():
        mine = slot.get(kind)
        if mine is None:
            slot[kind] = dict(figures)
        else:
            for code, number in figures.items():
                mine[code] = mine.get(code, 0) + number


def trim(slot: Slot, most: int = MOSTKINDS) -> None:
    """Keep so many kinds, the busiest ones; the others are REST from now on."""
    if len(slot) > most:
        busy = sorted(slot, key=lambda kind: weight(slot[kind]), reverse=True)
        for kind in busy[most:]:
            if kind != REST:
                add(slot, {REST: slot.pop(kind)})


def weight(figures: Mapping[int, int]) -> int:
    """How much there was of a kind."""
    return sum(figures.get(code, 0) for code in WEIGHED)


def include(ever: Slot, more: Slot) -> None:
    """Add figures to the sums since ever. A kind stays where it was counted first, so that no sum
    ever gets smaller."""
    for kind, each in more.items():
        figures = {code: number for code, number in each.items() if code not in DEPTHCODES}
        if not figures:
            continue                        # depths are of an instant
        known = kind in ever or len(ever) < EVER
        add(ever, {kind if known else REST: figures})


class Chunk(Packed):
    """Some neighbouring slots of a ring."""

    _packed = 'slots'

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}        # by their numbers, since 1970

    def add(self, number: int, more: Slot) -> None:
        """Add figures to one of the slots."""
        self._p_changed = True
        slot = self.slots.setdefault(number, {})
        add(slot, more)
        trim(slot)


class History(Packed):
    """The rings of one worker after the other, and the sums of all since ever."""

    _packed = 'ever'

    def __init__(self) -> None:
        self.ever: Slot = {}
        # by span, then by the number of the chunk
        self.rings: dict[str, dict[int, Chunk]] = {span: {} for span in REACHES}
        self.last = 0                           # the minute that was added last

    def add(self, minute: int, more: Slot) -> None:
        """Add the figures of a minute, as counted since 1970."""
        self._p_changed = True
        self.last = minute
        for span, (width, slots) in REACHES.items():
            number, ring = minute // width, self.rings[span]
            place = number // CHUNK
            if place not in ring:
                # by distance: a clock that was wrong for a while takes nothing along for ever
                for old in [old for old in ring if abs(old - place) > slots // CHUNK]:
                    del ring[old]
                ring[place] = Chunk()
            ring[place].add(number, more)
        include(self.ever, more)

    def sums(self, recent: Slot) -> Slot:
        """The sums since ever, with those of the minute at hand."""
        found = {kind: dict(figures) for kind, figures in self.ever.items()}
        include(found, recent)
        return found

    def slots(self, span: str, since: int) -> Iterator[tuple[int, Slot]]:
        """The slots of a span from this number on."""
        for place, chunk in self.rings[span].items():
            if (place + 1) * CHUNK > since:
                yield from ((number, slot) for number, slot in chunk.slots.items()
                            if number >= since)


class Recent(Closed):
    """What holds claims, and knows what came of them in the minute at hand."""

    minute = 0                                  # since 1970
    history: History | None = None              # where it goes when the minute is over
    recent: Slot

    def within(self, instant: float) -> Slot:
        """The figures of the minute of an instant, in POSIX seconds; those of an earlier one go to
        the history. For changes: the caller has touched us."""
        minute = int(instant // MINUTE)
        # a little earlier is what ended while the last minute did
        if self.history is not None and not self.minute - 1 <= minute <= self.minute:
            self.fold()
            self.minute = minute
        elif not self.minute:
            self.minute = minute
        return self.recent

    def figures(self, kind: Kind, instant: float) -> Figures:
        """The figures of a kind in the minute of an instant, to be added to, see within."""
        slot = self.within(instant)
        return slot.setdefault(kind if kind in slot or len(slot) < ATHAND else REST, {})

    def fold(self) -> None:
        """Have the figures of the minute at hand in the history."""
        if self.recent and self.history is not None:
            self.history.add(self.minute, self.recent)
        self.recent = {}
