# SPDX-License-Identifier: ZPL-2.1
"""How all stands, in words: whether work flows, what is late, what fails most, what to do. Pure."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from p01.remote.ground.words import count, span, verb
from p01.remote.store.records import PROCESSING, QUEUED
from p01.remote.views.errors import Failure, Failures
from p01.remote.views.figures import LATE
from p01.remote.views.history import Point
from p01.remote.views.queues import Queues
from p01.remote.views.workers import Worker, quietOf

DAY, HOUR = 86400.0, 3600.0
OFTEN = 3               # failures of a kind within an hour: it keeps failing
FINE, UNSURE, HALTED = 'well', 'look', 'stopped'


class Said(NamedTuple):
    """One thing that is said: of which tone (good, late, bad, do, quiet), about what, its
    beginning that matters, and the rest."""

    tone: str
    head: str
    strong: str
    text: str
    queue: str = ''         # that it is about
    failure: str = ''       # the key of the kind of failure that it is about


class Step(NamedTuple):
    """What to do: a sentence; an action (pause, resume, retry or none) and what it is about; or a
    command."""

    text: str
    action: str = ''
    subject: str = ''
    label: str = ''
    command: str = ''


class Verdict(NamedTuple):
    """How all stands: well, look or stopped; in a sentence; in four parts."""

    kind: str
    sentence: str
    flow: Said
    late: Said
    fails: Said
    step: Step


class Evidence(NamedTuple):
    """What a verdict is about. rate: jobs that ended a minute, lately; oldest: the queue whose next
    job waits longest, and since when; target: how commands name the application; due: schedules
    that are, at least; overdue: those among them that are late."""

    queues: Queues
    workers: list[Worker]
    rate: float
    failures: Failures
    oldest: tuple[str, float] | None
    unserved: dict[str, int]
    target: str
    now: float
    due: int = 0
    overdue: int = 0


def verdictOf(seen: Evidence) -> Verdict:
    """The verdict of what was seen in one snapshot."""
    alive = sum(worker.alive for worker in seen.workers)
    waiting = sum(queue.counts[QUEUED] for queue in seen.queues.all.values() if not queue.paused)
    flow, late, fails = flowing(seen, alive, waiting), lateness(seen), failing(seen)
    if not alive and (waiting or seen.due):
        waits = f'{count(waiting, "job")} {verb(waiting, "wait")}' if waiting \
            else 'a schedule is due' if seen.due == 1 else 'schedules are due'
        return Verdict(HALTED, f'Nothing runs: no worker is alive, and {waits}.', flow, late,
                       fails, stepOf(seen, late, fails, True))
    wrong = [clause for clause in (clauseLate(seen, late), clauseFails(seen),
                                clauseDue(seen)) if clause]
    wrong = [clause for clause in (*map(served, seen.unserved.items()), *wrong) if clause][:3]
    if not wrong:
        return Verdict(FINE, quiet(seen, alive), flow, late, fails,
                       stepOf(seen, late, fails, False))
    clauses = ' and '.join([', '.join(wrong[:-1]), wrong[-1]] if len(wrong) > 1 else wrong)
    works = 'Work is flowing' if moving(seen) else 'Work stands still'
    return Verdict(UNSURE, f'{works}, but {clauses}.', flow, late, fails,
                   stepOf(seen, late, fails, False))


def rateOf(points: Sequence[Point], now: float, seconds: float = 600.0) -> float:
    """How many jobs ended in a minute over the last so many seconds, by the points of an
    hour."""
    last = [point for point in points if point.start + point.seconds > now - seconds]
    ended = sum(point.completed + point.failed + point.cancelled for point in last)
    return ended * 60.0 / max(60.0, now - last[0].start) if last else 0.0


def moving(seen: Evidence) -> bool:
    """Whether anything runs, or has ended a short while ago."""
    return bool(seen.rate) or any(
        queue.counts[PROCESSING] for queue in seen.queues.all.values())


def served(item: tuple[str, int]) -> str:
    """A clause about a queue that no worker serves."""
    return f'nobody serves {item[0]}'


def quiet(seen: Evidence, alive: int) -> str:
    """The sentence where nothing is wrong."""
    if not any(any(queue.counts.values()) for queue in seen.queues.all.values()):
        return 'All is ready: there are no jobs yet.'
    failed = sum(recent(kind, seen.now - HOUR) for kind in seen.failures.kinds)
    fails = f'{failed:,} failed within the hour' if failed else 'nothing failing'
    if seen.rate >= 1:
        return f'All is well: {count(round(seen.rate), "job")} a minute, nothing late, {fails}.'
    return f'All is well: nothing is late, {fails}.' if failed \
        else 'All is well: nothing is late, and nothing keeps failing.'


def flowing(seen: Evidence, alive: int, waiting: int) -> Said:
    """Whether work flows."""
    rate, dead = seen.rate, len(seen.workers) - alive
    if not seen.workers:
        who = 'No worker runs.'
    elif dead:
        have = 'has' if dead == 1 else 'have'
        who = f'{dead} of {count(len(seen.workers), "worker")} {have} died.'
    else:
        who = 'Its one worker is alive.' if alive == 1 else f'All {alive} workers are alive.'
    tone = 'good' if alive and not dead else 'bad' if waiting and not alive else 'late' if dead \
        else 'quiet'
    if rate:
        per = f'{rate:,.0f} jobs a minute' if rate >= 1.5 else f'{rate * 60:,.0f} jobs an hour'
        return Said(tone, 'Flow', per, f'finish. {who}')
    return Said(tone, 'Flow', '', f'Nothing has finished in the last ten minutes. {who}')


def lateness(seen: Evidence) -> Said:
    """What is late."""
    if seen.oldest is None:
        held = [queue for queue in seen.queues.all.values() if queue.paused
                and queue.counts[QUEUED]]
        if held:
            some = sum(queue.counts[QUEUED] for queue in held)
            return Said('late', 'Held', f'{count(some, "job")} {verb(some, "wait")}',
                        f'in {count(len(held), "paused queue")}.', held[0].name)
        return Said('good', 'Late', '', 'Nothing waits.')
    queue, since = seen.oldest
    age = max(0.0, seen.now - since)
    if age < LATE:
        return Said('good', 'Late', '', f'Nothing: the longest wait is {span(age)}, in {queue}.')
    number = seen.queues.all[queue].counts[QUEUED] if queue in seen.queues.all else 0
    return Said('late', 'Late', f'{count(number, "job")} {verb(number, "wait")} in {queue}',
                f'the oldest for {span(age)}.', queue)


def recent(kind: Failure, since: float) -> int:
    """How many failures of a kind are younger than an instant."""
    return sum(end >= since for end in kind.ends)


def frequent(seen: Evidence, length: float, least: int) -> list[Failure]:
    """The kinds that failed so often within so many seconds, the one that did most first."""
    since = seen.now - length
    kinds = [kind for kind in seen.failures.kinds if recent(kind, since) >= least]
    return sorted(kinds, key=lambda kind: -recent(kind, since))


def failing(seen: Evidence) -> Said:
    """What fails most."""
    kind = next(iter(frequent(seen, DAY, 1)), None)
    if kind is None:
        kept = seen.failures.total
        older = f' {count(kept, "older failure")} {"is" if kept == 1 else "are"} kept.' \
            if kept else ''
        return Said('good', 'Fails', '', f'Nothing has failed for good within a day.{older}')
    number = recent(kind, seen.now - DAY)
    first = min(end for end in kind.ends if end >= seen.now - DAY)
    times = 'once' if number == 1 else f'{number:,} times'
    text = f'{times} since {time.strftime("%H:%M", time.localtime(first))}: {kind.title}.'
    return Said('bad', 'Fails most', kind.job, text, failure=kind.key)


def clauseLate(seen: Evidence, late: Said) -> str:
    """What the sentence says of what is late."""
    if late.tone != 'late' or seen.oldest is None:
        return ''
    return f'{late.queue} is {span(max(0.0, seen.now - seen.oldest[1]))} late'


def clauseFails(seen: Evidence) -> str:
    """What the sentence says of what keeps failing."""
    often = frequent(seen, HOUR, OFTEN)
    if not often:
        return ''
    return 'one kind of job keeps failing' if len(often) == 1 \
        else f'{len(often)} kinds of job keep failing'


def clauseDue(seen: Evidence) -> str:
    """What the sentence says of schedules that are late though somebody works."""
    return '' if not seen.overdue else 'a schedule is late' if seen.overdue == 1 \
        else 'schedules are late'


def stepOf(seen: Evidence, late: Said, fails: Said, stopped: bool) -> Step:
    """What to do, what matters most first."""
    if stopped:
        return Step('Start a worker; it takes up the oldest jobs first.',
                    command=f'p01-remote worker {seen.target}')
    if not any(any(queue.counts.values()) for queue in seen.queues.all.values()):
        return Step('Enqueue a first job, from your code or from a shell.',
                    command=f"p01-remote enqueue {seen.target} NAME '[arguments]'")
    if seen.unserved:
        queue = next(iter(seen.unserved))
        if quietOf(seen.workers, queue):
            return Step(f'Let the workers of {queue} claim again.',
                        command=f'p01-remote workers unquiet {seen.target} --all')
        return Step(f'Start a worker that serves {queue}.',
                    command=f'p01-remote worker {seen.target} --queue {queue}')
    if seen.overdue:
        return Step('Ask doctor why schedules are late.',
                    command=f'p01-remote doctor {seen.target}')
    for kind in frequent(seen, HOUR, OFTEN):
        return Step('See why it fails. What failed stays, and can be run again when it is mended.',
                    'see', kind.key, 'See the failures')
    if late.head == 'Held':
        return Step(f'Resume {late.queue} when its jobs may run again.', 'resume', late.queue,
                    f'Resume {late.queue}')
    if late.tone == 'late':
        return Step('Start more workers, or give its jobs a higher priority.',
                    command=f'p01-remote worker {seen.target} --queue {late.queue}')
    if fails.tone == 'bad':
        return Step('Nothing now. What failed stays, and can be run again.', 'see', fails.failure,
                    'See the failures')
    return Step('Nothing.')
