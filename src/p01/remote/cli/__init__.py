# SPDX-License-Identifier: ZPL-2.1
"""The command p01-remote. Each group of verbs has a module; here are the list of them and the way out of errors."""
from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import click
from transaction.interfaces import TransientError

from p01.remote import streams
from p01.remote.cli import changes, copy, demo, doctor, enqueue, pack, queues, status, worker
from p01.remote.cli.terminal import shown, tell
from p01.remote.exceptions import JobNotFound, RemoteError
from p01.remote.foreign import interrupts, reasonOf

FAILED, WRONG, STOPPED = 1, 2, 130      # a job or check failed, or nothing was found; bad input; interrupted
TRACE = 'P01_REMOTE_TRACE'              # in the environment: show tracebacks


class Verbs(click.Group):
    """Lists its verbs in the order in which one meets them, not by alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs as they were added."""
        return list(self.commands)


def installed() -> str:
    """The version of the package; of a bare checkout nobody knows."""
    try:
        return version('p01.remote')
    except PackageNotFoundError:
        return '(not installed)'


@click.group(cls=Verbs, context_settings={'help_option_names': ['-h', '--help']}, epilog="""
APP is where the jobs are: module:attribute of an App, or an address such as sqlite:./jobs; without it, P01_REMOTE_APP.
Exit status: 0 all well, 1 a job or a check failed or nothing was found, 2 bad input.
""")
@click.version_option(installed(), '--version', prog_name='p01-remote', message='%(prog)s %(version)s')
def cli() -> None:
    """Durable background jobs that live in your object database and commit with your data."""


for verb in (demo.demo, worker.worker, enqueue.enqueue, changes.jobs, queues.queues, status.status, doctor.doctor,
             pack.pack, copy.copy):
    cli.add_command(verb)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status, which says what happened to the jobs, whoever listens or does not.

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
        answer = cli.main(args=None if args is None else list(args), prog_name='p01-remote', standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except click.exceptions.Abort:
        tell('Stopped.', err=True)
        return STOPPED
    except click.ClickException as error:
        error.show(sys.stderr)
        return WRONG
    except BaseException as error:      # of whatever class: an application's code may raise SystemExit
        if os.environ.get(TRACE) or interrupts(error):
            raise
        tell(f'Error: {sentence(error)}', err=True)
        return FAILED if isinstance(error, JobNotFound) else WRONG


def sentence(error: BaseException) -> str:
    """What to tell about an error, in one line."""
    if isinstance(error, RemoteError):
        return shown(error, None)
    if isinstance(error, OSError):
        return shown(f'{error.filename}: {error.strerror}.' if error.filename and error.strerror else error, None)
    if isinstance(error, TransientError):
        return 'The database was changed by others again and again; try once more.'
    return shown(f'{reasonOf(error)} ({TRACE}=1 shows where)', None)

