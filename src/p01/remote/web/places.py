# SPDX-License-Identifier: ZPL-2.1
"""The pages about where jobs wait, who runs them, what enqueues them: queues, workers, schedules,
system."""
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from p01.remote.engine import scheduling
from p01.remote.engine.fingerprint import fingerprintOf
from p01.remote.engine.standing import Standing, standing
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.upstream import libraries
from p01.remote.processor import RemoteProcessor
from p01.remote.store.audit import Line
from p01.remote.store.records import PROCESSING, QUEUED
from p01.remote.store.store import VERSION
from p01.remote.views.coming import COUNTEDUPTO, numberOf, ticksOf
from p01.remote.views.glance import oldestOf
from p01.remote.views.health import CHEAP, findings
from p01.remote.views.queues import unserved
from p01.remote.views.workers import Worker, outdated
from p01.remote.web import lists
from p01.remote.web.access import ALL
from p01.remote.web.snapshot import Snapshot

Page = tuple[str, dict[str, Any]]
LANES, DAYTICKS = 8, 300        # schedules of the coming day, and ticks of each
NEXT3 = 3
NAMESSEEN = 20_000             # names that are looked at for a page
COMINGDAY = 86400.0             # seconds
TONES = {'completed': 'completed', 'error': 'error', 'cancelled': 'cancelled',
         'processing': 'running', 'queued': 'queued', 'delayed': 'delayed'}


class Slice(NamedTuple):
    """A part of names in their order: from after one on; whether there are names before it; the
    last one of it where there are more."""

    names: list[str]
    before: bool
    after: str


def partOf(names: Iterable[str], after: str, sought: str) -> Slice:
    """The names of a page, of those behind one: those with a text in them, within NAMESSEEN."""
    found = (name for name in islice(names, NAMESSEEN) if sought in name.casefold())
    some = list(islice(found, lists.PAGEROWS + 1))
    more = len(some) > lists.PAGEROWS
    return Slice(some[:lists.PAGEROWS], bool(after), some[lists.PAGEROWS - 1] if more else '')


def queues(at: Snapshot) -> Page:
    """The queues, by name."""
    found, workers = at.queues, at.workers
    sought = at.given.get('find', '').strip().casefold()
    after = at.given.get('after', '')
    part = partOf((name for name in found.all if name > after), after, sought)
    rows = [found.all[name] for name in part.names]
    serving = {name: [worker for worker in workers if worker.alive and worker.serves(name)]
               for name in part.names}
    return 'queues.html', {
        'rows': rows, 'part': part, 'number': len(found.all), 'sought': sought, 'serving': serving,
        'oldest': oldestOf(at.processor.store,
                           [queue.name for queue in rows if queue.counts[QUEUED]]),
        'alone': unserved(found, workers), 'counts': at.counts,
        'reckoned': found.reckoned, 'paused': sum(queue.paused for queue in found.all.values()),
        'terms': {name: lists.termOf('queue', name) for name in part.names},
        'did': lists.didOf(at.given)}


def workers(at: Snapshot) -> Page:
    """The workers, and what each runs."""
    found = at.workers
    processes: dict[str, list[Worker]] = {}
    for worker in found:
        processes.setdefault(worker.process or worker.name, []).append(worker)
    return 'workers.html', {
        'found': found, 'processes': list(processes.values()), 'did': lists.didOf(at.given),
        'old': outdated(found, fingerprintOf(at.app)),
        'running': sum(len(worker.running or ()) for worker in found),
        'alive': sum(worker.alive for worker in found),
        'waiting': at.counts[QUEUED]}


def schedules(at: Snapshot) -> Page:
    """The schedules, by name."""
    sought = at.given.get('find', '').strip().casefold()
    after = at.given.get('after', '')
    part = partOf(at.processor.scheduler.after(after), after, sought)
    number = numberOf(at.processor)
    rows = [standing(at.processor, name, at.now) for name in part.names]
    return 'schedules.html', {
        'rows': rows, 'part': part, 'number': number, 'most': COUNTEDUPTO, 'sought': sought,
        'marks': {each.name: marks(each) for each in rows},
        'coming': {each.name: ticksOf(at.processor, each.name, at.now, float('inf'), NEXT3)
                   for each in rows if each.active},
        'settings': {each.name: settingOf(each) for each in rows},
        'day': dayOf(at.processor, rows, at.now), 'did': lists.didOf(at.given),
        'failing': len(at.processor.scheduler.failures)}


def schedule(at: Snapshot, name: str) -> Page:
    """One schedule. Raises UnknownSchedule."""
    scheduling.known(at.processor, name)
    found = standing(at.processor, name, at.now)
    return 'schedule.html', {
        'each': found, 'marks': marks(found), 'setting': settingOf(found),
        'coming': ticksOf(at.processor, name, at.now, float('inf'), 5) if found.active else [],
        'did': lists.didOf(at.given), 'zone': time.strftime('%Z', time.localtime(at.now))}


