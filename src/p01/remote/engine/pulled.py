# SPDX-License-Identifier: ZPL-2.1
"""Jobs that a caller pulls, works on in ways of his own, and completes; see IRemoteProcessor."""
from __future__ import annotations

from typing import Any

from p01.remote import verbs
from p01.remote.engine import rescuing, ticker
from p01.remote.engine.seams import Processor
from p01.remote.engine.verdict import expired
from p01.remote.ground import clocks, subscribers
from p01.remote.job import Job
from p01.remote.store import payload
from p01.remote.store.outcomes import success


def pull(processor: Processor, now: float) -> Job | None:
    """Take the next job that is due into the caller's hands, for a lease of its own; None when
    there is none."""
    seat = verbs.pulled(processor.store, now)
    told = rescuing.forgotten(processor, seat, now)
    ticker.tick(processor, now)
    claimed = verbs.claim(processor.store, seat, 1, now)
    seat.pull(claimed, now)
    for event in (*rescuing.each(told), *expired(seat)):
        subscribers.notifyAfter(processor._p_jar.transaction_manager.get(), event)
    return processor.getJob(claimed[0]) if claimed else None


def complete(processor: Processor, jobid: int, output: Any) -> None:
    """Complete a job that was pulled. Raises ClaimLost when it is not in anybody's hands."""
    now = clocks.now()
    seat = verbs.pulled(processor.store, now)
    claim = seat.held(jobid)
    kept = payload.packOutput(output, f'The output of job {jobid}', processor.outputLimit,
                              processor._p_jar)
    verbs.settle(processor.store,
                 seat, {jobid: success(kept, claim.runs + 1, None, now, claim.attempts)})
