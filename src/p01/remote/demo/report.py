# SPDX-License-Identifier: ZPL-2.1
"""What the demo tells at its end: the verdict, the speed, the largest files, what to try next."""
from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from p01.remote.app import App
from p01.remote.cli.terminal import isLive, mark, printJson, say, table
from p01.remote.demo.check import Times, Verdict, judge, largest, times
from p01.remote.ground.words import labelOf, shown, span

LOGLINES = 10          # of the workers' log, when something went wrong


class Strike(NamedTuple):
    """A worker was killed."""

    worker: int                 # its number
    pid: int
    job: int                    # what it ran
    path: str


class Performance(NamedTuple):
    """What happened on the stage."""

    app: App
    folder: Path
    paths: list[str]
    workers: int
    began: float                # POSIX seconds
    seconds: float              # from the first worker's start to the last job's end
    strike: Strike | None
    spare: bool
    log: Path                   # what the workers wrote to stderr


def report(played: Performance, unread: int, keep: Path | None, asJson: bool) -> int:
    """Check what the jobs left, and tell everything; returns the exit status."""
    verdict = check(played, asJson)
    speed = times(played.app)
    top = largest(played.app)
    if asJson:
        printJson(facts(played, verdict, speed, top, unread, keep))
        return 0 if verdict.good else 1
    tellStrike(played)
    tellVerdict(played, verdict, speed, unread)
    say()
    say((f'The {len(top)} largest files of {played.folder}' if len(top) > 1
         else 'The largest file', 'bold'))
    table(['lines', 'words', 'functions', 'path'],
          [[f'{each["lines"]:,}', f'{each["words"]:,}', f'{each["functions"]:,}',
            shown(each['path'], None)]
           for each in top], right=['lines', 'words', 'functions'])
    say()
    suggest(keep)
    return 0 if verdict.good else 1


def check(played: Performance, quiet: bool) -> Verdict:
    """The verdict; shows how far the straight computation is."""
    total, done = len(played.paths), 0
    if quiet or not isLive():
        return judge(played.app, played.paths, played.began, lambda: None)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from p01.remote.cli.terminal import console
    columns = TextColumn('{task.description}'), BarColumn(40), MofNCompleteColumn()
    with Progress(*columns, console=console(), transient=True) as progress:
        task = progress.add_task('checking  ', total=total)

        def tick() -> None:
            nonlocal done
            done += 1
            progress.update(task, completed=done)
        return judge(played.app, played.paths, played.began, tick)


def tellStrike(played: Performance) -> None:
    """What became of the job whose worker was killed."""
    strike = played.strike
    if played.spare:
        return
    if strike is None:
        say(mark('warning', 'no worker was killed'),
            ': the jobs were done before one could be caught at work; a larger folder gives it the '
            'time')
    elif strike.job:
        with played.app.reading() as processor:
            job = processor.getJob(strike.job)
        again = f'ran again, as run {job.runCounter}, on worker {labelOf(job.worker)}' \
            if job.runCounter > 1 \
            else 'had committed a moment before'
        say(mark('retried', f'job {strike.job}'),
            f' {again}; a new worker took the place of the dead one')


def tellVerdict(played: Performance, verdict: Verdict, speed: Times, unread: int) -> None:
    """The verdict and the figures."""
    sign, colour = ('✔', 'bold green') if verdict.good else ('✖', 'bold red')
    say((f'{sign} {verdict.line()}', colour))
    for line in verdict.faults():
        say(f'  {shown(line, 300)}')
    if not verdict.good and played.log.exists():
        for line in played.log.read_text(errors='replace').splitlines()[-LOGLINES:]:
            say(('  the workers wrote: ', 'dim'), shown(line, 300))
    jobs = verdict.committed
    say(f'  {jobs:,} jobs in {span(played.seconds)}: {jobs / max(played.seconds, 0.001):,.0f} '
        f'jobs/s with {played.workers} worker{"s" if played.workers > 1 else ""}, one commit each; '
        f'median {span(speed.middle)}, p95 {span(speed.slow)}')
    if unread:
        say(f'  {unread:,} could not be read and {"was" if unread == 1 else "were"} left out')
    if verdict.changed:
        say(f'  {len(verdict.changed):,} changed on disk meanwhile, so there is nothing to compare '
            f'with: {shown(", ".join(verdict.changed[:3]))}')


def suggest(keep: Path | None) -> None:
    """What to try next."""
    say(('Next', 'bold'))
    if keep is not None:
        address = f'sqlite:{keep}'
        lines = [(f'p01-remote status {address}', 'how the jobs stand'),
                 (f'p01-remote jobs list {address}', 'the newest of them'),
                 (f'p01-remote jobs show {address} 1', 'all about one')]
    else:
        lines = [('p01-remote demo ~/my/project', 'the same with sources of yours'),
                 ('p01-remote demo --keep ./demo-db', 'keep the database and look into it'),
                 ('p01-remote --help', 'workers, enqueue, jobs, doctor')]
    width = max(len(line) for line, _ in lines)
    for line, what in lines:
        say('  ', (f'{line:{width}}', 'cyan'), f'   {what}')


def facts(played: Performance, verdict: Verdict, speed: Times, top: list[dict[str, Any]],
          unread: int,
          keep: Path | None) -> dict[str, Any]:
    """All of it, for JSON."""
    strike = played.strike
    return {'folder': str(played.folder), 'database': None if keep is None else f'sqlite:{keep}',
            'good': verdict.good, 'verdict': verdict.line(), 'files': len(played.paths),
            'unreadable': unread,
            'committed': verdict.committed, 'lost': verdict.lost, 'twice': verdict.twice,
            'different': verdict.different, 'changed': verdict.changed, 'failed': verdict.failed,
            'retried': speed.retried, 'workers': played.workers,
            'killed': strike._asdict() if strike is not None else None,
            'seconds': round(played.seconds, 3),
            'rate': round(verdict.committed / max(played.seconds, 0.001), 1),
            'median': round(speed.middle, 6), 'p95': round(speed.slow, 6), 'largest': top}
