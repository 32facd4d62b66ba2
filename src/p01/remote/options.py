# SPDX-License-Identifier: ZPL-2.1
"""Frozen options, validated once."""
from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from p01.remote.exceptions import InputError
from p01.remote.ground import amounts, checks
from p01.remote.ground.foreign import short
from p01.remote.instants import duration

DEFAULTQUEUE = 'default'
SIGN = re.compile(r'starts|[\d,]+ worker process(es)?')     # what stands in a health file
FORMATS = 'text', 'json'          # of log lines
LEVELS = ('debug', 'info', 'warning', 'error')     # of log lines
CONFLICTS = 10      # conflicts in a row after which a run counts as failed
DEATHS = 3          # workers that one job may take down, unless it says otherwise

HEAVIEST = 1000     # weight of a queue

Span = float | timedelta | str      # a duration as it is given: seconds, or a text such as '10m'
Queues = Collection[str] | Mapping[str, int]        # by name, or with their weights


class Options:
    """What all options share: a name that is none of them is refused with the one that was meant.
    Durations are seconds, a timedelta, or a text such as '10m'; they are kept as seconds."""

    def __new__(cls, *args: Any, **given: Any) -> Any:
        checks.known(given, cls.__match_args__, cls.__name__)       # type: ignore[attr-defined]
        return super().__new__(cls)

    def keep(self, name: str, value: Any) -> None:
        """Keep an option's value as it is used everywhere."""
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Policy(Options):
    """How a job is retried. Durations are seconds, a timedelta, or a text such as '10m'.

    retries: runs after the first one that failed; backoff: pause before the second run, doubled
    before each further one up to longest, and shortened by up to half at random, so that jobs that
    failed together do not return together ("equal jitter", M. Brooker, Exponential Backoff And
    Jitter, 2015). final: exception classes that are never retried. timeout: after so long a worker
    process is killed and the run counts as failed; None for no limit. soft: after so long, which is
    less, current.check and current.progress raise TimeLimit, once, so that the job can clean up.
    conflicts: a run that met others on the same objects is repeated, and costs no attempt; after so
    many in a row it counts as failed. deaths: how often it runs again after its worker process
    died, whatever retries say; None: a death is a failed run, the third one the last.
    """

    retries: int = 3
    backoff: float = 0.0
    longest: float = 600.0
    timeout: float | None = None
    final: tuple[type[BaseException], ...] = ()
    conflicts: int = CONFLICTS
    deaths: int | None = None
    soft: float | None = None

    if TYPE_CHECKING:       # what may be given, beside what is kept
        def __init__(self, retries: int = 3, backoff: Span = 0.0, longest: Span = 600.0,
                     timeout: Span | None = None,
                     final: tuple[type[BaseException], ...] = (), conflicts: int = CONFLICTS,
                     deaths: int | None = None, soft: Span | None = None) -> None:
            """See the class."""

    def __post_init__(self) -> None:
        for name, least in (('retries', 0), ('deaths', 0), ('conflicts', 1)):
            if name != 'deaths' or self.deaths is not None:
                self.keep(name, checks.wholeOf(getattr(self, name), name, least))
        for name in ('backoff', 'longest', 'timeout', 'soft'):
            if name not in ('timeout', 'soft') or getattr(self, name) is not None:
                self.keep(name, duration(getattr(self, name), name))
        if 0 in (self.timeout, self.soft):
            raise InputError(f'{"timeout" if self.timeout == 0 else "soft"} must be more than 0 '
                             'seconds; None is no limit.')
        if self.soft is not None and self.timeout is not None and self.soft >= self.timeout:
            raise InputError(f'soft must be less than timeout, not {self.soft:g} of '
                             f'{self.timeout:g} seconds.')
        classes = self.final if isinstance(self.final, tuple) else (self.final,)
        if not all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
            raise InputError('final must be a tuple of exception classes, not '
                             f'{short(self.final)}.')

    def pause(self, error: BaseException, runs: int, chance: float) -> float | None:
        """Seconds until the next run after so many runs failed, the last with this error; None for
        never.

        chance is a random number from 0 to 1.
        """
        if runs > self.retries or isinstance(error, self.final):
            return None
        return min(self.backoff * 2.0 ** min(runs - 1, 100), self.longest) * (1 - chance / 2)


