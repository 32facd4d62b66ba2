# SPDX-License-Identifier: ZPL-2.1
"""p01-remote mcp."""
from __future__ import annotations

import signal
import sys

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import tell
from p01.remote.engine.requests import asker
from p01.remote.exceptions import InputError, RemoteError
from p01.remote.ground import streams
from p01.remote.ground.foreign import listed, short
from p01.remote.storage import hidden


@click.command(cls=Verb)
@appArgument
@click.option('--allow-actions', 'acts', is_flag=True,
              help='Let it retry, cancel, move, edit, delete and enqueue jobs, pause and resume '
                   'queues and schedules, and see what people did. Each action says first what it '
                   'would do.')
@click.option('--job', 'jobs', multiple=True, metavar='NAME',
              help='With --allow-actions: only this job may be enqueued; may be given again. '
                   'Default: all that APP defines.')
def mcp(target: str, acts: bool, jobs: tuple[str, ...]) -> int:
    """Serve an assistant over standard input and output, by the Model Context Protocol: it sees
    what runs, waits and fails, and why. It changes nothing, unless --allow-actions lets it.

    The client of the assistant starts this command; see docs/mcp.md.
    """
    try:
        from p01.remote.mcp.server import serve
    except ImportError as error:
        raise RemoteError('The server for assistants needs the package mcp, version 2; pip install '
                          '"p01.remote[mcp]" brings it.') from error
    from p01.remote.mcp.shapes import Desk
    from p01.remote.mcp.tokens import Tokens

    if jobs and not acts:
        raise click.UsageError('--job says which jobs may be enqueued; give --allow-actions, too.')
    if sys.stdin.isatty():
        tell('This speaks to the client of an assistant, by lines of JSON; Ctrl-C ends it.',
             err=True)
    # before the application is loaded, which may print what it likes
    source, sink = streams.apart()
    with opened(target) as app:
        unknown = [name for name in jobs if name not in app.jobs]
        if unknown:
            raise InputError(f'APP has no job {short(unknown[0])}; there are '
                             f'{listed(sorted(app.jobs)) or "none"}.')
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # a thread waits for the next line, which nothing else would end
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        serve(Desk(app, hidden(target), f'{asker()} (assistant)', acts,
                   frozenset(jobs or app.jobs), Tokens()), source, sink)
    return 0
