# SPDX-License-Identifier: ZPL-2.1
"""What the page of one job is made of: where its time went, why it waits, lines to copy."""
from __future__ import annotations

from typing import NamedTuple

from p01.remote.store.records import CANCELLED, ERROR, FINISHED, PROCESSING
from p01.remote.store.views import View
from p01.remote.views.given import Given
from p01.remote.views.job import Details
from p01.remote.views.waits import MOST
from p01.remote.web.snapshot import Snapshot
from p01.remote.wire.functions import functionOf


class Leg(NamedTuple):
    """A part of a job's life: waiting or a run; where it begins and how long it is, in per cent of
    all; when it began, and how long it took in seconds; of a run its number, and whether a label
    has room: in a wide window, and in a narrow one."""

    tone: str
    begins: float
    share: float
    instant: float
    seconds: float
    run: int
    labelled: bool = False
    narrowly: bool = False

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return min(100.0, self.begins + self.share / 2)

    @property
    def anchor(self) -> str:
        """Which part of its label stands there."""
        return 'start' if self.middle < 4 else 'end' if self.middle > 96 else 'middle'


class Check(NamedTuple):
    """A step on the way of a job to a worker: whether it is the one that holds it, what there is
    to say, and until when."""

    name: str
    text: str
    holds: bool = False
    until: float | None = None


# between two labels, in per cent of a picture that is 900 pixels wide, and of a narrow one
ROOM, NARROWROOM = 6.0, 18.0
LINED = 59              # jobs before it that a picture shows
HURDLES = (('Due', ('delayed', 'expired'), 'it may start at any time'),
         ('Queue open', ('paused',), 'its queue is not paused'),
         ('Key free', ('duplicate',), 'no other job holds its unique key'),
         ('Workers', ('idle', 'unserved', 'dead'), 'there are workers that serve its queue'),
         ('Its turn', ('alone', 'claimed', 'new', 'behind', 'next'), ''))


def checksOf(found: Details, now: float) -> list[Check]:
    """The steps of a job that waits, in order; those behind one that holds it are looked at as
    well, as far as that is known."""
    checks = []
    for name, kinds, passed in HURDLES:
        reason = next((each for each in found.waits if each.kind in kinds), None)
        if name == 'Key free' and not found.unique:
            continue
        if reason is not None:
            checks.append(Check(name, reason.sentence, True, reason.until))
        elif passed and not (found.waits and found.waits[-1].kind == 'delayed'
                             and name in ('Workers', 'Key free')):
            checks.append(Check(name, passed))
    return checks


class Lineup(NamedTuple):
    """A job's place in line: in words, and as marks: a tone, where it begins, how wide it is, in
    per cent; the head of the line at the right."""

    words: str
    marks: list[tuple[str, float, float]]


def lineupOf(found: Details) -> Lineup | None:
    """The place in line of a job that waits for its turn alone; None for others."""
    reason = found.waits[0] if found.waits else None
    if reason is None or reason.kind not in ('behind', 'next') or reason.ahead is None:
        return None
    number = min(reason.ahead, LINED)
    width = 100 / (LINED + 1)
    others = [('queued', 100 - (at + 1) * width, width * 0.7) for at in range(number)]
    words = 'none before it' if not reason.ahead else f'{reason.ahead:,} before it' \
        if reason.ahead <= MOST else f'more than {MOST:,} before it'
    return Lineup(words, [*others, ('ink', max(0.0, 100 - (number + 1) * width), width * 0.7)])


def lifeOf(view: View, now: float) -> list[Leg]:
    """Where a job's time went; [] for one that has not run."""
    outcome, runs = view.outcome, [(each.started, each.ended, 'error', each.number)
                                   for each in view.attempts]
    if outcome is not None and outcome.started is not None \
            and (not runs or outcome.started > runs[-1][0]):
        runs.append((outcome.started, outcome.completed, outcome.status, outcome.runs))
    if not runs:
        return []
    end = outcome.completed if outcome is not None else max(now, runs[-1][1])
    total = max(end - view.record.created, 1e-6)
    legs, at, before = [], view.record.created, False
    for started, ended, tone, run in sorted(runs):
        legs.append(('retry' if before else 'queued', at, max(started - at, 0.0), 0))
        legs.append((tone, started, max(ended - started, 0.0), run))
        at, before = ended, True
    if outcome is None:
        legs.append(('running' if view.status == PROCESSING else 'retry', at, end - at, 0))
    return labelled([Leg(tone, 100 * (instant - view.record.created) / total,
                         100 * length / total, instant, length, run)
                     for tone, instant, length, run in legs])


def labelled(legs: list[Leg]) -> list[Leg]:
    """Legs, which say whether their labels have room: the last run always has one."""
    runs = [leg for leg in legs if leg.run]
    wide, narrow = roomy(runs, ROOM), roomy(runs, NARROWROOM)
    return [leg._replace(labelled=leg in wide, narrowly=leg in narrow) for leg in legs]


def roomy(runs: list[Leg], room: float) -> list[Leg]:
    """The last of these, and in order those of the others whose labels are as far apart."""
    kept: list[Leg] = []
    for leg in runs[:-1]:
        if all(abs(other.middle - leg.middle) >= room for other in (*kept[-1:], runs[-1])):
            kept.append(leg)
    return [*kept, runs[-1]]


def linesOf(at: Snapshot, name: str, jobid: int, status: str, given: Given) -> dict[str, str]:
    """Lines to copy: for a shell, and for Python."""
    verb = 'retry' if status in (ERROR, CANCELLED) else 'show' if status in FINISHED \
        else 'watch' if status == PROCESSING else 'show'
    found = {'Shell': f'p01-remote jobs {verb} {at.target} {jobid}'}
    known = functionOf(at.app, name)
    call = given.call
    if known is not None and (call or not given.arguments) and not given.note:
        function = known.function
        found['Python'] = f'{function.__module__}.{function.__qualname__}.enqueue({call})'
    return found