@dataclass(frozen=True)
class Unique(Options):
    """At most one job with this key: while it waits ('start': until it starts), while it waits or
    runs ('finish'), or for a period after it was enqueued (seconds, a timedelta, or a text such as
    '10m')."""

    key: str
    until: str = 'finish'
    period: float | None = None

    if TYPE_CHECKING:       # what may be given, beside what is kept
        def __init__(self, key: str, until: str = 'finish', period: Span | None = None) -> None:
            """See the class."""

    def __post_init__(self) -> None:
        if not isinstance(self.until, str) or self.until not in ('start', 'finish'):
            raise InputError(f"Unique.until is 'start' or 'finish', not {short(self.until)}.")
        self.keep('key', checks.nameOf(self.key, 'A unique key'))
        self.keep('until', str.__str__(self.until))
        if self.period is not None:
            self.keep('period', duration(self.period, 'period'))
        if self.period == 0:
            raise InputError('Unique.period must be more than 0 seconds.')


@dataclass(frozen=True)
class Retention(Options):
    """How long finished jobs are kept: seconds, a timedelta, or a text such as '30d'; None for
    ever.

    most: how many finished jobs are kept at most, the oldest go first.
    """

    completed: float | None = 7 * 24 * 3600.0
    cancelled: float | None = 7 * 24 * 3600.0
    error: float | None = 30 * 24 * 3600.0
    most: int | None = None

    if TYPE_CHECKING:       # what may be given, beside what is kept
        def __init__(self, completed: Span | None = 604800.0, cancelled: Span | None = 604800.0,
                     error: Span | None = 2592000.0, most: int | None = None) -> None:
            """See the class."""

    def __post_init__(self) -> None:
        for name in ('completed', 'cancelled', 'error'):
            if getattr(self, name) is not None:
                self.keep(name, duration(getattr(self, name), f'Retention.{name}'))
        if self.most is not None:
            self.keep('most', checks.wholeOf(self.most, 'Retention.most', 0))


@dataclass(frozen=True)
class WorkerOptions(Options):
    """How workers work. Each is a flag of `p01-remote worker` and P01_REMOTE_… in the environment.

    processes: worker processes; threads: in each of them; concurrency: jobs that are an async def
    and run at once beside each thread; waitTime: seconds between two looks at the database when no
    signal comes; lease: seconds after which a silent worker of another host counts as dead; queues:
    only these, () for all: several in strict order, or {queue: weight}; weights: of the queues, as
    they are kept, () for strict order; drain: end when nothing is due any more; together: all jobs
    share commits, see IJob; grace: what running jobs get to end when workers are told to stop;
    logLevel: log lines from this one on, debug, info, warning or error, '' for what jobs say from
    info on and warnings of all others; logFormat: text, or json, see loglines; healthFile: a path
    of a file that is touched as long as all is well, '' for none; maxJobs: a process that has run
    so many is replaced, 0 for never; maxMemory: so is one that takes so many bytes after a job, or
    a text such as '300MB'; reload: processes are replaced when the source of the application
    changes; executor: where detached jobs run that do not say it, threads, processes or dask, ''
    for the worker's own thread; slots: jobs at once on an executor, 0 for one a core, or all of a
    cluster; dask: the address of a scheduler, which is the executor unless another one is named.
    """

    processes: int = 1
    threads: int = 1
    concurrency: int = 100
    waitTime: float = 1.0
    lease: float = 60.0
    queues: tuple[str, ...] = ()
    drain: bool = False
    together: bool = False
    logLevel: str = ''
    grace: float = 30.0
    weights: tuple[int, ...] = ()
    maxJobs: int = 0
    maxMemory: int = 0
    reload: bool = False
    logFormat: str = 'text'
    healthFile: str = ''
    executor: str = ''
    slots: int = 0
    dask: str = ''

    if TYPE_CHECKING:       # what may be given, beside what is kept
        def __init__(self, processes: int = 1, threads: int = 1, concurrency: int = 100,
                     waitTime: Span = 1.0, lease: Span = 60.0, queues: Queues = (),
                     drain: bool = False, together: bool = False, logLevel: str = '',
                     grace: Span = 30.0, weights: tuple[int, ...] = (), maxJobs: int = 0,
                     maxMemory: int | str = 0, reload: bool = False, logFormat: str = 'text',
                     healthFile: str = '', executor: str = '', slots: int = 0,
                     dask: str = '') -> None:
            """See the class."""

    def __post_init__(self) -> None:
        for name, least in (('processes', 1), ('threads', 1), ('concurrency', 1), ('maxJobs', 0),
                            ('slots', 0)):
            self.keep(name, checks.wholeOf(getattr(self, name), name, least))
        self.keep('maxMemory', amounts.bytesOf(self.maxMemory, 'maxMemory'))
        for name, shortest in (('waitTime', 0.0), ('lease', 1.0), ('grace', 0.0)):
            self.keep(name, duration(getattr(self, name), name))
            if getattr(self, name) < shortest:
                raise InputError(f'{name} must be at least {shortest:g} seconds, not '
                                 f'{getattr(self, name):g}.')
        if isinstance(self.queues, Mapping):
            self.keep('weights', tuple(self.queues.values()))
        # a single text would count as its letters
        elif not isinstance(self.queues, tuple | list | set | frozenset):
            raise InputError("queues must be a tuple of names such as ('mail',), or weights such "
                             f"as {{'mail': 3}}, not {short(self.queues)}.")
        given: Collection[str] = self.queues
        names = sorted(given, key=str) if isinstance(given, Set) else given     # it has no order
        self.keep('queues', tuple(checks.nameOf(queue, 'A queue') for queue in names))
        self.keep('weights', tuple(checks.wholeOf(each, 'The weight of a queue', 1, HEAVIEST)
                                   for each in self.weights))
        if self.weights and len(self.weights) != len(self.queues):
            raise InputError('weights must be as many as queues.')
        if len(set(self.queues)) < len(self.queues):
            raise InputError(f'queues must name each queue once, not {short(self.queues)}.')
        if not isinstance(self.dask, str) or self.executor == checks.DASK and not self.dask:
            raise InputError("dask must be the address of a scheduler, such as 'tcp://host:8786', "
                             f'not {short(self.dask)}.')
        self.keep('executor', checks.oneOf(self.executor, ('', *checks.EXECUTORS), 'executor')
                  or checks.DASK * bool(self.dask))
        for name in ('drain', 'together', 'reload'):
            checks.flagOf(getattr(self, name), name)
        checks.oneOf(self.logLevel, ('', *LEVELS), 'logLevel')
        checks.oneOf(self.logFormat, FORMATS, 'logFormat')
        if not isinstance(self.healthFile, str):
            raise InputError(f'healthFile must be a path as text, not {short(self.healthFile)}.')

    @classmethod
    def read(cls, environ: dict[str, str] | None = None, **given: Any) -> WorkerOptions:
        """Options from the environment, overridden by those given that are not None."""
        values: dict[str, Any] = {}
        source = os.environ if environ is None else environ
        for field in fields(cls):
            text = source.get(variable(field.name))
            if text is not None and field.name != 'weights':        # they stand with the queues
                values[field.name] = parsed(field.name, text, getattr(cls(), field.name))
        values.update((name, value) for name, value in given.items() if value is not None)
        if isinstance(values.get('queues'), tuple):
            values['queues'] = weighed(values['queues'])
        return cls(**values)


