# SPDX-License-Identifier: ZPL-2.1
"""Frozen options, validated once."""
from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any

from p01.remote.exceptions import InputError
from p01.remote.instants import duration

DEFAULTQUEUE = 'default'


@dataclass(frozen=True)
class Policy:
    """How a job is retried. Durations are seconds.

    retries: runs after the first one that failed; backoff: pause before the second run, doubled before each further one up
    to longest, and shortened by up to half at random, so that jobs that failed together do not return together ("equal
    jitter", M. Brooker, Exponential Backoff And Jitter, 2015). final: exception classes that are never retried.
    timeout: after so long a worker process is killed and the run counts as failed; None for no limit.
    """

    retries: int = 3
    backoff: float = 0.0
    longest: float = 600.0
    timeout: float | None = None
    final: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise InputError(f'retries must be a whole number from 0, not {self.retries!r}.')
        for name in ('backoff', 'longest', 'timeout'):
            if name != 'timeout' or self.timeout is not None:
                object.__setattr__(self, name, duration(getattr(self, name), name))     # a timedelta becomes seconds
        if self.timeout == 0:
            raise InputError(f'timeout must be more than 0 seconds, not {self.timeout!r}; None is no limit.')
        classes = self.final if isinstance(self.final, tuple) else (self.final,)
        if not all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
            raise InputError(f'final must be a tuple of exception classes, not {self.final!r}.')

    def pause(self, error: BaseException, runs: int, chance: float) -> float | None:
        """Seconds until the next run after so many runs failed, the last with this error; None for never.

        chance is a random number from 0 to 1.
        """
        if runs > self.retries or isinstance(error, self.final):
            return None
        return min(self.backoff * 2.0 ** min(runs - 1, 100), self.longest) * (1 - chance / 2)


@dataclass(frozen=True)
class Unique:
    """At most one job with this key: while it waits ('start': until it starts), while it waits or runs ('finish'), or for a
    period of seconds after it was enqueued."""

    key: str
    until: str = 'finish'
    period: float | None = None

    def __post_init__(self) -> None:
        if self.until not in ('start', 'finish'):
            raise InputError(f"Unique.until is 'start' or 'finish', not {self.until!r}.")
        if not isinstance(self.key, str) or not self.key:
            raise InputError(f'A unique key is a text, not {self.key!r}.')
        if self.period is not None:
            object.__setattr__(self, 'period', duration(self.period, 'period'))
        if self.period == 0:
            raise InputError(f'Unique.period must be more than 0 seconds, not {self.period!r}.')


@dataclass(frozen=True)
class Retention:
    """How long finished jobs are kept, in seconds; None for ever. most: how many finished jobs are kept at most, the oldest
    go first."""

    completed: float | None = 7 * 24 * 3600.0
    cancelled: float | None = 7 * 24 * 3600.0
    error: float | None = 30 * 24 * 3600.0
    most: int | None = None

    def __post_init__(self) -> None:
        for name in ('completed', 'cancelled', 'error', 'most'):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InputError(f'Retention.{name} must not be negative, but is {value!r}; None keeps for ever.')


@dataclass(frozen=True)
class WorkerOptions:
    """How workers work. Each is a flag of `p01-remote worker` and P01_REMOTE_… in the environment.

    processes: worker processes; threads: in each of them; waitTime: seconds between two looks at the database when no
    signal comes; lease: seconds after which a silent worker of another host counts as dead; queues: only these, () for all;
    drain: end when nothing is due any more.
    """

    processes: int = 1
    threads: int = 1
    waitTime: float = 1.0
    lease: float = 60.0
    queues: tuple[str, ...] = ()
    drain: bool = False

    def __post_init__(self) -> None:
        for name, least in (('processes', 1), ('threads', 1), ('waitTime', 0), ('lease', 1)):
            if getattr(self, name) < least:
                raise InputError(f'{name} must be at least {least}, not {getattr(self, name)!r}.')

    @classmethod
    def read(cls, environ: dict[str, str] | None = None, **given: Any) -> WorkerOptions:
        """Options from the environment, overridden by those given that are not None."""
        values: dict[str, Any] = {}
        source = os.environ if environ is None else environ
        for field in fields(cls):
            text = source.get('P01_REMOTE_' + flag(field.name).replace('-', '_').upper())
            if text is not None:
                values[field.name] = parsed(field.name, text, getattr(cls(), field.name))
        values.update((name, value) for name, value in given.items() if value is not None)
        return cls(**values)


def flag(name: str) -> str:
    """The flag of an option: waitTime → wait-time."""
    return ''.join('-' + letter.lower() if letter.isupper() else letter for letter in name)


def parsed(name: str, text: str, default: Any) -> Any:
    """An option's value from its text in the environment."""
    try:
        if isinstance(default, tuple):
            return tuple(text.split())
        if isinstance(default, bool):
            return {'1': True, 'true': True, 'yes': True, '0': False, 'false': False, 'no': False, '': False}[text.lower()]
        return type(default)(text)
    except (ValueError, KeyError):
        raise InputError(f'P01_REMOTE_{flag(name).replace("-", "_").upper()} is {text!r}, which is no '
                         f'{type(default).__name__}.') from None
