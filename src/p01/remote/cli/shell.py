# SPDX-License-Identifier: ZPL-2.1
"""p01-remote shell, and completion: what helps at the command line."""
from __future__ import annotations

import code
from contextlib import suppress

import click
import transaction
from click.shell_completion import get_completion_class

from p01.remote.cli.argument import Verb, appArgument
from p01.remote.cli.target import opened, placeOf
from p01.remote.cli.terminal import tell

SHELLS = 'bash', 'zsh', 'fish'
COMMAND, VARIABLE = 'p01-remote', '_P01_REMOTE_COMPLETE'


@click.command(cls=Verb)
@appArgument
@click.option('-c', 'line', metavar='CODE', help='Run this, and end.')
def shell(target: str, line: str | None) -> int:
    """Open a Python shell with the database at hand: app, processor, root and transaction.

    Nothing is kept that is not committed; transaction.begin() shows what others have committed
    since.
    """
    with opened(target) as app:
        connection = app.db.open()          # under the thread's own manager, as jobs' callers are
        try:
            names = {'app': app, 'processor': app.locate(connection), 'root': connection.root(),
                     'transaction': transaction}
            if line is not None:
                exec(compile(line, '<shell>', 'exec'), names)
            else:
                with suppress(ImportError):
                    import readline  # noqa: F401 - lines may be edited then
                code.interact(f'{placeOf(app)}: {", ".join(names)}', local=names, exitmsg='')
        finally:
            transaction.abort()
            connection.close()
    return 0


@click.command()
@click.argument('name', metavar='SHELL', type=click.Choice(SHELLS))
def completion(name: str) -> int:
    """Print what has a shell complete verbs, options and filters: bash, zsh or fish.

    \b
    bash:  p01-remote completion bash >> ~/.bashrc
    zsh:   p01-remote completion zsh >> ~/.zshrc
    fish:  p01-remote completion fish > ~/.config/fish/completions/p01-remote.fish
    """
    from p01.remote.cli import cli

    found = get_completion_class(name)
    assert found is not None
    tell(found(cli, {}, COMMAND, VARIABLE).source())
    return 0
