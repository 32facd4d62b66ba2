# SPDX-License-Identifier: ZPL-2.1
"""Who works here: a seat for each worker thread, written by that thread alone until it is
rescued."""
from __future__ import annotations

import pickle
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from persistent import Persistent

from p01.remote.exceptions import ClaimLost
from p01.remote.ground import blackbox, folders
from p01.remote.ground.door import Closed
from p01.remote.storage.opened import folder
from p01.remote.store.history import History, Recent, Slot
from p01.remote.store.journals import Journal
from p01.remote.store.outcomes import Stored, fromStored
from p01.remote.store.packed import Packed
from p01.remote.store.records import Asked, Claim, Outcome, Progress
from p01.remote.store.shards import Tally
from p01.remote.store.slips import Slip

PULLED = 'by hand'      # the name of the seat of jobs that callers pulled
FULL = 64       # outcomes of a journal
PARTSLIPS = 2        # slips of each of several parts
BRIEFJOURNAL = 16      # outcomes of a journal that is not written again
# heartbeats within a lease, while there are claims; an idle worker has nothing to lose and sends
# none
BEATS = 4


class Seen(NamedTuple):
    """What a worker says in its box."""

    slot: blackbox.Slot | None = None       # its thread; None where it cannot be read, as elsewhere
    # the jobs on its event loop, and when each has begun, in seconds of time.monotonic, or UNBEGUN
    loop: Mapping[int, float] = MappingProxyType({})
    silent: float | None = None     # seconds since its process's last sign of life, then

    def begun(self) -> dict[int, float]:
        """Those that have begun on its event loop."""
        return {jobid: began for jobid, began in self.loop.items() if began != blackbox.UNBEGUN}


SEENNOTHING = Seen()


class Holder(Recent):
    """Holds claims within one transaction: for jobs that run in the caller's own transaction."""

    name = PULLED
    # the claimed jobs that are to end, as people asked; see verbs.requests
    asked: Mapping[int, Asked] = {}
    # ids and names of jobs that expired, in a claim of this transaction
    _v_expired: tuple[tuple[int, str], ...] = ()

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}
        self.recent: Slot = {}
        self.tally = Tally()
        self.turn()

    def turn(self) -> None:
        """Begin a new journal."""
        self.outcomes = Journal(self.name)

    def written(self) -> dict[int, Stored]:
        """The outcomes of claimed jobs that their own commits have written, as outcomes.toStored
        makes them."""
        return {}

    def forget(self, jobid: int) -> None:
        """A job is claimed that may have ended in these hands before, and was revived."""
        if jobid in self.outcomes.entries:
            self.turn()

    def held(self, jobid: int) -> Claim:
        """The claim on a job. Raises ClaimLost when it is not ours, or no longer."""
        claim = self.claims.get(jobid)
        if claim is None:
            raise ClaimLost(f'Worker {self.name} no longer holds job {jobid}; it was taken over '
                            'and its changes here were undone.')
        return claim

    def end(self, jobids: Iterable[int]) -> list[str]:
        """Give up the claims on jobs that have ended; returns their queues."""
        return [self.claims.pop(jobid).queue for jobid in jobids]

    def touch(self) -> None:
        """Say that claims or tally have changed."""


class Order(NamedTuple):
    """What somebody wants of a worker: who, and since when, in POSIX seconds."""

    who: str
    when: float


class Answer(Closed, Persistent):
    """What a worker answered to an order, apart from its claims, which are written all the time."""

    def __init__(self, text: str, when: float) -> None:
        self.text = text
        self.when = when        # that of the order


class Show(Closed, Persistent):
    """What the running jobs of a worker say, for other hosts; written again and again while they
    watch."""

    def __init__(self) -> None:
        # by their ids: how far they are, the bytes that they ever logged, and the last of them
        self.said: dict[int, tuple[Progress | None, int, bytes]] = {}


class Shelf(Closed, Persistent):
    """The slips of a seat, apart from its claims: a job's own commit writes little and never meets
    a heartbeat.

    They are written again and again; what they say of a job counts while the job is claimed.
    """

    def __init__(self) -> None:
        # by number, from 0: after each bookkeeping they are used again in this order
        self.slips: dict[int, Slip] = {}


