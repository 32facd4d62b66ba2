# SPDX-License-Identifier: ZPL-2.1
"""What a worker holds in the snapshot of a transaction: its seat, and the claims in it."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p01.remote.exceptions import ClaimLost
from p01.remote.store.records import Claim
from p01.remote.store.seats import Seat
from p01.remote.store.segments import Fields
from p01.remote.store.store import Store


class Holder:
    """The worker of a name, for whom jobs run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def seat(self, store: Store) -> Seat | None:
        """Our seat; None when we have none, or somebody thought us dead and took it away."""
        return store.seats.get(self.name)

    def complete(self, store: Store, jobid: int, outcome: Fields) -> None:
        """Write an outcome into the job's transaction."""
        store.complete(self.sitting(store, jobid), jobid, outcome)

    def fence(self, processor: Any, jobid: int) -> None:
        """Have a part that a job commits itself meet whoever has taken the job over; see Seat.fence."""
        seat = self.sitting(processor.store, jobid)
        seat.held(jobid)
        seat.slip().touch()

    def sitting(self, store: Store, jobid: int) -> Seat:
        """Our seat, for the sake of a job. Raises ClaimLost."""
        seat = self.seat(store)
        if seat is None:
            raise ClaimLost(f'Worker {self.name} was thought dead, and job {jobid} was taken over; its changes here were '
                            'undone.')
        return seat

    def recorded(self, store: Store, jobid: int) -> bool:
        """Whether an outcome of this job is committed."""
        seat = self.seat(store)
        return seat is not None and seat.outcome(jobid) is not None

    def held(self, store: Store) -> Mapping[int, Claim]:
        """The claims that are ours in this snapshot."""
        seat = self.seat(store)
        return seat.claims if seat is not None else {}
