# SPDX-License-Identifier: ZPL-2.1
"""Which transaction a snapshot shows, and changes that say whose they are."""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ZODB.Connection import Connection

from p01.remote.app import App
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.insides import storageOf
from p01.remote.storage.transactions import transact

Result = TypeVar('Result')


def tidOf(processor: RemoteProcessor) -> str:
    """The last transaction that a snapshot shows, in hexadecimal."""
    tid: bytes = storageOf(processor._p_jar).lastTransaction()
    return tid.hex()


def change(app: App, who: str, what: str, work: Callable[[RemoteProcessor], Result],
           face: str = 'dash') -> Result:
    """Do work(processor) in a transaction, again when it meets the workers. The transaction says
    who did it and what, for those who look at the history of the database."""
    def noted(connection: Connection) -> Result:
        current = connection.transaction_manager.get()
        current.user = who
        current.note(f'p01-remote {face}: {what}')
        return work(app.locate(connection))

    return transact(app.db, noted)
