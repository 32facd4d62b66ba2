# SPDX-License-Identifier: ZPL-2.1
"""p01-remote copy."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from p01.remote.app import App
from p01.remote.cli.target import check, database, placeOf
from p01.remote.cli.terminal import console, isLive, jsonOption, mark, printJson, say, styled
from p01.remote.engine.death import isDead
from p01.remote.exceptions import CopyFailed
from p01.remote.front.named import loadApp
from p01.remote.ground import blackbox
from p01.remote.ground.words import count, labelOf, size, span
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.address import parse
from p01.remote.store.store import Store


@click.command()
@click.argument('source', metavar='FROM')
@click.argument('target', metavar='TO')
@click.option('--force', is_flag=True, help='Copy although workers seem to be at work on FROM.')
@jsonOption
def copy(source: str, target: str, force: bool, asJson: bool) -> int:
    """Copy a whole database to an empty one, of any kind: jobs, schedules, your objects.

    Stop the workers and the application first. Every object is read back and compared, and every
    job again by a checksum. Exit status 1 when FROM has changed meanwhile.
    """
    from p01.remote.storage.copying import Snapshot, compare
    from p01.remote.storage.copying import copy as copyAll
    from p01.remote.views.checksum import same

    fromApp, toApp = whole(source), whole(target)
    fromPlace, toPlace = placeOf(fromApp), placeOf(toApp)
    check(fromApp, source, False)
    check(toApp, target, True)
    if fromPlace == toPlace:
        raise CopyFailed(f'{fromPlace} cannot be copied to itself; name an empty database.')
    with database(fromApp) as here, database(toApp) as there:
        began = time.monotonic()
        with Snapshot(here) as old, meter(asJson) as told:

            def idle(oids: list[bytes]) -> None:
                if not force:
                    refuse([old.connection.get(oid) for oid in oids], fromPlace)

            idle([each.store._p_oid for each in old.connection.root().values()
                  if isinstance(each, RemoteProcessor)])
            done = copyAll(old, there, (Store.__module__, Store.__name__), idle, told)
            taken = time.monotonic() - began
            with Snapshot(there) as new:
                compare(old, new, done.oids, told)
                found = [same(old.connection.get(oid), new.connection.get(oid), told)
                         for oid in done.wanted]
            changed = old.changed()
    said = {'from': fromPlace, 'to': toPlace, 'objects': done.objects, 'bytes': done.size,
            'seconds': round(taken, 3), 'processors': [each._asdict() for each in found],
            'changed': changed}
    if asJson:
        printJson(said)
    else:
        report(said)
    return 1 if changed else 0


def whole(target: str) -> App:
    """The App whose database is meant. Raises CopyFailed where one of its processors is named."""
    app = loadApp(target)
    if '#' in target and isinstance(app.database, str) and parse(app.database).processor:
        raise CopyFailed(f'{target} names a processor, but whole databases are copied; leave out '
                         'what follows the #.')
    return app


def refuse(stores: list[Store], place: str) -> None:
    """Raises CopyFailed when a worker is alive: what it works on would be done here and there."""
    names = sorted({labelOf(seat.name) for store in stores for _, seat in store.workers()
                    if not isDead(seat, blackbox.HOST, time.time())})
    if names:
        raise CopyFailed(f'{count(len(names), "worker")} ({", ".join(names)}) may still be at work '
                         f'on {place}; stop them first, or give --force if they are gone for good.')


def report(said: dict[str, Any]) -> None:
    """Tell what was copied."""
    say(mark('completed', 'copied'),
        f' {count(said["objects"], "object")} ({size(said["bytes"])}) from {said["from"]} to '
        f'{said["to"]} in {span(said["seconds"])}; each was read back and is the same')
    for jobs in said['processors']:
        say(mark('completed', count(jobs['number'], 'job')), ' compared: ', stati(jobs['counts']),
            f'; checksum {jobs["checksum"]}')
    if said['changed']:
        say(mark('warning', f'{said["from"]} has changed since'),
            '; the copy lacks that: stop what writes there, and copy into a new database')


def stati(counts: dict[str, dict[str, int]]) -> str:
    """How many jobs have which status."""
    total: dict[str, int] = {}
    for queue in counts.values():
        for status, number in queue.items():
            total[status] = total.get(status, 0) + number
    return ', '.join(f'{number:,} {status}' for status, number in total.items()) or 'none'


@contextmanager
def meter(quiet: bool) -> Iterator[Any]:
    """Tells how far it is: told(verb, number), on a terminal in place, elsewhere a line now and
    then."""
    last = [time.monotonic()]
    every = 0.1 if isLive() else 2.0

    def told(verb: str, number: int) -> None:
        if number % 100 == 0 and time.monotonic() - last[0] >= every:
            last[0] = time.monotonic()
            line = f'{number:,} {"" if "jobs" in verb else "objects "}{verb}'
            if shown is not None:
                shown.update(styled(line))
            else:
                say(line)

    if quiet:
        yield lambda verb, number: None
    elif isLive():
        with console().status('') as shown:
            yield told
    else:
        shown = None
        yield told
