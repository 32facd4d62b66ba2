# SPDX-License-Identifier: ZPL-2.1
"""What people do with schedules. Each is part of the transaction of the processor that it is
given."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p01.remote.clock import ticks
from p01.remote.clock.forms import Once
from p01.remote.clock.item import SchedulerItem
from p01.remote.clock.schedule import BYCODE, HAND, Schedule, merged
from p01.remote.clock.settings import FORMS, TIMING, checked
from p01.remote.engine.bell import wake
from p01.remote.engine.firing import BACKFILL, BYHAND, enqueued, found, reckoned, records
from p01.remote.engine.seams import Processor
from p01.remote.exceptions import InputError, UnknownSchedule
from p01.remote.ground import checks, clocks
from p01.remote.ground.foreign import listed, short
from p01.remote.instants import utc
from p01.remote.store import payload

MOSTTICKS = 10_000       # ticks of a span that may be enqueued at once


def known(processor: Processor, name: str) -> None:
    """Raises UnknownSchedule for a name that no schedule has."""
    if not isinstance(name, str) or name not in processor.scheduler:
        near = checks.nearest(name, processor.scheduler) if isinstance(name, str) else ''
        hint = f'; did you mean {short(near)}?' if near \
            else f'; there are {listed(processor.scheduler) or "none"}.'
        raise UnknownSchedule(f'There is no schedule {short(name)}{hint}')


def itemOf(processor: Processor, name: str) -> SchedulerItem:
    """The schedule of this name. Raises UnknownSchedule, and NotLoaded where its class is gone."""
    known(processor, name)
    item: SchedulerItem = found(processor, name)
    return item


def add(processor: Processor, name: str, settings: dict[str, Any], input: Any) -> None:
    """Add a schedule that no code declares, with an input that its job takes. Raises InputError."""
    checks.nameOf(name, 'name')
    if name in processor.scheduler:
        raise InputError(f'There is a schedule {short(name)} already; give another name, or change '
                         'that one.')
    packed = payload.pack(input, f'The input of schedule {name!r}', processor.inputLimit,
                          jar=processor._p_jar)
    if packed is not None:
        settings = {**settings, 'input': packed}
    item, now = Schedule(settings, HAND), clocks.now()
    comes(item, now)
    processor.scheduler.add(item, now, name)
    reckoned(processor.scheduler, item, now)
    wake(processor._p_jar)


def comes(item: Schedule, now: float) -> None:
    """Raises InputError for a schedule that has no run any more."""
    if isinstance(item.form, Once) and item.form.next(now) is None:
        raise InputError(f'at lies in the past ({utc(item.form.at):%Y-%m-%d %H:%M:%S} UTC); give a '
                         'later instant.')
    if item.end is not None and item.coming(now) is None:
        raise InputError('end lies before the next run; no run is left up to '
                         f'{utc(item.end):%Y-%m-%d %H:%M:%S} UTC.')


def change(processor: Processor, name: str, edits: Mapping[str, Any]) -> None:
    """Change settings of a schedule, until it is reset. Raises UnknownSchedule, InputError."""
    item = editable(processor, name)
    kept = {key: value for key, value in item.edits.items() if key not in FORMS
            or not any(form in edits for form in FORMS)}
    edits = {**kept, **edits}
    if any(key in TIMING for key in edits):
        comes(Schedule(checked(merged(item.base, edits)), HAND), clocks.now())
    chosen(processor, item, edits)


def reset(processor: Processor, name: str) -> bool:
    """Have a schedule as the code declares it, and go on; whether it was edited. Raises
    UnknownSchedule."""
    item = itemOf(processor, name)
    was = not item.active or bool(getattr(item, 'edits', {}))
    if isinstance(item, Schedule) and item.source == BYCODE and item.edits:
        chosen(processor, item, {})
    if not item.active:
        resume(processor, name)
    return was


def chosen(processor: Processor, item: Schedule, edits: dict[str, Any]) -> None:
    """Have other edits; of one that an operator has added, they are its settings."""
    base = item.base
    if item.source == HAND:
        base, edits = checked({**{key: value for key, value in base.items()
                                  if key not in FORMS or not any(form in edits for form in FORMS)},
                               **edits}), {}
    if item.choose(base, edits):
        replan(processor, item)


def replan(processor: Processor, item: SchedulerItem) -> None:
    """Have a schedule due for its next tick from now."""
    now = clocks.now()
    processor.scheduler.reschedule(item, now)
    reckoned(processor.scheduler, item, now)
    wake(processor._p_jar)


def editable(processor: Processor, name: str) -> Schedule:
    """A schedule whose settings are data. Raises UnknownSchedule, InputError."""
    item = itemOf(processor, name)
    if not isinstance(item, Schedule):
        raise InputError(f'Schedule {short(name)} is a {type(item).__name__} of a component; '
                         'change its attributes, and call reScheduleItem.')
    return item


def pause(processor: Processor, name: str, until: float | None) -> None:
    """Fire a schedule no more, until an instant or until it is resumed. Raises UnknownSchedule,
    InputError."""
    if until is not None and until <= clocks.now():
        raise InputError(f'until lies in the past ({utc(until):%Y-%m-%d %H:%M:%S} UTC); give a '
                         'later instant.')
    itemOf(processor, name).pause(until)
    wake(processor._p_jar)


def resume(processor: Processor, name: str) -> bool:
    """Have a schedule go on with its next tick; whether it was paused. Raises UnknownSchedule."""
    item = itemOf(processor, name)
    if item.active:
        return False
    item.active = True
    replan(processor, item)
    return True


def skip(processor: Processor, name: str, count: int) -> None:
    """Have the next ticks of a schedule go by without a job, so many, 0 for none after all. Raises
    UnknownSchedule, InputError."""
    itemOf(processor, name).skips = checks.wholeOf(count, 'count', 0, ticks.COUNTED)


def runNow(processor: Processor, name: str) -> int:
    """Enqueue the job of a schedule now, whatever its times; returns the job's id. Raises
    UnknownSchedule, and what the job's own code raises."""
    item, now = itemOf(processor, name), clocks.now()
    [jobid] = enqueued(processor, item, records(processor, item, [now]), None, now, BYHAND)
    return jobid


