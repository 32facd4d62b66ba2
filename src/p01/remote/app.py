# SPDX-License-Identifier: ZPL-2.1
"""The front: App, @app.job, handles. Everything here ends in the component's processJob and
getJob."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, Unpack, cast, overload

from transaction.interfaces import TransientError
from ZODB.Connection import Connection
from ZODB.DB import DB

from p01.remote import storage
from p01.remote.clock.settings import Timing
from p01.remote.engine.declaring import Declared
from p01.remote.engine.loop import Loop
from p01.remote.engine.migration import migrate
from p01.remote.exceptions import InputError, RegistrationError
from p01.remote.front import block, scope
from p01.remote.front.awaited import Transaction
from p01.remote.front.home import Home
from p01.remote.front.hooks import Hooked, Hooks
from p01.remote.front.opening import Opening
from p01.remote.front.registration import apart, decorated, pathOf, sharing
from p01.remote.front.schedules import Schedules, declared, declaringOf
from p01.remote.function import JobChoice, JobFunction, Output, P, refuse
from p01.remote.ground import checks
from p01.remote.handle import Handle
from p01.remote.job import FunctionJob
from p01.remote.options import CONFLICTS, DEFAULTQUEUE, Policy, Span, WorkerOptions
from p01.remote.processor import RemoteProcessor
from p01.remote.storage.connection import idle
from p01.remote.storage.insides import pocketOf
from p01.remote.storage.transactions import begun, opened, pause, transact

BACKOFF = 1.0           # seconds; the default of @app.job
RUNTRIES = 10              # of app.run
Result = TypeVar('Result')


class App(Hooked):
    """An application's job queue in a database: an address, or an open ZODB.DB.

    The database is opened, and the processor added to it, on first use; the path in an address is
    that of now, wherever the process goes later. name is the processor's name in the root.
    processor is the path of one that is there already, as in Zope: /Plone/remote; an address may
    name it as well, after a #. A database that has other processors gets none without a name.
    autocommit=False has each enqueue join the thread's transaction when there is no other, instead
    of being one of its own. carry: context variables whose values travel from who enqueues to the
    job. settings are ZODB.DB's own: pool_size, cache_size … Raises
    AddressError, InputError.
    """

    # whether a processor may be added, or brought forward; the command says no where it only looks
    adds = True

    def __init__(self, database: str | DB = 'sqlite:./jobs', *, name: str | None = None,
                 processor: str = '', autocommit: bool = True,
                 carry: Iterable[ContextVar[Any]] = (), **settings: Any) -> None:
        storage.check(settings, 'App')
        self.settings = settings
        self.hooks = Hooks(carry)
        self.jobs: dict[str, JobFunction[..., Any]] = {}
        self.declared: dict[str, Declared] = {}         # schedules
        # where a connection keeps the processor, so that both go together
        self._near = f'p01.remote.near.{id(self)}'
        self._opening = Opening(database, settings)
        self.home = Home(None if name is None else checks.nameOf(name, 'name'),
                         checks.nameOf(processor, 'processor') if processor != ''
                         else self._opening.processor)
        self.name = self.home.name
        self.autocommit = checks.flagOf(autocommit, 'autocommit')
        if self._opening.address is None:
            # now, since a transaction that has begun before would not see the queue
            self.open()

    @property
    def database(self) -> str | DB:
        """The address, or the database that was given open; setting another one closes this one."""
        return self._opening.given

    @database.setter
    def database(self, database: str | DB) -> None:
        self.close()
        self._opening = Opening(database, self.settings)

    @property
    def db(self) -> DB:
        """The open database."""
        return self._opening.db if self._opening.db is not None else self.open()

    def open(self) -> DB:
        """Open the database, unless it is open.

        Raises AddressError, NewerDatabase, NoProcessor, OldProcessor, and RemoteError in some
        forked children.
        """
        return self._opening.open(self._install)

    def move(self, opening: Opening, home: Home) -> tuple[Opening, Home]:
        """Have another database, and place in it; returns those of before, left as they are."""
        before = self._opening, self.home
        self._opening, self.home = opening, home
        return before

    def _install(self, db: DB) -> None:
        home, oid = transact(db, lambda connection: self.home.install(connection, self.place,
                                                                      self.adds))
        if self.adds:
            migrate(home, oid)

    @property
    def place(self) -> str:
        """Where the database is, safe to print."""
        return self._opening.place

    def locate(self, connection: Connection) -> RemoteProcessor:
        """The processor in a connection. Raises RemoteError."""
        idle(connection)
        return self.home.locate(connection)

    # -- transactions

    def transaction(self, *, independent: bool = False) -> Transaction:
        """A transaction; gives the root of the database. Commits at the end, or aborts on an
        exception, which it passes on.

        Within a job, another app.transaction() or app.within() of the same database it is a part of
        that one: an exception takes the part back, all else is the outer one's. independent says
        that it is one of its own, even there.

        `async with` does the same on an event loop: it begins and commits in other threads, with a
        connection of its own, so that the code within may await. What that code loads, it loads in
        its own thread.
        """
        return Transaction(lambda: self.db, independent)

    @contextmanager
    def within(self, what: Any) -> Iterator[Any]:
        """Have what is called within join the transaction of an open connection of ZODB, or of a
        transaction manager; gives the root of the database. For those whose manager is not the
        thread's, such as request.tm. Raises TransactionOver."""
        with block.within(self.db, what) as connection:
            yield connection.root()

    def run(self, function: Callable[[Any], Result], *, tries: int = RUNTRIES) -> Result:
        """Call function(root) in a transaction, all of it again after a conflict, with growing
        pauses; returns what it returns.

        Raises the last conflict after so many tries. Within another transaction of this database it
        runs once: only all of that one can be repeated.
        """
        alone = scope.inside(self.db) is None
        for tried in range(tries):
            try:
                with self.transaction() as root:
                    return function(root)
            except TransientError:
                if not alone or tried == tries - 1:
                    raise
                pause(tried)
        raise AssertionError('unreachable')

    def joined(self) -> Connection | None:
        """The connection of the transaction around the caller; None when there is none, and an
        enqueue is one of its own."""
        return scope.around(self.db) if self.autocommit else scope.always(self.db)

    def near(self, connection: Connection) -> RemoteProcessor:
        """The processor in a connection, looked up once a transaction. Raises RemoteError."""
        idle(connection)
        kept, current = pocketOf(connection).get(self._near), begun(connection.transaction_manager)
        if kept is None or kept[0]() is not current or current is None:
            current = weakref.ref(connection.transaction_manager.get())
            kept = pocketOf(connection)[self._near] = current, self.locate(connection)
        processor: RemoteProcessor = kept[1]
        return processor

    def connection(self) -> Connection:
        """The connection of the current transaction: of app.transaction(), of the running job, or
        of the thread, whose transaction this begins if need be."""
        return scope.always(self.db)

    @property
    def processor(self) -> RemoteProcessor:
        """The processor, in the current transaction; what is changed there is committed with it."""
        return self.locate(self.connection())

    @contextmanager
    def reading(self) -> Iterator[RemoteProcessor]:
        """The processor as of now, in a short transaction that is aborted."""
        with opened(self.db) as connection:
            yield self.locate(connection)

    # -- jobs

    @overload
    def job(self, function: Callable[P, Output], /) -> JobFunction[P, Output]: ...

    @overload
    def job(self, /,
            **options: Unpack[JobChoice]) -> Callable[[Callable[P, Output]],
                                                      JobFunction[P, Output]]: ...

    def job(self, function: Any = None, /, *, name: str | None = None, queue: str = DEFAULTQUEUE,
            priority: int = 0, retries: int = 3, backoff: Span = BACKOFF,
            timeout: Span | None = None,
            final: tuple[type[BaseException], ...] = (), conflicts: int = CONFLICTS,
            deaths: int | None = None, detached: bool = False, together: bool = False,
            capture: bool = False, soft: Span | None = None, executor: str = '', **unknown: Any
            ) -> Any:
        """Make a function a job, as @app.job or @app.job(queue='mail', retries=5, timeout=30); see
        options.Policy, and IJob for detached, executor, together and capture.

        The function stays callable. Raises RegistrationError for what cannot be a job, InputError
        for options.
        """
        refuse(unknown)
        queue, priority = checks.nameOf(queue, 'queue'), checks.priorityOf(priority)
        checks.flagOf(capture, 'capture')
        detached, executor = apart(detached, together, executor)
        name = None if name is None else checks.nameOf(name, 'name')
        policy = Policy(retries=retries, backoff=backoff, timeout=timeout, final=final,
                        conflicts=conflicts, deaths=deaths, soft=soft)

        def register(function: Callable[P, Output]) -> JobFunction[P, Output]:
            function = cast(Callable[P, Output], decorated(function))
            path = pathOf(function)
            prototype = FunctionJob(path)
            prototype.policy, prototype.queue = policy, queue
            prototype.detached, prototype.capture = detached, capture
            prototype.together = sharing(function, path, together, executor)
            prototype.executor = executor
            made = JobFunction(self, name or path, function, prototype, {'priority': priority})
            known = self.jobs.get(made.name)
            if known is not None and known.prototype.path != path:
                raise RegistrationError(f'{known.prototype.path} is registered as {made.name!r} '
                                        f'already; give {path} another name.')
            self.jobs[made.name] = made
            return made

        return register if function is None else register(function)

    def schedule(self, cron: str | None = None, /, *, name: str | None = None,
                 args: Iterable[Any] = (),
                 kwargs: Mapping[str, Any] | None = None,
                 **timing: Unpack[Timing]) -> Callable[[Callable[P, Output]],
                                                       JobFunction[P, Output]]:
        """Have a job enqueued by the clock, as @app.schedule('0 8 * * MON-FRI',
        tz='Europe/Zurich'); above @app.job, or instead of it.

        When: a crontab line of five fields, or of six that begin with seconds, or a word like
        @daily, or its fields as minute=(0, 30), hour=8; or every='15m', counted from midnight UTC,
        with aligned=False from start, or from when it was first declared; or delay='10m' after the
        last time; or once, at an aware datetime. tz is the zone of a crontab line. From start until
        end, both included; jitter: up to so much later, the same for each tick wherever it is
        asked.

        missed: of ticks that passed while nobody worked, one job stands for all ('one'), or each
        has one ('all', the last 100, or the last so many), or none has ('none'). overlap: while the
        job before waits or runs, 'skip' the tick, 'queue' another one, or 'cancel' the one
        before.

        Several may stand above one function, each with args and kwargs, queue, priority and a name
        of its own; the first one has the job's name. Workers bring the database in step with what
        is declared. Raises InputError, ArgumentsError.
        """
        made: Any = declared(self, cron, name, args, kwargs, dict(timing))
        return made

    @property
    def schedules(self) -> Schedules:
        """The schedules in the database, to be looked at and changed."""
        return Schedules(self)

    def handle(self, jobid: int) -> Handle[Any]:
        """A handle of a job that was enqueued anywhere, at any time."""
        return Handle(self, jobid)

    def drain(self) -> int:
        """Run everything that is due, here and now, in transactions of its own; returns how many
        runs there were."""
        loop = Loop(self.db, self.locate, 'drain', WorkerOptions(drain=True))
        loop.booking.ticker.declaring = declaringOf(self)
        try:
            loop.work()
            return loop.done
        finally:
            loop.close()

    def close(self) -> None:
        """Close the database, unless it was given open."""
        self._opening.close()

    def __reduce__(self) -> Any:
        raise InputError('An App belongs to its process and cannot be passed on; '
                         'import it where it is needed')
