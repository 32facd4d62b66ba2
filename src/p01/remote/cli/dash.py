# SPDX-License-Identifier: ZPL-2.1
"""p01-remote dash."""
from __future__ import annotations

import logging
import webbrowser

import click

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import say
from p01.remote.exceptions import RemoteError

LOOPBACK = ('localhost', '127.0.0.1', '::1')
PORT, SERVING = 8765, 4         # threads
# what each of them keeps in memory: pages look at the same jobs again and again
OBJECTSHELD, BYTESHELD = 10_000, 64 << 20


@click.command(cls=Verb)
@appArgument
@click.option('--host', type=click.Choice(LOOPBACK), default=LOOPBACK[1], show_default=True,
              help='Of this computer alone; to serve others, mount p01.remote.web.wsgi behind '
                   'your own users.')
@click.option('--port', type=click.IntRange(0, 65535), default=PORT, show_default=True,
              metavar='N', help='0 for any that is free.')
@click.option('--open', 'browse', is_flag=True, help='Open it in a browser.')
@click.option('--create', is_flag=True, help='Make the database where there is none yet.')
def dash(target: str, host: str, port: int, browse: bool, create: bool) -> int:
    """Serve the dashboard until Ctrl-C: what runs, waits and fails, and what to do about it.

    The address that it prints lets one browser in, and is followed by another one when it was used.
    """
    try:
        from waitress import create_server as serverOf

        from p01.remote.web import Sessions, wsgi
    except ImportError as error:
        raise RemoteError('The dashboard needs Flask and waitress; pip install "p01.remote[dash]" '
                          'brings them.') from error
    logging.getLogger('waitress').setLevel(logging.ERROR)
    with opened(target, create) as app:
        app.db.setCacheSize(OBJECTSHELD)
        app.db.setCacheSizeBytes(BYTESHELD)
        sessions = Sessions(lambda token: say('Somebody came in; for another browser: ',
                                              (addressWith(token), 'bold')))
        site = wsgi(app, target=target, sessions=sessions, hosts=LOOPBACK)
        try:
            server = serverOf(site, host=host, port=port, threads=SERVING, ident=None)
        except OSError as error:
            raise RemoteError(f'Nothing can be served at {host}:{port} ({error.strerror or error});'
                              ' choose another --port, or 0 for any that is free.') from error
        shown = f'[{host}]' if ':' in host else host

        def addressWith(token: str) -> str:
            return f'http://{shown}:{server.effective_port}/?token={token}'

        say('The dashboard is at ', (addressWith(sessions.token), 'bold'))
        if browse:
            webbrowser.open(addressWith(sessions.token))
        try:
            server.run()
        finally:
            server.close()
    return 0
