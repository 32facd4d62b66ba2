# SPDX-License-Identifier: ZPL-2.1
"""Who works here: a seat for each worker thread, written by that thread alone until it is rescued."""
from __future__ import annotations

from p01.remote.exceptions import ClaimLost
from p01.remote.store.records import Claim
from p01.remote.store.segments import Outcomes, Packed
from p01.remote.store.shards import Tally

FULL = 64       # outcomes of a journal; beyond about 4 KB a commit per job gets dear


class Hand:
    """Holds claims within one transaction: for jobs that run in the caller's own transaction."""

    name = 'by hand'

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}
        self.outcomes = Outcomes()
        self.tally = Tally()

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
    """A worker thread's claims and its open journal of outcomes."""

    _packed = 'claims'

    def __init__(self, name: str, host: str, pid: int, process: str, box: str, lease: float, now: float) -> None:
        super().__init__()
        self.name = name
        self.host = host            # with the boot's id: pids mean nothing after a restart
        self.pid = pid
        self.process = process      # a token of the process: pids are used again
        self.box = box              # the file whose lock says that the process lives; '' in a database of one process
        self.lease = lease          # seconds
        self.since = self.beat = now

    def touch(self) -> None:
        """Say that claims or tally have changed."""
        self._p_changed = True

    def roll(self) -> None:
        """Begin a new journal when the open one is full."""
        if len(self.outcomes.entries) >= FULL:
            self.outcomes = Outcomes()
