# SPDX-License-Identifier: ZPL-2.1
"""The end of the demo: what the jobs left in the database, against a straight computation of the
same folder."""
from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any, NamedTuple

from p01.remote.app import App
from p01.remote.demo.tasks import FOLDER, INDEX, Facts, examine
from p01.remote.processor import RemoteProcessor
from p01.remote.store.records import COMPLETED, ERROR
from p01.remote.views import figures, listing

LARGEST = 10
NAMED = 3           # paths named for a fault


class Verdict(NamedTuple):
    """What the check found. Each list holds paths."""

    committed: int                  # jobs that completed
    expected: int
    lost: list[str]                 # their entry was never written, or is gone
    twice: list[str]                # written more than once
    # written, but with other facts than the straight computation has
    different: list[str]
    # differ because the file was changed or removed while the demo ran
    changed: list[str]
    failed: list[str]               # errors of jobs that failed

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.committed == self.expected \
            and not (self.lost or self.twice or self.different or self.failed)

    def line(self) -> str:
        """The verdict in one line."""
        match = 'the index matches' if not self.different and not self.lost \
            else 'the index does not match'
        parts = [f'{self.committed:,} committed', f'{len(self.lost):,} lost',
                 f'{len(self.twice):,} applied twice']
        if self.failed:
            parts.append(f'{len(self.failed):,} failed')
        return f'{", ".join(parts)}; {match}'

    def faults(self) -> list[str]:
        """What is wrong, a line each."""
        named = (('never written', self.lost), ('applied twice', self.twice),
                 ('with other facts', self.different), ('failed', self.failed))
        lines = [f'{len(paths):,} {what}: '
                 f'{", ".join(paths[:NAMED])}{" …" if len(paths) > NAMED else ""}'
                 for what, paths in named if paths]
        if self.committed != self.expected:
            lines.append(f'{self.expected:,} jobs were enqueued, {self.committed:,} completed')
        return lines


class Times(NamedTuple):
    """How the runs went."""

    retried: int                    # jobs that ran more than once
    middle: float                   # seconds of one job
    slow: float                     # seconds that 95 % of them do not exceed


def judge(app: App, paths: list[str], began: float, tick: Callable[[], None]) -> Verdict:
    """Compare the index with a straight computation of these files; tick is called for each of
    them.

    began is when the demo began, in POSIX seconds.
    """
    with app.reading() as processor:
        root = processor._p_jar.root()
        index, folder = root[INDEX], root[FOLDER]
        found: dict[str, tuple[int, Facts | None]] = {path: (entry.applied, entry.facts)
                                                      for path, entry in index.items()}
        counts = [queue.get(COMPLETED, 0) for queue in figures.exact(processor.store).values()]
        failed = failures(processor)
    verdict = Verdict(sum(counts), len(paths), [], [], sorted(found.keys() - set(paths)), [],
                      failed)
    for path in paths:
        applied, facts = found.get(path, (0, None))
        if applied == 0:
            verdict.lost.append(path)
        elif applied > 1:
            verdict.twice.append(path)
        elif facts != straight(os.path.join(folder, path)):
            touched = changedSince(os.path.join(folder, path), began)
            (verdict.changed if touched else verdict.different).append(path)
        tick()
    return verdict


def straight(path: str) -> Facts | None:
    """The facts, computed here and now; None when the file is gone."""
    try:
        return examine(path)
    except OSError:
        return None


def changedSince(path: str, began: float) -> bool:
    """Whether a file was changed or removed since then."""
    try:
        return os.stat(path).st_mtime >= began
    except OSError:
        return True


def failures(processor: RemoteProcessor) -> list[str]:
    """The errors of the jobs that failed."""
    views = (processor.store.view(jobid) for jobid, status in listing.finished(processor.store)
             if status == ERROR)
    return [view.outcome.error for view in views if view.outcome is not None]


def times(app: App) -> Times:
    """How the runs went, from what the database knows of each job."""
    lasted, retried = [], 0
    with app.reading() as processor:
        for jobid in listing.ids(processor.store):
            outcome = processor.store.view(jobid).outcome
            if outcome is not None and outcome.started is not None:
                lasted.append(outcome.completed - outcome.started)
                retried += outcome.runs > 1
    slow = quantiles(lasted, n=20)[-1] if len(lasted) > 1 else max(lasted, default=0.0)
    return Times(retried, median(lasted or [0.0]), slow)


def largest(app: App) -> list[dict[str, Any]]:
    """The files with the most lines, from the index."""
    with app.reading() as processor:
        index = processor._p_jar.root()[INDEX]
        facts = [(entry.facts.lines, path, entry.facts) for path, entry in index.items()
                 if entry.facts is not None]
        return [{'lines': found.lines, 'words': found.words, 'functions': len(found.functions),
                 'imports': len(found.imports), 'path': path}
                for _, path, found in sorted(facts, key=lambda each: (-each[0], each[1]))[:LARGEST]]
