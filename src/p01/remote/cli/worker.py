# SPDX-License-Identifier: ZPL-2.1
"""p01-remote worker."""
from __future__ import annotations

import time
from typing import Any

import click

from p01.remote.cli.argument import SPAN, Verb, appArgument
from p01.remote.cli.terminal import jsonOption, mark, printJson, say
from p01.remote.engine import loglines
from p01.remote.engine.supervisor import Supervisor
from p01.remote.ground.checks import EXECUTORS
from p01.remote.ground.foreign import listed
from p01.remote.ground.words import ago, count, shown
from p01.remote.options import FORMATS, LEVELS, WorkerOptions
from p01.remote.views.leftovers import Left


@click.command(cls=Verb)
@appArgument
@click.option('--processes', type=int, metavar='N', help='Worker processes; default 1.')
@click.option('--threads', type=int, metavar='N', help='Threads in each of them; default 1.')
@click.option('--concurrency', type=int, metavar='N',
              help='Jobs at once that are an async def, beside each thread; default 100.')
@click.option('--queue', 'queues', multiple=True, metavar='NAME[=WEIGHT]',
              help='Only this queue; may be given again: then an earlier one is always before a '
                   'later one, or each has a share by its weight.')
@click.option('--lease', type=SPAN, metavar='TIME',
              help='A worker of another host, silent so long, is dead; default 60.')
@click.option('--wait-time', 'waitTime', type=SPAN, metavar='TIME',
              help='Between two looks for jobs; default 1.')
@click.option('--drain', is_flag=True, default=None, help='End when nothing is due any more.')
@click.option('--together', is_flag=True, default=None,
              help='Jobs that change something share commits, up to 50 ms of work.')
@click.option('--grace', type=SPAN, metavar='TIME',
              help='For running jobs to end, when it is told to stop; default 30.')
@click.option('--max-jobs', 'maxJobs', type=int, metavar='N',
              help='A process that has run so many is replaced, after its running jobs; default 0, '
                   'never.')
@click.option('--max-memory', 'maxMemory', metavar='SIZE',
              help='So is one that takes so much after a job, such as 300MB; default 0, never.')
@click.option('--reload', is_flag=True, default=None,
              help='Processes are replaced when the source of the application changes; for '
                   'development.')
@click.option('--executor', type=click.Choice(EXECUTORS),
              help="Where detached jobs run that do not say it; default: in the worker's thread.")
@click.option('--slots', type=int, metavar='N',
              help='Jobs at once on an executor, beside each thread; default 0, one a core.')
@click.option('--dask', metavar='ADDRESS',
              help='Detached jobs run on the Dask cluster of this scheduler, tcp://host:8786.')
@click.option('-v', '--verbose', is_flag=True,
              help='As --log-level info: a line for each job that is done, too.')
@click.option('--log-level', 'logLevel', type=click.Choice(LEVELS),
              help='Log lines from this level on; default: what jobs say from info on, and '
                   'warnings of all others.')
@click.option('--log-format', 'logFormat', type=click.Choice(FORMATS),
              help='Log lines as text, or as JSON with a record for each state edge of a job; '
                   'default text.')
@click.option('--health-file', 'healthFile', metavar='PATH',
              help='A file that is touched as long as all processes live and work; for '
                   '`p01-remote health`.')
@jsonOption
def worker(target: str, queues: tuple[str, ...], verbose: bool, logLevel: str | None, asJson: bool,
           **given: Any) -> int:
    """Process jobs until TERM, HUP or Ctrl-C; running jobs get --grace to end. A second signal ends
    them now; they run again.

    --drain ends when nothing is due any more, and says what is left; with status 1 when that could
    run now, since it was stopped before or its queue is paused.

    A process that dies is replaced, and its jobs go to the others. Every option may stand in the
    environment, as P01_REMOTE_PROCESSES and so on.
    """
    options = WorkerOptions.read(queues=queues or None,
                                 logLevel=logLevel or ('info' if verbose else None), **given)
    loglines.begin(options.logLevel, form=options.logFormat)
    supervisor = Supervisor(target, options)

    def begun() -> None:
        if not asJson:
            ends = 'ends when nothing is due' if options.drain \
                else 'Ctrl-C ends it after the running jobs'
            say(mark('processing', count(options.processes, 'worker process', 'es')),
                f' with {count(options.threads, "thread")} on {supervisor.place}',
                f', {queuesOf(options)}' if options.queues else '', (f'  ({ends})', 'dim'))

    answer = supervisor.run(begun)
    if asJson:
        printJson({'app': supervisor.place, 'processes': options.processes,
                   'restarts': supervisor.restarts, 'recycled': supervisor.recycled,
                   'status': answer,
                   'left': None if supervisor.left is None else supervisor.left._asdict()})
    else:
        say(mark('completed', 'ended') if answer == 0
            else mark('error', f'ended with status {answer}'),
            f': {shown(supervisor.starts.reason, None)}' if supervisor.starts.reason else '',
            f'; {count(supervisor.restarts, "process", "es")} had to be replaced'
            if supervisor.restarts else '')
        left = '' if supervisor.left is None else told(supervisor.left, time.time())
        if left:
            say(mark('warning', 'left'), f': {left}')
    return answer


def queuesOf(options: WorkerOptions) -> str:
    """The queues of workers in words."""
    if options.weights:
        return 'queues ' + ', '.join(f'{shown(queue, 40)} ({weight})' for queue, weight
                                     in zip(options.queues, options.weights, strict=True))
    names = ', then '.join(shown(queue, 40) for queue in options.queues)
    return f'queue{"s" * (len(options.queues) > 1)} {names}'


def told(left: Left, now: float) -> str:
    """What a drain has left in words; '' when that is nothing."""
    parts = []
    if left.due:
        parts.append(f'{left.due:,} due')
    if left.elsewhere:
        parts.append(f'{left.elsewhere:,} in the hands of other workers')
    for kind, queues in (('paused', left.paused), ('not served here', left.unserved)):
        if queues:
            names = listed(shown(queue, 40) for queue in sorted(queues))
            parts.append(f'{sum(queues.values()):,} in queues that are {kind} ({names})')
    if left.delayed:
        when = f', the next {ago(left.next, now)}' if left.next is not None else ''
        parts.append(f'{left.delayed:,} delayed or to be repeated{when}')
    return '; '.join(parts)
