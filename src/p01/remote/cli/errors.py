# SPDX-License-Identifier: ZPL-2.1
"""p01-remote errors."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import Whole, appArgument
from p01.remote.cli.selection import Filtered, filterOf, filterOptions, isNarrowed
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import jsonOption, printJson, say, table
from p01.remote.ground.words import ago, count, shown
from p01.remote.store.records import ERROR
from p01.remote.views.errors import NEWESTFAILED, Failure, failuresOf
from p01.remote.views.facts import failureFacts


@click.command(cls=Filtered)
@appArgument
@filterOptions
@click.option('--look', type=Whole(1), default=NEWESTFAILED, show_default=True,
              metavar='N', help='At so many of the newest failed jobs.')
@click.option('--limit', type=Whole(1), default=20, show_default=True, metavar='N',
              help='At most so many kinds.')
@jsonOption
def errors(target: str, words: tuple[str, ...], look: int, limit: int, asJson: bool,
           **which: Any) -> int:
    """Show what failed, by kind, the most frequent first: the same job, the same error, raised in
    the same place.

    Exit status 1 when nothing did.
    """
    wanted, now = filterOf(words, which)._replace(stati=(ERROR,)), time.time()
    with opened(target) as app, app.reading() as processor:
        found = failuresOf(processor.store, wanted, look)
    if asJson:
        printJson({'looked': found.looked, 'total': found.total,
                   'kinds': [failureFacts(kind) for kind in found.kinds[:limit]]})
    elif found.kinds:
        table(['jobs', 'job', 'error', 'message', 'raised in', 'first', 'last', 'newest'],
              [cells(kind, now) for kind in found.kinds[:limit]], right=['jobs', 'newest'],
              cut=('message', 'raised in', 'job'), drop=('first', 'raised in', 'newest'))
        if len(found.kinds) > limit:
            say((f'and {count(len(found.kinds) - limit, "kind")} more', 'dim'))
        if not found.whole:
            looked = f'of the newest {found.looked:,}'
            if not isNarrowed(words, which):
                looked += f' of {found.total:,} failed jobs'
            say((f'{looked}; --look shows more', 'dim'))
    else:
        say('Nothing failed.' if not isNarrowed(words, which) else 'No failed jobs match.')
    return 0 if found.kinds else 1


def cells(kind: Failure, now: float) -> list[Any]:
    """A line of the table."""
    return [f'{len(kind.jobids):,}', shown(kind.job), shown(kind.error, 40),
            shown(kind.message, 80), shown(kind.place), ago(min(kind.ends), now),
            ago(max(kind.ends), now), kind.jobids[0]]