def system(at: Snapshot) -> Page:
    """What all of it stands on."""
    db, store = at.app.db, at.processor.store
    size = guarded(db.getSize)
    checks = list(findings(at.app, at.processor, at.target, at.now, CHEAP))
    counts = at.counts
    return 'system.html', {
        'size': None if isinstance(size, Raised) else size, 'objects': len(db.storage),
        'version': store.version, 'known': VERSION, 'counts': counts,
        'total': sum(counts.values()), 'retention': at.processor.retention,
        'limits': (at.processor.inputLimit, at.processor.outputLimit),
        'libraries': libraries(), 'checks': checks,
        'lines': linesOf(at),
        'seats': len(store.seats), 'segments': len(store.segments),
        'running': counts[PROCESSING]}


def linesOf(at: Snapshot) -> list[Line] | None:
    """What people did last; None for who may only read."""
    if at.visitor.may != ALL:
        return None
    kept = at.processor.store.audit
    return [] if kept is None else [line for _, line in islice(kept.newest(), lists.PAGEROWS)]


def settingOf(each: Standing) -> str:
    """When a schedule runs, as it is written."""
    for form in ('cron', 'every', 'delay', 'at'):
        if form in each.settings:
            value = each.settings[form]
            return str(value) if form == 'cron' else f'{form} {value:g} s' \
                if isinstance(value, int | float) and form != 'at' else form
    return ''


def marks(each: Standing, number: int = 20) -> Markup:
    """The last runs of a schedule, the oldest first: failures are tall, what had no job is
    hollow."""
    past = [*each.history[:number]][::-1]
    width = 100 / number
    parts = []
    for at in range(number):
        left = at * width + width * 0.2
        mark = at - (number - len(past))
        if mark < 0:
            parts.append(rectangle('f-line', left, 11.5, width * 0.6, 1))
        elif not past[mark].jobid:
            parts.append(rectangle('hollow', left, 5, width * 0.6, 14))
        elif past[mark].status == 'error':
            parts.append(rectangle('f-error', left, 0, width * 0.6, 24))
        else:
            tone = TONES.get(past[mark].status, 'cancelled')
            parts.append(rectangle(f'f-{tone}', left, 4, width * 0.6, 16))
    bad = sum(run.status == 'error' for run in past)
    none = sum(not run.jobid for run in past)
    words = f'The last {len(past)} runs: {bad} failed, {none} had no job'
    return Markup(f'<svg class="chart" height="24" role="img"><title>{escape(words)}</title>'
                  f'{"".join(parts)}</svg>')


def rectangle(kind: str, left: float, top: float, width: float, height: float) -> str:
    """A mark."""
    return (f'<rect class="{kind}" x="{left:.2f}%" y="{top:g}" width="{width:.2f}%" '
            f'height="{height:g}" rx="1.5"/>')


def dayOf(processor: RemoteProcessor, rows: list[Standing], now: float) -> Markup | None:
    """The runs of the coming day of some schedules, each in a lane; None without any."""
    lanes = [(each.name, ticks) for each in islice((each for each in rows if each.active), LANES)
             if (ticks := ticksOf(processor, each.name, now, now + COMINGDAY, DAYTICKS))]
    if not lanes:
        return None
    low, left, span = len(lanes) * 18, 16.0, 83.0
    parts = [*grid(now, low, left, span)]
    for number, (name, ticks) in enumerate(lanes):
        at = number * 18 + 16
        shown = name if len(name) <= 24 else '…' + name[-23:]
        parts.append(f'<text class="lab ax-opt" x="0" y="{at + 4}">{escape(shown)}</text>')
        for tick in ticks:
            place = left + (tick - now) * span / COMINGDAY
            parts.append(
                f'<rect class="f-delayed" x="{place:.2f}%" y="{at - 4}" width="1.5" height="9" '
                'rx=".75"/>' if len(ticks) > 60 else
                f'<circle class="f-delayed" cx="{place:.2f}%" cy="{at + 0.5}" r="3.5"/>')
    return Markup(f'<svg class="chart day" height="{low + 34}" role="img" '
                  'aria-labelledby="day-t"><title id="day-t">Runs of the coming 24 hours</title>'
                  f'{"".join(parts)}</svg>')


def grid(now: float, low: int, left: float, span: float) -> Iterator[str]:
    """The hours of the coming day."""
    hour = 3600.0 - (now % 3600.0)
    marks = [0.0, *(hour + 3600.0 * each for each in range(3, 24, 4))]
    for number, each in enumerate(marks):
        place = left + each * span / COMINGDAY
        label = time.strftime('%H:%M', time.localtime(now + each + 1)) if number else 'now'
        yield (f'<line class="{"grid" if number else "now"}" x1="{place:.2f}%" x2="{place:.2f}%" '
               f'y1="4" y2="{low + 10}"/><text class="{"ax-opt" if number % 2 else "ax"}" '
               f'x="{place:.2f}%" y="{low + 28}" text-anchor="middle">{label}</text>')
