# SPDX-License-Identifier: ZPL-2.1
"""p01-remote pack."""
from __future__ import annotations

import logging
import time

import click

from p01.remote.cli.argument import SPAN, Verb, appArgument
from p01.remote.cli.target import check, database, placeOf
from p01.remote.cli.terminal import jsonOption, mark, printJson, say
from p01.remote.front.named import loadApp
from p01.remote.ground.words import size, span

DAY = 86400.0


@click.command(cls=Verb)
@appArgument
@click.option('--keep', type=SPAN, default=0.0, metavar='TIME',
              help='History that stays, where a storage has one: 7d, ...')
@jsonOption
def pack(target: str, keep: float, asJson: bool) -> int:
    """Drop what nothing refers to any more, and the history. Workers may go on meanwhile; packs run
    one at a time."""
    from p01.remote.storage.packing import pack as packDatabase

    # it logs a traceback of what we tell in a sentence
    logging.getLogger('ZODB.DB').addHandler(logging.NullHandler())
    app = loadApp(target)
    check(app, target, create=False)
    with database(app) as db:
        before, began = db.getSize(), time.monotonic()
        packDatabase(db, keep / DAY)
        taken, after, place = time.monotonic() - began, db.getSize(), placeOf(app)
    if asJson:
        printJson({'app': place, 'seconds': round(taken, 3), 'before': before, 'after': after})
    else:
        say(mark('completed', 'packed'),
            f' {place} in {span(taken)}: {size(before)} before, {size(after)} now')
    return 0