def remove(processor: Processor, name: str) -> None:
    """Remove a schedule, with its history. Raises UnknownSchedule, InputError for one that code
    declares."""
    item = processor.scheduler.get(name) if isinstance(name, str) else None
    if item is None:
        itemOf(processor, name)
    if isinstance(item, Schedule) and item.source == BYCODE and item.retired is None:
        raise InputError(f'Schedule {short(name)} is declared by code, and would be back; remove '
                         'it there, or pause it here.')
    processor.scheduler.remove(name)


def span(processor: Processor, name: str, start: float, end: float) -> list[float]:
    """The ticks of a span, start included, end not, up to now, that have had no job. Raises
    UnknownSchedule, InputError."""
    item = itemOf(processor, name)
    if not item.nominal:
        raise InputError(f'Schedule {short(name)} has no ticks of its own: it counts from the last '
                         'time.')
    if end <= start:
        raise InputError(f'The span must end after it begins ({utc(start):%Y-%m-%d %H:%M:%S} UTC), '
                         f'not at {utc(end):%Y-%m-%d %H:%M:%S} UTC.')
    instants, now = list[float](), clocks.now()
    if start > now:
        raise InputError(f'The span begins in the future ({utc(start):%Y-%m-%d %H:%M:%S} UTC), and '
                         'a backfill makes up for what has passed; begin earlier.')
    for tick in ticks.walk(item.coming, start - 1e-6, min(end, now)):
        if tick < end and not ticks.within(tick, item.spans):
            instants.append(tick)
        if len(instants) > MOSTTICKS:
            raise InputError(f'There are more than {MOSTTICKS:,} ticks in this span; enqueue a '
                             'shorter one first.')
    return instants


def backfill(processor: Processor, name: str, start: float, end: float) -> list[tuple[float, int]]:
    """Enqueue a job for each tick of a span that has had none; returns the ticks with the ids.
    Raises UnknownSchedule, InputError."""
    instants, item = span(processor, name, start, end), itemOf(processor, name)
    jobs, now = records(processor, item, instants), clocks.now()
    found = []
    for job, tick, before in zip(jobs, instants, [None, *instants], strict=False):
        linked = before if before is not None and item.coming(before) == tick else None
        found.append((tick, enqueued(processor, item, [job], linked, now, BACKFILL)[0]))
    return found
