# SPDX-License-Identifier: ZPL-2.1
"""p01-remote doctor."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import click

from p01.remote.app import App
from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.queues import pausedOf
from p01.remote.cli.status import workersOf
from p01.remote.cli.survey import knownQueues, meant, outdated, unserved
from p01.remote.cli.target import check, placeOf
from p01.remote.cli.terminal import ago, count, hung, jsonOption, printJson, shown, span, verb
from p01.remote.engine.standing import lost, standings
from p01.remote.exceptions import AddressError, NoProcessor
from p01.remote.front.named import loadApp
from p01.remote.ground import upstream
from p01.remote.ground.foreign import Raised, guarded, listed, reasonOf
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.held import held
from p01.remote.store.records import DELAYED, QUEUED
from p01.remote.store.store import VERSION
from p01.remote.views import figures
from p01.remote.views.listing import Filter, find

LATE = 300.0        # seconds; what waits longer is worth a word
MOST = 10_000       # waiting jobs that are looked at
MANY = 10           # jobs that failed and wait to run again; more are worth a word
SIGNS = {'good': ('✔', 'green'), 'look': ('▲', 'yellow'), 'wrong': ('✖', 'red')}


class Finding(NamedTuple):
    """What came of one check: good, look (worth a look), wrong."""

    check: str
    verdict: str
    text: str


class Scene(NamedTuple):
    """What the checks look at."""

    app: App
    processor: RemoteProcessor
    target: str
    now: float
    workers: list[dict[str, Any]]
    paused: dict[str, float | None]
    counts: dict[str, dict[str, int]]


@click.command(cls=Verb)
@appArgument
@jsonOption
def doctor(target: str, asJson: bool) -> int:
    """Check that all is well, and say what to do where it is not.

    Each check is good, worth a look, or wrong; exit status 1 when something is wrong.
    """
    app = loadApp(target)
    findings = []
    for finding in examine(app, target):
        findings.append(finding)
        if not asJson:
            sign, colour = SIGNS[finding.verdict]
            hung([(f'{sign} {finding.verdict:5}', colour), (f'  {finding.check:9} ', '')],
                 shown(finding.text, None))
    if asJson:
        printJson([finding._asdict() for finding in findings])
    return 1 if any(finding.verdict == 'wrong' for finding in findings) else 0


def examine(app: App, target: str) -> Iterator[Finding]:
    """All checks, as far as they can be made: without a database none of the rest can. Raises
    AddressError without one."""
    there = guarded(check, app, target, create=False)
    if isinstance(there, Raised) and isinstance(there.error, AddressError):
        raise there.error
    yield Finding('address', 'good', placeOf(app))
    yield Finding('libraries', *libraries())
    try:
        if isinstance(there, Raised):       # a folder without permission, say
            raise there.error
        began = time.monotonic()
        _ = app.db
        yield Finding('open', 'good', f'opens in {span(time.monotonic() - began)}')
        with app.transaction():
            # the same again: a commit that changes nothing
            app.processor.store.settings._p_changed = True
            began = time.monotonic()
        yield Finding('commit', 'good', f'commits in {span(time.monotonic() - began)}')
    except NoProcessor as error:
        yield Finding('processor', 'look', shown(error, None))
        app.close()
        return
    except Exception as error:      # storages raise what their libraries raise
        text = f'{error.filename}: {error.strerror}; check the folder and its permissions' \
            if isinstance(error, OSError) and error.filename \
            and error.strerror else shown(error, None)
        yield Finding('database', 'wrong', text or type(error).__name__)
        app.close()
        return
    try:
        with app.reading() as processor:
            scene = guarded(sceneOf, app, processor, target, time.time())
            if isinstance(scene, Raised):
                yield Finding('database', 'wrong',
                              f'could not be looked at: {reasonOf(scene.error)}')
                return
            for name, look in LOOKS.items():
                found = guarded(look, scene)
                if isinstance(found, Raised):
                    yield Finding(name, 'wrong', f'could not be looked at: {reasonOf(found.error)}')
                else:
                    yield Finding(name, *found)
    finally:
        app.close()


def sceneOf(app: App, processor: RemoteProcessor, target: str, now: float) -> Scene:
    """What the checks look at."""
    return Scene(app, processor, target, now, workersOf(processor, now), pausedOf(processor, now),
                 figures.reckoned(processor.store).queues)


def libraries() -> tuple[str, str]:
    """Which versions of the libraries below there are, and whether they were tested."""
    found = upstream.libraries()
    text = upstream.untested(found)
    return ('look', text) if text else ('good',
                                        ', '.join(f'{each.name} {each.version}' for each in found))


def layout(scene: Scene) -> tuple[str, str]:
    """Whether this code and the data fit."""
    found = scene.processor.store.version
    verdict = 'good' if found == VERSION else 'look'
    return verdict, f'version {found}' + ('' if found == VERSION
                                          else f'; this p01.remote has {VERSION}')


def workers(scene: Scene) -> tuple[str, str]:
    """Whether somebody works."""
    dead = [each for each in scene.workers if not each['alive']]
    alive = len(scene.workers) - len(dead)
    waiting = figures.oldest(scene.processor.store) is not None
    if dead:
        jobs = sum(len(each['jobs']) for each in dead)
        text = f'{len(dead)} died with {count(jobs, "job")} in hand'
        if alive:
            return 'look', f'{text}; the {alive} others take them over'
        verdict = 'wrong' if jobs or waiting else 'look'
        return verdict, f'{text}; `p01-remote worker {scene.target}` takes them over'
    if alive:
        hosts = len({each['host'] for each in scene.workers})
        return 'good', f'{alive} alive on {count(hosts, "host")}'
    if waiting:
        return 'wrong', f'none, and jobs wait; `p01-remote worker {scene.target}` starts one'
    return 'good', 'none, and nothing waits'


def code(scene: Scene) -> tuple[str, str]:
    """Whether the workers run the application's code as it is here."""
    old = outdated(scene.app, scene.workers)
    if old:
        return 'look', (f'{count(len(old), "worker")} ({listed(old)}) {verb(len(old), "run")} '
                        f'other code than {scene.target} has here; restart when it has changed')
    return 'good', 'no worker runs other code than there is here'


