# SPDX-License-Identifier: ZPL-2.1
"""Whether all is well, and what to do where it is not: each check gives a finding of one
snapshot."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from p01.remote.app import App
from p01.remote.engine.fingerprint import fingerprintOf
from p01.remote.engine.standing import COMPONENT, lost, standings
from p01.remote.ground import upstream
from p01.remote.ground.foreign import Raised, guarded, listed, reasonOf
from p01.remote.ground.words import ago, count, shown, span, verb
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.held import held
from p01.remote.store.records import DELAYED, QUEUED
from p01.remote.store.store import VERSION
from p01.remote.views import figures
from p01.remote.views.figures import LATE
from p01.remote.views.filters import Filter
from p01.remote.views.listing import find
from p01.remote.views.queues import Queues, knownQueues, queuesOf, unknown, unserved
from p01.remote.views.workers import Worker, outdated, quietOf, workersOf

SEEN = 10_000       # waiting jobs that are looked at
MANYRETRYING = 10           # jobs that failed and wait to run again; more are worth a word
HEALTHY, NOTABLE, UNWELL = 'good', 'look', 'wrong'


class Answer(NamedTuple):
    """What a check says: good, look (worth a look) or wrong; why, and what mends it."""

    verdict: str
    sentence: str
    mend: str = ''


class Finding(NamedTuple):
    """What came of one check; about: what it is about."""

    check: str
    about: str
    verdict: str
    sentence: str
    mend: str = ''

    @property
    def text(self) -> str:
        """Sentence and mend."""
        return f'{self.sentence}; {self.mend}' if self.mend else self.sentence


@dataclass
class Scene:
    """What the checks look at. target is how commands name the application."""

    app: App
    processor: RemoteProcessor
    target: str
    now: float
    workers: list[Worker]

    @cached_property
    def queues(self) -> Queues:
        """The queues, which cheap checks do not ask for."""
        return queuesOf(self.processor.store, self.now)


def findings(app: App, processor: RemoteProcessor, target: str, now: float,
             which: Collection[str] = ()) -> Iterator[Finding]:
    """What these checks find, () for all. One that cannot be made is a finding too, and hides no
    other."""
    scene = guarded(sceneOf, app, processor, target, now)
    if isinstance(scene, Raised):
        yield Finding('database', 'Whether it can be looked at.', UNWELL,
                      f'could not be looked at: {reasonOf(scene.error)}')
        return
    for name, check in CHECKS.items():
        if which and name not in which:
            continue
        found = guarded(check, scene)
        if isinstance(found, Raised):
            found = Answer(UNWELL, f'could not be looked at: {reasonOf(found.error)}')
        yield Finding(name, check.__doc__ or '', *found)


def libraries() -> Finding:
    """Which versions of the libraries below there are, and whether they were tested; needs no
    database."""
    found = upstream.libraries()
    text = upstream.untested(found)
    return Finding('libraries', 'Whether the libraries below were tested.',
                   NOTABLE if text else HEALTHY,
                   text or ', '.join(f'{each.name} {each.version}' for each in found))


def sceneOf(app: App, processor: RemoteProcessor, target: str, now: float) -> Scene:
    """What the checks look at."""
    return Scene(app, processor, target, now, workersOf(processor.store, now))


def layout(scene: Scene) -> Answer:
    """Whether this code and the data fit."""
    found = scene.processor.store.version
    if found == VERSION:
        return Answer(HEALTHY, f'version {found}')
    return Answer(NOTABLE, f'version {found}; this p01.remote has {VERSION}')


def workers(scene: Scene) -> Answer:
    """Whether somebody works."""
    dead = [worker for worker in scene.workers if not worker.alive]
    alive = len(scene.workers) - len(dead)
    waiting = figures.oldest(scene.processor.store) is not None
    if dead:
        jobs = sum(len(worker.jobs) for worker in dead)
        text = f'{len(dead)} died with {count(jobs, "job")} in hand'
        if alive:
            return Answer(NOTABLE, f'{text}; the {alive} others take them over')
        return Answer(UNWELL if jobs or waiting else NOTABLE, text,
                      f'`p01-remote worker {scene.target}` takes them over')
    if alive:
        hosts = len({worker.host for worker in scene.workers})
        return Answer(HEALTHY, f'{alive} alive on {count(hosts, "host")}')
    if waiting:
        return Answer(UNWELL, 'none, and jobs wait',
                      f'`p01-remote worker {scene.target}` starts one')
    return Answer(HEALTHY, 'none, and nothing waits')


def code(scene: Scene) -> Answer:
    """Whether the workers run the application's code as it is here."""
    old = outdated(scene.workers, fingerprintOf(scene.app))
    if old:
        return Answer(NOTABLE,
                      f'{count(len(old), "worker")} ({listed(old)}) {verb(len(old), "run")} other '
                      f'code than {scene.target} has here', 'restart when it has changed')
    return Answer(HEALTHY, 'no worker runs other code than there is here')


