# SPDX-License-Identifier: ZPL-2.1
"""Whether a worker is dead, how it ended, and which of its jobs that can be laid to. Looks, and
changes nothing.

On one host the kernel's lock on a worker's box decides, and for one that hangs a sign of life on
the monotonic clock, which stands still while the host sleeps. Wall clocks count between hosts only,
and there only as far as they can be believed.
"""
from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from p01.remote.engine import presence
from p01.remote.engine.seams import Processor
from p01.remote.ground import blackbox, foreign
from p01.remote.ground.blackbox import BLURRED, KILLED, STEP, UNKNOWN, WORKS, Head, Saying, howOf
from p01.remote.ground.clocks import CLOCK, Clock
from p01.remote.options import Policy
from p01.remote.store.seats import Seat

EMPTY = 24 * 3600.0         # seconds after which the seat of a silent worker without jobs goes
# part of a lease that a worker's seat must be seen unchanged, whatever the wall clocks say
WATCHED = 0.5
TOLDTOSTOP = 'it was told to stop'
DIED = 'its process died'
HELD = 'it was killed for jobs that ran beyond their time limits, while one held their event loop'
TOGETHER = 'it was killed with its supervisor'


class Death(NamedTuple):
    """How a worker ended, and what its jobs have to do with that.

    why: what is told. ran: the claimed jobs that it ran and that are blamed for it; None when
    nobody knows which one ran, and all come under suspicion. late: those for whose time limit their
    process was killed; no other one is blamed then. among: one of these did it, see
    rescuing.rescue.
    """

    why: str
    ran: set[int] | None = None
    late: frozenset[int] = frozenset()
    among: frozenset[int] = frozenset()


class Silence:
    """How long workers have been silent as seen from here: the clocks of two hosts differ, and may
    jump."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self.clock = clock
        # name → heartbeat, since when it is the last, monotonic
        self.seen: dict[str, tuple[float, float]] = {}

    def lasts(self, seat: Seat, now: float) -> bool:
        """Whether a worker has been silent for its lease, now on the monotonic clock."""
        beat, since = self.seen.get(seat.name, (None, now))
        if beat != seat.beat:
            since = now
            self.seen[seat.name] = seat.beat, now
        return now - since >= seat.lease * WATCHED

    def forget(self, names: Container[str]) -> None:
        """Keep in mind the workers of these names only."""
        for name in [name for name in self.seen if name not in names]:
            del self.seen[name]


def deathOf(seat: Seat, here: str, now: float, silence: Silence | None = None) -> Death | None:
    """How a worker ended, None for one that lives."""
    clock = CLOCK if silence is None else silence.clock
    if seat.process == presence.PROCESS:
        return None if seat.name in presence.live else laid('its thread ended', seat,
                                                            boxOf(seat))
    if not seat.box or seat._p_jar is not None and presence.alone(seat._p_jar.db()):
        # a database of one process, and that is this one
        return ended(seat, boxOf(seat))
    near = seat.host.partition('/')[0] == here.partition('/')[0]
    box = boxOf(seat) if near else None
    if box is not None and blackbox.died(seat.path):
        return Death('its host was restarted', set()) if seat.host != here else ended(seat, box)
    if box is not None and seat.host == here:
        hangs = seat.claims and box.head.beat < clock.monotonic() - seat.lease
        return laid(f'it hung for {seat.lease:g} s', seat, box) if hangs else None
    silent = now - seat.beat > (seat.lease if seat.claims else EMPTY)
    if silence is not None and not silence.lasts(seat, clock.monotonic()) or not silent:
        return None
    if seat.told:
        return Death(TOLDTOSTOP, set())
    if near and seat.host != here and seat.beat < blackbox.booted():
        return Death('its host was restarted', set())
    return laid(f'it was silent for {seat.lease:g} s', seat, None)


def isDead(seat: Seat, here: str, now: float) -> bool:
    """Whether a worker's jobs must go to others."""
    return not seat.byHand and deathOf(seat, here, now) is not None


def ended(seat: Seat, box: Saying | None) -> Death:
    """How the process of a worker ended that is dead for sure, by its box."""
    if box is None:
        return Death(TOLDTOSTOP, set()) if seat.told \
            else laid('its process ended', seat, None)
    if box.head.end == KILLED:
        late = frozenset(box.late() & set(seat.claims))
        if not late and any(slot.jobid and slot.end() <= box.head.beat for slot in box.slots):
            return Death('it was killed for a job that was to end', set())
        step = stepping(box) & set(seat.claims)
        if step and late and not late & step:
            return Death(HELD, step)
        late = late & step or late          # who held the event loop kept the others from ending
        return Death('it was killed for a job that ran beyond its time limit', set(late), late)
    if box.head.end != WORKS or seat.told:
        return Death(TOLDTOSTOP, set())
    if blackbox.replaced(seat.path, box.head):
        return Death('its process runs another program', set())
    return laid(way(box.head), seat, box)


def laid(why: str, seat: Seat, box: Saying | None) -> Death:
    """A death, and whom it is laid to: the job that ran, or one of several that did.

    On an event loop that is the one whose step it was at; when it was at none, one of those that
    had begun.
    """
    found, claims = ran(seat, box), set(seat.claims)
    if seat.parts == 1:
        return Death(why, found)
    if box is None or found is None:
        found = claims
    else:
        found |= stepping(box) & claims or {slot.jobid for slot in box.slots} & claims
    return Death(why, found) if len(found) < 2 else Death(why, set(), among=frozenset(found))


def stepping(box: Saying) -> set[int]:
    """The jobs whose steps the event loops of a process were at."""
    return {slot.jobid for slot in box.slots if slot.round == STEP and slot.jobid}


def way(head: Head) -> str:
    """How a process ended that was not to end."""
    if head.code != UNKNOWN:
        return howOf(head.code)
    return TOGETHER if head.parent and not blackbox.attended(head) else DIED


def ran(seat: Seat, box: Saying | None) -> set[int] | None:
    """The claimed job that a worker ran when it ended: its only one, if nobody knows more; None
    when nobody knows."""
    if box is not None and seat.slot < len(box.slots):
        if box.slots[seat.slot].began == BLURRED:
            return None
        return {box.slots[seat.slot].jobid} & set(seat.claims)
    return set(seat.claims) if len(seat.claims) == 1 else None


def boxOf(seat: Seat) -> Saying | None:
    """What the box of a worker of this host says; None where it cannot be read."""
    if not seat.box:
        return None
    try:
        return blackbox.read(seat.path)
    except OSError:
        return None


def policyOf(processor: Processor, jobid: int) -> Policy:
    """How a job is retried; the default where its behaviour cannot say so here, or says it by
    something else."""
    found = foreign.guarded(
        lambda: processor.behaviour(processor.store.entry(jobid)[1].name).policy)
    return found if isinstance(found, Policy) else Policy()