def oldest(scene: Scene) -> tuple[str, str]:
    """How long jobs wait."""
    since = figures.oldest(scene.processor.store)
    if since is None:
        return 'good', 'nothing waits'
    age = max(0.0, scene.now - since)
    if age < LATE:
        return 'good', f'the oldest job since {span(age)}'
    return 'look', (f'the oldest job waits since {span(age)}; start more workers, or see '
                    f'`p01-remote jobs list {scene.target} --status queued`')


def names(scene: Scene) -> tuple[str, str]:
    """Whether the waiting jobs can be found by name."""
    found = find(scene.processor.store, Filter((QUEUED, DELAYED)))
    waiting = Counter(view.record.name for view in islice(found, MOST))
    gone = [name for name in sorted(waiting) if lost(scene.processor, name)]
    if gone:
        return 'wrong', (listed(f'{shown(name)} ({waiting[name]:,} waiting)' for name in gone)
                         + ' cannot be found; start workers with the application that defines it, '
                           'or '
                         'restore it')
    return 'good', f'{count(len(waiting), "name")} among the waiting jobs, all found' if waiting \
        else \
        'nothing to find'


def retries(scene: Scene) -> tuple[str, str]:
    """How many jobs failed, and will run again."""
    delayed = islice(find(scene.processor.store, Filter((DELAYED,))), MOST)
    failed = Counter(view.record.name for view in delayed if view.runs)
    text = f'{count(failed.total(), "job")} failed and will run again'
    if failed.total() < MANY:
        return 'good', text if failed else 'none failed that will run again'
    name, number = failed.most_common(1)[0]
    return 'look', (f'{text}, most often {shown(name)} ({number:,}); `p01-remote jobs list '
                    f'{scene.target} --status delayed` shows why')


def queues(scene: Scene) -> tuple[str, str]:
    """Whether queues are held up: paused, or served by nobody; and whether somebody has misspelt
    one."""
    known, texts = knownQueues(scene.app, scene.processor), []
    for queue in scene.paused:
        held = scene.counts.get(queue, {}).get(QUEUED, 0)
        if held:
            texts.append(f'{shown(queue)} is paused with {held:,} waiting; `p01-remote queues '
                         f'resume {scene.target} {shown(queue)}` lets them run')
        elif queue not in known:
            texts.append(f'{shown(queue)} is paused, but {meant(queue, known)}')
    for queue, waiting in unserved(scene.counts, scene.workers, scene.paused).items():
        texts.append(f'{count(waiting, "job")} in {shown(queue)} {verb(waiting, "wait")}, and no '
                     f'worker serves it; `p01-remote worker {scene.target} --queue {shown(queue)}` '
                     'does')
    for queue in sorted({queue for worker in scene.workers for queue in worker['queues']} - known):
        texts.append(f'a worker serves {shown(queue)}, but {meant(queue, known)}')
    return ('look', listed(texts, '; ')) if texts else ('good', 'none is held up')


def schedules(scene: Scene) -> tuple[str, str]:
    """Whether all schedules enqueue what they should."""
    found = [each for each in standings(scene.processor, scene.now) if each.retired is None]
    broken = [f'{shown(each.name)} enqueues nothing: {each.fault}' for each in found if each.fault]
    odd = [f'{shown(each.name)} is {"switched off" if each.source == "component" else "paused"}'
           for each in found
           if not each.active and each.until is None and not each.fault]
    odd += [f'{shown(each.name)} is late: due {ago(each.due, scene.now)}' for each in found
            if each.active and not each.fault and each.due is not None
            and each.due < scene.now - LATE]
    if broken or odd:
        text = f'of {count(len(found), "schedule")} {listed(broken + odd, "; ")}'
        return 'wrong' if broken \
            else 'look', f'{text}; `p01-remote schedules list {scene.target}` shows all'
    due = min((each.due for each in found if each.active and each.due is not None), default=None)
    if not found:
        return 'good', 'none'
    coming = '' if due is None else f', the next {ago(max(due, scene.now), scene.now)}'
    return 'good', f'{count(len(found), "schedule")}{coming}'


def room(scene: Scene) -> tuple[str, str]:
    """Whether the database can give room back."""
    text = held(scene.app.db)
    return ('look', text) if text else ('good', 'nobody holds an old snapshot')


LOOKS: dict[str, Callable[[Scene], tuple[str, str]]] = {
    'layout': layout, 'workers': workers, 'code': code, 'waiting': oldest, 'names': names,
    'retries': retries, 'queues': queues, 'schedules': schedules, 'room': room}
