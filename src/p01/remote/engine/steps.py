# SPDX-License-Identifier: ZPL-2.1
"""The steps of a coroutine, from one await to the next: who watches it knows which job holds the
event loop."""
from __future__ import annotations

import sys
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any

import transaction

from p01.remote.engine.awaiting import Awaiting
from p01.remote.exceptions import TransactionOver
from p01.remote.ground import fork
from p01.remote.storage.transactions import begun, joined

INBLOCK = ('This job awaits within `with app.transaction():`, and others would run in its thread '
           'meanwhile; write `async with app.transaction():`, or await behind the block.')
HASCHANGES = ("This job awaits while the thread's transaction has changes, which the next job in "
              'this thread would find; commit or abort first, or make the changes within `async '
              'with app.transaction():`.')


@coroutine
def steps(work: Coroutine[Any, Any, Any], job: Awaiting) -> Generator[Any, Any, Any]:
    """What a coroutine of a job returns, for await. A step that leaves a transaction of its thread
    open is refused at its await."""
    begin, end, mark = job.begin, job.end, fork.mark
    value: Any = None
    wanted: Any
    error: BaseException | None = None
    while True:
        begin()
        given, wanted, error = error, None, None
        try:
            wanted = work.send(value) if given is None else work.throw(given)
        except StopIteration as done:
            return done.value
        finally:
            # an error has this frame, and what was awaited has the error: a ring that only the
            # collector ends, see storage.connection.Guarded.get
            given = None
            if fork.mark is not mark:       # the event loop is that of the parent
                fork.end(sys.exception(), f'job {job.task.id} {job.task.record.name}')
            end()
        value, error = None, refusal(job)
        if error is None:
            try:
                value = yield wanted
            # CancelledError, and GeneratorExit from an event loop that ends
            except BaseException as raised:
                error = (job.instead(raised) if job.softened else raised).with_traceback(None)
                # it comes to stand where the job does


def refusal(job: Awaiting) -> TransactionOver | None:
    """Why a job may not await now; a transaction of the thread that has changed nothing is
    ended."""
    if job.blocks:
        return TransactionOver(INBLOCK)
    current = begun(transaction.manager)
    if current is None:
        return None
    changed = joined(current)
    current.abort()
    return TransactionOver(HASCHANGES) if changed else None