class Seat(Holder, Packed):
    """A worker thread's claims and counts, its shelf and its history."""

    history: History
    _packed = 'claims'
    _v_open: Mapping[int, int] = {}     # by part, the number of a slip: its ones before it are full
    code = ''           # of the application, see engine.fingerprint; '' when nobody knows
    declares = ''       # the code of its schedules, see engine.declaring

    _v_seen: tuple[Any, Seen] | None = None     # in which transaction, and what

    # attempts that may commit at once: the k-th has the slips k modulo so many
    parts = 1
    slot = 0                            # of the box: what its thread runs
    round = 0                           # how often claims were handed out to be run
    told = False                        # its process was told to stop
    orders: Mapping[str, Order] = {}    # what people want of it, by a word; see verbs.requests
    answer: Answer | None = None        # what it answered last
    show: Show | None = None            # what its running job says, while other hosts watch
    queues: tuple[str, ...] = ()        # those it serves; () for all
    # since when jobs are in the hands of a caller, in POSIX seconds
    pulled: Mapping[int, float] = {}

    def __init__(self, name: str, host: str, pid: int, process: str, box: str, lease: float,
                 now: float) -> None:
        self.name = name
        super().__init__()
        self.host = host            # with the boot's id: pids mean nothing after a restart
        self.pid = pid
        self.process = process      # a token of the process: pids are used again
        # the file whose lock says that the process lives; '' in a database of one process
        self.box = box
        self.lease = lease          # seconds
        self.since = self.beat = now
        self.shelf = Shelf()
        self.history = History()    # verbs.sit may give it another one

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is not None:
            state['recent'] = pickle.dumps(state['recent'], 4)
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__({**state, 'recent': pickle.loads(state['recent'])})

    @property
    def byHand(self) -> bool:
        """Whether this is no worker's: it holds the jobs that callers pulled."""
        return self.name == PULLED

    @property
    def path(self) -> Path:
        """Where its box lies. In a folder that was moved or copied, beside the database as it is
        here: a copy has boxes that nobody holds, as is right, while the workers of the original
        live."""
        place = folder(self._p_jar.db()) if self._p_jar is not None else None
        return Path(self.box) if place is None else folders.folderFor(place) / Path(self.box).name

    def slip(self, part: int = 0) -> Slip:
        """The slip that takes the next outcome of one of the parts."""
        slips = self.shelf.slips
        number = self._v_open.get(part, part)
        slip = slips.get(number)
        while slip is not None and slip.full(self.claims):
            number += self.parts
            self._v_open = {**self._v_open, part: number}
            slip = slips.get(number)
        if slip is None and self.parts > 1 and number >= self.parts:
            # it may grow: to begin one writes the shelf, where the others meet
            slip = slips[number - self.parts]
        if slip is None:
            slip = Slip()
            self.shelf.slips = {**slips, number: slip}
        return slip

    def prepare(self, parts: int) -> None:
        """Have slips for so many attempts that may commit at once; in a bookkeeping, so that they
        do not meet when they begin one."""
        if parts > self.parts:
            self.touch()
            self.parts = parts
            slips = self.shelf.slips
            self.shelf.slips = {**{number: Slip() for number in range(PARTSLIPS * parts)}, **slips}

    def outcome(self, jobid: int) -> Outcome | None:
        """The outcome of a claimed job that its own commit has written."""
        if jobid in self.claims:
            for slip in self.shelf.slips.values():
                if jobid in slip.entries:
                    return fromStored(slip.written()[jobid], self.name)
        return None

    def written(self) -> dict[int, Stored]:
        return {jobid: stored for slip in self.shelf.slips.values()
                for jobid, stored in slip.written().items() if jobid in self.claims}

    def waiting(self, anew: bool = False) -> list[int]:
        """The claimed jobs that have not begun, as far as can be seen from here: they are queued
        still.

        The same for all who ask within one transaction, unless they look anew.
        """
        if not self.round:
            return []                   # pulled by hand: who pulled has begun
        written = self.written()
        jobids = [jobid for jobid in self.claims if jobid not in written]
        slot, loop, _ = self.glimpse() if anew or self._p_jar is None else self.seen()
        if slot is None:
            # of several at once, all may have begun
            return jobids[1:] if self.parts == 1 else []
        later = jobids
        if slot.round == self.round and slot.last:
            later = jobids[jobids.index(slot.last) + 1:] if slot.last in jobids else []
        elif slot.round > self.round:
            return []                   # what we see of the claims is old
        if not loop:
            return later
        queued = {**dict.fromkeys(later, blackbox.UNBEGUN), **loop}
        return [jobid for jobid in jobids if queued.get(jobid) == blackbox.UNBEGUN]

    def seen(self) -> Seen:
        """What our process said in its box when this transaction asked first."""
        current = self._p_jar.transaction_manager.get()
        of, seen = self._v_seen or (None, SEENNOTHING)
        if of is None or of() is not current:
            seen = self.glimpse()
            self._v_seen = weakref.ref(current), seen
        return seen

    def glimpse(self) -> Seen:
        """What our process says in its box."""
        if self.host == blackbox.HOST and self.box:
            with suppress(OSError, IndexError):
                head, slots = (box := blackbox.read(self.path)).head, box.slots
                return Seen(slots[self.slot],
                            {slot.last: slot.began for slot in slots
                             if slot.round == blackbox.FREE and slot.last}
                            if self.parts > 1 else SEENNOTHING.loop, time.monotonic() - head.beat)
        return SEENNOTHING

    def pull(self, jobids: Iterable[int], now: float) -> None:
        """Jobs are in the hands of a caller now, each for a lease of its own."""
        held = {jobid: since for jobid, since in self.pulled.items() if jobid in self.claims}
        self.pulled = held | dict.fromkeys(jobids, now)

    def end(self, jobids: Iterable[int]) -> list[str]:
        self._v_open = {}
        return super().end(jobids)

    def forget(self, jobid: int) -> None:
        super().forget(jobid)
        for slip in self.shelf.slips.values():
            slip.forget(jobid)

    def fence(self) -> None:
        """Have whatever this worker still tries to commit, claims and job alike, conflict with the
        caller's commit."""
        self._p_changed = self.shelf._p_changed = True
        for slip in self.shelf.slips.values():
            slip.stamp()

    def touch(self) -> None:
        """Say that claims or tally have changed."""
        self._p_changed = True
