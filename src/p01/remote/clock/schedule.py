# SPDX-License-Identifier: ZPL-2.1
"""A schedule as code declares it, or an operator adds it: settings, and what operators have changed
of them."""
from __future__ import annotations

import pickle
from typing import Any

from p01.remote.clock.forms import Form, Pause
from p01.remote.clock.item import SchedulerItem
from p01.remote.clock.settings import DEFAULTS, FORMS, TICKING, TIMING, checked, formOf
from p01.remote.store import payload

# what is written at each firing, all of it plain values
KEPTFIELDS = ('base', 'edits', 'source', 'anchor', '_due', '_active', 'until', 'retired', 'tick',
        'linked', 'spans', 'reckoned',
        'skips', 'lastJob', 'history', 'fired', 'passed', 'skipped')
BYCODE, HAND = 'code', 'hand'     # where a schedule comes from


class Chosen:
    """A setting, as an attribute."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, item: Schedule | None, owner: type) -> Any:
        default = DEFAULTS.get(self.name)
        return default if item is None else item.settings.get(self.name, default)


class Schedule(SchedulerItem):
    """An item whose settings are data: what the code says, and above it what operators say, until
    it is reset."""

    edits: dict[str, Any] = {}      # what operators have changed
    anchor = 0.0                    # since when it is there
    startTime = None
    _v_form: tuple[dict[str, Any], Form] | None = None

    jobName = Chosen('job')
    start, end, jitter = Chosen('start'), Chosen('end'), Chosen('jitter')
    missed, overlap = Chosen('missed'), Chosen('overlap')
    title, description, tz = Chosen('title'), Chosen('description'), Chosen('tz')
    queue, priority, packed = Chosen('queue'), Chosen('priority'), Chosen('input')

    def __init__(self, settings: dict[str, Any], source: str = HAND) -> None:
        self.base = settings
        self.source = source

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        if state is None or isinstance(self.packed, payload.Payload):
            return state
        # the database's pickler would ask of each value whether it is persistent, which takes
        # longer than all else
        kept = {name: state.pop(name) for name in KEPTFIELDS if name in state}
        return {**state, 'kept': pickle.dumps(kept, 4)}

    def __setstate__(self, state: Any) -> None:
        kept = state.get('kept')
        super().__setstate__(state if kept is None else
                             {**pickle.loads(kept),
                              **{name: value for name, value in state.items() if name != 'kept'}})

    @property
    def settings(self) -> dict[str, Any]:
        """What holds."""
        return merged(self.base, self.edits) if self.edits else self.base

    @property
    def input(self) -> Any:
        """The job's input. Raises what its loading does."""
        return payload.unpack(self.packed)

    @property
    def edited(self) -> bool:
        """Whether an operator has changed or paused it."""
        return bool(self.edits) or not self.active

    @property
    def form(self) -> Form:
        """Its form."""
        found, settings = self._v_form, self.settings
        if found is None or found[0] is not settings and found[0] != settings:
            found = self._v_form = settings, formOf(settings, self.anchor)
        return found[1]

    @property
    def nominal(self) -> bool:      # type: ignore[override]
        """Whether its ticks are the same whenever it is asked."""
        return not isinstance(self.form, Pause)

    def first(self, now: float) -> float | None:
        """POSIX seconds of the first run of an item added now."""
        self.anchor, self._v_form = round(now, 6), None     # as a datetime shows it
        return self.coming(now)

    def next(self, after: float) -> float | None:
        """The first run strictly after this instant, None when there is none."""
        return self.form.next(after)

    def explain(self) -> str:
        """When it runs, in words."""
        return self.form.explain()

    def choose(self, base: dict[str, Any], edits: dict[str, Any]) -> bool:
        """Have these settings and edits; whether its ticks are others now. Raises InputError."""
        before = {name: self.settings.get(name) for name in TIMING}
        checked(merged(base, edits))
        self.base, self.edits, self._v_form = base, edits, None
        other = {name for name in TIMING if before[name] != self.settings.get(name)}
        if not other.isdisjoint(TICKING):
            self.spans = ()
        return bool(other)


def merged(base: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    """Settings with some changed; a form that is given takes the place of another one."""
    kept = {name: value for name, value in base.items()
            if name not in FORMS} if any(name in edits for name in FORMS) else base
    return {**kept, **edits}
