# SPDX-License-Identifier: ZPL-2.1
"""p01-remote health: for the probes of containers."""
from __future__ import annotations

import time
from pathlib import Path

import click

from p01.remote.cli.argument import SPAN, Verb
from p01.remote.cli.terminal import mark, say
from p01.remote.options import SIGN, variable

FILE = variable('healthFile')
LONGESTSIGN = 100   # characters that are read of a file, which may be any
OLD = 30.0          # seconds after which a sign of life is too old


@click.command(cls=Verb)
@click.option('--file', 'path', envvar=FILE, metavar='PATH', required=True,
              help='The file that a worker was given as --health-file.')
@click.option('--max-age', 'oldest', type=SPAN, default=OLD, metavar='TIME',
              help='How old its last sign of life may be; default 30.')
def health(path: str, oldest: float) -> int:
    """Tell in one line whether the worker with this health file is well; with status 1 when it is
    not.

    It looks at the file alone, so that it is quick, and needs neither the application nor the
    database. Both the worker and this command read P01_REMOTE_HEALTH_FILE.
    """
    file = Path(path)
    try:
        age = abs(time.time() - file.stat().st_mtime)
        with file.open(errors='replace') as opened:
            text = opened.read(LONGESTSIGN).strip()
    except OSError:
        say(mark('error', 'not well'),
            f': there is no {path}; no worker works yet, or it has ended')
        return 1
    if not SIGN.fullmatch(text):
        say(mark('error', 'not well'), f': {path} is no health file of a worker')
        return 1
    if age > oldest:
        say(mark('error', 'not well'), f': the last sign of life is {age:.0f} s old; {text} then')
        return 1
    say(mark('completed', 'well'), f': {text}, {age:.0f} s ago')
    return 0