def waiting(scene: Scene) -> Answer:
    """How long jobs wait."""
    since = figures.oldest(scene.processor.store)
    if since is None:
        return Answer(HEALTHY, 'nothing waits')
    age = max(0.0, scene.now - since)
    if age < LATE:
        return Answer(HEALTHY, f'the oldest job for {span(age)}')
    return Answer(NOTABLE, f'the oldest job has waited for {span(age)}',
                  f'start more workers, or see `p01-remote jobs list {scene.target} --status '
                  'queued`')


def names(scene: Scene) -> Answer:
    """Whether the waiting jobs can be found by name."""
    found = find(scene.processor.store, Filter((QUEUED, DELAYED)))
    jobs = Counter(view.record.name for view in islice(found, SEEN))
    gone = [name for name in sorted(jobs) if lost(scene.processor, name)]
    if gone:
        return Answer(UNWELL,
                      listed(f'{shown(name)} ({jobs[name]:,} waiting)'
                             for name in gone) + ' cannot be found',
                      'start workers with the application that defines it, or restore it')
    return Answer(HEALTHY, f'{count(len(jobs), "name")} among the waiting jobs, all found' if jobs
                  else 'nothing to find')


def retries(scene: Scene) -> Answer:
    """How many jobs failed, and will run again."""
    delayed = islice(find(scene.processor.store, Filter((DELAYED,))), SEEN)
    failed = Counter(view.record.name for view in delayed if view.runs)
    text = f'{count(failed.total(), "job")} failed and will run again'
    if failed.total() < MANYRETRYING:
        return Answer(HEALTHY, text if failed else 'none failed that will run again')
    name, number = failed.most_common(1)[0]
    return Answer(NOTABLE, f'{text}, most often {shown(name)} ({number:,})',
                  f'`p01-remote jobs list {scene.target} --status delayed` shows why')


def queues(scene: Scene) -> Answer:
    """Whether queues are held up: paused, or served by nobody; and whether somebody has misspelt
    one."""
    known = knownQueues(scene.app, scene.processor, scene.queues)
    found = []
    for queue in scene.queues.all.values():
        name = shown(queue.name)
        if queue.paused and (jobs := queue.counts[QUEUED]):
            found.append((f'{name} is paused with {jobs:,} waiting',
                          f'`p01-remote queues resume {scene.target} {name}` lets them run'))
        elif queue.paused and queue.name not in known:
            found.append((f'{name} is paused, but {unknown(queue.name, known)}', ''))
    for name, jobs in unserved(scene.queues, scene.workers).items():
        what = f'{count(jobs, "job")} in {shown(name)} {verb(jobs, "wait")}'
        why, mend = '', f'`p01-remote worker {scene.target} --queue {shown(name)}` does'
        if quiet := quietOf(scene.workers, name):
            why = f': {quiet} {"is" if quiet == 1 else "are"} quiet or stopping'
            mend = f'`p01-remote workers unquiet {scene.target} --all` lets quiet ones claim'
        found.append((f'{what}, and no worker serves it{why}', mend))
    for name in sorted({name for worker in scene.workers for name in worker.queues} - known):
        found.append((f'a worker serves {shown(name)}, but {unknown(name, known)}', ''))
    if not found:
        return Answer(HEALTHY, 'none is held up')
    return Answer(NOTABLE, *found[0]) if len(found) == 1 else Answer(NOTABLE, joined(found))


def joined(found: Iterable[tuple[str, str]]) -> str:
    """Sentences with their mends, as one."""
    return listed((f'{what}; {mend}' if mend else what for what, mend in found), '; ')


def schedules(scene: Scene) -> Answer:
    """Whether all schedules enqueue what they should."""
    found = [each for each in standings(scene.processor, scene.now) if each.retired is None]
    broken = [f'{shown(each.name)} {each.fault}' for each in found if each.fault]
    odd = [f'{shown(each.name)} is {"switched off" if each.source == COMPONENT else "paused"}'
           for each in found
           if not each.active and each.until is None and not each.fault]
    odd += [f'{shown(each.name)} is late: due {ago(each.due, scene.now)}' for each in found
            if each.active and not each.fault and each.due is not None
            and each.due < scene.now - LATE]
    if broken or odd:
        return Answer(UNWELL if broken else NOTABLE,
                      f'of {count(len(found), "schedule")} {listed(broken + odd, "; ")}',
                      f'`p01-remote schedules list {scene.target}` shows all')
    due = min((each.due for each in found if each.active and each.due is not None), default=None)
    if not found:
        return Answer(HEALTHY, 'none')
    coming = '' if due is None else f', the next {ago(max(due, scene.now), scene.now)}'
    return Answer(HEALTHY, f'{count(len(found), "schedule")}{coming}')


def room(scene: Scene) -> Answer:
    """Whether the database can give room back."""
    text = held(scene.app.db)
    what, _, mend = text.partition('; ')
    return Answer(NOTABLE, what, mend) if text else Answer(HEALTHY, 'nobody holds an old snapshot')


CHECKS: dict[str, Callable[[Scene], Answer]] = {
    check.__name__: check
    for check in (layout, workers, code, waiting, names, retries, queues, schedules, room)}
# those that cost the same however many jobs and schedules there are
CHEAP = 'layout', 'workers', 'code', 'waiting', 'room'
