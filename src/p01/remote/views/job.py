# SPDX-License-Identifier: ZPL-2.1
"""One job: a row of a list, and all that a page shows, as plain and bounded texts."""
from __future__ import annotations

from typing import Any, NamedTuple

from p01.remote.engine.watching import seen
from p01.remote.ground.foreign import Raised, guarded, reasonOf
from p01.remote.ground.values import written
from p01.remote.ground.words import labelOf
from p01.remote.job import FunctionJob
from p01.remote.processor import RemoteProcessor
from p01.remote.store.payload import unpack
from p01.remote.store.records import PROCESSING, Asked, Attempt, Conflicts, Progress
from p01.remote.store.views import View
from p01.remote.views.waits import Reason, whyWaits
from p01.remote.views.workers import startedOf

SHOWNVALUE = 2000        # characters of an input or output that are shown


class Row(NamedTuple):
    """A job in a list. Instants are POSIX seconds, None where there was none."""

    id: int
    name: str
    queue: str
    priority: int
    status: str
    runs: int
    worker: str                 # who has it or ran it last; '' for nobody
    error: str
    created: float
    due: float | None
    schedule: str | None        # that enqueued it, for a tick
    tick: float | None
    # of the run that it ended with; in Details also of one that goes on, where this host knows
    started: float | None
    completed: float | None


class Details(NamedTuple):
    """All about a job. values: its input and output, None where they were not loaded; call and
    output are texts of them."""

    row: Row
    label: str                          # of its worker
    unique: str                         # its key; '' without one
    expires: float | None
    duplicate: int | None               # the job that it is a duplicate of
    conflicts: Conflicts | None
    asked: Asked | None                 # that it was to end while it ran
    transaction: str                    # that ended it, in hexadecimal
    # as far as it says so, while it runs on this host, or did by the end of its last run
    progress: Progress | None
    log: tuple[str, ...]                # the end of that, in lines
    attempts: tuple[Attempt, ...]       # that failed, with bounded tracebacks
    waits: tuple[Reason, ...]           # why it waits
    values: tuple[Any, Any]
    call: str
    output: str


def rowOf(view: View) -> Row:
    """The row of a job."""
    record, outcome, extras = view.record, view.outcome, view.record.extras or {}
    return Row(view.id, record.name, record.queue, record.priority, view.status, view.runs,
               view.worker, view.error,
               record.created, view.due, extras.get('schedule'), extras.get('tick'),
               outcome and outcome.started, outcome and outcome.completed)


def detailsOf(processor: RemoteProcessor, view: View, now: float, values: bool = False) -> Details:
    """All about a job as it is at now.

    values: load its input and output, which may run code of theirs; whoever serves others does
    not.
    """
    store = processor.store
    outcome, extras = view.outcome, view.record.extras or {}
    seat = store.seats.get(view.worker) if view.status == PROCESSING else None
    said = seen(processor, view)
    given, came = (loaded(view.record.input), outcome and loaded(outcome.output)) if values \
        else (None, None)
    row = rowOf(view)
    if seat is not None:
        row = row._replace(started=startedOf(seat, view.id, now))
    return Details(
        row, labelOf(view.worker), extras['unique'][0] if 'unique' in extras else '',
        extras.get('expires'),
        outcome and outcome.holder, outcome and outcome.conflicts,
        outcome.asked if outcome is not None else None if seat is None else seat.asked.get(view.id),
        outcome.tid.hex() if outcome is not None and outcome.tid else '',
        said.progress, tuple(said.text.splitlines()), view.attempts,
        whyWaits(store, view, now), (given, came),
        called(processor, view.record.name, given) if values else '',
        written(came, SHOWNVALUE) if values and outcome is not None else '')


def loaded(kept: Any) -> Any:
    """An input or output; when it cannot be loaded, a text that says why."""
    found = guarded(unpack, kept)       # unpickling runs foreign code
    return f'(cannot be loaded: {reasonOf(found.error)})' if isinstance(found, Raised) else found


def called(processor: RemoteProcessor, name: str, given: Any) -> str:
    """The input, as a call where it is a function's arguments."""
    if given is None and isFunction(processor, name):
        given = (), {}
    if not (isinstance(given, tuple) and len(given) == 2 and type(given[0]) is tuple
            and type(given[1]) is dict):
        return written(given, SHOWNVALUE)
    parts = [written(value, SHOWNVALUE) for value in given[0]]
    parts += [f'{key}={written(value, SHOWNVALUE)}' for key, value in given[1].items()]
    text = f'{name.rpartition(".")[2]}({", ".join(parts)})'
    return text if len(text) <= SHOWNVALUE else text[:SHOWNVALUE - 1] + '…'


def isFunction(processor: RemoteProcessor, name: str) -> bool:
    """Whether this is the name of a function, so far as it can be told without importing it."""
    return isinstance(processor.jobs[name], FunctionJob) if name in processor.jobs else '.' in name
