# SPDX-License-Identifier: ZPL-2.1
"""The command p01-remote. Each group of verbs has a module; here are the list of them and the way
out of errors."""
from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import click

from p01.remote.cli.argument import Nouns
from p01.remote.cli.terminal import tell
from p01.remote.exceptions import TRACEVARIABLE, JobNotFound, UnknownSchedule, sentence
from p01.remote.ground import streams
from p01.remote.ground.foreign import interrupts
from p01.remote.ground.upstream import over
from p01.remote.ground.words import shown

# a job or check failed, or nothing was found; bad input; interrupted
FAILURE, WRONG, STOPPED = 1, 2, 130
# and their modules, in the order in which one meets them
VERBS = {'demo': 'demo.command', 'worker': 'cli.worker', 'enqueue': 'cli.enqueue',
         'jobs': 'cli.export', 'errors': 'cli.errors',
         'queues': 'cli.queues', 'schedules': 'cli.scheduling', 'workers': 'cli.workers',
         'status': 'cli.status', 'health': 'cli.health', 'top': 'cli.top', 'history': 'cli.history',
         'metrics': 'cli.metrics', 'audit': 'cli.audit',
         'shell': 'cli.shell', 'completion': 'cli.shell',
         'doctor': 'cli.doctor', 'dash': 'cli.dash', 'dev': 'cli.dash',
         'mcp': 'cli.mcp', 'pack': 'cli.pack', 'copy': 'cli.copy'}


class Verbs(Nouns):
    """Imports a verb when it is asked for: none pays for the others, least of all a supervisor."""

    @over(click.Group)
    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in their order, not by alphabet."""
        return list(VERBS)

    @over(click.Group)
    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb of this name."""
        if name not in VERBS:
            return None
        found: click.Command = getattr(import_module(f'p01.remote.{VERBS[name]}'), name)
        return found


def installed() -> str:
    """The version of the package; of a bare checkout nobody knows."""
    try:
        return version('p01.remote')
    except PackageNotFoundError:
        return '(not installed)'


@click.group(cls=Verbs, context_settings={'help_option_names': ['-h', '--help']}, epilog="""
APP is where the jobs are: module:attribute of an App, or an address such as sqlite:./jobs;
without it, P01_REMOTE_APP.
Exit status: 0 all well, 1 a job or a check failed or nothing was found, 2 bad input.
""")
@click.version_option(installed(), '--version', prog_name='p01-remote',
                      message='%(prog)s %(version)s')
def cli() -> None:
    """Durable background jobs that live in your object database and commit with your data."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status, which says what happened to the jobs, whoever
    listens or does not.

    Errors become one sentence on stderr, never a traceback.
    """
    streams.prepare()
    status = run(args)
    why = streams.finish()
    if why:
        tell(f'The output could not be written ({why}).', err=True)
    return status


def run(args: Sequence[str] | None) -> int:
    """Run the command, with streams that hold."""
    # it logs tracebacks of what we tell in a sentence
    logging.getLogger('relstorage').addHandler(logging.NullHandler())
    try:
        answer = cli.main(args=None if args is None else list(args), prog_name='p01-remote',
                          standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except click.exceptions.Abort:
        tell('Stopped.', err=True)
        return STOPPED
    except click.ClickException as error:
        error.show(sys.stderr)
        return WRONG
    except BaseException as error:
        # of whatever class: an application's code may raise SystemExit
        if os.environ.get(TRACEVARIABLE) or interrupts(error):
            raise
        tell(f'Error: {shown(sentence(error), None)}', err=True)
        return FAILURE if isinstance(error, JobNotFound | UnknownSchedule) else WRONG
