# SPDX-License-Identifier: ZPL-2.1
"""From the word APP to an open App."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import ZODB

from p01.remote.app import App
from p01.remote.engine.requests import asker
from p01.remote.exceptions import AddressError
from p01.remote.front.named import loadApp
from p01.remote.processor import RemoteProcessor
from p01.remote.storage import openDatabase, parse
from p01.remote.wire import commits

Result = TypeVar('Result')


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


@contextmanager
def database(app: App) -> Iterator[ZODB.DB]:
    """The database of an App alone, whatever processors it has."""
    db = openDatabase(app.database, **app.settings)
    try:
        yield db
    finally:
        if db is not app.database:
            db.close()


def check(app: App, target: str, create: bool) -> None:
    """Raises AddressError for a database that a command cannot share with others, or that is not
    there.

    Only where it may be made may a processor be added, too.
    """
    app.adds = create
    if not isinstance(app.database, str):
        return
    address = parse(app.database)
    if address.kind == 'memory':
        raise AddressError(f'{address.text} lives in one process only, so a command has nothing to '
                           'look at; name a database that several processes can open, such as '
                           'sqlite:./jobs.')
    if create or address.path is None:
        return
    file = address.path / 'main.sqlite3' if address.kind == 'sqlite' else address.path
    if not file.exists() and not address.path.is_file():        # which it wants a folder for
        raise AddressError(f'There is no database at {address.text} yet; `p01-remote worker '
                           f'{target}` or an enqueued job makes it.')


def placeOf(app: App) -> str:
    """Where an App's database is, safe to print."""
    return app.place


def change(app: App, what: str | Callable[[Result], str],
           work: Callable[[RemoteProcessor], Result]) -> Result:
    """Do work(processor) in a transaction that says what was done and by whom, again when it meets
    the workers; see commits.change."""
    return commits.change(app, asker(), what, work, 'cli')


def acted(app: App, what: str | Callable[[Result], str], work: Callable[[], Result]) -> Result:
    """Do work() in such a transaction, for what joins the one around it."""
    def signed(root: object) -> Result:
        result = work()
        text = commits.done(what, result)
        if text:
            commits.sign(app.processor, asker(), text, 'cli')
        return result

    return app.run(signed)
