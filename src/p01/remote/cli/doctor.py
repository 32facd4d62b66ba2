# SPDX-License-Identifier: ZPL-2.1
"""p01-remote doctor."""
from __future__ import annotations

import time
from collections.abc import Iterator

import click

from p01.remote.app import App
from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.target import check, placeOf
from p01.remote.cli.terminal import hung, jsonOption, printJson
from p01.remote.exceptions import AddressError, NoProcessor
from p01.remote.front.named import loadApp
from p01.remote.ground.foreign import Raised, guarded
from p01.remote.ground.words import shown, span
from p01.remote.views.health import HEALTHY, NOTABLE, UNWELL, Finding, findings, libraries

SIGNS = {HEALTHY: ('✔', 'green'), NOTABLE: ('▲', 'yellow'), UNWELL: ('✖', 'red')}
OPENS = 'Whether the database opens and takes a commit.'


@click.command(cls=Verb)
@appArgument
@jsonOption
def doctor(target: str, asJson: bool) -> int:
    """Check that all is well, and say what to do where it is not.

    Each check is good, worth a look, or wrong; exit status 1 when something is wrong.
    """
    app = loadApp(target)
    found = []
    try:
        for finding in examine(app, target):
            found.append(finding)
            if not asJson:
                sign, colour = SIGNS[finding.verdict]
                hung([(f'{sign} {finding.verdict:5}', colour), (f'  {finding.check:9} ', '')],
                     shown(finding.text, None))
    finally:
        app.close()
    if asJson:
        printJson([{'check': each.check, 'verdict': each.verdict, 'text': each.text,
                    'mend': each.mend}
                   for each in found])
    return 1 if any(finding.verdict == UNWELL for finding in found) else 0


def examine(app: App, target: str) -> Iterator[Finding]:
    """All checks, as far as they can be made: without a database none of the rest can. Raises
    AddressError without one."""
    there = guarded(check, app, target, create=False)
    if isinstance(there, Raised) and isinstance(there.error, AddressError):
        raise there.error
    yield Finding('address', OPENS, HEALTHY, placeOf(app))
    yield libraries()
    try:
        if isinstance(there, Raised):       # a folder without permission, say
            raise there.error
        began = time.monotonic()
        _ = app.db
        yield Finding('open', OPENS, HEALTHY, f'opens in {span(time.monotonic() - began)}')
        with app.transaction():
            # the same again: a commit that changes nothing
            app.processor.store.settings._p_changed = True
            began = time.monotonic()
        yield Finding('commit', OPENS, HEALTHY, f'commits in {span(time.monotonic() - began)}')
    except NoProcessor as error:
        yield Finding('processor', OPENS, NOTABLE, shown(error, None))
        return
    except Exception as error:      # storages raise what their libraries raise
        text = f'{error.filename}: {error.strerror}; check the folder and its permissions' \
            if isinstance(error, OSError) and error.filename \
            and error.strerror else shown(error, None)
        yield Finding('database', OPENS, UNWELL, text or type(error).__name__)
        return
    with app.reading() as processor:
        yield from findings(app, processor, target, time.time())
