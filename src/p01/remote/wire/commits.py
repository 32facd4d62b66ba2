# SPDX-License-Identifier: ZPL-2.1
"""Which transaction a snapshot shows, and changes that say whose they are."""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ZODB.Connection import Connection

from p01.remote import verbs
from p01.remote.app import App
from p01.remote.ground import clocks
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.insides import storageOf
from p01.remote.storage.transactions import transact
from p01.remote.store.audit import Line

Result = TypeVar('Result')


def tidOf(processor: RemoteProcessor) -> str:
    """The last transaction that a snapshot shows, in hexadecimal."""
    tid: bytes = storageOf(processor._p_jar).lastTransaction()
    return tid.hex()


def sign(processor: RemoteProcessor, who: str, what: str, face: str, kept: bool = True) -> None:
    """Say who does what in this transaction, to storages that keep it, and in the database for who
    looks at what people do. kept: whether the latter, too."""
    current = processor._p_jar.transaction_manager.get()
    current.user = who
    current.note(f'p01-remote {face}: {what}')
    if kept:
        verbs.note(processor.store, Line(clocks.now(), who, face, what))


def done(what: str | Callable[[Result], str], result: Result) -> str:
    """What was done, see change."""
    if not isinstance(what, str):
        return what(result)
    return '' if result is False else what


def change(app: App, who: str, what: str | Callable[[Result], str],
           work: Callable[[RemoteProcessor], Result], face: str = 'dash',
           kept: bool = True) -> Result:
    """Do work(processor) in a transaction that says who did it and what, again when it meets the
    workers. what: or of what work returned, '' where nothing was done, as where it returned False;
    kept: see sign."""
    def signed(connection: Connection) -> Result:
        processor = app.locate(connection)
        result = work(processor)
        text = done(what, result)
        if text:
            sign(processor, who, text, face, kept)
        return result

    return transact(app.db, signed)
