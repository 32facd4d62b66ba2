# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: retry, cancel, remove."""
from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from operator import not_
from typing import Any, TypeVar

import click

from p01.remote.app import App
from p01.remote.cli.argument import SPAN, appArgument
from p01.remote.cli.jobs import jobs
from p01.remote.cli.selection import Filtered, filterOf, filterOptions, idsOf, isNarrowed
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import jsonOption, mark, printJson, say
from p01.remote.engine.editing import standingOf
from p01.remote.engine.requests import GRACE, asker
from p01.remote.exceptions import JobNotFound
from p01.remote.ground.words import count
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import CANCELLED, ERROR, FINISHED, PROCESSING, QUEUED
from p01.remote.views.filters import STATI, Filter
from p01.remote.views.listing import find
from p01.remote.wire.deeds import DEEDS, Verb, batched, cancelling

IDSNAMED = 10      # ids that are printed
LATERBY = 5.0     # seconds beyond its grace until a job that runs has ended, as a rule
ASKED = 'asked to end, and has not yet'

Result = TypeVar('Result')

dryOption = click.option('--dry-run', 'dry', is_flag=True,
                         help='Say which jobs it would be, and do nothing.')


@jobs.command(cls=Filtered)
@appArgument
@click.option('--all-failed', 'allFailed', is_flag=True,
              help='All that failed, or those of them that the other options name.')
@filterOptions
@dryOption
@jsonOption
def retry(target: str, words: tuple[str, ...], allFailed: bool, dry: bool, asJson: bool,
          **which: Any) -> int:
    """Run jobs again that failed or were cancelled, by their ids or by a filter: those that failed,
    unless it says status:cancelled; their earlier runs stay on record.

    Exit status 1 when one of them could not be, or there was none.
    """
    verb = DEEDS['retry']
    jobids, wanted = meant(words, which, allFailed, 'those that failed', verb, 'run again',
                           '--all-failed', (ERROR,))
    return bulk(target, jobids, wanted, verb, QUEUED, 'queued again', dry, asJson)


@jobs.command(cls=Filtered)
@appArgument
@click.option('--all', 'every', is_flag=True, help='All jobs that wait.')
@click.option('--running', is_flag=True, help='Those that run as well: they are asked to end.')
@click.option('--grace', type=SPAN, default=GRACE, metavar='TIME',
              help=f'For one that runs, until its process is killed for it; default {GRACE:g}.')
@filterOptions
@dryOption
@jsonOption
def cancel(target: str, words: tuple[str, ...], every: bool, running: bool, grace: float, dry: bool,
           asJson: bool, **which: Any) -> int:
    """Cancel jobs that wait, by their ids or by a filter; with --running also those that run, whose
    end it waits for.

    Exit status 1 when one of them could not be, or there was none.
    """
    verb = cancelling(running, grace)
    jobids, wanted = meant(words, which, every, 'those that wait', verb, 'cancelled so')
    return bulk(target, jobids, wanted, verb, CANCELLED, 'cancelled', dry, asJson,
                lambda app, asked: awaited(app, asked, grace + LATERBY))


def awaited(app: App, jobids: list[int], patience: float) -> dict[int, str]:
    """Wait for the end of jobs that were asked to, at most so many seconds; returns those that were
    not cancelled, and what they are."""
    until, left = time.monotonic() + patience, jobids
    while left:
        with app.reading() as processor:
            stati = {jobid: processor.getJobStatus(jobid) for jobid in jobids}
        left = [jobid for jobid in left if stati[jobid] == PROCESSING]
        if time.monotonic() > until:
            break
        time.sleep(0.05 if left else 0.0)
    return {jobid: ASKED if status == PROCESSING else status for jobid, status in stati.items()
            if status != CANCELLED} if jobids else {}


@jobs.command(cls=Filtered)
@appArgument
@click.option('--status', 'stati', multiple=True, type=click.Choice(FINISHED),
              help='Only these; may be given again. Default: all that finished.')
