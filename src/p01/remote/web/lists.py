# SPDX-License-Identifier: ZPL-2.1
"""What lists of jobs and the page of one are made of: rows, tabs, terms, lines to copy."""
from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from p01.remote.exceptions import JobNotFound
from p01.remote.ground import checks
from p01.remote.store.records import PROCESSING, QUEUED
from p01.remote.store.views import View
from p01.remote.views.filters import STATI, Filter
from p01.remote.views.given import Given, givenOf
from p01.remote.views.grammar import Term
from p01.remote.views.job import Row, rowOf
from p01.remote.views.listing import Search
from p01.remote.views.queues import Queues, totalOf
from p01.remote.web.snapshot import Snapshot
from p01.remote.wire.deeds import DEEDS, MOVE, WAITING
from p01.remote.wire.functions import namesOf

PAGEROWS = 50              # rows of a page
LOOKEDAT = 3_000          # jobs that are looked at for one
CHOICES = 100           # queues that can be chosen from
WHOLE = re.compile('[0-9]{1,18}')
DID = {'retry': 'queued again', 'now': 'queued now', 'cancel': 'cancelled', 'move': 'moved',
       'remove': 'removed', 'pause': 'paused', 'resume': 'resumed', 'run': 'enqueued',
       'skip': 'skipped', 'edit': 'changed', 'reset': 'reset', 'stop': 'asked to end',
       'quiet': 'asked to claim no more', 'unquiet': 'may claim again'}


class Listed(NamedTuple):
    """A job in a list, and what it was given."""

    row: Row
    given: Given
    about: str          # in a few words, where nothing else says it
    share: float | None     # of its progress, from 0 to 1
    again: bool         # whether it waits after a run that failed


class Found(NamedTuple):
    """A page of jobs. older: the id below which the next page begins, None where there is none.
    looked: whether the look ended before there were no more."""

    rows: list[Listed]
    older: int | None
    looked: bool


def pageOf(at: Snapshot, which: Filter, below: int | None) -> Found:
    """A page of the jobs of a filter, of ids below one."""
    search = Search(LOOKEDAT)
    views = list(search.find(at.processor.store, which._replace(below=below, limit=PAGEROWS + 1)))
    more = len(views) > PAGEROWS
    older = views[PAGEROWS - 1].id if more else search.last if search.over else None
    return Found(listed(at, views[:PAGEROWS]), older or None, search.over)


def holds(at: Snapshot, queues: Collection[str]) -> dict[str, str]:
    """What holds all jobs of some queues, in a few words: a pause, or that nobody serves it."""
    if not queues:
        return {}
    paused = at.processor.store.settings.pausedAt(at.now)
    alive = [worker for worker in at.workers if worker.alive]
    found = {}
    for queue in queues:
        if queue in paused:
            found[queue] = f'{queue} is paused'
        elif not alive:
            found[queue] = 'no worker runs'
        elif not any(worker.serves(queue) for worker in alive):
            found[queue] = f'nobody serves {queue}'
    return found


def rowsOf(at: Snapshot, jobids: Iterable[int]) -> list[Listed]:
    """These jobs, as far as they are there."""
    views = []
    for jobid in jobids:
        try:
            views.append(at.processor.store.view(jobid))
        except JobNotFound:
            continue
    return listed(at, views)


def listed(at: Snapshot, views: list[View]) -> list[Listed]:
    """Jobs as rows."""
    said = {}
    if any(view.status == PROCESSING for view in views):
        said = {jobid: progress for worker in at.workers
                for jobid, progress in worker.progress.items()}
    notes = holds(at, {view.record.queue for view in views if view.status == QUEUED})
    found = []
    for view in views:
        progress = said.get(view.id)
        share = progress.done / progress.total if progress is not None and progress.total else None
        about = progress.words() if progress is not None else ''
        if view.status == QUEUED:
            about = notes.get(view.record.queue, '')
        found.append(Listed(rowOf(view), givenOf(view.record.input,
                                                 namesOf(at.app, view.record.name)),
                            about, share, view.status in WAITING and bool(view.runs)))
    return found


def wholeOf(text: str) -> int | None:
    """A whole number; None for anything else."""
    return int(text) if WHOLE.fullmatch(text) else None


def priorityOf(text: str) -> int:
    """A priority. Raises InputError."""
    return checks.priorityOf(int(text) if re.fullmatch('[-+]?[0-9]{1,9}', text) else text)


def joined(terms: Iterable[Term], field: str = '', value: str = '',
           without: Term | None = None) -> str:
    """The text of terms: without one, or with another value of a field, '' for none."""
    kept = [term for term in terms if term is not without and (not field or term.field != field)]
    return ' '.join(term.text for term in
                    [*kept, *([Term(False, field, ':', value)] if value else [])])


class Tab(NamedTuple):
    """A status to choose: its word, '' for all; the filter that it leads to; how many there are,
    None where that would have to be counted."""

    status: str
    text: str
    number: int | None
    chosen: bool


def tabsOf(terms: list[Term], which: Filter, queues: Queues) -> list[Tab]:
    """A tab for each status, and one for all."""
    chosen = set(which.stati)
    found = []
    for status in ('', *STATI):
        other = which._replace(stati=(status,) if status else STATI)
        found.append(Tab(status, joined(terms, 'status', status), totalOf(other, queues),
                         chosen == ({status} if status else set(STATI))))
    return found


def verbsOf(which: Filter) -> dict[str, bool]:
    """What can be done with jobs of a filter."""
    return {**{word: bool(verb.takes(which.stati)) for word, verb in DEEDS.items()},
            MOVE: not set(which.stati).isdisjoint(WAITING)}


def didOf(given: Mapping[str, str]) -> tuple[str, int, int] | None:
    """What was done before this page was shown, as its address says: what, of how many, how many
    were left."""
    verb, number = given.get('did', ''), wholeOf(given.get('n', ''))
    if verb not in DID or number is None:
        return None
    return DID[verb], number, wholeOf(given.get('left', '')) or 0


def termOf(field: str, value: str) -> str:
    """A filter of one term."""
    return Term(False, field, ':', value).text
