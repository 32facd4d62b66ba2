# SPDX-License-Identifier: ZPL-2.1
"""p01-remote dash, dev."""
from __future__ import annotations

import logging
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from p01.remote.cli.argument import Verb, Whole, appArgument
from p01.remote.cli.target import opened
from p01.remote.cli.terminal import say
from p01.remote.exceptions import RemoteError
from p01.remote.ground.foreign import listed
from p01.remote.options import variable

if TYPE_CHECKING:
    from p01.remote.web.tokens import Admitted

NEEDED = 'flask', 'waitress'
LOOPBACK = ('localhost', '127.0.0.1', '::1')
PORT, SERVING = 8765, 4         # threads
LARGESTBODY = 2 << 20           # bytes of a request: more than is ever taken
# what each of them keeps in memory: pages look at the same jobs again and again
OBJECTSHELD, BYTESHELD = 10_000, 64 << 20


portOption = click.option('--port', type=Whole(0, 65535), default=PORT, show_default=True,
                          metavar='N', help='0 for any that is free.')
# never on the command line, where others on the computer see it
apiOption = click.option('--api-file', 'tokens', metavar='FILE', envvar=variable('apiFile'),
                         type=click.Path(exists=True, dir_okay=False),
                         help='Whom to let in to /api/v1 and /metrics by tokens, see docs/api.md.')
openOption = click.option('--open', 'browse', is_flag=True, help='Open it in a browser.')


@click.command(cls=Verb)
@appArgument
@click.option('--host', type=click.Choice(LOOPBACK), default=LOOPBACK[1], show_default=True,
              help='Of this computer alone; to serve others, mount p01.remote.web.wsgi behind '
                   'your own users.')
@portOption
@openOption
@apiOption
@click.option('--create', is_flag=True, help='Make the database where there is none yet.')
def dash(target: str, host: str, port: int, browse: bool, tokens: str | None,
         create: bool) -> int:
    """Serve the dashboard until Ctrl-C: what runs, waits and fails, and what to do about it.

    The address that it prints lets one browser in, and is followed by another one when it was used.
    """
    return serve(target, host, port, browse, create, admittedOf(tokens))


@click.command(cls=Verb)
@appArgument
@portOption
@openOption
@apiOption
@click.option('--threads', type=Whole(1), default=4, show_default=True, metavar='N',
              help='Jobs at once.')
def dev(target: str, port: int, browse: bool, tokens: str | None, threads: int) -> int:
    """Run all of it in one terminal, for who writes jobs: a worker that begins anew when its source
    changes, the schedules, and the dashboard; until Ctrl-C.

    A database that is not there is made.
    """
    words = [sys.executable, '-m', 'p01.remote.cli', 'worker', target, '--reload', '--verbose',
             '--threads', str(threads)]
    return serve(target, LOOPBACK[1], port, browse, True, admittedOf(tokens),
                 partial(working, words))


@contextmanager
def working(words: Sequence[str]) -> Iterator[None]:
    """With a worker that this command starts, and which ends with us."""
    # so that it never outlives us
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # it hears of an end from us alone: from the terminal as well would be twice, which is a hurry
    with subprocess.Popen(words, process_group=0) as worker:
        try:
            yield
        finally:
            worker.terminate()
            try:
                worker.wait()
            except KeyboardInterrupt:
                worker.terminate()


def checkExtra() -> None:
    """Raises RemoteError where the extra is not installed."""
    if not all(map(find_spec, NEEDED)):
        raise RemoteError('The dashboard needs Flask and waitress; pip install "p01.remote[dash]" '
                          'brings them.')


def admittedOf(path: str | None) -> Admitted | None:
    """Whom a file of tokens lets in; None without one. Raises RemoteError, InputError."""
    checkExtra()
    if path is None:
        return None
    from p01.remote.web.tokens import admittedBy
    return admittedBy(path)


def serve(target: str, host: str, port: int, browse: bool, create: bool,
          admitted: Admitted | None = None,
          beside: Callable[[], AbstractContextManager[None]] = nullcontext) -> int:
    """Serve the dashboard until somebody ends it, within what goes on beside it. Raises RemoteError
    for a port that is taken."""
    from waitress import create_server as serverOf

    from p01.remote.web import Sessions, api, wsgi
    callers, jobs, scrapers = admitted or ({}, (), ())
    logging.getLogger('waitress').setLevel(logging.ERROR)
    with opened(target, create) as app:
        app.db.setCacheSize(OBJECTSHELD)
        app.db.setCacheSizeBytes(BYTESHELD)
        sessions = Sessions(lambda token: say('Somebody came in; for another browser: ',
                                              (addressWith(token), 'bold')))
        site = wsgi(app, target=target, sessions=sessions, hosts=LOOPBACK,
                    api=api.wsgi(app, callers, jobs) if callers else None, scrapers=scrapers)
        try:
            server = serverOf(site, host=host, port=port, threads=SERVING, ident=None,
                              max_request_body_size=LARGESTBODY)
        except OSError as error:
            raise RemoteError(f'Nothing can be served at {host}:{port} ({error.strerror or error});'
                              ' choose another --port, or 0 for any that is free.') from error
        shown = f'[{host}]' if ':' in host else host

        address = f'http://{shown}:{server.effective_port}/'

        def addressWith(token: str) -> str:
            return f'{address}?token={token}'

        say('The dashboard is at ', (addressWith(sessions.token), 'bold'))
        if callers:
            say(f'The API is at {address}api/v1, for '
                f'{listed(caller.name for caller in callers.values())}')
        if browse:
            webbrowser.open(addressWith(sessions.token))
        try:
            with beside():
                server.run()
        finally:
            server.close()
    return 0
