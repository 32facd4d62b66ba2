# SPDX-License-Identifier: ZPL-2.1
"""From APP on the command line to an open App."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from p01.remote.app import App, loadApp
from p01.remote.exceptions import AddressError
from p01.remote.processor import RemoteProcessor
from p01.remote.storage import parse
from p01.remote.store.writer import systematic

UNITS = {'': 1.0, 's': 1.0, 'm': 60.0, 'min': 60.0, 'h': 3600.0, 'd': 86400.0}
BATCH = 100         # jobs changed in one transaction: small enough not to meet the workers all the time

Result = TypeVar('Result')


class Span(click.ParamType):
    """A duration: seconds, or a number with s, m, h or d."""

    name = 'duration'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of 90, 90s, 1.5m, 2h or 1d."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r'(-?\d+(?:\.\d*)?|-?\.\d+)\s*([a-z]*)', value.strip().lower())
        if found is None or found[2] not in UNITS:
            self.fail(f'{value!r} is no duration; write seconds, or a number with a unit: 90, 10m, 2h, 1d.', param, ctx)
        seconds = float(found[1]) * UNITS[found[2]]
        if seconds < 0:
            self.fail(f'{value!r} is negative; a duration is 0 or more.', param, ctx)
        return seconds


SPAN = Span()


@contextmanager
def opened(target: str, create: bool = False) -> Iterator[App]:
    """The App of a target, closed afterwards. A database that is not there is made only on request.

    Raises AddressError and RegistrationError with what to mend.
    """
    app = loadApp(target)
    check(app, target, create)
    try:
        yield app
    finally:
        app.close()


def check(app: App, target: str, create: bool) -> None:
    """Raises AddressError for a database that a command cannot share with others, or that is not there."""
    if not isinstance(app.database, str):
        return
    address = parse(app.database)
    if address.kind == 'memory':
        raise AddressError(f'{address.text} lives in one process only, so a command has nothing to look at; name a '
                           'database that several processes can open, such as sqlite:./jobs.')
    if create or address.path is None:
        return
    file = address.path / 'main.sqlite3' if address.kind == 'sqlite' else address.path
    if not file.exists():
        raise AddressError(f'There is no database at {address.text} yet; `p01-remote worker {target}` or an enqueued '
                           'job makes it.')


def placeOf(app: App) -> str:
    """Where an App's database is, safe to print."""
    return parse(app.database).text if isinstance(app.database, str) else repr(app.database)


def change(app: App, work: Callable[[RemoteProcessor], Result]) -> Result:
    """Do work(processor) in a transaction, again when it meets the workers."""
    return systematic(app.db, lambda connection: work(app.locate(connection)))


def each(app: App, jobids: list[int], verb: Callable[[RemoteProcessor, int], Result]) -> Iterator[tuple[int, Result]]:
    """Do verb(processor, jobid) for each job, in transactions of BATCH; gives what each returned, once committed."""
    for at in range(0, len(jobids), BATCH):
        batch = jobids[at:at + BATCH]
        yield from change(app, lambda processor, batch=batch:       # type: ignore[misc]
                          [(jobid, verb(processor, jobid)) for jobid in batch])
