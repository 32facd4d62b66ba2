# SPDX-License-Identifier: ZPL-2.1
"""p01-remote jobs: why, export."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import Verb, Whole, appArgument
from p01.remote.cli.selection import Filtered, filterOf, filterOptions
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import hung, jsonOption, mark, printJson, say, tell
from p01.remote.cli.watching import jobs
from p01.remote.ground.values import jsonOf
from p01.remote.ground.words import iso, shown
from p01.remote.views.facts import allFacts, jobFacts
from p01.remote.views.filters import STATI
from p01.remote.views.job import detailsOf, rowOf
from p01.remote.views.listing import find
from p01.remote.views.waits import whyWaits


@jobs.command(cls=Verb)
@appArgument
@click.argument('jobid', metavar='ID', type=Whole(1))
@jsonOption
def why(target: str, jobid: int, asJson: bool) -> int:
    """Say why a job waits. Exit status 1 when it does not."""
    with opened(target) as app, app.reading() as processor:
        view = processor.store.view(jobid)
        reasons = whyWaits(processor.store, view, time.time())
    if asJson:
        printJson({'id': jobid, 'status': view.status,
                   'waits': [{**each._asdict(), 'until': iso(each.until)} for each in reasons]})
    elif reasons:
        for each in reasons:
            hung([mark(view.status, f'job {jobid}'), ('  ', '')], shown(each.sentence, None))
    else:
        say(mark(view.status), f'  job {jobid} does not wait')
    return 0 if reasons else 1


@jobs.command(cls=Filtered)
@appArgument
@click.option('--status', 'stati', multiple=True, type=click.Choice(STATI),
              help='Only these; may be given again.')
@filterOptions
@click.option('--all', 'whole', is_flag=True,
              help='With input, output, log and every failed run, not as in a list.')
def export(target: str, words: tuple[str, ...], stati: tuple[str, ...], whole: bool,
           **which: Any) -> int:
    """Print jobs as lines of JSON, the newest first: all, or those that a filter names.

    They are of one moment. Exit status 1 when there are none.
    """
    wanted, now, number = filterOf(words, which, stati), time.time(), 0
    with opened(target) as app, app.reading() as processor:
        for view in find(processor.store, wanted):
            number += 1
            tell(jsonOf(allFacts(detailsOf(processor, view, now, values=True)) if whole
                        else jobFacts(rowOf(view))))
    return 0 if number else 1
