# SPDX-License-Identifier: ZPL-2.1
"""What app.transaction() gives: for `with`, and for `async with`, which opens and commits in other
threads.

The body of either runs where it stands. Of an event loop all that waits for the storage goes
elsewhere: the begin, the commit, the abort; what the body loads for the first time is loaded in the
event loop's thread.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, TypeVar, cast

from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote.engine.awaiting import Awaiting
from p01.remote.engine.context import Running, running
from p01.remote.exceptions import Interrupt
from p01.remote.front import block, scope
from p01.remote.front.manager import Lent
from p01.remote.storage.transactions import release

Result = TypeVar('Result')
Called = TypeVar('Called', bound=Callable[..., Any])
Kind = type[BaseException] | None


async def elsewhere(work: Callable[[], Result]) -> Result:
    """Do work in another thread. Who is cancelled meanwhile waits for its end: a commit is done, or
    it is not."""
    import asyncio  # here: who has no event loop needs none of it

    future = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: BaseException | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except (asyncio.CancelledError, Interrupt) as error:
            cancelled = error
    try:
        if cancelled is not None and future.exception() is None:
            raise cancelled
        return future.result()
    finally:
        # what they raise has this frame, which had them: a ring that only the collector ends, and
        # with it objects of the database, see storage.connection.Guarded.get
        del future, cancelled


class Transaction(AbstractContextManager[Any], AbstractAsyncContextManager[Any]):
    """A transaction of an App, or a part of the one around it. Above a function it is another one
    with each call."""

    def __init__(self, database: Callable[[], DB], independent: bool) -> None:
        self.database = database
        self.independent = independent
        self.entered: list[Any] = []

    def __call__(self, function: Called) -> Called:
        """The function, each call of it in a transaction."""
        def again() -> Transaction:
            return Transaction(self.database, self.independent)

        @wraps(function)
        def plain(*args: Any, **kwargs: Any) -> object:
            with again():
                return function(*args, **kwargs)

        @wraps(function)
        async def awaits(*args: Any, **kwargs: Any) -> object:
            async with again():
                return await function(*args, **kwargs)

        return cast(Called, awaits if iscoroutinefunction(function) else plain)

    def outer(self) -> Connection | None:
        """The connection of the transaction around this."""
        return None if self.independent else scope.inside(self.database())

    def __enter__(self) -> Any:
        """The root of the database."""
        outer = self.outer()
        inner = block.own(self.database()) if outer is None else block.part(outer)
        connection = inner.__enter__()
        self.entered.append(inner)
        return connection.root()

    def __exit__(self, kind: Kind, error: BaseException | None,
                 trace: TracebackType | None) -> bool | None:
        """Commit, or abort on an exception."""
        found: bool | None = self.entered.pop().__exit__(kind, error, trace)
        return found

    async def __aenter__(self) -> Any:
        """The root of the database."""
        outer = self.outer()
        if outer is not None:
            inner = ExitStack()
            connection = inner.enter_context(block.part(outer))
            self.entered.append(inner)
            return connection.root()
        found = Apart(await elsewhere(self.database))
        await found.open()
        self.entered.append(found)
        return found.connection.root()

    async def __aexit__(self, kind: Kind, error: BaseException | None,
                        trace: TracebackType | None) -> bool | None:
        """Commit, or abort on an exception."""
        inner = self.entered.pop()
        if isinstance(inner, Apart):
            await inner.close(error is None)
            return None
        found: bool | None = inner.__exit__(kind, error, trace)
        return found


class Apart:
    """A transaction of an event loop's task, with a connection of its own that others' awaits do
    not touch."""

    connection: Connection
    scope: scope.Scope

    def __init__(self, db: DB) -> None:
        self.db = db
        self.manager = Lent()
        self.job: Running | None = running.get()
        self.part = 0

    async def open(self) -> None:
        """Begin."""
        borrow = getattr(self.job, 'borrow', None)
        if borrow is not None:
            self.part = await borrow()
        opened: list[Connection] = []

        def begin() -> None:
            opened.append(self.db.open(self.manager))
            self.manager.begin()
            self.manager.lasting = True

        try:
            await elsewhere(begin)
        except BaseException:
            await self.end(opened)
            raise
        self.connection, = opened
        self.scope = scope.Scope(self.connection)
        self.scope.enter()
        if isinstance(self.job, Awaiting):
            block.fence(self.job, self.connection, self.manager, self.part)

    async def close(self, commits: bool) -> None:
        """Commit, or abort."""
        self.scope.leave()
        try:
            if commits:
                with block.explained(self.db):
                    await elsewhere(lambda: block.commit(self.manager))
        finally:
            await self.end([self.connection])

    async def end(self, opened: list[Connection]) -> None:
        """Give everything back."""
        try:
            for connection in opened:
                await elsewhere(partial(release, connection, self.manager))
        finally:
            if self.part and self.job is not None:
                self.job.giveBack(self.part)        # type: ignore[attr-defined]