@filterOptions
@dryOption
@click.option('--yes', is_flag=True, help='Do not ask.')
@jsonOption
def remove(target: str, words: tuple[str, ...], stati: tuple[str, ...], dry: bool, yes: bool,
           asJson: bool,
           **which: Any) -> int:
    """Remove finished jobs and all that is known of them: those with these ids at once, those of a
    filter, or all, after a question, which --yes must answer where there is no terminal.

    Exit status 1 when one of them could not be, or there was none.
    """
    jobids = idsOf(words)
    if jobids and (stati or isNarrowed((), which)):
        raise click.UsageError('Name the ids of jobs, or give a filter, --status, --queue, --name, '
                               '--since and --older-than.')
    wanted = narrowed(() if jobids else words, which, FINISHED, FINISHED, 'removed', stati)
    with opened(target) as app:
        found = dict.fromkeys(jobids, '') if jobids else statiOf(app, wanted)
        if found and not dry and not jobids and not yes:
            ask(found.values())
        removed, left = (found, {}) if dry and not jobids else removeAll(app, found, dry)
    counts = dict.fromkeys(wanted.stati, 0) | Counter(removed.values())
    if asJson:
        printJson({'removed': counts} | ({'left': left} if jobids else {})
                  | ({'dryRun': True} if dry else {}))
    else:
        if removed or not left or dry:
            say(mark('completed', f'{len(removed):,} {"would be " if dry else ""}removed'),
                f': {summed(removed.values())}' if any(removed.values()) else
                '' if removed else '; there was none')
        tellLeft(left)
    return 0 if removed and not (jobids and left) else 1


def meant(words: tuple[str, ...], which: dict[str, Any], every: bool, whose: str, verb: Verb,
          done: str, flag: str = '--all',
          usual: tuple[str, ...] = ()) -> tuple[tuple[int, ...], Filter | None]:
    """The ids that are given, or the filter, see narrowed; every: all were asked for, by a flag.
    Raises UsageError for both of these and for neither, where it says whose jobs it is about."""
    jobids = idsOf(words)
    if bool(jobids) == (every or isNarrowed(() if jobids else words, which)):
        raise click.UsageError(f'Name the ids of jobs, or {whose} by a filter, --queue, --name, '
                               f'--since, --older-than or {flag}.')
    return jobids, None if jobids else narrowed(words, which, usual or verb.stati, verb.stati,
                                                done)


def narrowed(words: tuple[str, ...], which: dict[str, Any], usual: tuple[str, ...],
             possible: tuple[str, ...],
             done: str, stati: tuple[str, ...] = ()) -> Filter:
    """The filter of these words and options; where they name no status, of the usual ones. Raises
    UsageError when nothing of it can be done."""
    wanted = filterOf(words, which, stati)
    if set(wanted.stati) == set(STATI):
        return wanted._replace(stati=usual)
    left = tuple(status for status in wanted.stati if status in possible)
    if not left:
        raise click.UsageError(f'Only jobs whose status is {" or ".join(possible)} can be {done}.')
    return wanted._replace(stati=left)


def statiOf(app: App, wanted: Filter) -> dict[int, str]:
    """The jobs of a filter, each with its status."""
    with app.reading() as processor:
        return {view.id: view.status for view in find(processor.store, wanted)}


