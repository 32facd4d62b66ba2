# SPDX-License-Identifier: ZPL-2.1
"""Who works here: a seat for each worker thread, written by that thread alone until it is rescued."""
from __future__ import annotations

from typing import Any

from persistent import Persistent

from p01.remote.exceptions import ClaimLost
from p01.remote.store.records import Claim, Outcome, trimmed
from p01.remote.store.segments import Outcomes, Packed
from p01.remote.store.shards import Tally

FULL = 64       # outcomes of a journal that bookkeeping writes
BRIEF = 16      # outcomes of a journal that is written anew with each job's own commit
PULSE = 4       # heartbeats within a lease, while there are claims; an idle worker has nothing to lose and sends none


class Shelf(Persistent):
    """The journals of a hand, apart from its claims: a job's own commit, which may begin a journal, then writes little, and
    never meets a heartbeat."""

    def __init__(self, worker: str) -> None:
        self.journals = [Outcomes(worker)]      # the last one is open; those before it wait until page has noted them


class Hand:
    """Holds claims within one transaction: for jobs that run in the caller's own transaction."""

    name = 'by hand'

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}
        self.shelf = Shelf(self.name)
        self.tally = Tally()

    @property
    def outcomes(self) -> Outcomes:
        """The open journal."""
        return self.shelf.journals[-1]

    def journal(self, jobid: int) -> Outcomes | None:
        """The journal with the outcome of a job that page has not noted yet."""
        return next((journal for journal in self.shelf.journals if jobid in journal.entries), None)

    def outcome(self, jobid: int) -> Outcome | None:
        """The outcome of a job that page has not noted yet."""
        journal = self.journal(jobid)
        return None if journal is None else journal.entries[jobid]

    def turn(self) -> None:
        """Begin a new journal, and keep those before it for page."""
        self.shelf.journals = [*self.shelf.journals, Outcomes(self.name)]

    def roll(self) -> None:
        """Begin a new journal; page has noted those before it."""
        self.shelf.journals = [Outcomes(self.name)]

    def held(self, jobid: int) -> Claim:
        """The claim on a job. Raises ClaimLost when it is not ours, or no longer."""
        claim = self.claims.get(jobid)
        if claim is None or self.outcomes.fenced:
            raise ClaimLost(f'Worker {self.name} no longer holds job {jobid}; it was taken over and its changes here '
                            f'were undone.')
        return claim

    def touch(self) -> None:
        """Say that claims or tally have changed."""


class Seat(Hand, Packed):
    """A worker thread's claims, and its shelf."""

    _packed = 'claims'

    def __init__(self, name: str, host: str, pid: int, process: str, box: str, lease: float, now: float) -> None:
        self.name = name
        super().__init__()
        self.host = host            # with the boot's id: pids mean nothing after a restart
        self.pid = pid
        self.process = process      # a token of the process: pids are used again
        self.box = box              # the file whose lock says that the process lives; '' in a database of one process
        self.lease = lease          # seconds
        self.since = self.beat = now

    def touch(self) -> None:
        """Say that claims or tally have changed."""
        self._p_changed = True

    def bare(self, values: dict[int, Claim]) -> dict[int, tuple[Any, ...]]:
        return {jobid: trimmed(claim) for jobid, claim in values.items()}

    def full(self, stored: dict[int, tuple[Any, ...]]) -> dict[int, Claim]:
        return {jobid: Claim(*fields) for jobid, fields in stored.items()}
