# SPDX-License-Identifier: ZPL-2.1
"""Keeps the schedules of a database in step with those that an application's code declares.

Each set of declarations has a checksum, its code; the database knows those that it has seen. A code
that is new holds at once. One that is known and does not hold is an older one, that is restarted
amidst a deployment, or has been rolled back to: it holds again when no worker that lives has a
newer one. What no code declares any more retires when the last worker has gone that does. An
application is told from others by the top-level packages of its jobs; a release that has some more
or less of them is the same one when it has schedules in common. Of two applications that declare
one name, that of the first holds while a worker of it lives, and the other one tells so.
"""
from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from p01.remote import events
from p01.remote.clock.schedule import BYCODE, Schedule
from p01.remote.engine.bell import wake
from p01.remote.engine.firing import reckoned
from p01.remote.engine.seams import Do, Processor
from p01.remote.exceptions import InputError
from p01.remote.ground import clocks, subscribers
from p01.remote.ground.foreign import Raised, guarded, reasonOf
from p01.remote.scheduler import Scheduler
from p01.remote.storage.origin import contained
from p01.remote.store import payload

DECLAREEVERY = 5.0         # seconds between two looks of a process
KNOWNCODES = 20          # codes of an application that are remembered

serving = ''        # the code that this process serves


class Declared(NamedTuple):
    """A schedule as code declares it: its settings, and its input as the job takes it, (args,
    kwargs) or None."""

    settings: dict[str, Any]
    input: Any


class Declaring:
    """What one application declares, for one of the loops that serve it."""

    def __init__(self, declared: Mapping[str, Declared], packages: Iterable[str]) -> None:
        self.declared = dict(declared)
        self.application = ' '.join(sorted(packages))
        self.code = codeOf(self.declared, self.application)
        self.looked = -DECLAREEVERY
        self.told: set[str] = set()         # errors that were told
        # what another application has declared; None: nobody has looked
        self.clashing: set[str] | None = None

    def serve(self) -> None:
        """This process serves these from now on."""
        global serving
        serving = self.code

    def poll(self, do: Do) -> None:
        """Look, if it is time. do(work) does work(processor) in a transaction of its own."""
        now = time.monotonic()
        if now - self.looked < DECLAREEVERY:
            return
        self.looked = now
        for event in do(self.keep):
            if not isinstance(event, events.ScheduleFailed) or event.reason not in self.told:
                subscribers.notify(event)
            if isinstance(event, events.ScheduleFailed):
                self.told.add(event.reason)

    def keep(self, processor: Processor) -> list[object]:
        """Bring the schedules in step, where that is for this code to do; returns what to tell.
        Part of the caller's transaction."""
        scheduler = processor.scheduler
        kin = self.kin(scheduler)
        if not self.declared and not kin:
            return []
        known = tuple(code for application in kin for code in scheduler.codes[application])
        if known and known[-1] == self.code and not self.clashes(processor):
            return self.retire(processor) if scheduler.leaving.get(self.application) else []
        newer = set(known[known.index(self.code) + 1:]) if self.code in known else set()
        if newer & {seat.declares for seat in processor.store.seats.values()}:
            return []
        return self.hold(processor, known, kin)

    def kin(self, scheduler: Scheduler) -> list[str]:
        """The applications in the database that are this one, itself last."""
        mine, found = set(self.application.split()), list[str]()
        for application, codes in scheduler.codes.items():
            packages = set(application.split())
            if (packages < mine or mine < packages) \
                    and not self.declared.keys().isdisjoint(scheduler.names.get(codes[-1], ())):
                found.append(application)
        return found + [self.application] * (self.application in scheduler.codes)

    def taken(self, processor: Processor) -> set[str]:
        """The names that living workers of other applications declare."""
        scheduler, kin = processor.scheduler, self.kin(processor.scheduler)
        others = {code for application, codes in scheduler.codes.items() if application not in kin
                  for code in codes}
        return {name for seat in processor.store.seats.values() if seat.declares in others
                for name in scheduler.names.get(seat.declares, ())}

    def foreign(self, item: object) -> bool:
        """Whether a schedule is one that another application declares."""
        return isinstance(item, Schedule) and item.source == BYCODE and item.retired is None \
            and item.jobName.partition('.')[0] not in self.application.split()

    def clashes(self, processor: Processor) -> bool:
        """Whether there are names to be told of that another application has, or to be had since it
        has gone."""
        if self.clashing is not None:
            return bool(self.clashing) and not self.clashing <= self.taken(processor)
        scheduler = processor.scheduler
        self.clashing = {name for name in self.declared if self.foreign(scheduler.get(name))} \
            if len(scheduler.codes) > 1 else set()
        return bool(self.clashing)

    def hold(self, processor: Processor, known: tuple[str, ...], kin: list[str]) -> list[object]:
        """Have this code hold."""
        scheduler, taken = processor.scheduler, self.taken(processor)
        self.clashing = {name for name in taken & self.declared.keys()
                         if self.foreign(scheduler.get(name))}
        codes = (*(code for code in known if code != self.code), self.code)
        scheduler.codes = {**{name: each for name, each in scheduler.codes.items()
                              if name not in kin}, self.application: codes[-KNOWNCODES:]}
        there = {code for codes in scheduler.codes.values() for code in codes}
        scheduler.names = {**{code: names for code, names in scheduler.names.items()
                              if code in there},
                           self.code: tuple(self.declared)}
        told: list[object] = []
        now, done = clocks.now(), {'added': [], 'changed': []}       # type: ignore[var-annotated]
        for name, each in self.declared.items():
            found = contained(refuse if name in self.clashing else keep, processor, name, each, now)
            if isinstance(found, Raised):
                told.append(events.ScheduleFailed(name, each.settings['job'],
                                                  reasonOf(found.error)))
            elif found:
                done[found].append(name)
        before = {name for code in known for name in scheduler.names.get(code, ())}
        scheduler.leaving = {**{name: each for name, each in scheduler.leaving.items()
                                if name not in kin},
                             self.application: tuple(sorted(before - set(self.declared)))}
        if done['added'] or done['changed']:
            wake(processor._p_jar)
            told.append(events.SchedulesDeclared(tuple(done['added']), tuple(done['changed']), ()))
        return told + self.retire(processor)

    def retire(self, processor: Processor) -> list[object]:
        """Retire what no worker declares any more."""
        scheduler = processor.scheduler
        live = {name for seat in processor.store.seats.values()
                for name in scheduler.names.get(seat.declares, ())}
        leaving = scheduler.leaving[self.application]
        gone, stay = [name for name in leaving
                      if name not in live], [name for name in leaving if name in live]
        retired = [name for name in gone if contained(leave, scheduler, name, clocks.now()) is True]
        if gone:
            scheduler.leaving = {**scheduler.leaving, self.application: tuple(stay)}
        return [events.SchedulesDeclared((), (), tuple(retired))] if retired else []