def ask(stati: Iterable[str]) -> None:
    """Raises Abort unless somebody at the terminal agrees, UsageError where there is nobody."""
    stati = list(stati)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f'This removes {count(len(stati), "job")} ({summed(stati)}) for '
                               'good, and there is no terminal to ask; give --yes, or see them '
                               'with --dry-run.')
    print(f'Remove {count(len(stati), "job")} for good ({summed(stati)})? [y/N] ', end='',
          file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ('y', 'yes'):
        raise click.Abort


def answersOf(app: App, jobids: list[int], attempt: Callable[[RemoteProcessor, int], Result],
              dry: bool, word: str, was: Callable[[Result], object]) -> dict[int, Result]:
    """What attempt(processor, jobid) returns for each job; where it is dry, nothing is changed.
    word, was: see deeds.batched."""
    def work(processor: RemoteProcessor, jobids: list[int]) -> list[Result]:
        return [attempt(processor, jobid) for jobid in jobids]

    if dry:
        with app.reading() as processor:
            return dict(zip(jobids, work(processor, jobids), strict=True))
    found = batched(app, asker(), jobids, work, word, 'cli', was)
    return dict(zip(jobids, found, strict=True))


def removeAll(app: App, jobids: Iterable[int], dry: bool) -> tuple[dict[int, str], dict[int, str]]:
    """Remove these jobs; returns the status each had, and of those that are still there, what they
    are."""
    verb = DEEDS['remove']

    def attempt(processor: RemoteProcessor, jobid: int) -> tuple[str, str]:
        try:
            status = processor.getJobStatus(jobid)
            return (status, '') if verb.do(processor, jobid, asker()) else ('', status)
        except JobNotFound:
            return '', 'unknown'

    answers = answersOf(app, list(jobids), attempt, dry, verb.word, lambda answer: answer[0])
    return ({jobid: status for jobid, (status, _) in answers.items() if status},
            {jobid: why for jobid, (_, why) in answers.items() if why})


def summed(stati: Iterable[str]) -> str:
    """How many have which status."""
    counts = Counter(stati)
    return ', '.join(f'{counts[status]:,} {status}' for status in FINISHED if counts[status])


def bulk(target: str, jobids: tuple[int, ...], wanted: Filter | None,
         verb: Verb, kind: str, word: str, dry: bool, asJson: bool,
         unlike: Callable[[App, list[int]], dict[int, str]] = lambda app, jobids: {}) -> int:
    """Do a verb with these jobs, or with all that are wanted; tell what came of it; returns the
    exit status. unlike: those it was done with that are something else all the same."""
    def attempt(processor: RemoteProcessor, jobid: int) -> str:
        try:
            return '' if verb.do(processor, jobid, asker()) else standingOf(processor, jobid)
        except JobNotFound:
            return 'unknown'

    with opened(target) as app:
        found = list(dict.fromkeys(jobids)) if wanted is None else list(statiOf(app, wanted))
        if dry and not jobids:
            answers = dict.fromkeys(found, '')
        else:
            answers = answersOf(app, found, attempt, dry, verb.word, not_)
            if not dry:
                answers |= unlike(app, [jobid for jobid, why in answers.items() if not why])
    done = [jobid for jobid, why in answers.items() if not why]
    left = {jobid: why for jobid, why in answers.items() if why}
    # of a whole class, others may have ended meanwhile: that is no fault
    left, meanwhile = (left, 0) if jobids else ({}, len(left))
    if asJson:
        printJson({word.split()[0]: done, 'left': left} | ({'dryRun': True} if dry else {})
                  | ({'meanwhile': meanwhile} if meanwhile else {}))
    else:
        if done or not left:
            some = ', '.join(map(str, done[:IDSNAMED])) + (' …' if len(done) > IDSNAMED else '')
            say(mark(kind, f'{len(done):,} {"would be " if dry else ""}{word}'),
                f': {some}' if done else '; there was none')
        if meanwhile:
            say(mark('warning', count(meanwhile, 'job')),
                ' began, ended or were claimed meanwhile; left as they are')
        tellLeft(left)
    return 0 if done and not left else 1


def tellLeft(left: dict[int, str]) -> None:
    """Say of each job why it was left as it is."""
    for jobid, why in left.items():
        say(mark('warning', f'job {jobid}'),
            ' does not exist' if why == 'unknown' else f' is {why}' if why == ASKED
            else f' is {why}; left as it is'
            + '; `jobs cancel --running` asks it to end' * (why == PROCESSING))