def weighed(words: tuple[str, ...]) -> Queues:
    """Queues as texts have them: names, or with weights as 'mail=3'; a name alone beside one with a
    weight has 1."""
    found: dict[str, int] = {}
    for word in words:
        name, equals, number = word.rpartition('=')
        if not equals:
            name, number = word, '0'
        if not number.isdecimal() or not name or equals and not int(number):
            raise InputError(f'{short(word)} is no queue; write its name, or NAME=WEIGHT with a '
                             'whole number from 1.')
        if name in found:
            raise InputError(f'Queue {short(name)} is named twice.')
        found[name] = int(number)
    if not any(found.values()):
        return tuple(found)
    return {name: weight or 1 for name, weight in found.items()}


def flag(name: str) -> str:
    """The flag of an option: waitTime → wait-time."""
    return ''.join('-' + letter.lower() if letter.isupper() else letter for letter in name)


def variable(name: str) -> str:
    """The variable of an option in the environment: waitTime → P01_REMOTE_WAIT_TIME."""
    return 'P01_REMOTE_' + flag(name).replace('-', '_').upper()


def parsed(name: str, text: str, default: Any) -> Any:
    """An option's value from its text in the environment."""
    try:
        if isinstance(default, tuple):
            return tuple(text.split())
        if name == 'maxMemory':
            return text                     # as people write it, see amounts
        if isinstance(default, bool):
            return {'1': True, 'true': True, 'yes': True, '0': False, 'false': False, 'no': False,
                    '': False}[text.lower()]
        return duration(text, name,
                        bare=True) if isinstance(default, float) else type(default)(text)
    except (ValueError, KeyError):
        what = {bool: 'yes or no', int: 'whole number',
                float: "duration such as 90, '90s' or '10m'"}[type(default)]
        raise InputError(f'{variable(name)} is {short(text)}, which is no {what}.') from None
