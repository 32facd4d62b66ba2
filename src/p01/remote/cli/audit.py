# SPDX-License-Identifier: ZPL-2.1
"""p01-remote audit."""
from __future__ import annotations

import time
from itertools import islice

import click

from p01.remote.cli.argument import Verb, Whole, appArgument
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import jsonOption, printJson, say, table
from p01.remote.ground.words import ago, shown
from p01.remote.views.facts import lineFacts


@click.command(cls=Verb)
@appArgument
@click.option('--limit', type=Whole(1), default=50, show_default=True, metavar='N',
              help='At most so many.')
@jsonOption
def audit(target: str, limit: int, asJson: bool) -> int:
    """Show what people have done with jobs, queues, workers and schedules, the newest first: by the
    dashboard, the API, assistants and this command.

    Exit status 1 when there is nothing.
    """
    with opened(target) as app, app.reading() as processor:
        kept = processor.store.audit
        found = [] if kept is None else [line for _, line in islice(kept.newest(), limit)]
    if asJson:
        printJson([lineFacts(line) for line in found])
    elif found:
        now = time.time()
        table(['when', 'who', 'by', 'what'],
              [[ago(line.when, now), shown(line.who, 40), line.face, shown(line.what, 200)]
               for line in found], cut=('what', 'who'))
    else:
        say('Nobody has done anything yet.')
    return 0 if found else 1
