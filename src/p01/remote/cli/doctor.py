# SPDX-License-Identifier: ZPL-2.1
"""p01-remote doctor."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import click

from p01.remote.app import App, loadApp
from p01.remote.cli.queues import pausedOf
from p01.remote.cli.status import workersOf
from p01.remote.cli.target import Verb, appArgument, check, placeOf
from p01.remote.cli.terminal import count, hung, jsonOption, printJson, shown, span
from p01.remote.exceptions import UnknownJob
from p01.remote.job import FunctionJob, Gone
from p01.remote.processor import RemoteProcessor
from p01.remote.store.listing import Filter, find
from p01.remote.store.records import DELAYED, QUEUED
from p01.remote.store.store import VERSION

LATE = 300.0        # seconds; a job that waits longer is worth a word
MOST = 10_000       # waiting jobs whose names are looked at
SIGNS = {'good': ('✔', 'green'), 'look': ('▲', 'yellow'), 'wrong': ('✖', 'red')}


class Finding(NamedTuple):
    """What came of one check: good, look (worth a look), wrong."""

    check: str
    verdict: str
    text: str


@click.command(cls=Verb)
@appArgument
@jsonOption
def doctor(target: str, asJson: bool) -> int:
    """Check that all is well, and say what to do where it is not.

    Each check is good, worth a look, or wrong; exit status 1 when something is wrong.
    """
    app = loadApp(target)
    check(app, target, create=False)
    findings = []
    for finding in examine(app, target):
        findings.append(finding)
        if not asJson:
            sign, colour = SIGNS[finding.verdict]
            hung([(f'{sign} {finding.verdict:5}', colour), (f'  {finding.check:9} ', '')], finding.text)
    if asJson:
        printJson([finding._asdict() for finding in findings])
    return 1 if any(finding.verdict == 'wrong' for finding in findings) else 0


def examine(app: App, target: str) -> Iterator[Finding]:
    """All checks, as far as they can be made: without a database none of the rest can."""
    yield Finding('address', 'good', placeOf(app))
    began = time.monotonic()
    try:
        _ = app.db
        yield Finding('open', 'good', f'opens in {span(time.monotonic() - began)}')
        with app.transaction():
            app.processor.store.settings._p_changed = True      # the same again: a commit that changes nothing
            began = time.monotonic()
        yield Finding('commit', 'good', f'commits in {span(time.monotonic() - began)}')
    except Exception as error:      # storages raise what their libraries raise
        yield Finding('database', 'wrong', shown(error, None) or type(error).__name__)
        app.close()
        return
    try:
        with app.reading() as processor:
            for look in LOOKS:
                yield look(processor, target, time.time())
    finally:
        app.close()


def layout(processor: RemoteProcessor, target: str, now: float) -> Finding:
    """Whether this code and the data fit."""
    found = processor.store.version
    verdict = 'good' if found == VERSION else 'look'
    return Finding('layout', verdict, f'version {found}' + ('' if found == VERSION else f'; this p01.remote has {VERSION}'))


def workers(processor: RemoteProcessor, target: str, now: float) -> Finding:
    """Whether somebody works."""
    found = workersOf(processor, now)
    dead = [each for each in found if not each['alive']]
    alive = len(found) - len(dead)
    waiting = processor.store.oldest() is not None
    if dead:
        jobs = sum(len(each['jobs']) for each in dead)
        text = f'{len(dead)} died with {jobs} jobs in hand'
        if alive:
            return Finding('workers', 'look', f'{text}; the {alive} others take them over')
        return Finding('workers', 'wrong' if jobs or waiting else 'look',
                       f'{text}; `p01-remote worker {target}` takes them over')
    if alive:
        return Finding('workers', 'good', f'{alive} alive on {len({each["host"] for each in found})} host(s)')
    if waiting:
        return Finding('workers', 'wrong', f'none, and jobs wait; `p01-remote worker {target}` starts one')
    return Finding('workers', 'good', 'none, and nothing waits')


def oldest(processor: RemoteProcessor, target: str, now: float) -> Finding:
    """How long jobs wait."""
    since = processor.store.oldest()
    if since is None:
        return Finding('waiting', 'good', 'nothing waits')
    age = max(0.0, now - since)
    if age < LATE:
        return Finding('waiting', 'good', f'the oldest job since {span(age)}')
    return Finding('waiting', 'look', f'the oldest job waits since {span(age)}; start more workers, or see '
                                      f'`p01-remote jobs list {target} --status queued`')


def names(processor: RemoteProcessor, target: str, now: float) -> Finding:
    """Whether the waiting jobs can be found by name."""
    waiting = Counter(view.record.name for view in find(processor.store, Filter((QUEUED, DELAYED), limit=MOST)))
    lost = [name for name in sorted(waiting) if not resolves(processor, name)]
    if lost:
        return Finding('names', 'wrong', ', '.join(f'{shown(name)} ({waiting[name]:,} waiting)' for name in lost[:5])
                       + ' cannot be found; start workers with the application that defines it, or restore it')
    return Finding('names', 'good', f'{count(len(waiting), "name")} among the waiting jobs, all found' if waiting
                   else 'nothing to find')


def resolves(processor: RemoteProcessor, name: str) -> bool:
    """Whether a worker here would find the behaviour of this name."""
    behaviour = processor.behaviour(name)
    if isinstance(behaviour, Gone):
        return False
    try:
        return not isinstance(behaviour, FunctionJob) or behaviour.function is not None
    except UnknownJob:
        return False


def paused(processor: RemoteProcessor, target: str, now: float) -> Finding:
    """Whether queues are paused while jobs wait in them."""
    counts = processor.store.counts()
    held = {queue: counts.get(queue, {}).get(QUEUED, 0) for queue in pausedOf(processor, now)}
    held = {queue: number for queue, number in held.items() if number}
    if held:
        queue = next(iter(held))
        return Finding('queues', 'look', ', '.join(f'{shown(name)} is paused with {number:,} waiting'
                                                   for name, number in held.items())
                       + f'; `p01-remote queues resume {target} {shown(queue)}` lets them run')
    return Finding('queues', 'good', 'none is held up')


LOOKS: list[Callable[[RemoteProcessor, str, float], Finding]] = [layout, workers, oldest, names, paused]
