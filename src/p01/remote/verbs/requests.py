# SPDX-License-Identifier: ZPL-2.1
"""What people ask of workers: to end a job that runs; to claim no more, to leave, to say where they
stand.

A request stands in the worker's seat, beside the claim that it is about. So it is written in one
commit with the look at the claim, whatever ends the claim meets it, and it is gone with both; the
job's own commit does not write the seat, and so meets no request.
"""
from __future__ import annotations

from collections.abc import Mapping

from p01.remote.store.outcomes import Stored
from p01.remote.store.records import CANCELLED, COMPLETED, Asked, Attempt, Outcome, Progress
from p01.remote.store.seats import Answer, Holder, Order, Seat, Show

# orders: claim no more; end; say where you stand; show what your running jobs say
QUIET, STOP, STACKS, WATCH = 'quiet', 'stop', 'stacks', 'watch'


def ask(seat: Seat, jobid: int, asked: Asked) -> None:
    """Ask for the end of a claimed job; who asked first stays, and the earlier end counts. Raises
    ClaimLost."""
    seat.held(jobid)
    known = seat.asked.get(jobid)
    if known is not None:
        left = min(known.when + known.grace, asked.when + asked.grace) - known.when
        asked = known._replace(grace=max(0.0, left))
    standing = {other: each for other, each in seat.asked.items() if other in seat.claims}
    seat.asked = standing | {jobid: asked}
    seat.touch()            # with the claims, which whoever ends one writes: one of both is refused


def withdrawn(owner: Holder, jobid: int, ended: float, attempt: Attempt | None = None,
              runs: int | None = None) -> Outcome:
    """The outcome of a claimed job that was asked to end; attempt is how its last run failed, None
    where it has none or did as it was asked."""
    claim, asked = owner.held(jobid), owner.asked[jobid]
    attempts = claim.attempts if attempt is None else claim.after(attempt)
    started = None if attempt is None else attempt.started
    runs = claim.runs + (attempt is not None) if runs is None else runs
    return Outcome(CANCELLED, None, f'Cancelled by {asked.who}.', runs, started, ended, owner.name,
                   attempts, asked=asked)


def applied(owner: Holder,
            outcomes: Mapping[int, Outcome | Stored]) -> Mapping[int, Outcome | Stored]:
    """Outcomes as they count where jobs were asked to end: what has failed was cancelled."""
    return {jobid: applying(owner.asked[jobid], each)
            if jobid in owner.asked and isinstance(each, Outcome) else each
            for jobid, each in outcomes.items()}


def applying(asked: Asked, outcome: Outcome) -> Outcome:
    """An outcome of a job that was asked to end."""
    if outcome.status == COMPLETED:
        return outcome
    return outcome._replace(status=CANCELLED, error=f'Cancelled by {asked.who}.', asked=asked)


def order(seat: Seat, word: str, wanted: Order) -> bool:
    """Want something of a worker, until it is done or revoked; whether nobody did. Who wanted it
    first stays."""
    if word in seat.orders:
        return False
    seat.orders = {**seat.orders, word: wanted}
    seat.touch()
    return True


def revoke(seat: Seat, word: str) -> bool:
    """Want it no more; whether somebody did."""
    if word not in seat.orders:
        return False
    seat.orders = {known: each for known, each in seat.orders.items() if known != word}
    seat.touch()
    return True


def reply(seat: Seat, text: str) -> None:
    """Say where the threads of a worker's process stand, if somebody still wants to know."""
    wanted = seat.orders.get(STACKS)
    if wanted is not None and revoke(seat, STACKS):
        seat.answer = Answer(text, wanted.when)


def lastOf(seat: Seat) -> float | None:
    """Of when the order was that a worker answered last, in POSIX seconds; None for none."""
    return None if seat.answer is None else seat.answer.when


def heard(seat: Seat, last: float | None) -> str | None:
    """What a worker has answered since its last answer was that one, see lastOf; None for nothing.
    It stays until the next one, for all who asked meanwhile."""
    return None if seat.answer is None or seat.answer.when == last else str(seat.answer.text)


def watch(seat: Seat, wanted: Order) -> None:
    """Want to see what a worker's running jobs say, from now on for a while."""
    seat.orders = {**seat.orders, WATCH: wanted}
    seat.touch()


def show(seat: Seat, said: dict[int, tuple[Progress | None, int, bytes]]) -> None:
    """Show other hosts what the running jobs of a worker say."""
    if seat.show is None:
        seat.show = Show()
        seat.touch()
    if seat.show.said != said:
        seat.show.said = said