def leave(scheduler: Scheduler, name: str, now: float) -> bool:
    """Retire a schedule that code has declared; whether there is one."""
    item = scheduler.get(name)
    if not isinstance(item, Schedule) or item.source != BYCODE or item.retired is not None:
        return False
    item.retire(now)
    return True


def refuse(processor: Processor, name: str, declared: Declared, now: float) -> str:
    """Raises InputError for a name that another application's workers have declared."""
    raise InputError(f'schedule {name!r} is declared by another application, with the job '
                     f'{processor.scheduler[name].jobName}; give one of both another name.')


def keep(processor: Processor, name: str, declared: Declared, now: float) -> str:
    """Have a schedule as it is declared; returns what was done, '' for nothing. Raises InputError,
    before anything is changed."""
    scheduler = processor.scheduler
    item = scheduler.get(name)
    if isinstance(item, Schedule) and same(item, declared):
        if item.source == BYCODE and item.retired is None:
            return ''
        settings = item.base
    else:
        packed = payload.pack(declared.input, f'The input of schedule {name!r}',
                              processor.inputLimit, jar=processor._p_jar)
        settings = declared.settings if packed is None else {**declared.settings, 'input': packed}
    if not isinstance(item, Schedule):
        if item is not None:            # a component's, which the code's takes the place of
            scheduler.remove(name)
        item = Schedule(settings, BYCODE)
        scheduler.add(item, now, name)
        reckoned(scheduler, item, now)
        return 'added'
    edits = item.edits if item.source == BYCODE else \
        {key: value for key, value in item.base.items()
         if settings.get(key) != value}      # an operator's own
    back = item.retired is not None
    changed = guarded(item.choose, settings, edits)
    if isinstance(changed, Raised):
        if not isinstance(changed.error, InputError) or not edits:
            raise changed.error
        # what an operator wanted makes no sense any more
        changed = item.choose(settings, {})
    item.source = BYCODE
    item.retire(None)
    if changed or back:
        scheduler.reschedule(item, now)
        reckoned(scheduler, item, now)
    return 'added' if back else 'changed'


def same(item: Schedule, declared: Declared) -> bool:
    """Whether a schedule is as it is declared, but for what operators have changed."""
    if {name: value for name, value in item.base.items() if name != 'input'} != declared.settings:
        return False
    found = contained(payload.unpack, item.base.get('input'))
    return not isinstance(found, Raised) and guarded(lambda: bool(found == declared.input)) is True


def codeOf(declared: Mapping[str, Declared], application: str) -> str:
    """A checksum of what an application declares, the same in each process."""
    return hashlib.sha256(canonical([application, declared]).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """A value as a text that does not depend on the order of sets and dicts."""
    if isinstance(value, Mapping):
        return '{' + ','.join(sorted(f'{canonical(key)}:{canonical(each)}'
                                     for key, each in value.items())) + '}'
    if isinstance(value, set | frozenset):
        return '{' + ','.join(sorted(map(canonical, value))) + '}'
    if isinstance(value, list | tuple):
        return '[' + ','.join(map(canonical, value)) + ']'
    if value is None or isinstance(value, str | bytes | int | float | bool):
        return repr(value)
    found = guarded(payload.pack, value, 'A value')
    return type(value).__qualname__ if isinstance(found,
                                                  Raised) \
                                                      else f'{type(value).__qualname__}{found!r}'
